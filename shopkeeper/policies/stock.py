"""Only what can be sold: products that the shop knows and has in stock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shopkeeper.arrays import Asked, Picks, Rows
from shopkeeper.schema import PRODUCT_ID


class Stock:
    """Drops products that are unknown or not available."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What counts as sellable."""

        sellable: tuple[str, ...] = ("in_stock",)
        """Values of `availability` that may be shown."""
        unsaid: bool = True
        """Whether a product without a word on its availability may be shown."""

        def __post_init__(self) -> None:
            if not self.sellable:
                raise ValueError("sellable must name at least one availability, got none.")

    def __init__(self, config: Config) -> None:
        self.config = config

    def apply(
        self,
        page: Picks,  # noqa: ARG002
        asked: Asked,  # noqa: ARG002
        products: Mapping[str, Sequence[Any]],
    ) -> Rows:
        """Keep products that are known and can be sold."""
        sellable = {*self.config.sellable, *([None] if self.config.unsaid else [])}
        said, known = products["availability"], products[PRODUCT_ID]
        may = [
            item is not None and word in sellable for item, word in zip(known, said, strict=True)
        ]
        return np.flatnonzero(may)
