"""A page that is not all of one kind: so many variants of a product, so many of a category."""

from dataclasses import dataclass

import polars as pl

from shopkeeper.policies._page import numbered
from shopkeeper.schema import CATEGORY, ITEM, PRODUCT_ID, REQUEST

GROUP = "item_group_id"


class Variety:
    """Drops products beyond the most that a page may hold of one group or category."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """How many of a kind a page may hold."""

        per_group_max: int = 1
        """Variants of one product (`item_group_id`) on a page; 0 means any number."""
        per_category_max: int = 0
        """Products of one category (`product_type`) on a page; 0 means any number."""

        def __post_init__(self) -> None:
            for name in ("per_group_max", "per_category_max"):
                if getattr(self, name) < 0:
                    raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}.")

    def __init__(self, config: Config) -> None:
        self.config = config

    def apply(
        self,
        page: pl.DataFrame,
        requests: pl.DataFrame,  # noqa: ARG002
        products: pl.DataFrame,
    ) -> pl.DataFrame:
        """Return `page` with the best of each kind; products without a kind stay."""
        for column, most in (
            (GROUP, self.config.per_group_max),
            (CATEGORY, self.config.per_category_max),
        ):
            if most:
                page = _at_most(page, products, column, most)
        return numbered(page)


def _at_most(page: pl.DataFrame, products: pl.DataFrame, column: str, most: int) -> pl.DataFrame:
    kinds = products.unique(PRODUCT_ID, keep="first", maintain_order=True)
    kinds = kinds.select(pl.col(PRODUCT_ID).alias(ITEM), pl.col(column).alias("kind"))
    known = page.join(kinds, on=ITEM, how="left", maintain_order="left")
    before = pl.int_range(pl.len()).over(REQUEST, "kind")
    return known.filter(pl.col("kind").is_null() | (before < most)).drop("kind")
