"""What belongs to a product or a cart: products in the same baskets more often than chance says.

Source: pointwise mutual information of Church and Hanks, 1990, shrunk where baskets are few.
Knows nothing of a shopper's history: the seeds of the request are all it looks at.
"""

from collections.abc import Iterator
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
    together,
)
from shopkeeper.recommenders._neighbours import Neighbours
from shopkeeper.recommenders._requests import (
    Flat,
    Floats,
    Ids,
    Rows,
    at_least_one,
    known,
    listed,
    merged,
)
from shopkeeper.schema import SEEDS


class BoughtTogether:
    """Recommends complements of a request's seeds; `because` is the seed."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """How often two products must meet."""

        baskets_min: int = 3
        """Products that share fewer baskets never belong together."""
        shrinkage: float = 20.0
        """Shared baskets at which half of the surprise is believed."""
        complements: int = 50
        """Complements kept per product."""
        basket_max: int = 200
        """Baskets with more products say nothing, and are left out."""

        def __post_init__(self) -> None:
            check_settings(self, baskets_min=1, shrinkage=0, complements=1, basket_max=2)

    def __init__(self, config: Config) -> None:
        self.config = config
        self._ids: Ids | None = None
        self._table: Neighbours | None = None

    def fit(self, events: pl.DataFrame, products: pl.DataFrame | None = None) -> Self:
        """Learn from the purchases of `schema.LEARN` rows in any order. Forgets what was before.

        A basket is a `transaction_id` where there is one, else what a shopper bought at a moment.
        """
        ids = catalogue(events, products)
        learned = Learned(events, {"purchase": 1.0}, ids)
        basket, item, one = strongest(learned.baskets(), learned.item, learned.weight, len(ids))
        fits = np.bincount(basket)[basket] <= self.config.basket_max
        rows = self._surprises(basket[fits], item[fits], one[fits], len(ids))
        self._table = Neighbours.of(rows, len(ids), self.config.complements)
        self._ids = ids
        return self

    def _surprises(
        self, basket: Rows, item: Rows, one: Floats, num_items: int
    ) -> Iterator[tuple[int, Rows, Floats]]:
        num_baskets = len(np.unique(basket))
        sold = np.bincount(item, minlength=num_items)
        for row, other, shared in together(basket, item, one, num_items):
            apart = (other != row) & (shared >= self.config.baskets_min)
            other, shared = other[apart], shared[apart]
            surprise = np.log(shared * num_baskets / (sold[row] * sold[other]))
            surprise *= shared / (shared + self.config.shrinkage)
            above = surprise > 0
            yield row, other[above], surprise[above].astype(np.float32)

    def recommend(self, requests: pl.DataFrame, k: int) -> pl.DataFrame:
        """Answer `schema.REQUESTS` with up to k `schema.RESULTS` each, none without seeds."""
        at_least_one(k)
        ids, table = known(self, self._ids), known(self, self._table)
        return table.recommend(requests, _seeds(requests, ids), ids, "bought_together", k)

    def score(self, requests: pl.DataFrame, candidates: pl.DataFrame) -> Floats:
        """Return the score of each candidate (`request`, `item_id`), NaN for no complement, [N]."""
        ids, table = known(self, self._ids), known(self, self._table)
        return table.score(requests, _seeds(requests, ids), ids, candidates)

    def save(self, folder: Path) -> None:
        """Write products and complements into `folder`."""
        known(self, self._ids).save(folder)
        known(self, self._table).save(folder)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        self._ids, self._table = Ids.load(folder), Neighbours.load(folder)
        return self


def _seeds(requests: pl.DataFrame, ids: Ids) -> Flat:
    request, item = listed(requests, SEEDS, ids)
    ones, zeros = np.ones(len(item), np.float32), np.zeros(len(item), np.float32)
    return merged(Flat(request, item, ones, zeros), len(ids))
