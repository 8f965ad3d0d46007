"""The files of the days of events: many become one, and what a load brought is taken out.

A file is named by its load; only one that holds several begins with `all-`.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from shopkeeper import schema
from shopkeeper.store._rows import LOAD

DAY_FILES_MAX = 8
"""A day of events in more files than this is written anew as one."""

_DAY = "_day"

Entries = list[dict[str, Any]]


def crowded(entries: Entries, files_max: int) -> dict[str, Entries]:
    """Return the days that lie in more than `files_max` files, with these files."""
    days: dict[str, Entries] = {}
    for entry in entries:
        days.setdefault(Path(entry["file"]).parent.name, []).append(entry)
    return {day: held for day, held in days.items() if len(held) > files_max}


def as_one(folder: Path, day: str, entries: Entries, version: int) -> Path:
    """Write the rows of a day's files into one file, in the order of time, and return it."""
    paths = sorted(folder / entry["file"] for entry in entries)
    rows = pl.concat([pl.read_parquet(path) for path in paths], how="diagonal_relaxed")
    path = folder / "events" / day / f"all-{version}-0.parquet"
    rows.sort(schema.TIME, schema.EVENT_ID).write_parquet(path)
    return path


def write_days(batches: Iterable[Any], folder: Path, rows_max: int, threads: int) -> None:
    """Write events into a folder for each day; twice as fast as the query engine does.

    Args:
        batches: Arrow batches of events.
        folder: Where the folders of days are made.
        rows_max: Events in memory at once; a day of more comes in several files.
        threads: Files written at once.
    """
    left, held, number = iter(batches), 0, 0
    parts: list[pl.DataFrame] = []
    with ThreadPoolExecutor(threads) as pool:
        while True:
            batch = next(left, None)
            if batch is not None:
                parts.append(pl.DataFrame(batch))
                held += batch.num_rows
            if parts and (batch is None or held >= rows_max):
                rows = pl.concat(parts).with_columns(pl.col(schema.TIME).dt.date().alias(_DAY))
                parts, held = [], 0
                days = rows.partition_by(_DAY, as_dict=True, include_key=False)
                del rows
                list(pool.map(partial(_write_day, folder, number), days.items()))
                del days
                number += 1
            if batch is None:
                return


def _write_day(folder: Path, number: int, day_rows: tuple[tuple[Any, ...], pl.DataFrame]) -> None:
    (day,), rows = day_rows
    path = folder / str(day)
    path.mkdir(exist_ok=True)
    rows.write_parquet(path / f"{number}.parquet", compression="lz4")


def without_loads(
    folder: Path, entries: Entries, loads: Sequence[str], version: int
) -> tuple[Entries, list[Path]]:
    """Take the events of some loads out.

    Args:
        folder: That of the lake.
        entries: The files of events.
        loads: Whose rows go.
        version: That of the manifest, for the names of new files.

    Returns:
        The files that stay, and new ones with what is left of the others.
    """
    stay, fresh = [], []
    for entry in entries:
        path = folder / entry["file"]
        if not path.name.startswith("all-"):
            if not path.name.startswith(tuple(f"{load}-" for load in loads)):
                stay.append(entry)
            continue
        rows = pl.read_parquet(path)
        kept = rows.filter(~pl.col(LOAD).is_in(loads))
        if kept.height == rows.height:
            stay.append(entry)
        elif kept.height:
            new = path.with_name(f"{path.stem.split('~')[0]}~{version}.parquet")
            kept.write_parquet(new)
            fresh.append(new)
    return stay, fresh
