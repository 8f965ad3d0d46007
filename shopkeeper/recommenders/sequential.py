"""What comes next, learned by a transformer from the order of what shoppers did.

Source: SASRec (Kang and McAuley, ICDM 2018) in the form of eSASRec (RecSys 2025); see
`training/networks/sequence` for what differs.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from shopkeeper.recommenders import _sequences


class Sequential(_sequences.Sequence):
    """Foretells the products of a shopper's next moment."""

    kind: ClassVar[str] = "attention"

    @dataclass(frozen=True, kw_only=True)
    class Config(_sequences.Settings):
        """Settings of the transformer and of how it learns."""

        heads: int = 2
        """How many ways each block looks at the past; `width` is a multiple of it."""
        attention_dropout: float = 0.0
        """Share of what a moment looks back at that is left out while learning, in [0, 1)."""

        def __post_init__(self) -> None:
            super().__post_init__()
            _sequences.check_heads(self.width, self.heads)
            if not 0 <= self.attention_dropout < 1:
                raise ValueError("attention_dropout must be in [0, 1).")

    config: Config

    def _shape(self) -> dict[str, Any]:
        config = self.config
        return {
            "kind": self.kind,
            "num_heads": config.heads,
            "attention_dropout": config.attention_dropout,
        }
