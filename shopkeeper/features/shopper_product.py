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
from shopkeeper.features._pairs import Pairs
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
        pairs = Pairs.of_moment(moment)
        place_N = pairs.find(moment.owner_N * moment.size + moment.item_N)
        found = {
            name: np.append(value_P, 0.0 if name in ABSENT_IS_ZERO else np.nan)[place_N]
            for name, value_P in self._of_pairs(pairs).items()
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

    def _of_pairs(self, pairs: Pairs) -> dict[str, NDArray[np.float64]]:
        """Return what own purchases tell of each pair, [P] each."""
        first_P, last_P, times_P = pairs.first_P, pairs.last_P, pairs.times_P
        age, size = pairs.age_L, pairs.size_L**SIZE_POWER
        span_P = age[first_P] - age[last_P]
        return {
            "own_recent": pairs.sums(pairs.ago_L < self.config.recent_baskets),
            "own_share": times_P / pairs.baskets_B[pairs.owner_L[first_P]],
            **{f"own_decay{h}": pairs.sums(2.0 ** (-age / h)) for h in HALF_LIVES},
            **{f"own_meant{t}": pairs.sums(np.exp(-age / t) / size) for t in MEAN_LIVES},
            "own_last_days": age[last_P],
            "own_baskets_ago": pairs.ago_L[last_P].astype(np.float64),
            "own_gap_days": np.where(times_P > 1, span_P / np.maximum(times_P - 1, 1), np.nan),
        }

    def save(self, folder: Path) -> None:
        """Write the snapshot into an empty `folder`."""
        save_arrays(folder, self._product)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        self._product = restore_arrays(folder)
        return self
