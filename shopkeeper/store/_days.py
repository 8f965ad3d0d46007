"""The files of the days of events: many become one, and what a load brought is taken out.

A file is named by its load; only one that holds several begins with `all-`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from shopkeeper import schema
from shopkeeper.store._rows import LOAD

DAY_FILES_MAX = 8
"""A day of events in more files than this is written anew as one."""

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
