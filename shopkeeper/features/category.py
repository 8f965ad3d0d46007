"""How much of what this shopper buys lies in the candidate's category, at each level of the path.

Source: category affinity as in next-basket work; decayed, and times the candidate's share of its
category's first tries. A shop without categories gets no columns.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.contracts import Moment
from shopkeeper.features._cells import Cells
from shopkeeper.features._pairs import Pairs, begins
from shopkeeper.features._purchases import purchases, restore_arrays, save_arrays, window_counts
from shopkeeper.schema import CATEGORY

KIND = ("kind_own_share", "kind_gap_days", "kind_due", "kind_rate", "kind_since_days")
"""Columns of the finest level: the candidate's share of what the shopper buys of its kind, days
between two baskets with the kind, how due it is, share of baskets with it, and how much longer ago
the candidate was bought than another of its kind."""
KIND_HALF_LIFE = 90.0


class Category:
    """The shopper's taste for the candidate's department, category and type."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings under [features.category] in shop.toml."""

        levels_max: int = 3
        """How many levels of the category path are looked at, from the root."""
        half_life_days: float = 180.0
        """Age at which a purchase counts half."""

        def __post_init__(self) -> None:
            if self.levels_max < 1 or not self.half_life_days > 0:
                raise ValueError("levels_max must be at least 1 and half_life_days above 0.")

    def __init__(self, config: Config) -> None:
        self.config = config
        self._levels = 0
        self._arrays: dict[str, NDArray[Any]] = {}

    def fit(self, events: pl.DataFrame, products: pl.DataFrame, now: datetime) -> Self:
        """Number the categories, and measure each product's share of its category's sales."""
        bought = purchases(events, products, now)
        tries = bought.group_by("user", "item", maintain_order=True).agg(pl.col("age").max())
        popular = window_counts(tries, products.height, 30)
        popular += window_counts(tries, products.height, 90) / 30
        paths = products.select(pl.col(CATEGORY).fill_null("").str.split(" > "))
        self._arrays, self._levels = {}, 0
        for level in range(self.config.levels_max):
            names = paths.select(pl.col(CATEGORY).list.head(level + 1).list.join(" > "))
            code = names.to_series().rank("dense").to_numpy().astype(np.int64) - 1
            before = self._arrays.get(f"code{self._levels - 1}", np.zeros(1))
            if code.max(initial=0) == before.max():
                continue  # Such as one root above all: it splits nothing that was not split.
            share = popular / np.maximum(np.bincount(code, weights=popular)[code], 1e-6)
            self._arrays |= {f"code{self._levels}": code, f"share{self._levels}": share}
            self._levels += 1
        return self

    def names(self) -> tuple[str, ...]:
        """Name the columns of `compute`; none in a shop without categories."""
        if not self._levels:
            return ()
        return (
            *(
                f"category{n}_{kind}"
                for n in range(self._levels)
                for kind in ("novelty", "taste", "fit")
            ),
            "category_last_days",
            *KIND,
        )

    def compute(self, moment: Moment) -> NDArray[np.float32]:
        """Return [N, F] for the N candidates."""
        if not self._levels:
            return np.empty((moment.owner_N.size, 0), np.float32)
        size, owner_H = moment.now_B.size, moment.owner_H
        weight_H = 2.0 ** (-moment.age_H / self.config.half_life_days)
        total_B = np.maximum(np.bincount(owner_H, weight_H, minlength=size), 1e-9)
        first_H = np.unique(owner_H * moment.size + moment.item_H, return_index=True)[1]
        fresh_H = np.zeros(owner_H.size)
        fresh_H[first_H] = 1
        columns = []
        for level in range(self._levels):
            code_P = self._arrays[f"code{level}"]
            cells = Cells.of(
                owner_H * moment.size + code_P[moment.item_H],
                moment.owner_N * moment.size + code_P[moment.item_N],
            )
            taste_N = cells.sums(weight_H) / total_B[moment.owner_N]
            lines_N, distinct_N = cells.sums(np.ones(owner_H.size)), cells.sums(fresh_H)
            columns.append((distinct_N + 1) / (lines_N + 2))
            columns += [taste_N, taste_N * self._arrays[f"share{level}"][moment.item_N]]
        columns.append(cells.least(moment.age_H))
        columns += self._kind(moment, cells)
        return np.column_stack(columns).astype(np.float32)

    def _kind(self, moment: Moment, cells: Cells) -> list[NDArray[np.float64]]:
        """Return the columns of `KIND`: is the kind due, and does it mean this product?"""
        pairs = Pairs.of_moment(moment)
        place_N = pairs.find(moment.owner_N * moment.size + moment.item_N)
        own_N = np.append(pairs.sums(2.0 ** (-pairs.age_L / KIND_HALF_LIFE)), 0.0)[place_N]
        own_last_N = np.append(pairs.age_L[pairs.last_P], np.nan)[place_N]
        weight_H = 2.0 ** (-moment.age_H / KIND_HALF_LIFE)
        basket_H = np.cumsum(begins(moment.owner_H, moment.age_H))
        # One purchase for each basket that holds the kind.
        meeting = cells.place_H.astype(np.int64) * (basket_H.size + 1) + basket_H
        once_H = np.zeros(basket_H.size)
        once_H[np.unique(meeting, return_index=True)[1]] = 1
        last_N, first_N = cells.least(moment.age_H), -cells.least(-moment.age_H)
        times_N, kind_N = cells.sums(once_H), cells.sums(weight_H)
        gap_N = np.where(times_N > 1, (first_N - last_N) / np.maximum(times_N - 1, 1), np.nan)
        known_N = kind_N > 0
        return [
            np.where(known_N, own_N / np.maximum(kind_N, 1e-9), np.nan),
            gap_N,
            last_N / np.maximum(gap_N, 0.5),
            times_N / np.maximum(pairs.baskets_B[moment.owner_N], 1),
            own_last_N - last_N,
        ]

    def save(self, folder: Path) -> None:
        """Write the snapshot into an empty `folder`."""
        save_arrays(folder, self._arrays)
        (folder / "levels.json").write_text(json.dumps(self._levels))

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        self._arrays = restore_arrays(folder)
        self._levels = json.loads((folder / "levels.json").read_text())
        return self
