"""Files that others read are written beside and renamed, so that nobody sees half of one."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shopkeeper.operations.bundles import alive


def write_reports(folder: Path, name: str, content: Any, page: str) -> Path:
    """Write a report as `NAME.json` and `NAME.html`; return the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, text in (("json", json.dumps(content, indent=1, default=str)), ("html", page)):
        partial = folder / f".{name}.{kind}.part"
        partial.write_text(text, "utf-8")
        partial.replace(folder / f"{name}.{kind}")
    return folder / f"{name}.html"


@contextmanager
def whole_file(out: Path) -> Iterator[Path]:
    """Give a file to write beside `out`; it takes its name when the block ends without error.

    What a process that died left beside it is swept away.
    """
    for left in out.parent.glob(f".{out.name}.*.part"):
        writer = left.name.split(".")[-2]
        if not (writer.isdigit() and alive(int(writer))):
            left.unlink(missing_ok=True)
    partial = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
