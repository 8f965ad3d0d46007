"""Live events on their way from the event log into the lake, each counted once."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from shopkeeper.errors import ShopkeeperError
from shopkeeper.schema import EVENT_ID, EVENT_NAME, EVENTS, ITEM, TIME, USER, VISITOR
from shopkeeper.store.lake import Lake
from shopkeeper.streaming import log as streaming
from shopkeeper.streaming.log import EventLog

Row = dict[str, Any]


def fold_log(lake: Lake, log: EventLog) -> list[Row]:
    """Move all events of the log into the lake, and drop what is there from the log.

    Args:
        lake: Where they go; events whose id it knows change nothing.
        log: The log, which this process writes.

    Returns:
        Events that had to stay in the log because another process writes to the lake.
    """
    rows = list(log.replay())
    if not rows:
        return []
    try:
        lake.append_events(_table(rows))
    except ShopkeeperError:
        known = _known(lake, rows)
        return [row for row in rows if _lake_id(row[EVENT_ID]) not in known]
    log.drop(log.seal())
    return []


def unfolded(lake: Lake, folder: Path) -> list[Row]:
    """Return the events of a log that another process writes, but for those in the lake."""
    rows = list(streaming.read(folder)) if folder.is_dir() else []
    known = _known(lake, rows) if rows else set()
    return [row for row in rows if _lake_id(row[EVENT_ID]) not in known]


def copy_log(lake: Lake, folder: Path) -> int:
    """Copy the events of a log that another process may be writing; return how many were new."""
    rows = list(streaming.read(folder)) if folder.is_dir() else []
    return lake.append_events(_table(rows)) if rows else 0


def past_events(lake: Lake, events_max: int) -> pl.DataFrame:
    """Return who did what with which product, the newest `events_max`, for the online state.

    In the lake's order, which the state sorts by time itself: a shop that starts is waited for.
    """
    columns = (USER, VISITOR, ITEM, EVENT_NAME, TIME)
    joins = pl.col(USER).is_not_null() & pl.col(VISITOR).is_not_null()
    acted = pl.col(ITEM).is_not_null() & (
        pl.col(USER).is_not_null() | pl.col(VISITOR).is_not_null()
    )
    rows = lake.newest_events(columns, events_max).filter(joins | acted)
    if rows.height > events_max:
        rows = rows.sort(TIME, maintain_order=True).tail(events_max)
    return rows


def _table(rows: Iterable[Row]) -> pl.DataFrame:
    """Give each product of an event an id of its own, the same on every run.

    Live ids are told apart from those of sources, whatever a client chose.
    """
    seen: Counter[str] = Counter()
    numbered = []
    for row in rows:
        at = seen[row[EVENT_ID]]
        seen[row[EVENT_ID]] += 1
        numbered.append({**row, EVENT_ID: _lake_id(row[EVENT_ID], at)})
    return pl.DataFrame(numbered, schema=EVENTS)


def _lake_id(event_id: str, at: int = 0) -> str:
    return f"live:{at}:{event_id}"


def _known(lake: Lake, rows: Iterable[Row]) -> set[str]:
    table = lake.table("events")
    ids = sorted({_lake_id(row[EVENT_ID]) for row in rows})
    found = table.filter(table[EVENT_ID].isin(ids)).select(EVENT_ID).to_polars()
    return set(found[EVENT_ID].to_list())
