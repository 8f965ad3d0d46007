"""What speaks for a shopper's taste: the seeds of a request, or else its past, aged and weighed.

Knows no method.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shopkeeper.arrays import Asked, Floats, Rows
from shopkeeper.schema import EVENT_NAMES

CELLS_MAX = 2_000_000
"""Scores held at once: requests of a chunk times products."""


@dataclass(frozen=True)
class Flat:
    """Known products of many requests in one row each; arrays of one length E."""

    request: Rows
    """Place of the request, from 0, ascending."""
    item: Rows
    weight: Floats
    age_days: Floats
    """Days before the request's `now`, at least 0."""

    def between(self, begin: int, end: int) -> "Flat":
        """Return the rows of requests `begin` to `end`, the last not included, from 0."""
        some = slice(*np.searchsorted(self.request, (begin, end)))
        return Flat(
            self.request[some] - begin, self.item[some], self.weight[some], self.age_days[some]
        )


def history(asked: Asked, weights: Mapping[str, float]) -> Flat:
    """Return the past as flat arrays.

    Args:
        asked: The requests.
        weights: Weight by event name; events with no weight, or 0, are left out.

    Returns:
        One row per event, `weight` from `weights`.
    """
    table = np.array([weights.get(name, 0.0) for name in EVENT_NAMES] + [0.0], np.float32)
    weight = table[asked.event_H]
    keep = weight > 0
    return Flat(asked.owner_H[keep], asked.item_H[keep], weight[keep], asked.age_days_H[keep])


def decayed(rows: Flat, half_life_days: float) -> Flat:
    """Return `rows` with each weight halved for every `half_life_days` of its age."""
    weight = rows.weight * np.exp2(-rows.age_days / np.float32(half_life_days))
    return Flat(rows.request, rows.item, weight.astype(np.float32), rows.age_days)


def merged(rows: Flat, num_items: int) -> Flat:
    """Return one row per request and product, weights summed, age of the newest, sorted so."""
    if not len(rows.request):
        return rows
    key = rows.request * num_items + rows.item
    order = np.argsort(key, kind="stable")
    key = key[order]
    starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    first = order[starts]
    weight = np.add.reduceat(rows.weight[order], starts)
    age_days = np.minimum.reduceat(rows.age_days[order], starts)
    return Flat(rows.request[first], rows.item[first], weight, age_days)


def seeds(asked: Asked) -> Flat:
    """Return the seeds, each once and weighing 1, sorted by request and product."""
    some = len(asked.item_S)
    rows = Flat(asked.owner_S, asked.item_S, np.ones(some, np.float32), np.zeros(some, np.float32))
    return merged(rows, len(asked.ids))


def evidence(asked: Asked, weights: Mapping[str, float], half_life_days: float, most: int) -> Flat:
    """Return what speaks for a shopper's taste: the seeds where a request has any, else its past.

    Args:
        asked: The requests.
        weights: Weight by event name.
        half_life_days: Age at which an event of the past counts half.
        most: Products that speak for one request, the weightiest first; bounds the time.

    Returns:
        One row per request and product, sorted so; a seed weighs 1.
    """
    key = (evidence, tuple(weights.items()), half_life_days, most)
    return asked.once(key, lambda: _evidence(asked, weights, half_life_days, most))


def _evidence(asked: Asked, weights: Mapping[str, float], half_life_days: float, most: int) -> Flat:
    rows = decayed(history(asked, weights), half_life_days)
    if asked.seeded_B.any():
        keep = ~asked.seeded_B[rows.request]
        some = len(asked.item_S)
        ones, zeros = np.ones(some, np.float32), np.zeros(some, np.float32)
        rows = Flat(
            np.concatenate([rows.request[keep], asked.owner_S]),
            np.concatenate([rows.item[keep], asked.item_S]),
            np.concatenate([rows.weight[keep], ones]),
            np.concatenate([rows.age_days[keep], zeros]),
        )
    rows = merged(rows, len(asked.ids))
    kept = weightiest(rows.request, rows.weight, most)
    return Flat(rows.request[kept], rows.item[kept], rows.weight[kept], rows.age_days[kept])


def weightiest(actor: Rows, value: Floats, most: int) -> Rows:
    """Return the places of the `most` greatest values of each actor, in the order given, [E]."""
    if len(actor) <= most:
        return np.arange(len(actor))
    order = np.lexsort((np.arange(len(actor)), -value, actor))
    sorted_actor = actor[order]
    rank = np.arange(len(order)) - np.searchsorted(sorted_actor, sorted_actor)
    return np.sort(order[rank < most])


def chunks(num_requests: int, num_items: int) -> Iterator[tuple[int, int]]:
    """Yield `(begin, end)` of so many requests that their scores fit into bounded memory."""
    step = max(1, CELLS_MAX // max(num_items, 1))
    for begin in range(0, num_requests, step):
        yield begin, min(begin + step, num_requests)


def best(
    scores: NDArray[np.floating], k: int, floor: float = -np.inf
) -> tuple[Rows, Rows, NDArray[np.floating]]:
    """Return the k best products of each row, and all that tie with the last of them.

    Args:
        scores: Score of each product, [B, N].
        k: How many, from 1.
        floor: Scores at or below are nothing.

    Returns:
        Row, product and score, each [E], sorted by row, unordered inside it.
    """
    rows, items = [], []
    for row, line in enumerate(scores):
        found = np.flatnonzero(line > floor)
        if len(found) > k:
            values = line[found]
            last = np.partition(values, len(values) - k)[len(values) - k]
            found = found[values >= last]
        rows.append(np.full(len(found), row))
        items.append(found)
    at = np.concatenate([*rows, np.empty(0, np.int64)])
    item = np.concatenate([*items, np.empty(0, np.int64)])
    return at, item, scores[at, item]
