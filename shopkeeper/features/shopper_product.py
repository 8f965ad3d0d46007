"""How this shopper buys this product: how often, how lately, and whether it is due.

Source: the recency, frequency and repurchase-gap signals of next-basket work (Hu et al., SIGIR
2020; Ariannezhad et al., SIGIR 2022), computed from the request's history alone. Knows nothing of
other shoppers beyond each product's usual gap.
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
    product_statistics,
    purchases,
    restore_arrays,
    save_arrays,
)

HALF_LIVES = (14, 42, 180)
MEAN_LIVES = (60, 120, 300)
SIZE_POWER = 0.25
"""A product from a basket of n counts one nth to this power: a few things were meant."""
ABSENT_IS_ZERO = (
    "own_recent",
    "own_share",
    "own_rate",
    *(f"own_decay{h}" for h in HALF_LIVES),
    *(f"own_meant{t}" for t in MEAN_LIVES),
)


class ShopperProduct:
    """The shopper's own purchases of the candidate."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings under [features.shopper_product] in shop.toml."""

        recent_baskets: int = 5
        """How many of the newest baskets count as recent."""

        def __post_init__(self) -> None:
            if self.recent_baskets < 1:
                raise ValueError(f"recent_baskets must be at least 1, got {self.recent_baskets}.")

    def __init__(self, config: Config) -> None:
        self.config = config
        self._product: dict[str, NDArray[np.float64]] = {}

    def fit(self, events: pl.DataFrame, products: pl.DataFrame, now: datetime) -> Self:
        """Learn each product's usual gap and rate from purchases before `now`."""
        found = product_statistics(purchases(events, products, now), products.height)
        self._product = {name: found[name] for name in ("gap_days", "lines_per_buyer")}
        return self

    def names(self) -> tuple[str, ...]:
        """Name the columns of `compute`."""
        return (
            "own_recent",
            "own_share",
            *(f"own_decay{h}" for h in HALF_LIVES),
            "own_last_days",
            "own_baskets_ago",
            "own_gap_days",
            "own_due",
            "own_due_typical",
            "own_rate",
            *(f"own_meant{t}{kind}" for t in MEAN_LIVES for kind in ("", "_relative")),
        )

    def compute(self, moment: Moment) -> NDArray[np.float32]:
        """Return [N, F]; a product that the shopper never bought has counts 0 and times NaN."""
        pair_P, columns = self._by_pair(moment)
        wanted_N = moment.owner_N * moment.size + moment.item_N
        at_N = np.minimum(np.searchsorted(pair_P, wanted_N), max(pair_P.size - 1, 0))
        hit_N = pair_P[at_N] == wanted_N if pair_P.size else np.zeros(wanted_N.size, bool)
        found = {
            name: np.where(
                hit_N,
                values[at_N] if pair_P.size else np.nan,
                0.0 if name in ABSENT_IS_ZERO else np.nan,
            )
            for name, values in columns.items()
        }
        last = found["own_last_days"]
        found["own_due"] = last / np.maximum(found["own_gap_days"], 1)
        found["own_due_typical"] = last / np.maximum(self._product["gap_days"][moment.item_N], 1)
        found["own_rate"] = found["own_share"] / self._product["lines_per_buyer"][moment.item_N]
        for t in MEAN_LIVES:
            meant_N = found[f"own_meant{t}"]
            best_B = np.full(moment.now_B.size, 1e-9)
            np.maximum.at(best_B, moment.owner_N, meant_N)
            found[f"own_meant{t}_relative"] = meant_N / best_B[moment.owner_N]
        return np.column_stack([found[name] for name in self.names()]).astype(np.float32)

    def _by_pair(self, moment: Moment) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
        """Summarise the history by request and product: sorted pair numbers, and columns."""
        owner_H, age_H = moment.owner_H, moment.age_H
        new_basket_H = (np.diff(owner_H, prepend=-1) != 0) | (np.diff(age_H, prepend=-1.0) != 0)
        basket_H = np.cumsum(new_basket_H)
        baskets_B = np.bincount(owner_H[new_basket_H], minlength=moment.now_B.size)
        ago_H = np.cumsum(baskets_B)[owner_H] - basket_H
        pair_H = owner_H * moment.size + moment.item_H
        order = np.argsort(pair_H, kind="stable")
        head = np.flatnonzero(np.diff(pair_H[order], prepend=-1))
        if head.size == 0:
            empty = np.empty(0)
            return np.empty(0, np.int64), dict.fromkeys(self.names(), empty)
        tail = np.append(head[1:], order.size) - 1
        age, ago = age_H[order], ago_H[order]
        size = np.bincount(basket_H)[basket_H][order].astype(float) ** SIZE_POWER
        pair_P, times = pair_H[order][head], (tail - head + 1).astype(float)
        columns = {
            "own_recent": np.add.reduceat((ago < self.config.recent_baskets).astype(float), head),
            "own_share": times / baskets_B[pair_P // moment.size],
            **{f"own_decay{h}": np.add.reduceat(2.0 ** (-age / h), head) for h in HALF_LIVES},
            **{f"own_meant{t}": np.add.reduceat(np.exp(-age / t) / size, head) for t in MEAN_LIVES},
            "own_last_days": age[tail],
            "own_baskets_ago": ago[tail].astype(float),
            "own_gap_days": np.where(
                times > 1, (age[head] - age[tail]) / np.maximum(times - 1, 1), np.nan
            ),
        }
        return pair_P, columns

    def save(self, folder: Path) -> None:
        """Write the snapshot into an empty `folder`."""
        save_arrays(folder, self._product)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        self._product = restore_arrays(folder)
        return self
