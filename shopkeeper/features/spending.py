"""Recency, frequency and money: how this shopper stands among all shoppers of the shop.

Source: RFM of direct marketing (Hughes, Strategic Database Marketing, 1994), with the share of
shoppers below in place of five classes. Money is counted at the prices known at the snapshot, one
piece a product and basket. Knows nothing of the candidate.

A snapshot is made of the newest `[train] events_max` events, which are held in memory.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.contracts import Moment
from shopkeeper.features._pairs import begins
from shopkeeper.features._purchases import known_prices, purchases, restore_arrays, save_arrays

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

KNOTS = 101
"""Quantiles of the shop's shoppers that are kept."""
RANKED = ("recency", "frequency", "money")


class Spending:
    """The shopper's recency, frequency and money, as ranks among the shop's shoppers."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings under [features.spending] in shop.toml."""

        window_days: float = 365.0
        """Purchases older than this are not looked at."""

        def __post_init__(self) -> None:
            if not self.window_days > 0:
                raise ValueError(f"window_days must be above 0, got {self.window_days}.")

    def __init__(self, config: Config) -> None:
        self.config = config
        self._arrays: dict[str, NDArray[np.float64]] = {}

    def fit(self, events: pl.DataFrame, products: pl.DataFrame, now: datetime) -> Self:
        """Measure every shopper who bought within the window before `now`."""
        price = known_prices(events, products, now)
        bought = purchases(events, products, now).sort("user", -pl.col("age"), "item")
        user, item, age = (bought[name].to_numpy() for name in ("user", "item", "age"))
        size = int(user.max(initial=-1)) + 1
        found = self._measure(user, item, age, price, size)
        active = np.isfinite(found["recency"])
        grid = np.linspace(0, 1, KNOTS)
        self._arrays = {"price": price}
        for name in RANKED:
            values = found[name][active & np.isfinite(found[name])]
            self._arrays[name] = np.quantile(values, grid) if values.size else np.empty(0)
        return self

    def names(self) -> tuple[str, ...]:
        """Name the columns of `compute`."""
        return (*(f"spending_{name}" for name in RANKED), "spending_basket", "spending_total")

    def compute(self, moment: Moment) -> NDArray[np.float32]:
        """Return [N, F]: ranks 0 to 1, the lately, often or much buying high; logs of minor units.

        NaN for a shopper without purchases in the window, and for money where no price is known.
        """
        found = self._measure(
            moment.owner_H, moment.item_H, moment.age_H, self._arrays["price"], moment.now_B.size
        )
        columns = [_rank(self._arrays[name], found[name]) for name in RANKED]
        columns += [found["basket"], found["money"]]
        return np.column_stack(columns)[moment.owner_N].astype(np.float32)

    def _measure(
        self, owner_H: Rows, item_H: Rows, age_H: Floats, price: Floats, size: int
    ) -> dict[str, Floats]:
        """Return what each of `size` shoppers is like, NaN for unknown, [B] each."""
        recent = age_H <= self.config.window_days
        owner_H, item_H, age_H = owner_H[recent], item_H[recent], age_H[recent]
        baskets_B = np.bincount(owner_H[begins(owner_H, age_H)], minlength=size)
        idle_B = np.full(size, np.nan)
        np.fmin.at(idle_B, owner_H, age_H)
        price_H = price[item_H]
        priced = np.isfinite(price_H)
        spent_B = np.bincount(owner_H[priced], price_H[priced], minlength=size)
        money_B = np.log(spent_B, out=np.full(size, np.nan), where=spent_B > 0)
        return {
            "recency": -idle_B,
            "frequency": np.where(baskets_B > 0, baskets_B, np.nan),
            "money": money_B,
            "basket": money_B - np.log(np.maximum(baskets_B, 1)),
        }

    def save(self, folder: Path) -> None:
        """Write the snapshot into an empty `folder`."""
        save_arrays(folder, self._arrays)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        self._arrays = restore_arrays(folder)
        return self


def _rank(knots: Floats, value_B: Floats) -> Floats:
    """Return the share of the shop's shoppers below each value, those equal counting half, [B]."""
    if not knots.size:
        return np.full(value_B.size, np.nan)
    below, upto = (np.searchsorted(knots, value_B, side) for side in ("left", "right"))
    return np.where(np.isnan(value_B), np.nan, (below + upto) / (2 * knots.size))
