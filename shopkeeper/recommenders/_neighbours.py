"""Recommends by a sparse table of weights from product to product.

The score of a product is the sum, over what speaks for the shopper's taste, of its weight times
the table's weight; `because` is the greatest part of that sum. Knows not where weights come from.
"""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from shopkeeper.arrays import NONE, Asked, Floats, Ids, Picks, Rows
from shopkeeper.recommenders._base import Base
from shopkeeper.recommenders._evidence import CELLS_MAX, Flat, best

PARTS_MAX = 1_000_000
"""Products of weights held at once."""


class ByNeighbours(Base):
    """A recommender whose `fit` makes a table of neighbours and whose `_evidence` reads it."""

    _table: "Neighbours | None" = None

    @abstractmethod
    def _evidence(self, asked: Asked) -> Flat:
        """Return what speaks for each request, sorted by request, each product once."""

    def propose(self, asked: Asked, k: int) -> Picks:
        """Return neighbours of what speaks for each request; see the contract."""
        asked = asked.within(self.ids)
        found = self._known(self._table).best(asked, self._evidence(asked), k)
        return self.picks(asked, found, k)

    def judge(self, asked: Asked, owner_N: Rows, item_N: Rows) -> Floats:
        """Return the score of each product, NaN where nothing speaks for it, [N]."""
        item_N = asked.ids.within(self.ids, item_N)
        asked = asked.within(self.ids)
        return self._known(self._table).judge(asked, self._evidence(asked), owner_N, item_N)

    def because(self, asked: Asked, owner_N: Rows, item_N: Rows) -> Rows:
        """Return the seed, or the product of the history, that weighed most, [N]."""
        item_N = asked.ids.within(self.ids, item_N)
        mine = asked.within(self.ids)
        evidence = self._evidence(mine)
        found = self._known(self._table).greatest(mine, evidence, owner_N, item_N)
        return self.ids.within(asked.ids, found)

    def save(self, folder: Path) -> None:
        """Write products and neighbours into `folder`."""
        self.ids.save(folder)
        self._known(self._table).save(folder)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        self._ids, self._table = Ids.load(folder), Neighbours.load(folder)
        return self


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
        files = (folder / f"{name}.npy" for name in names)
        return cls(*(np.asarray(np.load(file, mmap_mode="r")) for file in files))

    def best(self, asked: Asked, evidence: Flat, k: int) -> tuple[Rows, Rows, Floats]:
        """Find the best products; neither excluded products nor seeds are among them.

        Args:
            asked: The requests.
            evidence: What speaks for each request, sorted by request, each product once.
            k: Products per request, from 1.

        Returns:
            Request, product and score, each [E].
        """
        ban_request = np.concatenate([asked.owner_X, asked.owner_S])
        ban_item = np.concatenate([asked.item_X, asked.item_S])
        found = [(NONE, NONE, np.empty(0, np.float32))]
        for begin, end, scores in self._scores(asked, evidence):
            inside = (ban_request >= begin) & (ban_request < end)
            wanted = scores.copy()
            wanted[ban_request[inside] - begin, ban_item[inside]] = 0
            at, item, score = best(wanted, k, floor=0)
            found.append((at + begin, item, score.astype(np.float32)))
        request, item, score = (np.concatenate(column) for column in zip(*found, strict=True))
        return request, item, score

    def judge(self, asked: Asked, evidence: Flat, owner_N: Rows, item_N: Rows) -> Floats:
        """Score given products.

        Args:
            asked: The requests.
            evidence: What speaks for each request, sorted by request, each product once.
            owner_N: For which request, ascending.
            item_N: The product, -1 for an unknown one.

        Returns:
            One score per product, NaN where nothing speaks for it, [N].
        """
        found = np.full(len(owner_N), np.nan, np.float32)
        for begin, end, scores in self._scores(asked, evidence):
            mine = np.flatnonzero((item_N >= 0) & (owner_N >= begin) & (owner_N < end))
            found[mine] = scores[owner_N[mine] - begin, item_N[mine]]
        found[found == 0] = np.nan
        return found

    def greatest(self, asked: Asked, evidence: Flat, owner_N: Rows, item_N: Rows) -> Rows:
        """Return what of the evidence weighed most in the score of each product, -1 for nothing.

        Args:
            asked: The requests.
            evidence: What speaks for each request, sorted by request, each product once.
            owner_N: For which request.
            item_N: The product, -1 for an unknown one.

        Returns:
            Rows of products, [N].
        """
        num_items = len(asked.ids)
        found = np.full(len(owner_N), -1, np.int64)
        for begin, end, rows in _slices(evidence, self.start, num_items, asked.size):
            mine = np.flatnonzero((item_N >= 0) & (owner_N >= begin) & (owner_N < end))
            shown = (owner_N[mine] - begin) * num_items + item_N[mine]
            cell, part, sizes = self._parts(rows, num_items)
            found[mine] = _greatest(shown, cell, part, np.repeat(rows.item, sizes))
        return found

    def _scores(self, asked: Asked, evidence: Flat) -> Iterable[tuple[int, int, Floats]]:
        """Yield the scores of all products, [B, N], for runs of requests; not to be written on."""
        if len(asked.ids) * asked.size > CELLS_MAX:
            return self._scores_of(asked, evidence)
        # Few enough to be kept for the next question; the evidence with them, or its id is no key.
        _, kept = asked.once(
            (self, id(evidence)), lambda: (evidence, list(self._scores_of(asked, evidence)))
        )
        found: list[tuple[int, int, Floats]] = kept
        return found

    def _scores_of(self, asked: Asked, evidence: Flat) -> Iterator[tuple[int, int, Floats]]:
        num_items = len(asked.ids)
        for begin, end, rows in _slices(evidence, self.start, num_items, asked.size):
            cell, part, _ = self._parts(rows, num_items)
            total = np.bincount(cell, weights=part, minlength=(end - begin) * num_items)
            # As exact as the answers, so that ties are ties everywhere.
            yield begin, end, total.astype(np.float32).reshape(end - begin, num_items)

    def _parts(self, rows: Flat, num_items: int) -> tuple[Rows, Floats, Rows]:
        """Return each weight that takes part: its cell of [B, N], it, how many of each row."""
        low, high = self.start[rows.item], self.start[rows.item + 1]
        spans = [slice(*span) for span in zip(low.tolist(), high.tolist(), strict=True)]
        sizes = high - low
        cell = np.concatenate([self.target[span] for span in spans]).astype(np.int64)
        if rows.request[-1]:
            cell += np.repeat(rows.request * num_items, sizes)
        part = np.concatenate([self.weight[span] for span in spans])
        part *= np.repeat(rows.weight, sizes)
        return cell, part, sizes


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
            yield begin, end, evidence.between(begin, end)
        begin = end


def _greatest(shown: Rows, cell: Rows, part: Floats, item: Rows) -> Rows:
    # For each shown cell, the product of the evidence whose part of its score is greatest.
    asked, place = np.unique(shown, return_inverse=True)
    because = np.full(len(asked), -1, np.int64)
    if len(asked):
        where = np.minimum(np.searchsorted(asked, cell), len(asked) - 1)
        hit = np.flatnonzero(asked[where] == cell)
        where = where[hit]
        order = np.lexsort((part[hit], where))
        last = np.flatnonzero(np.diff(where[order], append=-1))
        because[where[order[last]]] = item[hit[order[last]]]
    return because[place]
