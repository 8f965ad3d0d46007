"""What comes next, learned without a softmax over the past; it reads the request's clock.

Source: HSTU (Zhai et al., ICML 2024); see `training/networks/hstu` for what differs.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from shopkeeper.recommenders import _sequences


class Hstu(_sequences.Sequence):
    """Foretells the products of a shopper's next moment from all moments, weighed by time."""

    kind: ClassVar[str] = "hstu"

    @dataclass(frozen=True, kw_only=True)
    class Config(_sequences.Settings):
        """Settings of the network and of how it learns."""

        heads: int = 2
        """How many ways each block looks at the past; `width` is a multiple of it."""
        temperature: float = 0.0
        """Products are compared by cosines divided by it; 0 compares them by inner products."""

        def __post_init__(self) -> None:
            super().__post_init__()
            _sequences.check_heads(self.width, self.heads)
            if not self.temperature >= 0:
                raise ValueError(f"temperature must be at least 0, got {self.temperature}.")

    config: Config

    def _shape(self) -> dict[str, Any]:
        config = self.config
        return {
            "kind": self.kind,
            "num_heads": config.heads,
            "temperature": config.temperature,
        }
