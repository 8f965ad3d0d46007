"""Is this product dear or cheap for its kind, and for this shopper?

Source: price bands as shops draw them, here as a rank within the finest category; beside it what
the shopper usually pays, as a ratio and as a rank, for who buys the cheap tea buys the cheap bread.
Prices are those known at the snapshot, not what the shopper paid then; all of one currency.

A snapshot is made of the newest `[train] events_max` events, which are held in memory.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.contracts import Moment
from shopkeeper.features._cells import Cells, ratio
from shopkeeper.features._purchases import kinds, known_prices, restore_arrays, save_arrays

Floats = NDArray[np.float64]

NAMES = (
    "price_kind_rank",
    "price_kind_ratio",
    "price_usual_ratio",
    "price_usual_rank",
    "price_own_kind_ratio",
)


class PriceBand:
    """The candidate's price within its category and beside what the shopper usually pays."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings under [features.price_band] in shop.toml."""

        half_life_days: float = 180.0
        """Age at which a purchase counts half for what the shopper usually pays."""

        def __post_init__(self) -> None:
            if not self.half_life_days > 0:
                raise ValueError(f"half_life_days must be above 0, got {self.half_life_days}.")

    def __init__(self, config: Config) -> None:
        self.config = config
        self._arrays: dict[str, NDArray[Any]] = {}

    def fit(self, events: pl.DataFrame, products: pl.DataFrame, now: datetime) -> Self:
        """Rank the prices known before `now` within each category."""
        kind, price = kinds(products), np.log(known_prices(events, products, now))
        table = pl.DataFrame({"kind": kind, "price": price}).with_columns(
            pl.col("price").fill_nan(None)
        )
        among = table.select(
            rank=(pl.col("price").rank("average").over("kind") - 0.5)
            / pl.col("price").count().over("kind"),
            ratio=pl.col("price") - pl.col("price").median().over("kind"),
        )
        self._arrays = {"kind": kind, "price": price}
        for name in among.columns:
            found = among[name].fill_null(float("nan")).to_numpy()
            self._arrays[name] = np.where(kind >= 0, found, np.nan)
        return self

    def names(self) -> tuple[str, ...]:
        """Name the columns of `compute`."""
        return NAMES

    def compute(self, moment: Moment) -> NDArray[np.float32]:
        """Return [N, F]: ranks in the category from 0, cheap, to 1; ratios as natural logs.

        NaN where the price, the category, or the shopper's purchases are not known.
        """
        kind, price, rank = (self._arrays[name] for name in ("kind", "price", "rank"))
        item_N, owner_N = moment.item_N, moment.owner_N
        weight_H = 2.0 ** (-moment.age_H / self.config.half_life_days)
        cells = Cells.of(
            moment.owner_H * (moment.size + 1) + kind[moment.item_H] + 1,
            owner_N * (moment.size + 1) + kind[item_N] + 1,
        )
        price_H = price[moment.item_H].astype(np.float64)
        known_H = np.where(np.isfinite(price_H), weight_H, 0.0)
        own_kind_N = ratio(cells.sums(known_H * np.nan_to_num(price_H)), cells.sums(known_H))
        own_kind_N[kind[item_N] < 0] = np.nan
        columns = [
            rank[item_N],
            self._arrays["ratio"][item_N],
            price[item_N] - _usual(moment, price_H, weight_H)[owner_N],
            rank[item_N] - _usual(moment, rank[moment.item_H], weight_H)[owner_N],
            price[item_N] - own_kind_N,
        ]
        return np.column_stack(columns).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write the snapshot into an empty `folder`."""
        save_arrays(folder, self._arrays)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        self._arrays = restore_arrays(folder)
        return self


def _usual(moment: Moment, value_H: Floats, weight_H: Floats) -> Floats:
    """Return the weighted mean over each shopper's purchases of known value, [B], NaN for none."""
    size = moment.now_B.size
    known_H = np.where(np.isfinite(value_H), weight_H, 0.0)
    sums_B = np.bincount(moment.owner_H, known_H * np.nan_to_num(value_H), minlength=size)
    return ratio(sums_B, np.bincount(moment.owner_H, known_H, minlength=size))
