"""A block that carries what it knows from moment to moment.

Source: GRU4Rec (Hidasi et al., ICLR 2016) with the loss and the tied vectors of its siblings, and
added to its input, so that several can stand on one another.
"""

from torch import Tensor, nn

from shopkeeper.training.networks.histories import Histories, Shape, by_group


class GruBlock(nn.Module):  # type: ignore[misc]
    """A gated recurrent unit over each history."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(shape.width)
        self.carried = nn.GRU(shape.width, shape.width, batch_first=True)
        self.added = nn.Linear(shape.width, shape.width)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, x_ND: Tensor, past: Histories) -> Tensor:
        """Return [N, D]."""
        known_ND = by_group(past, self.norm(x_ND), lambda table, _: self.carried(table)[0])
        return x_ND + self.dropout(self.added(known_ND))
