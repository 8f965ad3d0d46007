"""What comes next, learned by a transformer from the order of what shoppers did.

Source: SASRec (Kang and McAuley, ICDM 2018) in the form of eSASRec (RecSys 2025); see
`training/networks/sequence` for what differs.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from shopkeeper.recommenders import _sequences
from shopkeeper.recommenders._sequences import contents


class Sequential(contents.WithContent):
    """Foretells the products of a shopper's next moment."""

    kind: ClassVar[str] = "attention"

    @dataclass(frozen=True, kw_only=True)
    class Config(_sequences.Settings):
        """Settings of the transformer and of how it learns."""

        heads: int = 2
        """How many ways each block looks at the past; `width` is a multiple of it."""
        attention_dropout: float = 0.0
        """Share of what a moment looks back at that is left out while learning, in [0, 1)."""

        content_numbers: int = 0
        """How many numbers of the content's vectors are read, the most telling; 0 for none. With
        them, products that nobody has wanted yet are foretold, and `start_from` may be used."""
        id_dropout: float = 0.2
        """Share of products that are known by content alone in a step of learning, in [0, 1)."""
        start_from: str = ""
        """Folder of a `sequential` of another shop to start from; empty starts anew."""

        def __post_init__(self) -> None:
            super().__post_init__()
            _sequences.check_heads(self.width, self.heads)
            if not (0 <= self.attention_dropout < 1 and 0 <= self.id_dropout < 1):
                raise ValueError("attention_dropout and id_dropout must be in [0, 1).")
            if self.content_numbers < 0:
                raise ValueError("content_numbers must be at least 0.")
            contents.check_start(self)

    config: Config

    def _shape(self) -> dict[str, Any]:
        config = self.config
        return {
            "kind": self.kind,
            "num_heads": config.heads,
            "attention_dropout": config.attention_dropout,
            "id_dropout": config.id_dropout if config.content_numbers else 0.0,
        }
