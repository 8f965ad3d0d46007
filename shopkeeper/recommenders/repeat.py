"""What this shopper bought before, newer and oftener purchases first.

Knows only the history that the request brings; it learns nothing but which products there are.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from shopkeeper.recommenders._learning import catalogue, check_settings, weights_of
from shopkeeper.recommenders._requests import (
    Flat,
    Floats,
    Ids,
    at_least_one,
    decayed,
    history,
    known,
    merged,
    places,
    results,
)


class Repeat:
    """Recommends a shopper's own products; `because` is the product itself."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Which actions count, and how long."""

        half_life_days: float = 60.0
        """Age at which an action counts half."""
        purchase_weight: float = 1.0
        """What a purchase counts."""
        cart_weight: float = 0.0
        """What putting a product into the cart counts."""
        view_weight: float = 0.0
        """What looking at a product counts."""
        like_weight: float = 0.0
        """What liking a product counts."""

        def __post_init__(self) -> None:
            check_settings(self, above_0=("half_life_days",))

    def __init__(self, config: Config) -> None:
        self.config = config
        self._ids: Ids | None = None

    def fit(self, events: pl.DataFrame, products: pl.DataFrame | None = None) -> Self:
        """Take note of the known products: `schema.LEARN` rows in any order, the catalogue."""
        self._ids = catalogue(events, products)
        return self

    def recommend(self, requests: pl.DataFrame, k: int) -> pl.DataFrame:
        """Answer `schema.REQUESTS` with up to k `schema.RESULTS` each, from their histories."""
        at_least_one(k)
        ids = known(self, self._ids)
        own = self._own(requests, ids)
        scored = (own.request, own.item, own.weight)
        return results(requests, ids, "repeat", scored, k, because=own.item)

    def score(self, requests: pl.DataFrame, candidates: pl.DataFrame) -> Floats:
        """Return the score of each candidate (`request`, `item_id`), NaN if never bought, [N]."""
        ids = known(self, self._ids)
        own = self._own(requests, ids)
        place, item, is_known = places(requests, candidates, ids)
        found = np.full(len(item), np.nan, np.float32)
        if len(own.item):
            key = own.request * len(ids) + own.item
            asked = place * len(ids) + item
            at = np.minimum(np.searchsorted(key, asked), len(key) - 1)
            hit = is_known & (key[at] == asked)
            found[hit] = own.weight[at[hit]]
        return found

    def save(self, folder: Path) -> None:
        """Write the known products into `folder`."""
        known(self, self._ids).save(folder)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        self._ids = Ids.load(folder)
        return self

    def _own(self, requests: pl.DataFrame, ids: Ids) -> Flat:
        rows = history(requests, ids, weights_of(self.config))
        return merged(decayed(rows, self.config.half_life_days), len(ids))
