"""What every recommender has in common: tables outside, arrays inside, and whether it has learned.

A recommender writes `propose` and `judge` on arrays; asked with tables, it answers with tables.
"""

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.arrays import Asked, Floats, Ids, Picks, Rows
from shopkeeper.errors import BadRequest, NotFitted
from shopkeeper.schema import ITEM, REQUEST

T = TypeVar("T")


class Base(ABC):
    """Answers tables by arrays."""

    _ids: Ids | None = None

    @property
    def ids(self) -> Ids:
        """The products it knows; NotFitted before `fit`."""
        return self._known(self._ids)

    @property
    def name(self) -> str:
        """The name of its file or folder, which is its name everywhere."""
        return type(self).__module__.rsplit(".", 1)[-1]

    @abstractmethod
    def propose(self, asked: Asked, k: int) -> Picks:
        """Return up to k products for each of the B requests; see `contracts.Recommender`."""

    @abstractmethod
    def judge(self, asked: Asked, owner_N: Rows, item_N: Rows) -> Floats:
        """Score N given products, [N]; see `contracts.Recommender`."""

    def because(self, asked: Asked, owner_N: Rows, item_N: Rows) -> Rows:  # noqa: ARG002
        """Return the product that led to each of N proposals, [N]; here none, -1."""
        return np.full(len(owner_N), -1)

    def recommend(self, requests: pl.DataFrame, k: int) -> pl.DataFrame:
        """Answer `schema.REQUESTS` with up to k `schema.RESULTS` each, best first."""
        if k < 1:
            raise BadRequest("k", f"k must be at least 1, got {k}. Ask for 1 product or more.")
        asked = Asked.of(requests, self.ids)
        found = self.propose(asked, k)
        led = self.because(asked, found.owner_E, found.item_E)
        return replace(found, because_E=led).table(requests[REQUEST].to_numpy())

    def score(self, requests: pl.DataFrame, candidates: pl.DataFrame) -> Floats:
        """Score N candidates (`request`, `item_id`), [N], NaN where there is nothing to say."""
        numbers = requests[REQUEST].to_numpy()
        order = np.argsort(numbers, kind="stable")
        asked = candidates[REQUEST].to_numpy()
        owner_N = order[np.searchsorted(numbers, asked, sorter=order)]
        return self.judge(Asked.of(requests, self.ids), owner_N, self.ids.rows(candidates[ITEM]))

    def picks(
        self,
        asked: Asked,
        scored: tuple[Rows, Rows, NDArray[np.floating]],
        k: int,
    ) -> Picks:
        """Order scored products, leave out what a request excludes, and cut at k.

        Args:
            asked: The requests, numbering products by `ids`.
            scored: Place of the request, row of the product, score, each [E], in any order.
            k: Products per request, from 1.

        Returns:
            Best first; equal scores in the order of the ids.
        """
        request, item, score = scored
        score = score.astype(np.float32)
        order = np.flatnonzero(wanted(asked, request, item) & np.isfinite(score))
        order = order[np.lexsort((item[order], -score[order], request[order]))]
        owner = request[order]
        rank = np.arange(len(order)) - np.searchsorted(owner, owner)
        order = order[rank < k]
        return Picks(
            self.ids,
            request[order],
            item[order],
            score[order],
            np.full(len(order), -1),
            (self.name,),
            np.zeros(len(order), np.int64),
        )

    def _known(self, learned: T | None) -> T:
        """Return what was learned, or raise NotFitted if that is nothing."""
        if learned is None:
            raise NotFitted(
                f"The recommender '{self.name}' has learned nothing yet. Call `fit` first."
            )
        return learned


def wanted(asked: Asked, request: Rows, item: Rows) -> NDArray[np.bool_]:
    """Say of each request and product whether the request does not exclude it, [E]."""
    if not len(asked.item_X):
        return np.ones(len(item), np.bool_)
    num_items = len(asked.ids)
    banned, pair = np.sort(asked.owner_X * num_items + asked.item_X), request * num_items + item
    at = np.minimum(np.searchsorted(banned, pair), len(banned) - 1)
    return np.asarray(banned[at] != pair)
