"""What belongs to a product or a cart: products in the same baskets more often than chance says.

Source: pointwise mutual information of Church and Hanks, 1990, shrunk where baskets are few.
Knows nothing of a shopper's history: the seeds of the request are all it looks at.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from shopkeeper.arrays import Asked, Floats, Rows
from shopkeeper.recommenders._evidence import Flat, seeds
from shopkeeper.recommenders._learning import (
    Learned,
    catalogue,
    check_settings,
    strongest,
    together,
)
from shopkeeper.recommenders._neighbours import ByNeighbours, Neighbours


class BoughtTogether(ByNeighbours):
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

    def _evidence(self, asked: Asked) -> Flat:
        return seeds(asked)
