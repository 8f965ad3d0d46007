"""What is bought at this hour, on this weekday, by this kind of shopper? Crosses with the category.

Source: crossed columns as smoothed rates of the log, not of the label: the share of a category's
purchases that fall into the hour, mixed with what the whole shop buys then. Knows known shoppers'
purchases alone. A ranker that learns on moments of one hour and weekday, as held-back periods
are, sees one hour and weekday of each category.

A snapshot is made of the newest `[train] events_max` events, which are held in memory; baskets
before those do not count for what kind of shopper somebody was.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.arrays import DAY_US
from shopkeeper.contracts import Moment
from shopkeeper.features._clock import check_zone, hour_of, local_us, weekday_of
from shopkeeper.features._purchases import kinds, purchases, restore_arrays, save_arrays
from shopkeeper.features._segments import NUM_SEGMENTS, Segments, past_baskets

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

CELLS = {"hour": 24, "weekday": 7, "segment": NUM_SEGMENTS}
"""What is crossed with the category, and how many values each has."""
WHAT = ("share", "lift")


class Crosses:
    """Hour, weekday and kind of shopper, each times the candidate's category."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings under [features.crosses] in shop.toml."""

        zone: str = "UTC"
        """IANA time zone of the shoppers, such as Europe/London."""
        prior: float = 50.0
        """Purchases, spread as the whole shop's are, that a category's own are mixed with."""

        def __post_init__(self) -> None:
            check_zone(self.zone)
            if not self.prior > 0:
                raise ValueError(f"prior must be above 0, got {self.prior}.")

    def __init__(self, config: Config) -> None:
        self.config = config
        self._arrays: dict[str, NDArray[Any]] = {}

    def fit(self, events: pl.DataFrame, products: pl.DataFrame, now: datetime) -> Self:
        """Count each category's purchases before `now` by hour, weekday and kind of shopper."""
        kind = kinds(products)
        self._arrays = {}
        if kind.max(initial=-1) < 0:
            return self
        bought = purchases(events, products, now).sort("user", -pl.col("age"), "item")
        user, item, age = (bought[name].to_numpy() for name in ("user", "item", "age"))
        basket_H, before_K, idle_K = past_baskets(user, age)
        segments = Segments.of(before_K, idle_K)
        sold_us = local_us(now.timestamp() * 1e6 / DAY_US - age, self.config.zone)
        places: dict[str, Rows] = {
            "hour": hour_of(sold_us).astype(np.int64),
            "weekday": weekday_of(sold_us),
            "segment": segments.number(before_K, idle_K)[basket_H],
        }
        self._arrays = {"kind": kind, "bounds": np.array([segments.few, segments.soon])}
        for name, place_H in places.items():
            self._arrays |= self._rates(name, kind, kind[item], place_H)
        return self

    def _rates(self, name: str, kind: Rows, kind_H: Rows, place_H: Rows) -> dict[str, Floats]:
        """Return share and lift of each category's purchases by cell, [kinds, C] each."""
        cells, num_kinds, prior = CELLS[name], int(kind.max()) + 1, self.config.prior
        known = kind_H >= 0
        pair = kind_H[known] * cells + place_H[known]
        count = np.bincount(pair, minlength=num_kinds * cells).reshape(num_kinds, cells)
        whole = count.sum(axis=1, keepdims=True)
        of_shop = np.bincount(place_H, minlength=cells)
        usual = of_shop / max(place_H.size, 1)
        # One imagined purchase in each cell; where the shop sold nothing, no category stands out.
        imagined = prior * (of_shop + 1) / (place_H.size + cells)
        lift = np.log((count + imagined) / (whole * usual + imagined))
        return {f"{name}_share": (count + prior * usual) / (whole + prior), f"{name}_lift": lift}

    def names(self) -> tuple[str, ...]:
        """Name the columns of `compute`; none in a shop without categories."""
        if not self._arrays:
            return ()
        return tuple(f"cross_{name}_{what}" for name in CELLS for what in WHAT)

    def compute(self, moment: Moment) -> NDArray[np.float32]:
        """Return [N, F]: the share, and the log of how far it beats the shop's.

        NaN for a product without category.
        """
        if not self._arrays:
            return np.empty((moment.owner_N.size, 0), np.float32)
        local_B = local_us(moment.now_B, self.config.zone)
        few, soon = self._arrays["bounds"].tolist()
        place_B: dict[str, Rows] = {
            "hour": hour_of(local_B).astype(np.int64),
            "weekday": weekday_of(local_B),
            "segment": Segments(few, soon).ask(moment),
        }
        kind_N = self._arrays["kind"][moment.item_N]
        columns = []
        for name in CELLS:
            place_N = place_B[name][moment.owner_N]
            columns += [self._arrays[f"{name}_{what}"][kind_N, place_N] for what in WHAT]
        found = np.column_stack(columns).astype(np.float32)
        found[kind_N < 0] = np.nan
        return found

    def save(self, folder: Path) -> None:
        """Write the snapshot into an empty `folder`."""
        save_arrays(folder, self._arrays)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        self._arrays = restore_arrays(folder)
        return self
