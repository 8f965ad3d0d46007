"""Only what costs neither too little nor too much."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shopkeeper.arrays import Asked, Picks, Rows
from shopkeeper.schema import CURRENCY, EXPONENTS, PRICE


class PriceRange:
    """Drops products outside a range of prices."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """The range, as shoppers see prices."""

        lowest: float = 0.0
        """Products that cost less are not shown."""
        highest: float = 0.0
        """Products that cost more are not shown; 0 for any price."""
        unsaid: bool = True
        """Whether a product without a price may be shown."""

        def __post_init__(self) -> None:
            if not self.lowest >= 0 or not self.highest >= 0:
                raise ValueError("lowest and highest must be at least 0.")
            if 0 < self.highest < self.lowest:
                raise ValueError(f"lowest is {self.lowest}, above highest, {self.highest}.")

    def __init__(self, config: Config) -> None:
        self.config = config

    def apply(
        self,
        page: Picks,  # noqa: ARG002
        asked: Asked,  # noqa: ARG002
        products: Mapping[str, Sequence[Any]],
    ) -> Rows:
        """Keep products that cost what they may."""
        rows = zip(products[PRICE], products["sale_price_minor"], products[CURRENCY], strict=True)
        return np.flatnonzero([self._may(*row) for row in rows])

    def _may(self, price_minor: int | None, sale_minor: int | None, currency: str | None) -> bool:
        asked = price_minor if sale_minor is None else sale_minor
        if asked is None:
            return self.config.unsaid
        price = asked / 10 ** EXPONENTS.get(currency or "", 2)
        return bool(self.config.lowest <= price <= (self.config.highest or np.inf))
