"""Products that came lately, the newest first, and among those of one day the most wanted.

A product came when the log first tells of it; one the log is silent of, when its row was last
`updated`. Knows nothing of shoppers: everyone gets the same list.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from shopkeeper.arrays import DAY_US
from shopkeeper.recommenders._learning import catalogue, check_settings
from shopkeeper.recommenders._ranking import Ranking
from shopkeeper.schema import ITEM, PRODUCT_ID, TIME


class NewArrivals(Ranking):
    """Recommends what is new in the shop."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What counts as new."""

        days: float = 30.0
        """A product that came longer ago is not new."""
        settled_days: float = 14.0
        """What came in the first days of the log may have been there before, and is not new."""

        def __post_init__(self) -> None:
            check_settings(self, above_0=("days",), settled_days=0)

    def __init__(self, config: Config) -> None:
        self.config = config

    def fit(self, events: pl.DataFrame, products: pl.DataFrame | None = None) -> Self:
        """Learn when each product came: `schema.LEARN` rows in any order."""
        ids = catalogue(events, products)
        told = events.drop_nulls([ITEM, TIME])
        if told.is_empty():
            return self._rank(ids, np.full(len(ids), np.nan))
        times_us = told[TIME].to_physical()
        begin, end = int(times_us.min()), int(times_us.max())  # type: ignore[arg-type]
        first = told.group_by(ITEM).agg(pl.col(TIME).min(), pl.len().alias("wanted"))
        row = ids.rows(first[ITEM])
        came = np.full(len(ids), np.nan)
        wanted = np.zeros(len(ids))
        known = row >= 0
        came[row[known]] = first[TIME].to_physical().to_numpy()[known]
        wanted[row[known]] = first["wanted"].to_numpy()[known]
        settled = came >= begin + self.config.settled_days * DAY_US
        came[~settled] = np.nan
        silent = wanted == 0
        if products is not None and "updated" in products.columns:
            row = ids.rows(products[PRODUCT_ID])
            updated = np.full(len(ids), np.nan)
            updated[row] = products["updated"].to_physical().cast(pl.Float64).to_numpy()
            came[silent] = np.minimum(updated[silent], end)
        age_days = np.floor((end - came) / DAY_US)
        fresh = age_days <= self.config.days
        # Less than a day is left between days for how wanted a product is.
        score = -age_days + wanted / (1 + wanted.max())
        return self._rank(ids, np.where(fresh, score, np.nan))
