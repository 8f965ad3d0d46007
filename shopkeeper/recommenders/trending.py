"""Products that surely more shoppers want this week than the weeks before told to expect.

Source: the comparison of two Poisson counts by the binomial test that is conditional on their sum
(Przyborowski and Wilenski, Biometrika 1940), held to a share of false finds over all products
(Benjamini and Hochberg, JRSS B 1995). What passes is ordered by the growth that it has at least:
the lower bound of its posterior under a prior that expects none. Knows nothing of shoppers:
everyone gets the same list; countries and other windows have lists of their own.
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
from shopkeeper.recommenders._local import LocalRanking, countries

Floats = NDArray[np.float64]
SURE = 0.95
"""The growth of a product is above its score with this chance."""
PRIOR_BUYERS = 4.0
"""No growth is believed as if so many shoppers had told of it."""


class Trending(LocalRanking):
    """Recommends what is wanted more than before, where chance is an unlikely cause."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Which windows are compared, and how sure the rise must be."""

        recent_days: float = 7.0
        """Length of the window that ends with the last event."""
        base_days: float = 28.0
        """Length of the window before it, which says what to expect."""
        other_days: tuple[float, ...] = (1.0, 30.0)
        """Lengths of other windows that may be asked for; each is compared with one before it that
        is as many times longer as `base_days` is."""
        buyers_min: int = 5
        """Products that fewer shoppers wanted in the recent window are never shown."""
        significance: float = 2.0
        """How many standard deviations above the expectation a product must be."""
        false_share: float = 0.1
        """What share of all that is shown may be there by chance; 1 leaves it to `significance`."""
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
            if not 0 < self.false_share <= 1:
                raise ValueError(f"false_share must be in (0, 1], got {self.false_share}.")
            if any(not days > 0 for days in self.other_days):
                raise ValueError(f"other_days must be above 0, got {self.other_days}.")

    config: Config

    def fit(self, events: pl.DataFrame, products: pl.DataFrame | None = None) -> Self:
        """Compare the two windows of `schema.LEARN` rows in any order. Forgets what was before."""
        ids, weights = catalogue(events, products), weights_of(self.config)
        wants = _Wants(Learned(events, weights, ids), 0.0, len(ids))
        self._rank(ids, self._scores(wants, self.config.recent_days))
        for days in self.config.other_days:
            self._rank_local("", days, self._scores(wants, days))
        for country, rows, silent_days in countries(events):
            wants = _Wants(Learned(rows, weights, ids), silent_days, len(ids))
            for days in (0.0, *self.config.other_days):
                scores_N = self._scores(wants, days or self.config.recent_days)
                self._rank_local(country, days, scores_N)
        return self

    def _own_days(self) -> float:
        return self.config.recent_days

    def _scores(self, wants: "_Wants", days: float) -> Floats:
        """Return the least growth of each product, NaN where it may be chance, [N]."""
        from scipy.special import betainc, betaincinv, ndtr

        base_days = days * self.config.base_days / self.config.recent_days
        now, before = wants.between(-np.inf, days), wants.between(days, days + base_days)
        # The shop as a whole may be busier than before; that is no trend of a product.
        share = (now.sum() + 1) / (now.sum() + before.sum() + 2)
        tested = np.flatnonzero(now >= self.config.buyers_min)
        now, before = now[tested], before[tested]
        chance = betainc(now, before + 1, share)
        sure = chance <= np.minimum(ndtr(-self.config.significance), self._false(chance))
        prior_now, prior_before = PRIOR_BUYERS * share, PRIOR_BUYERS * (1 - share)
        least = betaincinv(now + prior_now, before + prior_before, 1 - SURE)
        growth = least / (1 - least) * (1 - share) / share
        scores_N = np.full(wants.size, np.nan)
        scores_N[tested[sure]] = growth[sure]
        return scores_N

    def _false(self, chance: Floats) -> float:
        """Return the largest chance that may be shown without too large a share of false finds."""
        if self.config.false_share == 1 or not len(chance):
            return 1.0
        ranked = np.sort(chance)
        bound = self.config.false_share * np.arange(1, len(ranked) + 1) / len(ranked)
        held = np.flatnonzero(ranked <= bound)
        return float(ranked[held[-1]]) if len(held) else -1.0


class _Wants:
    """Who wanted what, and how long before the shop's last event."""

    def __init__(self, learned: Learned, silent_days: float, size: int) -> None:
        self.size = size
        self._actor, self._item, self._weight = learned.shoppers(), learned.item, learned.weight
        self._age_days = learned.age_days + silent_days

    def between(self, newest_days: float, oldest_days: float) -> Floats:
        """Count the shoppers who wanted each product, by the strongest that they did, [N]."""
        at = (self._age_days > newest_days) & (self._age_days <= oldest_days)
        _, item, value = strongest(self._actor[at], self._item[at], self._weight[at], self.size)
        return np.bincount(item, weights=value, minlength=self.size).astype(np.float64)
