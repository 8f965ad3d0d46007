"""Products as ids of a few numbers each: a history foretells all numbers of the next id at once.

Source: RPG (Hou et al., KDD 2025) for parallel numbers whose logits are added up, LIGER (Yang et
al., 2024) for a vector of each product's own beside them. We differ in what the softmax is over:
ids that exist, so nothing is spent on ids that no product has.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from shopkeeper.training.networks.histories import Shape
from shopkeeper.training.networks.sequence import SequenceNetwork

# V products, P places of an id, N numbers at each place, D width


class CodedNetwork(SequenceNetwork):
    """A network whose products have a vector made of their numbers, and one of their own."""

    def __init__(self, shape: Shape, codes_VP: Tensor, numbers: int) -> None:
        super().__init__(shape)
        self.num_places = codes_VP.shape[1]
        self.row_VP = codes_VP + torch.arange(self.num_places) * numbers
        self.numbers = nn.Embedding(self.num_places * numbers, shape.width)
        nn.init.normal_(self.numbers.weight, std=0.02)

    def coded(self) -> Tensor:
        """Return the sum of the vectors of each product's numbers, [V, D]."""
        found: Tensor = functional.embedding_bag(self.row_VP, self.numbers.weight, mode="sum")
        return found

    def table(self) -> Tensor:
        """Return the vectors of all products, their own and that of their numbers, [V, D]."""
        items_VD: Tensor = self.items.weight
        if self.training and self.shape.id_dropout:
            items_VD = items_VD * (torch.rand(len(items_VD), 1) >= self.shape.id_dropout)
        return items_VD + self.coded()

    def read(self, item_E: Tensor) -> Tensor:
        """Return the vectors of some products as histories hold them, [E, D]."""
        return self.table()[item_E]

    def heads(self, hidden_PD: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return what is learned at once: the products, and their numbers alone."""
        return [*super().heads(hidden_PD), (hidden_PD, self.coded())]

    def start(self, vectors_VD: Tensor) -> None:
        """Let numbers start as the mean of their products' vectors, place by place."""
        rest_VD = vectors_VD.clone()
        with torch.no_grad():
            for place in range(self.num_places):
                row_V = self.row_VP[:, place]
                sums = torch.zeros_like(self.numbers.weight).index_add_(0, row_V, rest_VD)
                many = torch.bincount(row_V, minlength=len(sums)).clamp(min=1)[:, None]
                self.numbers.weight.add_(sums / many)
                rest_VD -= (sums / many)[row_V]
            self.items.weight.add_(rest_VD)
