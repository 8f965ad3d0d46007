"""Products wanted by the same shoppers: neighbours by cosine, newer actions counting more.

Source: Sarwar et al., WWW 2001, with the shrinkage of Bell and Koren, 2007; here each action also
decays by its age, in learning and in the history, and a shopper who wants everything tells less:
each one's values are divided by the root of their number. Knows nothing of what a product is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from shopkeeper.arrays import Asked, Floats, Rows
from shopkeeper.recommenders._evidence import Flat, evidence, weightiest
from shopkeeper.recommenders._learning import (
    Learned,
    catalogue,
    check_settings,
    strongest,
    together,
    weights_of,
)
from shopkeeper.recommenders._neighbours import ByNeighbours, Neighbours


class ItemKnn(ByNeighbours):
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

    def _evidence(self, asked: Asked) -> Flat:
        config = self.config
        return evidence(
            asked, weights_of(config), config.history_half_life_days, config.history_max
        )
