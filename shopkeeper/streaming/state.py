"""What each shopper and visitor did until this second, in memory.

Two layers: the lake's past as flat arrays sorted by shopper (13 bytes an event), and live events
on top. An event that carries both a visitor and a shopper joins them: what the visitor did alone
before becomes part of the shopper's history, and what the visitor does after, too.
Knows no disk: `streaming.log` keeps events, the engine hands them in again after a restart.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper import schema

Step = tuple[str, str, datetime]
"""One event of a history: item_id, event_name, time."""

Mark = tuple[int, int, int]
"""The same as numbers: place in the vocabulary, place in `schema.EVENT_NAMES`, microseconds."""

_CODES = {name: code for code, name in enumerate(schema.EVENT_NAMES)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Steps:
    """A history of N events, oldest first."""

    item: NDArray[np.int32]
    """Place in the state's vocabulary."""
    event: NDArray[np.int8]
    """Place in `schema.EVENT_NAMES`."""
    time_us: NDArray[np.int64]
    """Microseconds since 1970."""

    def __len__(self) -> int:
        return len(self.item)

    @classmethod
    def of(cls, marks: Iterable[Mark]) -> "Steps":
        """Lay marks out."""
        item, event, time_us = zip(*found, strict=True) if (found := list(marks)) else ((), (), ())
        return cls(np.array(item, np.int32), np.array(event, np.int8), np.array(time_us, np.int64))

    def then(self, later: "Steps") -> "Steps":
        """Return both, in the order of their times."""
        both = Steps(
            np.concatenate([self.item, later.item]),
            np.concatenate([self.event, later.event]),
            np.concatenate([self.time_us, later.time_us]),
        )
        return both.take(np.argsort(both.time_us, kind="stable"))

    def take(self, at: Any) -> "Steps":
        """Return the events at these places."""
        return Steps(self.item[at], self.event[at], self.time_us[at])


@dataclass
class _Past:
    """Seeded events, N in all, those of one actor side by side and oldest first."""

    actors: dict[str, int] = field(default_factory=dict)
    starts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))
    items: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    codes: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))
    times_us: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def of(self, actor: str) -> Steps:
        row = self.actors.get(actor)
        here = slice(0, 0) if row is None else slice(self.starts[row], self.starts[row + 1])
        return Steps(self.items[here], self.codes[here], self.times_us[here])

    def count(self, actor: str) -> int:
        row = self.actors.get(actor)
        return 0 if row is None else int(self.starts[row + 1] - self.starts[row])

    def without(self, actor: str) -> "_Past":
        """Return a copy in which the actor's events are gone, not only hidden."""
        row = self.actors[actor]
        here = np.arange(self.starts[row], self.starts[row + 1])
        starts = self.starts.copy()
        starts[row + 1 :] -= len(here)
        return _Past(
            {name: number for name, number in self.actors.items() if name != actor},
            starts,
            np.delete(self.items, here),
            np.delete(self.codes, here),
            np.delete(self.times_us, here),
        )

    @property
    def nbytes(self) -> int:
        arrays = (self.starts, self.items, self.codes, self.times_us)
        return sum(array.nbytes for array in arrays)


@dataclass
class _Trail:
    """Live events of one actor; the last `alone` of a visitor's belong to no shopper yet."""

    marks: deque[Mark]
    alone: int = 0


class OnlineState:
    """Histories that a request can read right after the event was posted; threads may share it.

    Args:
        history_max: Newest events kept for each shopper or visitor.
        events_max: Live events kept in all; the visitors idle longest are let go first.
    """

    def __init__(self, history_max: int = 600, events_max: int = 1_000_000) -> None:
        self._history_max, self._events_max = history_max, events_max
        self._vocabulary: dict[str, int] = {}
        self._names: list[str] = []
        self._past = _Past()
        self._trails: OrderedDict[str, _Trail] = OrderedDict()
        self._user_of: dict[str, str] = {}
        self._num_live = 0
        self._lock = threading.RLock()

    @property
    def nbytes(self) -> int:
        """Bytes of the seeded arrays."""
        return self._past.nbytes

    def seed(self, events: pl.DataFrame) -> None:
        """Replace the past by the lake's events; live events stay on top.

        Args:
            events: `item_id`, `event_name`, `time`, `user_id` and perhaps `visitor_id`; rows
                without a product or an actor are passed over.
        """
        slim = _owned(events).drop_nulls(["actor", schema.ITEM])
        names = slim[schema.ITEM].unique()
        with self._lock:
            codes = [self._code(name) for name in names.to_list()]
            number = slim[schema.ITEM].cast(pl.Enum(names)).to_physical().to_numpy()
            self._past = _arrange(slim, np.array(codes, np.int32)[number], self._history_max)
            user_of = dict(_joins(events).iter_rows()) if schema.VISITOR in events.columns else {}
            self._user_of = user_of | self._user_of

    def append(self, rows: Iterable[dict[str, Any]]) -> None:
        """Take rows of `schema.EVENTS`; those without a product are passed over."""
        with self._lock:
            for row in rows:
                self._append(row)
            self._shrink()

    def steps(self, user_id: str | None, visitor_id: str | None = None) -> Steps:
        """Return what is known of a shopper, a visitor, or both, as arrays, oldest first.

        Args:
            user_id: Brings the past and everything visitors joined to it.
            visitor_id: Beside a user_id adds only what the visitor did and no shopper owns yet.

        Returns:
            At most `history_max` events; `name` names their products.
        """
        with self._lock:
            if user_id is None:
                found = self._all(_visitor(visitor_id)) if visitor_id else Steps.of(())
            else:
                found = self._all(_user(user_id))
                trail = self._trails.get(_visitor(visitor_id)) if visitor_id else None
                if trail and trail.alone:
                    found = found.then(Steps.of(list(trail.marks)[-trail.alone :]))
        return found.take(np.s_[-self._history_max :])

    def names(self, first: int = 0) -> list[str]:
        """Return the vocabulary from a place on: products by the number that `steps` gives them."""
        with self._lock:
            return self._names[first:]

    def named(self, steps: Steps) -> list[str]:
        """Return the product of each step."""
        return [self._names[item] for item in steps.item.tolist()]

    def history(self, user_id: str | None, visitor_id: str | None = None) -> list[Step]:
        """Return `steps` in words."""
        return self._told(self.steps(user_id, visitor_id))

    def recent(self, user_id: str | None, visitor_id: str | None = None, k: int = 12) -> list[Step]:
        """Return the last k events of `history`, newest first."""
        return self._told(self.steps(user_id, visitor_id).take(np.s_[::-1]).take(np.s_[:k]))

    def _told(self, steps: Steps) -> list[Step]:
        return [
            (self._names[item], schema.EVENT_NAMES[event], _EPOCH + timedelta(microseconds=time_us))
            for item, event, time_us in zip(
                steps.item.tolist(), steps.event.tolist(), steps.time_us.tolist(), strict=True
            )
        ]

    def shoppers(self) -> list[str]:
        """Name every shopper whose events are known, in the order of their ids."""
        with self._lock:
            actors = {*self._past.actors, *self._trails}
        prefix = _user("")
        return sorted(one.removeprefix(prefix) for one in actors if one.startswith(prefix))

    def walkers(self, k: int) -> list[tuple[str, int]]:
        """Name up to k shoppers of the past, from the busiest to the quiet, and their events."""
        with self._lock:
            past = self._past
        prefix = _user("")
        known = [actor for actor in past.actors if actor.startswith(prefix)]
        busy = sorted(((past.count(actor), actor) for actor in known), reverse=True)
        step = max(len(busy) * 3 // 4 // max(k, 1), 1)
        return [(actor.removeprefix(prefix), count) for count, actor in busy[::step][:k]]

    def forget(self, user_id: str) -> int:
        """Erase a shopper and the visitors joined to it, and return how many events went."""
        with self._lock:
            joined = [visitor for visitor, user in self._user_of.items() if user == user_id]
            gone = 0
            for actor in (_user(user_id), *map(_visitor, joined)):
                trail = self._trails.pop(actor, None)
                live = len(trail.marks) if trail else 0
                self._num_live -= live
                gone += live + self._past.count(actor)
                if actor in self._past.actors:
                    self._past = self._past.without(actor)
            for visitor in joined:
                del self._user_of[visitor]
        return gone

    def _all(self, actor: str) -> Steps:
        past = self._past.of(actor)
        trail = self._trails.get(actor)
        if trail is None:
            return past
        marks: Iterable[Mark] = trail.marks
        if len(past) and min(time_us for _, _, time_us in marks) <= past.time_us[-1]:
            # A segment may be both in the lake and still live, just after it was compacted.
            told = (past.item.tolist(), past.event.tolist(), past.time_us.tolist())
            known = set(zip(*told, strict=True))
            marks = [mark for mark in marks if mark not in known]
        return past.then(Steps.of(marks))

    def _code(self, item_id: str) -> int:
        """Return the number of a product; a new one gets the next."""
        code = self._vocabulary.get(item_id)
        if code is None:
            code = self._vocabulary[item_id] = len(self._names)
            self._names.append(item_id)
        return code

    def _append(self, row: dict[str, Any]) -> None:
        user_id, visitor_id = row[schema.USER], row[schema.VISITOR]
        if user_id and visitor_id:
            self._join(visitor_id, user_id)
        if row[schema.ITEM] is None:
            return
        time_us = (row[schema.TIME] - _EPOCH) // timedelta(microseconds=1)
        mark = (self._code(row[schema.ITEM]), _CODES[row[schema.EVENT_NAME]], time_us)
        if user_id:
            self._push(_user(user_id), mark)
            return
        owner = self._user_of.get(visitor_id)
        self._push(_visitor(visitor_id), mark, alone=owner is None)
        if owner:
            self._push(_user(owner), mark)

    def _join(self, visitor_id: str, user_id: str) -> None:
        self._user_of[visitor_id] = user_id
        trail = self._trails.get(_visitor(visitor_id))
        if trail and trail.alone:
            for mark in list(trail.marks)[-trail.alone :]:
                self._push(_user(user_id), mark)
            trail.alone = 0

    def _push(self, actor: str, mark: Mark, alone: bool = False) -> None:
        trail = self._trails.get(actor)
        if trail is None:
            trail = self._trails[actor] = _Trail(deque(maxlen=self._history_max))
        self._trails.move_to_end(actor)
        before = len(trail.marks)
        trail.marks.append(mark)
        self._num_live += len(trail.marks) - before
        if alone:
            trail.alone = min(trail.alone + 1, len(trail.marks))

    def _shrink(self) -> None:
        """Let the idlest visitors go, and shoppers only where no visitor is left."""
        if self._num_live <= self._events_max:
            return
        visitors = [actor for actor in self._trails if actor[0] == "v"]
        for actor in visitors + [actor for actor in self._trails if actor[0] == "u"]:
            if self._num_live <= self._events_max:
                return
            self._num_live -= len(self._trails.pop(actor).marks)
            if actor[0] == "v":
                self._user_of.pop(actor[1:], None)


def _user(user_id: str) -> str:
    return "u" + user_id


def _visitor(visitor_id: str) -> str:
    return "v" + visitor_id


def _arrange(events: pl.DataFrame, items: NDArray[np.int32], history_max: int) -> _Past:
    """Sort a table with `actor` into flat arrays, the last `history_max` events of each."""
    actors = events["actor"].unique()
    rows = events["actor"].cast(pl.Enum(actors)).to_physical().to_numpy().astype(np.int32)
    codes = events[schema.EVENT_NAME].cast(pl.Enum(schema.EVENT_NAMES)).to_physical().to_numpy()
    times_us = events[schema.TIME].to_physical().to_numpy()
    order = np.argsort(times_us, kind="stable")
    order = order[np.argsort(rows[order], kind="stable")]
    ends = np.cumsum(np.bincount(rows, minlength=len(actors)))
    kept = order[np.arange(len(order)) >= (ends - history_max)[rows[order]]]
    starts = np.zeros(len(actors) + 1, np.int64)
    np.cumsum(np.bincount(rows[kept], minlength=len(actors)), out=starts[1:])
    return _Past(
        {name: row for row, name in enumerate(actors.to_list())},
        starts,
        items[kept],
        codes[kept].astype(np.int8),
        times_us[kept],
    )


def _owned(events: pl.DataFrame) -> pl.DataFrame:
    """Add the column `actor`: the shopper; a visitor's event is its own, and its shopper's too.

    The shopper of a visitor's event is the one joined last before it, else the first one after.
    """
    known = events.drop_nulls(schema.USER).with_columns(actor=pl.lit("u") + pl.col(schema.USER))
    if schema.VISITOR not in events.columns:
        return known
    alone = events.filter(pl.col(schema.USER).is_null() & pl.col(schema.VISITOR).is_not_null())
    mine = alone.with_columns(actor=pl.lit("v") + pl.col(schema.VISITOR))
    both = events.drop_nulls([schema.USER, schema.VISITOR]).sort(schema.TIME)
    joins = both.select(schema.VISITOR, schema.TIME, owner=schema.USER)
    first = joins.group_by(schema.VISITOR, maintain_order=True).agg(first=pl.col("owner").first())
    theirs = (
        alone.sort(schema.TIME)
        .join_asof(joins, on=schema.TIME, by=schema.VISITOR, check_sortedness=False)
        .join(first, on=schema.VISITOR, how="inner", maintain_order="left")
        .with_columns(actor=pl.lit("u") + pl.coalesce("owner", "first"))
    )
    return pl.concat([known, mine, theirs.select(known.columns)])


def _joins(events: pl.DataFrame) -> pl.DataFrame:
    """Return the last shopper of each visitor that came with one."""
    both = events.drop_nulls([schema.USER, schema.VISITOR]).sort(schema.TIME)
    return both.group_by(schema.VISITOR).agg(pl.col(schema.USER).last())
