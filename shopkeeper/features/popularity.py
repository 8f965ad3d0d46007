"""How much of what everybody buys is this product, within several windows: today's to a season's.

Shares, not counts, so that a shop that grows, or a quiet week, shifts no number. Counts shoppers
that nobody knows, too. The windows end at the snapshot, not at the request: a snapshot that is
older than the shortest window says what was popular then. Knows nothing of the shopper.

A snapshot is made of the newest `[train] events_max` events, which are held in memory.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.arrays import DAY_US
from shopkeeper.contracts import Moment
from shopkeeper.features._cells import ratio
from shopkeeper.features._purchases import kinds, restore_arrays, save_arrays
from shopkeeper.schema import EVENT_NAME, ITEM, PRODUCT_ID, TIME, TRANSACTION, USER


class Popularity:
    """The product's share of the shop's sales and of its category's, lately and for long."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings under [features.popularity] in shop.toml."""

        windows_days: tuple[int, ...] = (1, 7, 28, 90)
        """Lengths of the windows, each ending at the snapshot."""

        def __post_init__(self) -> None:
            whole = len(set(self.windows_days)) == len(self.windows_days) > 0
            if not whole or min(self.windows_days) < 1:
                raise ValueError(
                    f"windows_days must be different whole days from 1, got {self.windows_days}."
                )

    def __init__(self, config: Config) -> None:
        self.config = config
        self._columns: dict[str, NDArray[np.float64]] = {}

    def fit(self, events: pl.DataFrame, products: pl.DataFrame, now: datetime) -> Self:
        """Count purchases before `now` in windows that end there."""
        age, item = _sold(events, products, now)
        kind = kinds(products)
        self._columns = {}
        for days in self.config.windows_days:
            count = np.bincount(item[age < days], minlength=products.height).astype(np.float64)
            sold = np.bincount(kind[kind >= 0], count[kind >= 0], minlength=kind.max(initial=0) + 1)
            of_kind = np.where(kind >= 0, sold[kind], 0.0)
            self._columns[f"popular{days}"] = ratio(count, np.full(count.size, count.sum()))
            self._columns[f"popular{days}_kind"] = ratio(count, of_kind)
        return self

    def names(self) -> tuple[str, ...]:
        """Name the columns of `compute`."""
        return tuple(
            f"popular{days}{part}" for days in self.config.windows_days for part in ("", "_kind")
        )

    def compute(self, moment: Moment) -> NDArray[np.float32]:
        """Return [N, F]; NaN where nothing of the shop, or of the category, was sold."""
        columns = [self._columns[name][moment.item_N] for name in self.names()]
        return np.column_stack(columns).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write the snapshot into an empty `folder`."""
        save_arrays(folder, self._columns)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        self._columns = restore_arrays(folder)
        return self


def _sold(
    events: pl.DataFrame, products: pl.DataFrame, now: datetime
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return age in days and number of each product sold before `now`, once a basket."""
    rows = products.select(pl.col(PRODUCT_ID).alias(ITEM)).with_row_index("item")
    basket = [name for name in (USER, ITEM, TIME, TRANSACTION) if name in events.columns]
    sold = (
        events.lazy()
        .filter((pl.col(EVENT_NAME) == "purchase") & (pl.col(TIME) < now))
        .select(basket)
        .unique()
        .join(rows.lazy(), on=ITEM)
        .select(
            pl.col("item").cast(pl.Int64),
            ((pl.lit(now) - pl.col(TIME)).dt.total_microseconds() / DAY_US).alias("age"),
        )
        .collect()
    )
    return sold["age"].to_numpy(), sold["item"].to_numpy()
