"""Turns tables of requests into flat arrays and scored products into tables of results.

Products are dense row numbers inside a recommender and strings outside; rows are in the order of
the ids, so that equal scores are shown in the order of the ids. Knows no method.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary
from weakref import ref as weakref

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from shopkeeper.errors import BadRequest, NotFitted
from shopkeeper.schema import (
    BECAUSE,
    EVENT_NAMES,
    EXCLUDE,
    HISTORY,
    ITEM,
    NOW,
    RANK,
    REQUEST,
    SCORE,
    SEEDS,
    SOURCE,
)

Rows = NDArray[np.int64]
Floats = NDArray[np.float32]
T = TypeVar("T")

DAY_US = 86_400_000_000
SMALL = 20_000
"""Up to so many ids are looked up one by one; more are joined."""
CELLS_MAX = 2_000_000
"""Scores held at once: requests of a chunk times products."""


class Ids:
    """The known products: sorted ids outside, rows 0..N-1 inside."""

    def __init__(self, names: Iterable[str | None]) -> None:
        found = names if isinstance(names, pl.Series) else pl.Series(list(names), dtype=pl.String)
        self.names = found.drop_nulls().unique().sort().alias(ITEM)
        listed = self.names.to_list()
        self._rows = {name: row for row, name in enumerate(listed)}
        self._outside = np.array([*listed, None], dtype=object)

    @classmethod
    def of(cls, names: Iterable[str | None]) -> "Ids":
        """Return the ids of `names`; equal ids are one object, so that memory holds them once."""
        fresh = cls(names)
        key = (len(fresh), int(fresh.names.hash().sum() or 0))
        known = _SHARED.get(key)
        if known is not None and known.names.equals(fresh.names):
            return known
        _SHARED[key] = fresh
        return fresh

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self, items: pl.Series | Sequence[Any]) -> Rows:
        """Return the row of each id, -1 for unknown and null ones, [N]."""
        if len(items) <= SMALL:
            get = self._rows.get
            listed = items.to_list() if isinstance(items, pl.Series) else items
            return np.fromiter((get(item, -1) for item in listed), np.int64, len(listed))
        table = self.names.to_frame().with_columns(row=pl.int_range(pl.len(), dtype=pl.Int64))
        asked = pl.DataFrame({ITEM: pl.Series(items, dtype=pl.String)})
        joined = asked.join(table, on=ITEM, how="left", maintain_order="left")
        return joined["row"].fill_null(-1).to_numpy()

    def take(self, rows: Rows) -> pl.Series:
        """Return the id at each row, null for -1."""
        return pl.Series(ITEM, self._outside[rows].tolist(), dtype=pl.String)

    def save(self, folder: Path) -> None:
        """Write the ids into `folder`."""
        self.names.to_frame().write_parquet(folder / "ids.parquet")

    @classmethod
    def load(cls, folder: Path) -> "Ids":
        """Read what `save` wrote."""
        return cls.of(pl.read_parquet(folder / "ids.parquet")[ITEM])


_SHARED: WeakValueDictionary[tuple[int, int], Ids] = WeakValueDictionary()


@dataclass(frozen=True)
class Flat:
    """Known products of many requests in one row each; arrays of one length E.

    Rows are in the order of the requests, and inside a request in the order they came.
    """

    request: Rows
    """Place of the request in its table, from 0."""
    item: Rows
    weight: Floats
    age_days: Floats
    """Days before the request's `now`, at least 0."""


def known(part: object, learned: T | None) -> T:
    """Return what the recommender `part` has learned, or raise NotFitted if that is nothing."""
    if learned is None:
        name = getattr(part, "address", ("", type(part).__name__.lower()))[1]
        raise NotFitted(f"The recommender '{name}' has learned nothing yet. Call `fit` first.")
    return learned


def at_least_one(k: int) -> None:
    """Raise BadRequest if a request asks for fewer than one product."""
    if k < 1:
        raise BadRequest("k", f"k must be at least 1, got {k}. Ask for 1 product or more.")


def history(requests: pl.DataFrame, ids: Ids, weights: Mapping[str, float]) -> Flat:
    """Return the histories as flat arrays, known products only.

    Args:
        requests: `schema.REQUESTS`.
        ids: The known products; rows of the history with others are left out.
        weights: Weight by event name; events with no weight, or 0, are left out.

    Returns:
        One row per event, `weight` from `weights`.
    """
    past = _past(requests, ids)
    table = np.array([weights.get(name, 0.0) for name in EVENT_NAMES] + [0.0], np.float32)
    weight = table[past.event]
    keep = (past.item >= 0) & (weight > 0)
    return Flat(past.request[keep], past.item[keep], weight[keep], past.age_days[keep])


@dataclass(frozen=True)
class _Past:
    """The histories of one table of requests, as one table of ids numbers its products."""

    requests: "weakref[pl.DataFrame]"
    ids: "weakref[Ids]"
    request: Rows
    item: Rows
    event: NDArray[np.int8]
    """Place in `EVENT_NAMES`, the last place for any other."""
    age_days: Floats


_PASTS: deque[_Past] = deque(maxlen=4)
"""Several recommenders are asked about the same requests one after the other."""


def _past(requests: pl.DataFrame, ids: Ids) -> _Past:
    for known in list(_PASTS):
        if known.requests() is requests and known.ids() is ids:
            return known
    request, flat = _flatten(requests[HISTORY])
    time_us = flat.field(2).to_numpy(zero_copy_only=False).astype("M8[us]").view(np.int64)
    now_us = requests[NOW].to_numpy().astype("M8[us]").view(np.int64)
    # A missing time is the least integer, so that age is without end and weight 0.
    age_us = now_us[request].astype(np.float64) - time_us
    codes = {name: float(code) for code, name in enumerate(EVENT_NAMES)}
    event = event_weights(_strings(flat.field(1)), codes, float(len(EVENT_NAMES)))
    found = _Past(
        weakref(requests),
        weakref(ids),
        request,
        ids.rows(_strings(flat.field(0))),
        event.astype(np.int8),
        np.maximum(age_us / DAY_US, 0).astype(np.float32),
    )
    _PASTS.append(found)
    return found


def _flatten(lists: pl.Series) -> tuple[Rows, pa.Array]:
    # Arrow, because each Polars expression costs a live request a tenth of a millisecond.
    array = lists.to_arrow()
    if array.null_count:
        array = lists.fill_null([]).to_arrow()
    sizes = np.diff(array.offsets.to_numpy())
    return np.repeat(np.arange(len(sizes)), sizes), array.flatten()


def _strings(values: pa.Array) -> pl.Series | list[Any]:
    if len(values) > SMALL:
        return pl.Series(values, dtype=pl.String)
    found: list[Any] = values.to_numpy(zero_copy_only=False).tolist()
    return found


def event_weights(
    events: pl.Series | Sequence[Any], weights: Mapping[str, float], other: float = 0.0
) -> Floats:
    """Return the weight of each event name, `other` for one without, [N]."""
    if len(events) <= SMALL:
        get = weights.get
        listed = events.to_list() if isinstance(events, pl.Series) else events
        return np.fromiter((get(name, other) for name in listed), np.float32, len(listed))
    names = list(weights)
    code = (
        pl.Series(events, dtype=pl.String)
        .cast(pl.Enum(names), strict=False)
        .to_physical()
        .fill_null(len(names))
    )
    table: Floats = np.array([*weights.values(), other], np.float32)
    found: Floats = table[code.to_numpy()]
    return found


def listed(requests: pl.DataFrame, column: str, ids: Ids) -> tuple[Rows, Rows]:
    """Return the known products of a list column such as `seeds`: request and item rows, [E]."""
    request, flat = _flatten(requests[column])
    item = ids.rows(_strings(flat))
    return request[item >= 0], item[item >= 0]


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
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    first = order[starts]
    weight = np.add.reduceat(rows.weight[order], starts)
    age_days = np.minimum.reduceat(rows.age_days[order], starts)
    return Flat(rows.request[first], rows.item[first], weight, age_days)


def evidence(
    requests: pl.DataFrame,
    ids: Ids,
    weights: Mapping[str, float],
    half_life_days: float,
    most: int,
) -> Flat:
    """Return what speaks for a shopper's taste: the seeds where a request has any, else its past.

    Args:
        requests: `schema.REQUESTS`.
        ids: The known products.
        weights: Weight by event name.
        half_life_days: Age at which an event of the history counts half.
        most: Products that speak for one request, the weightiest first; bounds the time.

    Returns:
        One row per request and product, sorted so; a seed weighs 1.
    """
    rows = decayed(history(requests, ids, weights), half_life_days)
    seeded = np.zeros(requests.height, np.bool_)
    seeded[_flatten(requests[SEEDS])[0]] = True
    if seeded.any():
        request, item = listed(requests, SEEDS, ids)
        keep = ~seeded[rows.request]
        ones, zeros = np.ones(len(item), np.float32), np.zeros(len(item), np.float32)
        rows = Flat(
            np.concatenate([rows.request[keep], request]),
            np.concatenate([rows.item[keep], item]),
            np.concatenate([rows.weight[keep], ones]),
            np.concatenate([rows.age_days[keep], zeros]),
        )
    rows = merged(rows, len(ids))
    kept = weightiest(rows.request, rows.weight, most)
    return Flat(rows.request[kept], rows.item[kept], rows.weight[kept], rows.age_days[kept])


def weightiest(actor: Rows, value: Floats, most: int) -> Rows:
    """Return the places of the `most` greatest values of each actor, in the order given, [E]."""
    order = np.lexsort((np.arange(len(actor)), -value, actor))
    sorted_actor = actor[order]
    rank = np.arange(len(order)) - np.searchsorted(sorted_actor, sorted_actor)
    return np.sort(order[rank < most])


def chunks(requests: pl.DataFrame, num_items: int) -> Iterator[tuple[int, int]]:
    """Yield `(begin, end)` of so many requests that their scores fit into bounded memory."""
    step = max(1, CELLS_MAX // max(num_items, 1))
    for begin in range(0, requests.height, step):
        yield begin, min(begin + step, requests.height)


def best(
    scores: NDArray[np.floating], k: int, floor: float = -np.inf
) -> tuple[Rows, Rows, NDArray[np.floating]]:
    """Return the k best products of each row, and all that tie with the last of them.

    Args:
        scores: Score of each product, [B, N].
        k: How many, from 1.
        floor: Scores at or below are nothing.

    Returns:
        Row, product and score, each [E], unordered inside a row; `results` orders and cuts.
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


def results(
    requests: pl.DataFrame,
    ids: Ids,
    source: str,
    scored: tuple[Rows, Rows, NDArray[np.floating]],
    k: int,
    because: Rows | None = None,
) -> pl.DataFrame:
    """Order scored products, cut at k, and return them as `schema.RESULTS`.

    Args:
        requests: `schema.REQUESTS`; products in a request's `exclude` are left out here.
        ids: The known products.
        source: Name of the recommender.
        scored: Place of the request, row of the product, score, each [E], in any order.
        k: Rows per request, from 1.
        because: Row of the product that led to each, -1 for none, [E].

    Returns:
        Best first; equal scores in the order of the ids.
    """
    request, item, score = scored
    score = score.astype(np.float32)
    keep = wanted(requests, ids, request, item) & np.isfinite(score)
    order = np.flatnonzero(keep)
    order = order[np.lexsort((item[order], -score[order], request[order]))]
    asked = request[order]
    rank = np.arange(len(order)) - np.searchsorted(asked, asked)
    order, rank = order[rank < k], rank[rank < k]
    led = ids.take(because[order] if because is not None else np.full(len(order), -1))
    return pl.DataFrame(
        [
            pl.Series(REQUEST, requests[REQUEST].to_numpy()[request[order]]),
            ids.take(item[order]),
            pl.Series(SCORE, score[order]),
            pl.Series(RANK, (rank + 1).astype(np.uint32)),
            pl.Series(SOURCE, [source] * len(order), dtype=pl.String),
            led.alias(BECAUSE),
        ]
    )


def wanted(requests: pl.DataFrame, ids: Ids, request: Rows, item: Rows) -> NDArray[np.bool_]:
    """Say of each request and product whether the request does not exclude it, [E]."""
    no_request, no_item = listed(requests, EXCLUDE, ids)
    if not len(no_item):
        return np.ones(len(item), np.bool_)
    banned, asked = np.sort(no_request * len(ids) + no_item), request * len(ids) + item
    at = np.minimum(np.searchsorted(banned, asked), len(banned) - 1)
    return np.asarray(banned[at] != asked)


def places(
    requests: pl.DataFrame, candidates: pl.DataFrame, ids: Ids
) -> tuple[Rows, Rows, NDArray[np.bool_]]:
    """Find candidates in a table of requests.

    Args:
        requests: `schema.REQUESTS`.
        candidates: Rows of `request` and `item_id`; every request must be in `requests`.
        ids: The known products.

    Returns:
        Place of the request, row of the product (0 where unknown), and whether it is known, [N].
    """
    numbers = requests[REQUEST].to_numpy()
    order = np.argsort(numbers, kind="stable")
    place = order[np.searchsorted(numbers, candidates[REQUEST].to_numpy(), sorter=order)]
    item = ids.rows(candidates[ITEM])
    return place, np.maximum(item, 0), item >= 0
