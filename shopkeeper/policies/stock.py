"""Only what can be sold: products that the shop knows and has in stock."""

from dataclasses import dataclass

import polars as pl

from shopkeeper.policies._page import numbered
from shopkeeper.schema import ITEM, PRODUCT_ID


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
        page: pl.DataFrame,
        requests: pl.DataFrame,  # noqa: ARG002
        products: pl.DataFrame,
    ) -> pl.DataFrame:
        """Return `page` without products that are unknown or cannot be sold."""
        said = pl.col("availability").is_in(list(self.config.sellable))
        sellable = products.filter(said.fill_null(self.config.unsaid))
        return numbered(page.filter(pl.col(ITEM).is_in(sellable[PRODUCT_ID].to_list())))
