"""What the models say of one request, asked again: candidates, scores, features, contributions."""

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.arrays import Asked, Picks
from shopkeeper.engine.live import Live
from shopkeeper.explain.left_out import left_out

Matrix = NDArray[np.float32]


class Ranked:
    """The candidates of one request with their scores; asked of the models when needed."""

    def __init__(self, live: Live, asked: Asked) -> None:
        self._live, self._asked = live, asked
        self._fusion = live.fusion

    @cached_property
    def _found(self) -> tuple[Picks, Matrix, NDArray[np.float32]]:
        """Candidates, their features [N, F], and their scores [N]."""
        with self._live.lock:
            united, at = self._fusion.propose(self._asked)
            features = self._fusion.matrix(at)
        return united, features, self._fusion.ranker.score(features)

    @cached_property
    def _by_trees(self) -> NDArray[np.float64] | None:
        """What each feature added to each score, [N, F]; None where trees do not tell."""
        _, features, scores = self._found
        if self._live.trees is None:
            return None
        mean, parts = self._live.trees.contributions(features)
        # A ranker may do more than add up its trees.
        return parts if np.allclose(mean + parts.sum(axis=1), scores, atol=1e-3) else None

    def _parts(self, at: int) -> tuple[str, NDArray[np.float64]]:
        """Return what each feature added to one score, [F], and how that was found."""
        if self._by_trees is not None:
            return "trees", self._by_trees[at]
        score = self._fusion.ranker.score
        return "left out", left_out(score, self._found[1], np.array([at]))[0]

    def _row(self, item: str) -> int | None:
        united = self._found[0]
        at = np.flatnonzero(united.item_E == united.ids.rows([item])[0])
        return int(at[0]) if len(at) else None

    def score(self, item: str) -> float | None:
        """Return the ranker's score of a product, None for no candidate."""
        at = self._row(item)
        return None if at is None else float(self._found[2][at])

    def place(self, item: str) -> tuple[int, int] | None:
        """Return the place of a product by score, from 1, and how many candidates there are."""
        at, score = self._row(item), self._found[2]
        return None if at is None else (int((score > score[at]).sum()) + 1, len(score))

    def without(self, item: str) -> "Ranked":
        """Return what the models would say had the shopper never met a product."""
        (row,) = self._asked.ids.rows([item]).tolist()
        return Ranked(self._live, without(self._asked, row))

    def proposed_by(self, item: str) -> list[dict[str, Any]]:
        """Name the recommenders among whose candidates a product is, with rank and score."""
        return self._proposals.get(item, [])

    @cached_property
    def _proposals(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        fusion = self._fusion
        with self._live.lock:
            lists = fusion.proposals(self._asked)
        for name, one in lists.items():
            for place, item in enumerate(one.ids.listed(one.item_E)):
                score = round(float(one.score_E[place]), 6)
                row = {"recommender": name, "rank": place + 1, "score": score}
                found.setdefault(item, []).append(row)
        return found

    def factors(self, item: str, most: int) -> list[dict[str, Any]]:
        """Name the features that weighed most for and against a product.

        Args:
            item: The product.
            most: How many.

        Returns:
            `feature`, `value` (None where unknown), `contribution` to the score beside the mean of
            all candidates, and `about`: what the feature is made of.
        """
        at = self._row(item)
        if at is None:
            return []
        how, parts = self._parts(at)
        heaviest = np.argsort(-np.abs(parts), kind="stable")[:most]
        names, about = self._fusion.names(), self._about
        values = self._found[1][at]
        return [
            {
                "feature": names[column],
                "value": None if np.isnan(values[column]) else round(float(values[column]), 4),
                "contribution": round(float(parts[column]), 5),
                "about": about[column],
                "by": how,
            }
            for column in heaviest.tolist()
            if parts[column]
        ]

    @cached_property
    def _about(self) -> list[str]:
        return [
            str(type(part).__doc__).strip().splitlines()[0]
            for part in self._fusion.features
            for _ in part.names()
        ]


def without(asked: Asked, row: int) -> Asked:
    """Return a request as if a product had never been met, nor were at hand."""
    kept, past = asked.item_S != row, asked.events(asked.item_H != row)
    return replace(past, owner_S=asked.owner_S[kept], item_S=asked.item_S[kept], _memo={})
