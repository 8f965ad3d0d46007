"""How the whole shop buys this product now: popularity, first tries, trend, repeats, age, price.

Knows nothing of the shopper.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.contracts import Moment
from shopkeeper.features._purchases import (
    paid_prices,
    product_statistics,
    purchases,
    restore_arrays,
    save_arrays,
    window_counts,
)

WINDOWS_DAYS = (7, 30, 90)
SMOOTH = 0.02
"""Baskets a day added to both sides of a trend."""


class ProductTrend:
    """The product as the shop sees it."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings under [features.product_trend] in shop.toml; there are none."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._columns: dict[str, NDArray[np.float64]] = {}

    def fit(self, events: pl.DataFrame, products: pl.DataFrame, now: datetime) -> Self:
        """Count purchases before `now` in windows that end there."""
        bought = purchases(events, products, now)
        trials = bought.group_by("user", "item", maintain_order=True).agg(pl.col("age").max())
        known = product_statistics(bought, products.height)
        counts = {d: window_counts(bought, products.height, d) for d in WINDOWS_DAYS}
        week, month, quarter = (counts[d] / d + SMOOTH for d in WINDOWS_DAYS)
        self._columns = {
            **{f"bought{d}": counts[d] for d in WINDOWS_DAYS},
            **{f"tried{d}": window_counts(trials, products.height, d) for d in WINDOWS_DAYS[:2]},
            "trend_week": week / month,
            "trend_month": month / quarter,
            "price": paid_prices(events, products, now),
            **{
                name: known[name]
                for name in (
                    "gap_days",
                    "rebuy_share",
                    "lines_per_buyer",
                    "first_days",
                    "last_days",
                )
            },
        }
        return self

    def names(self) -> tuple[str, ...]:
        """Name the columns of `compute`."""
        return tuple(sorted(self._columns))

    def compute(self, moment: Moment) -> NDArray[np.float32]:
        """Return [N, F] for the N candidates."""
        columns = [self._columns[name][moment.item_N] for name in self.names()]
        return np.column_stack(columns).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write the snapshot into an empty `folder`."""
        save_arrays(folder, self._columns)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        self._columns = restore_arrays(folder)
        return self
