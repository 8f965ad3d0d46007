"""Products wanted by the same shoppers: neighbours by cosine, newer actions counting more.

Source: Sarwar et al., WWW 2001, with the shrinkage of Bell and Koren, 2007; here each action also
decays by its age, in learning and in the history, and a shopper who wants everything tells less:
each one's values are divided by the root of their number. Knows nothing of what a product is.
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
    weights_of,
)
from shopkeeper.recommenders._neighbours import Neighbours
from shopkeeper.recommenders._requests import (
    Flat,
    Floats,
    Ids,
    Rows,
    at_least_one,
    evidence,
    known,
    weightiest,
)


class ItemKnn:
    """Recommends neighbours of a request's seeds, or else of its history."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Which actions count, how long, and how many neighbours are kept."""

        neighbours: int = 50
        """Neighbours kept per product."""
        shrinkage: float = 0.1
        """The more, the more shoppers must agree before two products are neighbours."""
        products_max: int = 400
        """Products of one shopper that are learned from, the newest and most wanted first."""
        buyers_min: int = 3
        """Products that fewer shoppers wanted have no neighbours."""
        learn_half_life_days: float = 60.0
        """Age at which an action counts half in learning."""
        history_half_life_days: float = 30.0
        """Age at which an action counts half in a request's history."""
        history_max: int = 150
        """Products of a request's history that count, the weightiest first; bounds the time."""
        purchase_weight: float = 1.0
        """What a purchase counts."""
        cart_weight: float = 0.5
        """What putting a product into the cart counts."""
        view_weight: float = 0.2
        """What looking at a product counts."""
        like_weight: float = 0.7
        """What liking a product counts."""

        def __post_init__(self) -> None:
            above_0 = ("learn_half_life_days", "history_half_life_days")
            check_settings(
                self,
                above_0=above_0,
                neighbours=1,
                shrinkage=0,
                products_max=1,
                buyers_min=1,
                history_max=1,
            )

    def __init__(self, config: Config) -> None:
        self.config = config
        self._ids: Ids | None = None
        self._table: Neighbours | None = None

    def fit(self, events: pl.DataFrame, products: pl.DataFrame | None = None) -> Self:
        """Learn from `schema.LEARN` rows in any order. A second call forgets the first."""
        ids = catalogue(events, products)
        learned = Learned(events, weights_of(self.config), ids)
        decay = np.exp2(-learned.age_days / self.config.learn_half_life_days)
        value = learned.weight * decay
        actor, item, value = strongest(learned.shoppers(), learned.item, value, len(ids))
        common = np.bincount(item, minlength=len(ids))[item] >= self.config.buyers_min
        actor, item, value = actor[common], item[common], value[common]
        kept = weightiest(actor, value, self.config.products_max)
        actor, item, value = actor[kept], item[kept], value[kept]
        many = np.bincount(actor)[actor].astype(np.float32)
        value = np.asarray(value / np.sqrt(many), np.float32)
        rows = self._cosines(actor, item, value, len(ids))
        self._table = Neighbours.of(rows, len(ids), self.config.neighbours)
        self._ids = ids
        return self

    def _cosines(
        self, actor: Rows, item: Rows, value: Floats, num_items: int
    ) -> Iterator[tuple[int, Rows, Floats]]:
        squares = np.bincount(item, weights=value * value, minlength=num_items)
        length = np.sqrt(squares).astype(np.float32)
        for row, other, shared in together(actor, item, value, num_items):
            apart = other != row
            other, shared = other[apart], shared[apart]
            yield row, other, shared / (length[row] * length[other] + self.config.shrinkage)

    def recommend(self, requests: pl.DataFrame, k: int) -> pl.DataFrame:
        """Answer `schema.REQUESTS` with up to k `schema.RESULTS` each.

        `because` is the seed, or the product of the history, that weighed most.
        """
        at_least_one(k)
        ids, table = known(self, self._ids), known(self, self._table)
        return table.recommend(requests, self._evidence(requests, ids), ids, "item_knn", k)

    def score(self, requests: pl.DataFrame, candidates: pl.DataFrame) -> Floats:
        """Return the score of each candidate (`request`, `item_id`), NaN for no neighbour, [N]."""
        ids, table = known(self, self._ids), known(self, self._table)
        return table.score(requests, self._evidence(requests, ids), ids, candidates)

    def _evidence(self, requests: pl.DataFrame, ids: Ids) -> Flat:
        return evidence(
            requests,
            ids,
            weights_of(self.config),
            self.config.history_half_life_days,
            self.config.history_max,
        )

    def save(self, folder: Path) -> None:
        """Write products and neighbours into `folder`."""
        known(self, self._ids).save(folder)
        known(self, self._table).save(folder)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        self._ids, self._table = Ids.load(folder), Neighbours.load(folder)
        return self
