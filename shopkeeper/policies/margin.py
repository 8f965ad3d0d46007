"""Only what the shop earns enough by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shopkeeper.arrays import Asked, Picks, Rows
from shopkeeper.schema import PRICE


class Margin:
    """Drops products whose margin is too small."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What is enough."""

        least: float = 0.0
        """The least share of the price that is left after `cost_of_goods_sold`."""
        unsaid: bool = True
        """Whether a product without a price or a cost may be shown."""

        def __post_init__(self) -> None:
            if not self.least <= 1:
                raise ValueError(f"least must be a share of the price up to 1, got {self.least}.")

    def __init__(self, config: Config) -> None:
        self.config = config

    def apply(
        self,
        page: Picks,  # noqa: ARG002
        asked: Asked,  # noqa: ARG002
        products: Mapping[str, Sequence[Any]],
    ) -> Rows:
        """Keep products that earn enough, at the price of now."""
        names = (PRICE, "sale_price_minor", "cost_of_goods_sold_minor")
        rows = zip(*(products[name] for name in names), strict=True)
        return np.flatnonzero([self._may(*row) for row in rows])

    def _may(self, price: int | None, sale: int | None, cost: int | None) -> bool:
        price = price if sale is None else sale
        if price is None or cost is None:
            return self.config.unsaid
        return price > 0 and (price - cost) / price >= self.config.least
