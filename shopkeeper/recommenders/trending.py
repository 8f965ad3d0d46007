"""Products that far more shoppers want this week than the weeks before told to expect.

Source: the square-root transform of Anscombe, Biometrika 1948, which makes counts of shoppers
comparable whatever their size. Knows nothing of shoppers: everyone gets the same list.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.recommenders._learning import (
    Learned,
    catalogue,
    check_settings,
    strongest,
    weights_of,
)
from shopkeeper.recommenders._ranking import Ranking


class Trending(Ranking):
    """Recommends what is wanted more than before, where chance is an unlikely cause."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Which windows are compared, and how sure the rise must be."""

        recent_days: float = 7.0
        """Length of the window that ends with the last event."""
        base_days: float = 28.0
        """Length of the window before it, which says what to expect."""
        buyers_min: int = 5
        """Products that fewer shoppers wanted in the recent window are never shown."""
        significance: float = 2.0
        """How many standard deviations above the expectation a product must be."""
        purchase_weight: float = 1.0
        """What a purchase counts."""
        cart_weight: float = 0.5
        """What putting a product into the cart counts."""
        view_weight: float = 0.2
        """What looking at a product counts."""
        like_weight: float = 0.7
        """What liking a product counts."""

        def __post_init__(self) -> None:
            check_settings(self, above_0=("recent_days", "base_days"), buyers_min=1, significance=0)

    def __init__(self, config: Config) -> None:
        self.config = config

    def fit(self, events: pl.DataFrame, products: pl.DataFrame | None = None) -> Self:
        """Compare the two windows of `schema.LEARN` rows in any order. Forgets what was before."""
        ids = catalogue(events, products)
        learned = Learned(events, weights_of(self.config), ids)
        recent_days, base_days = self.config.recent_days, self.config.base_days
        recent = learned.age_days <= recent_days
        base = ~recent & (learned.age_days <= recent_days + base_days)
        now, before = (self._wanted(learned, window, len(ids)) for window in (recent, base))
        # The shop as a whole may be busier than before; that is no trend of a product.
        busier = (now.sum() + 1) / (before.sum() + 1)
        expected = before * busier
        z = 2 * (np.sqrt(now + 3 / 8) - np.sqrt(expected + 3 / 8))
        # The expectation is a count itself and as uncertain as it is small.
        z /= np.sqrt(1 + busier)
        shown = (now >= self.config.buyers_min) & (z >= self.config.significance)
        return self._rank(ids, np.where(shown, z, np.nan))

    @staticmethod
    def _wanted(learned: Learned, window: NDArray[np.bool_], num_items: int) -> NDArray[np.float64]:
        actor, item = learned.shoppers()[window], learned.item[window]
        _, item, value = strongest(actor, item, learned.weight[window], num_items)
        return np.bincount(item, weights=value, minlength=num_items).astype(np.float64)
