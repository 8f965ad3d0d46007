"""Products that are like the seeds, or like what the shopper wanted: nearest by text vector.

Needs no sales, so it can show a product from its first day. Knows nothing of other shoppers,
except where the catalogue has no vectors: then the most wanted of the same kind are shown.
"""

from dataclasses import dataclass
from pathlib import Path
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
from shopkeeper.recommenders._likeness import Likeness, one_per_group
from shopkeeper.recommenders._requests import (
    Flat,
    Floats,
    Ids,
    at_least_one,
    chunks,
    evidence,
    known,
    listed,
    places,
    results,
)
from shopkeeper.schema import EXCLUDE, SEEDS


class Content:
    """Recommends what a product is like; `because` is the seed, or the product of the history."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Which actions count, and how long."""

        half_life_days: float = 30.0
        """Age at which an action counts half in a request's history."""
        history_max: int = 20
        """How many products of a history count, the weightiest first."""
        purchase_weight: float = 1.0
        """What a purchase counts."""
        cart_weight: float = 0.5
        """What putting a product into the cart counts."""
        view_weight: float = 0.2
        """What looking at a product counts."""
        like_weight: float = 0.7
        """What liking a product counts."""

        def __post_init__(self) -> None:
            check_settings(self, above_0=("half_life_days",), history_max=1)

    def __init__(self, config: Config) -> None:
        self.config = config
        self._ids: Ids | None = None
        self._likeness: Likeness | None = None

    def fit(self, events: pl.DataFrame, products: pl.DataFrame | None = None) -> Self:
        """Learn the catalogue: `schema.PRODUCTS` rows with a `vector` column. Forgets the last one.

        Products without a vector are never shown, unless no product has one. `events` count
        only then.
        """
        ids = catalogue(events, products)
        learned = Learned(events, weights_of(self.config), ids)
        _, item, _ = strongest(learned.shoppers(), learned.item, learned.weight, len(ids))
        wanted = np.bincount(item, minlength=len(ids))
        self._likeness = Likeness.of(ids, products, wanted)
        self._ids = ids
        return self

    def recommend(self, requests: pl.DataFrame, k: int) -> pl.DataFrame:
        """Answer `schema.REQUESTS` with up to k `schema.RESULTS` each, none without evidence.

        Seeds are not shown again, and of products with one `item_group_id` only the best is.
        """
        at_least_one(k)
        ids, likeness = known(self, self._ids), known(self, self._likeness)
        banned = [listed(requests, column, ids) for column in (EXCLUDE, SEEDS)]
        ban_request, ban_item = (np.concatenate(both) for both in zip(*banned, strict=True))
        rows = self._evidence(requests, ids)
        found = []
        for begin, end in chunks(requests, len(ids)):
            some = _between(rows, begin, end)
            scores = likeness.scores(some, end - begin)
            inside = (ban_request >= begin) & (ban_request < end)
            scores[ban_request[inside] - begin, ban_item[inside]] = -np.inf
            at, item, score = one_per_group(scores, likeness.group, k)
            because = likeness.because(some, (at, item))
            found.append((at + begin, item, score, because))
        none = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64))
        request, item, score, because = (
            np.concatenate(column) for column in zip(none, *found, strict=True)
        )
        return results(requests, ids, "content", (request, item, score), k, because)

    def score(self, requests: pl.DataFrame, candidates: pl.DataFrame) -> Floats:
        """Return the score of each candidate (`request`, `item_id`), NaN without a vector, [N]."""
        ids, likeness = known(self, self._ids), known(self, self._likeness)
        place, item, is_known = places(requests, candidates, ids)
        found = np.full(len(item), np.nan, np.float32)
        rows = self._evidence(requests, ids)
        for begin, end in chunks(requests, len(ids)):
            scores = likeness.scores(_between(rows, begin, end), end - begin)
            asked = np.flatnonzero(is_known & (place >= begin) & (place < end))
            found[asked] = scores[place[asked] - begin, item[asked]]
        return np.where(np.isfinite(found), found, np.float32(np.nan))

    def save(self, folder: Path) -> None:
        """Write products and vectors into `folder`."""
        known(self, self._ids).save(folder)
        known(self, self._likeness).save(folder)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        self._ids, self._likeness = Ids.load(folder), Likeness.load(folder)
        return self

    def _evidence(self, requests: pl.DataFrame, ids: Ids) -> Flat:
        config = self.config
        return evidence(
            requests, ids, weights_of(config), config.half_life_days, config.history_max
        )


def _between(rows: Flat, begin: int, end: int) -> Flat:
    some = slice(*np.searchsorted(rows.request, (begin, end)))
    return Flat(rows.request[some] - begin, rows.item[some], rows.weight[some], rows.age_days[some])
