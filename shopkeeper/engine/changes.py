"""How a running shop hears what changed: a file that grows by a byte with every change.

Whoever writes products or rules of a shop, in whatever process, lets the file grow; its size is all
that is read. Knows nothing of what changed.
"""

from pathlib import Path

FILE = "changes"
"""Grows with every change of products."""
RULES = "changes.rules"
"""Grows with every change of rules."""


def tell(folder: Path, file: str = FILE) -> int:
    """Say that records of the shop in `folder` changed, and return the size of the file."""
    with (folder / file).open("ab") as stream:
        stream.write(b".")
        return stream.tell()


def heard(folder: Path, file: str = FILE) -> int:
    """Return how many changes there were: the size of the file."""
    path = folder / file
    return path.stat().st_size if path.is_file() else 0
