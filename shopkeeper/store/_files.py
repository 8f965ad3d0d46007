"""The files of the lake as its manifest names them: each with its rows and bytes.

Knows nothing of what the rows say.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shopkeeper.errors import BadData

Entry = dict[str, Any]
"""`file` within the lake, `rows`, `bytes`."""


def described(folder: Path, paths: Sequence[Path]) -> list[Entry]:
    """Describe files of a lake for its manifest; a file without rows is left out."""
    import pyarrow.parquet as pq

    entries = [
        {
            "file": str(path.relative_to(folder)),
            "rows": pq.read_metadata(path).num_rows,
            "bytes": path.stat().st_size,
        }
        for path in paths
    ]
    return [entry for entry in entries if entry["rows"]]


def sound(folder: Path, entries: Sequence[Entry]) -> list[Path]:
    """Return the files of some entries, or raise BadData where one is not as written."""
    for entry in entries:
        verify(folder, entry)
    return [folder / entry["file"] for entry in entries]


def verify(folder: Path, entry: Entry) -> None:
    """Raise BadData unless the file is as long as it was and ends like Parquet."""
    path = folder / entry["file"]
    try:
        with path.open("rb") as file:
            file.seek(-4, os.SEEK_END)
            whole = file.read() == b"PAR1" and file.tell() == entry["bytes"]
    except OSError:
        whole = False
    if not whole:
        raise BadData(
            f"The file {path} is missing or half-written: expected {entry['bytes']} bytes of "
            "Parquet. Restore it from a backup, or delete the lake and ingest again."
        )
