"""Two towers: what a shopper did, and what a product is, as vectors to be held side by side.

The product's tower adds a vector of its own to one made of its content (the catalogue's `vector`);
while learning, products lose their own at times, so one that nobody wanted yet is found by its
content alone. The shopper's tower sums up what was done, and needs to know nobody: a session, or
one product looked at, is enough. Source: Covington et al., RecSys 2016, with the softmax over
drawn products of Yi et al., RecSys 2019 (corrected by their chance), and the dropping of ids of
DropoutNet (Volkovs et al., NeurIPS 2017).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from shopkeeper.recommenders import _sequences
from shopkeeper.recommenders._sequences import contents


class TwoTower(contents.WithContent):
    """Foretells what is wanted next from the sum of what was done, new products among it."""

    kind: ClassVar[str] = "pooling"

    @dataclass(frozen=True, kw_only=True)
    class Config(_sequences.Settings):
        """Settings of the towers and of how they learn."""

        blocks: int = 1
        """How many times the past is summed up, one on the other."""
        heads: int = 4
        """How many sums are made of the past; `width` is a multiple of it."""
        negatives: int = 2048
        """Products drawn for each batch that its targets compete with; 0 for all products."""
        popularity: bool = False
        """Whether each product has a number of its own, at first by how often it was wanted."""
        content_numbers: int = 64
        """How many numbers of the content's vectors are read, the most telling; 0 for none."""
        id_dropout: float = 0.3
        """Share of products that are known by content alone in a step of learning, in [0, 1)."""

        def __post_init__(self) -> None:
            super().__post_init__()
            _sequences.check_heads(self.width, self.heads)
            if self.content_numbers < 0 or not 0 <= self.id_dropout < 1:
                raise ValueError("content_numbers must be at least 0, and id_dropout in [0, 1).")

    config: Config

    def _shape(self) -> dict[str, Any]:
        config = self.config
        return {"kind": self.kind, "num_heads": config.heads, "id_dropout": config.id_dropout}
