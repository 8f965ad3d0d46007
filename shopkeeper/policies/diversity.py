"""A page whose products differ, where a little less relevance buys it.

Source: maximal marginal relevance, Carbonell and Goldstein, SIGIR 1998. Likeness is the share of
words, category steps and brand that two products have in common (Jaccard); variants are alike.
Knows no vectors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.arrays import Asked, Picks, Rows
from shopkeeper.schema import CATEGORY

GROUP = "item_group_id"
PATH = " > "


class Diversity:
    """Moves down products that are like those above them."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What difference is worth."""

        weight: float = 0.3
        """What likeness to the products above counts beside relevance; 0 changes nothing, 1 looks
        at nothing else."""
        depth: int = 40
        """So many products from the top are put into another order."""

        def __post_init__(self) -> None:
            if not 0 <= self.weight <= 1:
                raise ValueError(f"weight must be from 0 to 1, got {self.weight}.")
            if self.depth < 1:
                raise ValueError(f"depth must be at least 1, got {self.depth}.")

    def __init__(self, config: Config) -> None:
        self.config = config

    def apply(self, page: Picks, asked: Asked, products: Mapping[str, Sequence[Any]]) -> Rows:
        """Keep every product, each time the one next whose score makes up for its likeness."""
        names = (GROUP, CATEGORY, "brand", "title")
        columns = [products[name] for name in names]
        order = []
        for request in range(asked.size):
            mine = np.flatnonzero(page.owner_E == request)
            head, rest = mine[: self.config.depth], mine[self.config.depth :]
            rows = [tuple(column[at] for column in columns) for at in head.tolist()]
            order += [head[self._chosen(page.score_E[head], _likeness(rows))], rest]
        return np.concatenate(order) if order else np.arange(0)

    def _chosen(self, score_N: NDArray[np.floating], like_NN: NDArray[np.float64]) -> Rows:
        """Return places in the order of the greedy choice, [N]."""
        if len(score_N) < 2:
            return np.arange(len(score_N))
        span = float(score_N.max() - score_N.min())
        relevance = (score_N - score_N.min()) / span if span > 0 else np.ones(len(score_N))
        weight = self.config.weight
        left, nearest = (1 - weight) * relevance, np.zeros(len(score_N))
        chosen = np.empty(len(score_N), np.int64)
        for place in range(len(score_N)):
            chosen[place] = best = int(np.argmax(left - weight * nearest))
            left[best] = -np.inf
            nearest = np.maximum(nearest, like_NN[best])
        return chosen


def _likeness(rows: Sequence[tuple[Any, ...]]) -> NDArray[np.float64]:
    """Return how alike each pair of products is, from 0 to 1, [N, N]."""
    numbers: dict[tuple[str, str], int] = {}
    marks = [
        (number, numbers.setdefault(mark, len(numbers)))
        for number, row in enumerate(rows)
        for mark in _marks(*row)
    ]
    has = np.zeros((len(rows), max(len(numbers), 1)))
    if marks:
        has[tuple(np.array(marks).T)] = 1
    both = has @ has.T
    size = has.sum(axis=1)
    like: NDArray[np.float64] = both / np.maximum(size[:, None] + size[None, :] - both, 1)
    groups = np.array([row[0] or f"\0{number}" for number, row in enumerate(rows)], object)
    return np.where(groups[:, None] == groups[None, :], 1.0, like)


def _marks(
    group: str | None,  # noqa: ARG001
    category: str | None,
    brand: str | None,
    title: str | None,
) -> set[tuple[str, str]]:
    steps = (category or "").split(PATH)
    paths = {("category", PATH.join(steps[: n + 1])) for n in range(len(steps)) if steps[n]}
    words = {("word", word) for word in (title or "").casefold().split()}
    return paths | words | ({("brand", brand)} if brand else set())
