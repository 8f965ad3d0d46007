"""Nothing that the shopper does not want to see: what was dismissed, what the request excludes."""

from dataclasses import dataclass

import polars as pl

from shopkeeper.policies._page import numbered
from shopkeeper.schema import EVENT_NAME, EXCLUDE, HISTORY, ITEM, NOW, REQUEST, TIME

TAKEN_BACK_BY = ("like", "add_to_cart", "purchase")
"""Events after which a product that was dismissed may be shown again."""


class Dismissed:
    """Drops products of the request's `exclude`, and those its history says were dismissed."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """How long a dismissal holds."""

        days: float = 365.0
        """A product dismissed longer ago may be shown again."""

        def __post_init__(self) -> None:
            if not self.days > 0:
                raise ValueError(f"days must be above 0, got {self.days}.")

    def __init__(self, config: Config) -> None:
        self.config = config

    def apply(
        self,
        page: pl.DataFrame,
        requests: pl.DataFrame,
        products: pl.DataFrame,  # noqa: ARG002
    ) -> pl.DataFrame:
        """Return `page` without products that its request excludes or its shopper dismissed."""
        excluded = requests.select(REQUEST, pl.col(EXCLUDE).alias(ITEM)).explode(ITEM)
        events = requests.select(REQUEST, NOW, HISTORY).explode(HISTORY).unnest(HISTORY)
        fresh = pl.col(NOW) - pl.col(TIME) <= pl.duration(days=self.config.days)
        if page.is_empty():
            return page
        told = events.filter(pl.col(EVENT_NAME).is_in(("dismiss", *TAKEN_BACK_BY)) & fresh)
        last = told.sort(TIME, maintain_order=True).unique([REQUEST, ITEM], keep="last")
        dismissed = last.filter(pl.col(EVENT_NAME) == "dismiss").select(REQUEST, ITEM)
        unwanted = pl.concat([excluded, dismissed])
        return numbered(page.join(unwanted, on=[REQUEST, ITEM], how="anti", maintain_order="left"))
