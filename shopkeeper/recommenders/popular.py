"""Most wanted products of the last days, newer actions counting more.

Source: DecayPop of Ji et al., SIGIR 2020; here each shopper counts once per product and
day, with the strongest of what they did. Knows nothing of shoppers: everyone gets the same list.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from shopkeeper.recommenders._learning import (
    Learned,
    catalogue,
    check_settings,
    strongest,
    weights_of,
)
from shopkeeper.recommenders._ranking import Ranking

OLDER = 1e-6
"""What an action before the window counts: enough to order products that nobody wants now."""


class Popular(Ranking):
    """Recommends what most shoppers want these days."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Which actions count, and how long."""

        window_days: float = 30.0
        """Actions of so many days before the last event count; older ones only break ties."""
        half_life_days: float = 30.0
        """Age at which an action counts half."""
        purchase_weight: float = 1.0
        """What a purchase counts."""
        cart_weight: float = 0.5
        """What putting a product into the cart counts."""
        view_weight: float = 0.2
        """What looking at a product counts."""
        like_weight: float = 0.7
        """What liking a product counts."""

        def __post_init__(self) -> None:
            check_settings(self, above_0=("window_days", "half_life_days"))

    def __init__(self, config: Config) -> None:
        self.config = config

    def fit(self, events: pl.DataFrame, products: pl.DataFrame | None = None) -> Self:
        """Count who wanted what: `schema.LEARN` rows in any order. Forgets what was before."""
        ids = catalogue(events, products)
        learned = Learned(events, weights_of(self.config), ids)
        fresh = np.where(learned.age_days <= self.config.window_days, 1.0, OLDER)
        value = learned.weight * np.exp2(-learned.age_days / self.config.half_life_days) * fresh
        day = learned.age_days.astype(np.int64)
        visit = learned.shoppers() * (day.max(initial=0) + 1) + day
        _, item, value = strongest(visit, learned.item, value, len(ids))
        total = np.bincount(item, weights=value, minlength=len(ids))
        seen = np.bincount(item, minlength=len(ids)) > 0
        return self._rank(ids, np.where(seen, total, np.nan))
