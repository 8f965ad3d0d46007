"""Will the shopper's next basket hold this product again? Time is counted in baskets.

Source: repurchase as a hazard, the chance to come back after so many baskets without, as in
next-basket work (Ariannezhad et al., SIGIR 2022), here by product, shrunk to its kind (the finest
category), and by kind and how often it was bought. Knows products that the shopper bought alone.
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
from shopkeeper.features._purchases import purchases, restore_arrays, save_arrays
from shopkeeper.schema import CATEGORY

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

GAPS = np.array([1, 2, 4, 8, 16, 32, 1_000_000])
"""Baskets since the last purchase, up to each; the last bin holds all that is longer."""
TIMES = np.array([2, 4])
"""Purchases so far: one, two or three, more."""
KEPT = (0.9, 0.97)
"""What a basket counts beside the next one."""
AGAIN = ("again_product", "again_kind")
STEADY = tuple(f"again_steady{round(100 * kept)}" for kept in KEPT)


class Repurchase:
    """How likely this product is to come back, and how it usually does."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings under [features.repurchase] in shop.toml."""

        product_prior: float = 30.0
        """Baskets of its kind that a product's own chances are mixed with."""
        kind_prior: float = 50.0
        """Baskets of the whole shop that a kind's chances are mixed with."""
        weekdays: int = 3
        """Days, from the moment of the request on, whose weekdays count as today."""

        def __post_init__(self) -> None:
            if min(self.product_prior, self.kind_prior) <= 0:
                raise ValueError("product_prior and kind_prior must be above 0.")
            if not 1 <= self.weekdays <= 7:
                raise ValueError(f"weekdays must be 1 to 7, got {self.weekdays}.")

    def __init__(self, config: Config) -> None:
        self.config = config
        self._arrays: dict[str, NDArray[np.generic]] = {}

    def fit(self, events: pl.DataFrame, products: pl.DataFrame, now: datetime) -> Self:
        """Measure how often each product came back after how many baskets, before `now`."""
        bought = purchases(events, products, now).sort("user", -pl.col("age"), "item")
        kind = products[CATEGORY].fill_null("").rank("dense").to_numpy().astype(np.int64) - 1
        user, item, age = (bought[name].to_numpy() for name in ("user", "item", "age"))
        owners = int(user.max(initial=-1)) + 1
        pairs = Pairs.of(user, item, age, products.height, owners)
        self._arrays = {"kind": kind} | self._hazards(pairs, kind)
        return self

    def _hazards(self, pairs: Pairs, kind: Rows) -> dict[str, NDArray[np.generic]]:
        """Return chances by gap: `product` [G, P], and `kind_times` [G, kinds times counts]."""
        item_L, waited_L = pairs.item_L, pairs.ago_L.copy()
        # Baskets until the same product came again, or until now where it did not.
        again_L = np.ones(item_L.size, np.bool_)
        again_L[pairs.last_P] = False
        waited_L[again_L] -= pairs.ago_L[np.flatnonzero(again_L) + 1]
        count_L = np.arange(item_L.size) - np.repeat(pairs.first_P, pairs.times_P) + 1
        num_kinds, num_counts = int(kind.max(initial=0)) + 1, len(TIMES) + 1
        count_L = np.digitize(count_L, TIMES)
        cell_L = kind[item_L] * num_counts + count_L
        prior = self.config.kind_prior
        product, kind_times = [], []
        for low, high in zip(np.append(0, GAPS[:-1]) + 1, GAPS, strict=True):
            risk_L = np.clip(np.minimum(waited_L, high) - low + 1, 0, None).astype(np.float64)
            came_L = (again_L & (waited_L >= low) & (waited_L <= high)).astype(np.float64)
            usual = came_L.sum() / max(risk_L.sum(), 1.0)
            by_count = _chance(count_L, came_L, risk_L, np.full(num_counts, usual), 1.0)
            cells = np.tile(by_count, num_kinds)
            kind_times.append(_chance(cell_L, came_L, risk_L, cells, prior))
            by_kind = _chance(kind[item_L], came_L, risk_L, np.full(num_kinds, usual), prior)
            product.append(
                _chance(item_L, came_L, risk_L, by_kind[kind], self.config.product_prior)
            )
        return {"product": np.array(product), "kind_times": np.array(kind_times)}

    def names(self) -> tuple[str, ...]:
        """Name the columns of `compute`."""
        return (
            *AGAIN,
            *STEADY,
            *(f"{name}_relative" for name in (*AGAIN, *STEADY)),
            "again_size",
            "again_size_relative",
            "again_last_gap",
            "again_due_last",
            "again_due",
            "again_since_first",
            "again_weekday",
        )

    def compute(self, moment: Moment) -> NDArray[np.float32]:
        """Return [N, F]; a product that the shopper never bought has shares 0, else NaN."""
        num_requests = moment.now_B.size
        pairs = Pairs.of_moment(moment)
        place_N = pairs.find(moment.owner_N * moment.size + moment.item_N)
        found = {
            name: np.append(value_P, 0.0 if name in STEADY else np.nan)[place_N]
            for name, value_P in self._of_pairs(pairs, moment.now_B).items()
        }
        for name in (*AGAIN, *STEADY):
            best_B = np.full(num_requests, 1e-9)
            np.fmax.at(best_B, moment.owner_N, found[name])
            found[f"{name}_relative"] = np.nan_to_num(found[name]) / best_B[moment.owner_N]
        return np.column_stack([found[name] for name in self.names()]).astype(np.float32)

    def _of_pairs(self, pairs: Pairs, now_B: Floats) -> dict[str, Floats]:
        """Return what own purchases tell of each pair, [P] each."""
        first_P, last_P, times_P = pairs.first_P, pairs.last_P, pairs.times_P
        owner_P, item_P = pairs.owner_L[first_P], pairs.item_L[first_P]
        since_P = pairs.ago_L[last_P] + 1.0
        gap_P = np.searchsorted(GAPS[:-1], since_P)
        kind_P = self._arrays["kind"][item_P].astype(np.int64)
        cell_P = kind_P * (len(TIMES) + 1) + np.digitize(times_P, TIMES)
        found: dict[str, Floats] = {
            "again_product": self._arrays["product"][gap_P, item_P].astype(np.float64),
            "again_kind": self._arrays["kind_times"][gap_P, cell_P].astype(np.float64),
        }
        for name, kept in zip(STEADY, KEPT, strict=True):
            whole_P = (1 - kept ** pairs.baskets_B[owner_P]) / (1 - kept)
            found[name] = pairs.sums(kept**pairs.ago_L) / whole_P
        found["again_size"] = pairs.sums(np.log(pairs.size_L)) / times_P
        found["again_size_relative"] = found["again_size"] - pairs.log_size_B[owner_P]
        several_P = times_P > 1
        before_P = pairs.ago_L[np.maximum(last_P - 1, first_P)] + 1.0
        first_ago_P = pairs.ago_L[first_P] + 1.0
        last_gap_P = np.where(several_P, before_P - since_P, np.nan)
        usual_P = np.where(several_P, (first_ago_P - since_P) / np.maximum(times_P - 1, 1), np.nan)
        found["again_last_gap"] = last_gap_P
        found["again_due_last"] = since_P / last_gap_P
        found["again_due"] = since_P / usual_P
        found["again_since_first"] = times_P / first_ago_P
        now_L = now_B[pairs.owner_L]
        day_L = np.floor(now_L - pairs.age_L + 1e-6) - np.floor(now_L)
        share = self.config.weekdays / 7
        near_P = pairs.sums(day_L % 7 < self.config.weekdays)
        found["again_weekday"] = (near_P + 3 * share) / (times_P + 3)
        return found

    def save(self, folder: Path) -> None:
        """Write the snapshot into an empty `folder`."""
        save_arrays(folder, self._arrays)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        self._arrays = restore_arrays(folder)
        return self


def _chance(cell_L: Rows, came_L: Floats, risk_L: Floats, usual_C: Floats, prior: float) -> Floats:
    """Return what came of what could, by cell, mixed with `prior` rows of the usual, [C]."""
    came_C = np.bincount(cell_L, came_L, minlength=usual_C.size)
    risk_C = np.bincount(cell_L, risk_L, minlength=usual_C.size)
    return np.asarray((came_C + prior * usual_C) / (risk_C + prior))
