"""A linear model that predicts each product from all others at once, solved in closed form.

Source: EASE of Steck, WWW 2019; here the input decays by age, only the most wanted products take
part, and the weights greatest in size are kept. Knows nothing of what a product is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from shopkeeper.arrays import Asked, Floats, Rows
from shopkeeper.recommenders._evidence import Flat, evidence
from shopkeeper.recommenders._learning import (
    Learned,
    catalogue,
    check_settings,
    strongest,
    together,
    weights_of,
)
from shopkeeper.recommenders._memory import refuse_beyond_memory
from shopkeeper.recommenders._neighbours import ByNeighbours, Neighbours

BLOCK_ROWS = 1024
"""Products whose weights are held at once."""


class Ease(ByNeighbours):
    """Recommends what the whole of a request's history, or its seeds, predicts."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """How many products take part, how strongly weights are held down, which actions count."""

        products_max: int = 8000
        """How many of the most wanted products take part; memory grows with its square."""
        regularisation: float = 100.0
        """The more, the more shoppers it takes to learn a weight."""
        weights_max: int = 200
        """Weights kept per product."""
        learn_half_life_days: float = 120.0
        """Age at which an action counts half in learning."""
        history_half_life_days: float = 60.0
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
            above_0 = ("regularisation", "learn_half_life_days", "history_half_life_days")
            check_settings(self, above_0=above_0, products_max=1, weights_max=1, history_max=1)

    def __init__(self, config: Config) -> None:
        self.config = config

    def fit(self, events: pl.DataFrame, products: pl.DataFrame | None = None) -> Self:
        """Learn from `schema.LEARN` rows in any order. A second call forgets the first."""
        ids = catalogue(events, products)
        learned = Learned(events, weights_of(self.config), ids)
        decay = np.exp2(-learned.age_days / self.config.learn_half_life_days)
        value = learned.weight * decay
        actor, item, value = strongest(learned.shoppers(), learned.item, value, len(ids))
        wanted = np.bincount(item, minlength=len(ids))
        order = np.lexsort((np.arange(len(ids)), -wanted))[: self.config.products_max]
        chosen = np.sort(order[wanted[order] > 0])
        side = min(len(chosen), int(actor.max(initial=-1)) + 1)
        what = f"a matrix of {side:,} by {len(chosen):,}"
        refuse_beyond_memory(self.name, what, 8.0 * side * len(chosen), "Lower products_max")
        rows = self._solve(actor, item, value, chosen, len(ids))
        self._table = Neighbours.of(rows, len(ids), self.config.weights_max)
        self._ids = ids
        return self

    def _solve(
        self, actor: Rows, item: Rows, value: Floats, chosen: Rows, num_items: int
    ) -> Iterator[tuple[int, Rows, Floats]]:
        """Yield the weights of each product, solved on the side that is smaller."""
        place = np.full(num_items, -1)
        place[chosen] = np.arange(len(chosen))
        inside = place[item] >= 0
        actor, item, value = actor[inside], place[item[inside]], value[inside]
        num_actors = int(actor.max(initial=-1)) + 1
        solve = self._by_shopper if num_actors < len(chosen) else self._by_product
        for row, weight in solve(actor, item, value, len(chosen)):
            weight[row] = 0.0
            some = np.flatnonzero(weight)
            yield int(chosen[row]), chosen[some], weight[some]

    def _by_shopper(
        self, actor: Rows, item: Rows, value: Floats, num_items: int
    ) -> Iterator[tuple[int, Floats]]:
        """Invert a matrix of shoppers by shoppers (Woodbury), cheap where shoppers are few."""
        from scipy.linalg import solve

        # U shoppers, P products.
        given_UP = np.zeros((int(actor.max(initial=-1)) + 1, num_items), np.float32)
        given_UP[actor, item] = value
        kernel_UU = given_UP @ given_UP.T
        np.einsum("ii->i", kernel_UU)[:] += np.float32(self.config.regularisation)
        solved_UP = solve(kernel_UU, given_UP, assume_a="pos", overwrite_a=True)
        spare_P = 1 - np.einsum("up,up->p", given_UP, solved_UP)
        for begin in range(0, num_items, BLOCK_ROWS):
            block = given_UP[:, begin : begin + BLOCK_ROWS].T @ solved_UP / spare_P
            for row, weight in enumerate(block):
                yield begin + row, weight

    def _by_product(
        self, actor: Rows, item: Rows, value: Floats, num_items: int
    ) -> Iterator[tuple[int, Floats]]:
        """Invert a matrix of products by products, as the paper does."""
        from scipy.linalg.lapack import spotrf, spotri

        # In the order LAPACK wants, so that it can work in place.
        gram_PP = np.zeros((num_items, num_items), np.float32, order="F")
        for row, other, shared in together(actor, item, value, num_items):
            gram_PP[other, row] = shared
        np.einsum("ii->i", gram_PP)[:] += np.float32(self.config.regularisation)
        lower_PP, failed = spotrf(gram_PP, lower=1, overwrite_a=1, clean=0)
        assert not failed, "X'X + lambda I has a lower triangle, being positive definite"
        inverse_PP, _ = spotri(lower_PP, lower=1, overwrite_c=1)
        for row in range(num_items):
            # Only the lower triangle is filled: a row of the whole is a row and a column of it.
            line = np.concatenate([inverse_PP[row, :row], inverse_PP[row:, row]])
            yield row, -line / np.einsum("ii->i", inverse_PP)

    def _evidence(self, asked: Asked) -> Flat:
        config = self.config
        return evidence(
            asked, weights_of(config), config.history_half_life_days, config.history_max
        )
