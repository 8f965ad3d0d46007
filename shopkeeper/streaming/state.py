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
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper import schema

Step = tuple[str, str, datetime]
"""One event of a history: item_id, event_name, time."""

_CODES = {name: code for code, name in enumerate(schema.EVENT_NAMES)}
_UNDISMISSED_BY = ("add_to_cart", "purchase", "like")


@dataclass
class _Past:
    """Seeded events, N in all, those of one actor side by side and oldest first."""

    actors: dict[str, int] = field(default_factory=dict)
    starts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))
    items: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    codes: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))
    times_us: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    names: list[str] = field(default_factory=list)

    def of(self, actor: str) -> list[Step]:
        row = self.actors.get(actor)
        if row is None:
            return []
        here = slice(int(self.starts[row]), int(self.starts[row + 1]))
        items = [self.names[item] for item in self.items[here].tolist()]
        codes = [schema.EVENT_NAMES[code] for code in self.codes[here].tolist()]
        moments = self.times_us[here].view("M8[us]").tolist()
        times = [moment.replace(tzinfo=UTC) for moment in moments]
        return list(zip(items, codes, times, strict=True))

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
            self.names,
        )

    @property
    def nbytes(self) -> int:
        arrays = (self.starts, self.items, self.codes, self.times_us)
        return sum(array.nbytes for array in arrays)


@dataclass
class _Trail:
    """Live events of one actor; the last `alone` of a visitor's belong to no shopper yet."""

    steps: deque[Step]
    alone: int = 0


class OnlineState:
    """Histories that a request can read right after the event was posted; threads may share it.

    Args:
        history_max: Newest events kept for each shopper or visitor.
        events_max: Live events kept in all; the visitors idle longest are let go first.
    """

    def __init__(self, history_max: int = 600, events_max: int = 1_000_000) -> None:
        self._history_max, self._events_max = history_max, events_max
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
        past, user_of = _arrange(events, self._history_max)
        with self._lock:
            self._past = past
            self._user_of = user_of | self._user_of

    def append(self, rows: Iterable[dict[str, Any]]) -> None:
        """Take rows of `schema.EVENTS`; those without a product are passed over."""
        with self._lock:
            for row in rows:
                self._append(row)
            self._shrink()

    def history(self, user_id: str | None, visitor_id: str | None = None) -> list[Step]:
        """Return what is known of a shopper, a visitor, or both, oldest first.

        Args:
            user_id: Brings the past and everything visitors joined to it.
            visitor_id: Beside a user_id adds only what the visitor did and no shopper owns yet.

        Returns:
            At most `history_max` events.
        """
        with self._lock:
            if user_id is None:
                steps = self._all(_visitor(visitor_id)) if visitor_id else []
            else:
                steps = self._all(_user(user_id))
                if visitor_id and (trail := self._trails.get(_visitor(visitor_id))):
                    steps = steps + list(trail.steps)[len(trail.steps) - trail.alone :]
        steps.sort(key=lambda step: step[2])
        return steps[-self._history_max :]

    def recent(self, user_id: str | None, visitor_id: str | None = None, k: int = 12) -> list[Step]:
        """Return the last k events of `history`, newest first."""
        return self.history(user_id, visitor_id)[::-1][:k]

    def walkers(self, k: int) -> list[tuple[str, int]]:
        """Name up to k shoppers of the past, from the busiest to the quiet, and their events."""
        with self._lock:
            past = self._past
        prefix = _user("")
        known = [actor for actor in past.actors if actor.startswith(prefix)]
        busy = sorted(((past.count(actor), actor) for actor in known), reverse=True)
        step = max(len(busy) * 3 // 4 // max(k, 1), 1)
        return [(actor.removeprefix(prefix), count) for count, actor in busy[::step][:k]]

    def dismissed(self, user_id: str | None, visitor_id: str | None = None) -> set[str]:
        """Return products marked "not interested" and not liked, put in a cart or bought since."""
        gone: set[str] = set()
        for item_id, name, _ in self.history(user_id, visitor_id):
            if name == "dismiss":
                gone.add(item_id)
            elif name in _UNDISMISSED_BY:
                gone.discard(item_id)
        return gone

    def forget(self, user_id: str) -> int:
        """Erase a shopper and the visitors joined to it, and return how many events went."""
        with self._lock:
            joined = [visitor for visitor, user in self._user_of.items() if user == user_id]
            gone = 0
            for actor in (_user(user_id), *map(_visitor, joined)):
                trail = self._trails.pop(actor, None)
                live = len(trail.steps) if trail else 0
                self._num_live -= live
                gone += live + self._past.count(actor)
                if actor in self._past.actors:
                    self._past = self._past.without(actor)
            for visitor in joined:
                del self._user_of[visitor]
        return gone

    def _all(self, actor: str) -> list[Step]:
        past = self._past.of(actor)
        trail = self._trails.get(actor)
        if trail is None:
            return past
        # A segment may be both in the lake and still live, just after it was compacted.
        known = set(past)
        return past + [step for step in trail.steps if step not in known]

    def _append(self, row: dict[str, Any]) -> None:
        user_id, visitor_id = row[schema.USER], row[schema.VISITOR]
        if user_id and visitor_id:
            self._join(visitor_id, user_id)
        if row[schema.ITEM] is None:
            return
        step = (row[schema.ITEM], row[schema.EVENT_NAME], row[schema.TIME])
        if user_id:
            self._push(_user(user_id), step)
            return
        owner = self._user_of.get(visitor_id)
        self._push(_visitor(visitor_id), step, alone=owner is None)
        if owner:
            self._push(_user(owner), step)

    def _join(self, visitor_id: str, user_id: str) -> None:
        self._user_of[visitor_id] = user_id
        trail = self._trails.get(_visitor(visitor_id))
        if trail and trail.alone:
            for step in list(trail.steps)[-trail.alone :]:
                self._push(_user(user_id), step)
            trail.alone = 0

    def _push(self, actor: str, step: Step, alone: bool = False) -> None:
        trail = self._trails.get(actor)
        if trail is None:
            trail = self._trails[actor] = _Trail(deque(maxlen=self._history_max))
        self._trails.move_to_end(actor)
        before = len(trail.steps)
        trail.steps.append(step)
        self._num_live += len(trail.steps) - before
        if alone:
            trail.alone = min(trail.alone + 1, len(trail.steps))

    def _shrink(self) -> None:
        """Let the idlest visitors go, and shoppers only where no visitor is left."""
        if self._num_live <= self._events_max:
            return
        visitors = [actor for actor in self._trails if actor[0] == "v"]
        for actor in visitors + [actor for actor in self._trails if actor[0] == "u"]:
            if self._num_live <= self._events_max:
                return
            self._num_live -= len(self._trails.pop(actor).steps)
            if actor[0] == "v":
                self._user_of.pop(actor[1:], None)


def _user(user_id: str) -> str:
    return "u" + user_id


def _visitor(visitor_id: str) -> str:
    return "v" + visitor_id


def _arrange(events: pl.DataFrame, history_max: int) -> tuple[_Past, dict[str, str]]:
    """Sort a table into flat arrays, the last `history_max` events of each actor."""
    slim = _owned(events).drop_nulls(["actor", schema.ITEM])
    actors, rows = _number(slim["actor"])
    names, items = _number(slim[schema.ITEM])
    codes = slim[schema.EVENT_NAME].cast(pl.Enum(schema.EVENT_NAMES)).to_physical().to_numpy()
    times_us = slim[schema.TIME].to_physical().to_numpy()
    order = np.lexsort((times_us, rows))
    ends = np.cumsum(np.bincount(rows, minlength=len(actors)))
    kept = order[np.arange(len(order)) >= (ends - history_max)[rows[order]]]
    starts = np.zeros(len(actors) + 1, np.int64)
    np.cumsum(np.bincount(rows[kept], minlength=len(actors)), out=starts[1:])
    past = _Past(
        {name: row for row, name in enumerate(actors)},
        starts,
        items[kept],
        codes[kept].astype(np.int8),
        times_us[kept],
        names,
    )
    user_of: dict[str, str] = {}
    if schema.VISITOR in events.columns:
        user_of = dict(_joins(events).iter_rows())
    return past, user_of


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


def _number(values: pl.Series) -> tuple[list[str], NDArray[np.int32]]:
    """Return the distinct texts and the place of each value among them."""
    names = values.unique()
    codes = values.cast(pl.Enum(names)).to_physical().to_numpy().astype(np.int32)
    return names.to_list(), codes
