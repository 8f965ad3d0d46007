"""What was bought in most baskets of the last months, in all and by country.

Unlike `popular` it counts purchases alone, each basket once, and none more than another. Knows
nothing of shoppers: everyone gets the same list.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.arrays import Ids
from shopkeeper.recommenders._learning import Learned, catalogue, check_settings, strongest
from shopkeeper.recommenders._local import LocalRanking, countries

WEIGHTS = {"purchase": 1.0}


class BestSellers(LocalRanking):
    """Recommends what is bought most."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """How long a sale counts."""

        window_days: float = 90.0
        """Sales of so many days before the last event count."""
        other_days: tuple[float, ...] = (7.0, 365.0)
        """Lengths of other windows that may be asked for."""

        def __post_init__(self) -> None:
            check_settings(self, above_0=("window_days",))
            if any(not days > 0 for days in self.other_days):
                raise ValueError(f"other_days must be above 0, got {self.other_days}.")

    config: Config

    def fit(self, events: pl.DataFrame, products: pl.DataFrame | None = None) -> Self:
        """Count baskets: `schema.LEARN` rows in any order. Forgets what was before."""
        ids = catalogue(events, products)
        learned = Learned(events, WEIGHTS, ids)
        self._rank(ids, _sold(learned, ids, 0.0, self.config.window_days))
        for days in self.config.other_days:
            self._rank_local("", days, _sold(learned, ids, 0.0, days))
        for country, rows, silent_days in countries(events):
            mine = Learned(rows, WEIGHTS, ids)
            for days in (0.0, *self.config.other_days):
                scores_N = _sold(mine, ids, silent_days, days or self.config.window_days)
                self._rank_local(country, days, scores_N)
        return self

    def _own_days(self) -> float:
        return self.config.window_days


def _sold(learned: Learned, ids: Ids, silent_days: float, days: float) -> NDArray[np.float64]:
    """Return in how many baskets each product was, NaN for none, [N]."""
    inside = learned.age_days + silent_days <= days
    basket, item = learned.baskets()[inside], learned.item[inside]
    _, item, _ = strongest(basket, item, np.ones(len(item)), len(ids))
    sold = np.bincount(item, minlength=len(ids)).astype(np.float64)
    return np.where(sold > 0, sold, np.nan)
