"""Recommends by a sparse table of weights from product to product.

The score of a product is the sum, over what speaks for the shopper's taste, of its weight times
the table's weight; `because` is the greatest part of that sum. Knows not where weights come from.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.recommenders._requests import (
    CELLS_MAX,
    Flat,
    Floats,
    Ids,
    Rows,
    best,
    listed,
    places,
    results,
)
from shopkeeper.schema import EXCLUDE, SEEDS

PARTS_MAX = 1_000_000
"""Products of weights held at once."""


class Neighbours:
    """A sparse [N, N] table: row `i` holds what product `i` speaks for, and how strongly."""

    def __init__(self, start: Rows, target: NDArray[np.int32], weight: Floats) -> None:
        self.start, self.target, self.weight = start, target, weight

    @classmethod
    def of(
        cls, rows: Iterable[tuple[int, NDArray[np.integer], Floats]], num_items: int, most: int
    ) -> "Neighbours":
        """Keep the `most` weights greatest in size of each row; rows not given are empty.

        Args:
            rows: Product, its targets and their weights; each product at most once, ascending.
            num_items: Number N of products.
            most: Targets kept per product.

        Returns:
            The table.
        """
        sizes = np.zeros(num_items, np.int64)
        targets: list[NDArray[np.int32]] = [np.empty(0, np.int32)]
        weights: list[Floats] = [np.empty(0, np.float32)]
        for row, target, weight in rows:
            if len(target) > most:
                kept = np.argpartition(-np.abs(weight), most)[:most]
                target, weight = target[kept], weight[kept]
            order = np.argsort(target)
            sizes[row] = len(target)
            targets.append(target[order].astype(np.int32))
            weights.append(weight[order].astype(np.float32))
        start = np.concatenate([[0], np.cumsum(sizes)])
        return cls(start, np.concatenate(targets), np.concatenate(weights))

    def save(self, folder: Path) -> None:
        """Write the table into `folder`."""
        for name in ("start", "target", "weight"):
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> "Neighbours":
        """Read what `save` wrote."""
        names = ("start", "target", "weight")
        return cls(*(np.load(folder / f"{name}.npy", allow_pickle=False) for name in names))

    def recommend(
        self, requests: pl.DataFrame, evidence: Flat, ids: Ids, source: str, k: int
    ) -> pl.DataFrame:
        """Answer requests; neither excluded products nor seeds are among the answers.

        Args:
            requests: `schema.REQUESTS`.
            evidence: What speaks for each request, sorted by request, each product once.
            ids: The known products, N.
            source: Name of the recommender.
            k: Rows per request, from 1.

        Returns:
            `schema.RESULTS`; `because` is what weighed most.
        """
        banned = [listed(requests, column, ids) for column in (EXCLUDE, SEEDS)]
        ban_request, ban_item = (np.concatenate(both) for both in zip(*banned, strict=True))
        found = []
        for begin, end, rows in _slices(evidence, self.start, len(ids), requests.height):
            key, part, scores = self._scores(rows, begin, end, len(ids))
            inside = (ban_request >= begin) & (ban_request < end)
            scores[ban_request[inside] - begin, ban_item[inside]] = 0
            at, item, score = best(scores, k, floor=0)
            because = _greatest(at * len(ids) + item, key, part, rows.item, scores.size)
            found.append((at + begin, item, score, because))
        none = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64))
        request, item, score, because = (
            np.concatenate(column) for column in zip(none, *found, strict=True)
        )
        return results(requests, ids, source, (request, item, score), k, because)

    def score(
        self, requests: pl.DataFrame, evidence: Flat, ids: Ids, candidates: pl.DataFrame
    ) -> Floats:
        """Score given candidates.

        Args:
            requests: `schema.REQUESTS`.
            evidence: What speaks for each request, sorted by request, each product once.
            ids: The known products.
            candidates: Rows of `request` and `item_id`.

        Returns:
            One score per candidate, NaN where nothing speaks for it, [N].
        """
        place, item, is_known = places(requests, candidates, ids)
        found = np.full(len(place), np.nan, np.float32)
        for begin, end, rows in _slices(evidence, self.start, len(ids), requests.height):
            scores = self._scores(rows, begin, end, len(ids))[2]
            asked = np.flatnonzero(is_known & (place >= begin) & (place < end))
            found[asked] = scores[place[asked] - begin, item[asked]]
        found[found == 0] = np.nan
        return found

    def _scores(
        self, rows: Flat, begin: int, end: int, num_items: int
    ) -> tuple[tuple[Rows, Rows], Floats, Floats]:
        # Each weight that takes part: its place in the [B, N] scores, its row of the evidence.
        low = self.start[rows.item]
        sizes = self.start[rows.item + 1] - low
        source = np.repeat(np.arange(len(sizes)), sizes)
        at = np.arange(len(source)) + (low - np.cumsum(sizes) + sizes)[source]
        cell = ((rows.request - begin) * num_items)[source] + self.target[at]
        part = self.weight[at] * rows.weight[source]
        total = np.bincount(cell, weights=part, minlength=(end - begin) * num_items)
        # As exact as the answers, so that ties are ties everywhere.
        scores = total.astype(np.float32).reshape(end - begin, num_items)
        return (cell, source), part, scores


def _slices(
    evidence: Flat, start: Rows, num_items: int, num_requests: int
) -> Iterator[tuple[int, int, Flat]]:
    # Cuts between requests, so that neither the scores nor the parts of a chunk grow large.
    parts = np.bincount(
        evidence.request,
        weights=(start[evidence.item + 1] - start[evidence.item]),
        minlength=num_requests,
    )
    cost = np.cumsum(parts / PARTS_MAX + num_items / CELLS_MAX)
    begin = 0
    while begin < num_requests:
        spent = cost[begin - 1] if begin else 0.0
        end = max(begin + 1, int(np.searchsorted(cost, spent + 1.0, side="right")))
        low, high = np.searchsorted(evidence.request, (begin, end))
        if high > low:
            some = slice(low, high)
            yield (
                begin,
                end,
                Flat(
                    evidence.request[some],
                    evidence.item[some],
                    evidence.weight[some],
                    evidence.age_days[some],
                ),
            )
        begin = end


def _greatest(
    shown: Rows, key: tuple[Rows, Rows], part: NDArray[np.float32], item: Rows, cells: int
) -> Rows:
    # For each shown cell, the product of the evidence whose part of its score is greatest.
    slot = np.full(cells, -1, np.int32)
    slot[shown] = np.arange(len(shown))
    cell, source = key
    hit = np.flatnonzero(slot[cell] >= 0)
    where = slot[cell[hit]]
    order = np.lexsort((part[hit], where))
    last = np.flatnonzero(np.diff(where[order], append=-1))
    because = np.full(len(shown), -1, np.int64)
    because[where[order[last]]] = item[source[hit[order[last]]]]
    return because
