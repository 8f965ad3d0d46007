"""Requests and answers as flat arrays: how recommenders, features, ranker and policies talk.

A table of `schema.REQUESTS` becomes an `Asked` once, and everyone reads the same arrays; what they
propose is a `Picks`. Products are rows of one numbering, `Ids`, in the order of their ids, so that
equal scores are shown in that order. Letters: B requests, H events of the past, S seeds,
X excluded products, E proposals. Knows no method.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

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
NONE = np.empty(0, np.int64)


class Ids:
    """The known products: sorted ids outside, rows 0..N-1 inside."""

    def __init__(self, names: Iterable[str | None]) -> None:
        found = names if isinstance(names, pl.Series) else pl.Series(list(names), dtype=pl.String)
        self.names = found.drop_nulls().unique().sort().alias(ITEM)
        listed = self.names.to_list()
        self._rows = {name: row for row, name in enumerate(listed)}
        self._outside = np.array([*listed, None], dtype=object)
        self._inside: WeakKeyDictionary[Ids, Rows] = WeakKeyDictionary()

    @classmethod
    def of(cls, names: Iterable[str | None]) -> "Ids":
        """Return the ids of `names`; equal ids are one object, so that memory holds them once."""
        found = names if isinstance(names, pl.Series) else pl.Series(list(names), dtype=pl.String)
        found = found.drop_nulls().unique()
        key = (len(found), int(found.hash().sum() or 0))
        known = _SHARED.get(key)
        if known is not None and known.names.equals(found.sort()):
            return known
        fresh = _SHARED[key] = cls(found)
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

    def listed(self, rows: Rows) -> list[Any]:
        """Return the id at each row, None for -1."""
        found: list[Any] = self._outside[rows].tolist()
        return found

    def within(self, other: "Ids", rows: Rows) -> Rows:
        """Translate rows of these ids, perhaps -1, to rows of `other`, -1 where it lacks them."""
        if other is self:
            return rows
        table = self._inside.get(other)
        if table is None:
            table = self._inside[other] = np.append(other.rows(self.names), -1)
        found: Rows = table[rows]
        return found

    def save(self, folder: Path) -> None:
        """Write the ids into `folder`."""
        self.names.to_frame().write_parquet(folder / "ids.parquet")

    @classmethod
    def load(cls, folder: Path) -> "Ids":
        """Read what `save` wrote."""
        return cls.of(pl.read_parquet(folder / "ids.parquet")[ITEM])


_SHARED: WeakValueDictionary[tuple[int, int], Ids] = WeakValueDictionary()


@dataclass(frozen=True)
class Asked:
    """B requests; rows of the other blocks are sorted by request, unknown products left out."""

    ids: Ids
    """What the numbers of products mean."""
    now_us_B: Rows
    """The clock of each request, in microseconds since 1970."""
    owner_H: Rows
    """Whose event it was: a row of `now_us_B`."""
    item_H: Rows
    event_H: NDArray[np.int8]
    """Place in `schema.EVENT_NAMES`, the place after the last for any other name."""
    time_us_H: Rows
    """Oldest first in each request."""
    owner_S: Rows = field(default_factory=lambda: NONE)
    item_S: Rows = field(default_factory=lambda: NONE)
    """The product looked at, or those in the cart."""
    owner_X: Rows = field(default_factory=lambda: NONE)
    item_X: Rows = field(default_factory=lambda: NONE)
    """Products not to show."""
    seeded_B: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    """Which requests name seeds, known or not; empty where none does."""
    _memo: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, requests: pl.DataFrame, ids: Ids) -> "Asked":
        """Flatten a table of `schema.REQUESTS`; request numbers become places in the table."""
        now_us_B = requests[NOW].to_numpy().astype("M8[us]").view(np.int64)
        owner, steps = _flatten(requests[HISTORY])
        # A missing time is the least integer: older than anything.
        time_us = steps.field(2).to_numpy(zero_copy_only=False).astype("M8[us]").view(np.int64)
        item = ids.rows(_strings(steps.field(0)))
        event = event_codes(_strings(steps.field(1)))
        known = item >= 0
        seeded, seeds = _flatten(requests[SEEDS])
        banned, excluded = _flatten(requests[EXCLUDE])
        seed_item, banned_item = ids.rows(_strings(seeds)), ids.rows(_strings(excluded))
        return cls(
            ids,
            now_us_B,
            owner[known],
            item[known],
            event[known],
            time_us[known],
            seeded[seed_item >= 0],
            seed_item[seed_item >= 0],
            banned[banned_item >= 0],
            banned_item[banned_item >= 0],
            _any(seeded, len(now_us_B)),
        )

    @property
    def size(self) -> int:
        """B, the number of requests."""
        return len(self.now_us_B)

    @cached_property
    def age_days_H(self) -> Floats:
        """Days of each event before its request, at least 0."""
        age_us = self.now_us_B[self.owner_H].astype(np.float64) - self.time_us_H
        return np.maximum(age_us / DAY_US, 0).astype(np.float32)

    def once(self, key: Any, make: Callable[[], T]) -> T:
        """Return what `make` made for this key the first time."""
        if key not in self._memo:
            self._memo[key] = make()
        found: T = self._memo[key]
        return found

    def forget(self) -> None:
        """Let go of all that `once` made."""
        self._memo.clear()

    def within(self, ids: Ids) -> "Asked":
        """Number products by other ids; those it lacks are left out."""
        if ids is self.ids:
            return self
        return self.once(("within", ids), lambda: self._within(ids))

    def _within(self, ids: Ids) -> "Asked":
        item_H, item_S, item_X = (
            self.ids.within(ids, rows) for rows in (self.item_H, self.item_S, self.item_X)
        )
        past, seed, banned = item_H >= 0, item_S >= 0, item_X >= 0
        return Asked(
            ids,
            self.now_us_B,
            self.owner_H[past],
            item_H[past],
            self.event_H[past],
            self.time_us_H[past],
            self.owner_S[seed],
            item_S[seed],
            self.owner_X[banned],
            item_X[banned],
            self.seeded_B,
        )

    def excluding(self, owner_X: Rows, item_X: Rows) -> "Asked":
        """Return the same requests with these products excluded, and no others."""
        return replace(self, owner_X=owner_X, item_X=item_X, _memo={})

    def events(self, kept_H: NDArray[np.bool_]) -> "Asked":
        """Return the same requests as if only these events of the past had been."""
        return replace(
            self,
            owner_H=self.owner_H[kept_H],
            item_H=self.item_H[kept_H],
            event_H=self.event_H[kept_H],
            time_us_H=self.time_us_H[kept_H],
            _memo={},
        )

    def take(self, rows: Rows) -> "Asked":
        """Return the requests at these places, ascending, numbered from 0."""
        place_B = np.full(self.size, -1)
        place_B[rows] = np.arange(len(rows))
        past, seed, banned = (
            place_B[owner] >= 0 for owner in (self.owner_H, self.owner_S, self.owner_X)
        )
        return Asked(
            self.ids,
            self.now_us_B[rows],
            place_B[self.owner_H[past]],
            self.item_H[past],
            self.event_H[past],
            self.time_us_H[past],
            place_B[self.owner_S[seed]],
            self.item_S[seed],
            place_B[self.owner_X[banned]],
            self.item_X[banned],
            self.seeded_B[rows] if len(self.seeded_B) else self.seeded_B,
        )

    def slice(self, begin: int, end: int) -> "Asked":
        """Return requests `begin` to `end`, the last not included, numbered from 0."""
        past, seed, banned = (
            np.s_[slice(*np.searchsorted(owner, (begin, end)))]
            for owner in (self.owner_H, self.owner_S, self.owner_X)
        )
        return Asked(
            self.ids,
            self.now_us_B[begin:end],
            self.owner_H[past] - begin,
            self.item_H[past],
            self.event_H[past],
            self.time_us_H[past],
            self.owner_S[seed] - begin,
            self.item_S[seed],
            self.owner_X[banned] - begin,
            self.item_X[banned],
            self.seeded_B[begin:end],
        )


@dataclass(frozen=True)
class Picks:
    """E proposals, sorted by request, best first in each."""

    ids: Ids
    owner_E: Rows
    """For which request."""
    item_E: Rows
    score_E: Floats
    because_E: Rows
    """The product that led to this one, -1 for none."""
    sources: tuple[str, ...]
    source_E: NDArray[np.int64]
    """Who proposed it: a place in `sources`."""

    def __len__(self) -> int:
        return len(self.owner_E)

    @classmethod
    def none(cls, ids: Ids) -> "Picks":
        """Return no proposal."""
        return cls(ids, NONE, NONE, np.empty(0, np.float32), NONE, (), NONE)

    @classmethod
    def joined(cls, lists: Sequence["Picks"], ids: Ids) -> "Picks":
        """Write lists one below the other, in the order given; the requests are not sorted."""
        lists = [one.within(ids) for one in lists]
        if len(lists) == 1:
            return lists[0]
        if not lists:
            return cls.none(ids)
        first = np.cumsum([0, *(len(one.sources) for one in lists)]).tolist()
        return cls(
            ids,
            np.concatenate([one.owner_E for one in lists]),
            np.concatenate([one.item_E for one in lists]),
            np.concatenate([one.score_E for one in lists]),
            np.concatenate([one.because_E for one in lists]),
            tuple(name for one in lists for name in one.sources),
            np.concatenate([one.source_E + first[n] for n, one in enumerate(lists)]),
        )

    def within(self, ids: Ids) -> "Picks":
        """Number products by other ids; proposals of products it lacks are left out."""
        if ids is self.ids:
            return self
        item = self.ids.within(ids, self.item_E)
        moved = replace(self, ids=ids, item_E=item)
        moved = replace(moved, because_E=self.ids.within(ids, self.because_E))
        return moved.take(np.flatnonzero(item >= 0))

    def take(self, at: Rows) -> "Picks":
        """Return the proposals at these places, in this order."""
        return Picks(
            self.ids,
            self.owner_E[at],
            self.item_E[at],
            self.score_E[at],
            self.because_E[at],
            self.sources,
            self.source_E[at],
        )

    @cached_property
    def place_E(self) -> Rows:
        """Place of each proposal in its request's list, from 0."""
        return np.arange(len(self)) - np.searchsorted(self.owner_E, self.owner_E)

    def table(self, numbers_B: NDArray[Any] | None = None) -> pl.DataFrame:
        """Return `schema.RESULTS`; `numbers_B` are the requests' numbers, 0.. if not given."""
        owner = self.owner_E if numbers_B is None else numbers_B[self.owner_E]
        names = np.array([*self.sources, None], object)[self.source_E].tolist()
        return pl.DataFrame(
            [
                pl.Series(REQUEST, owner.astype(np.uint32)),
                self.ids.take(self.item_E),
                pl.Series(SCORE, self.score_E.astype(np.float32)),
                pl.Series(RANK, (self.place_E + 1).astype(np.uint32)),
                pl.Series(SOURCE, names, dtype=pl.String),
                self.ids.take(self.because_E).alias(BECAUSE),
            ]
        )


def event_codes(names: pl.Series | Sequence[Any]) -> NDArray[np.int8]:
    """Return the place of each name in `schema.EVENT_NAMES`, the one after the last for others."""
    other = len(EVENT_NAMES)
    if len(names) <= SMALL:
        listed = names.to_list() if isinstance(names, pl.Series) else names
        get = _CODES.get
        return np.fromiter((get(name, other) for name in listed), np.int8, len(listed))
    code = pl.Series(names, dtype=pl.String).cast(pl.Enum(EVENT_NAMES), strict=False)
    return code.to_physical().fill_null(other).to_numpy().astype(np.int8)


_CODES = {name: code for code, name in enumerate(EVENT_NAMES)}


def _flatten(lists: pl.Series) -> tuple[Rows, pa.Array]:
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


def _any(owner: Rows, size: int) -> NDArray[np.bool_]:
    found = np.zeros(size, np.bool_)
    found[owner] = True
    return found
