"""How a running shop hears that products changed: a file that grows by a byte with every change.

Whoever writes products of a shop, in whatever process, lets it grow; its size is all that is read.
Knows nothing of what changed.
"""

from pathlib import Path

FILE = "changes"


def tell(folder: Path) -> int:
    """Say that products in the records of the shop in `folder` changed, and return its size."""
    with (folder / FILE).open("ab") as stream:
        stream.write(b".")
        return stream.tell()


def heard(folder: Path) -> int:
    """Return how many changes there were: the size of the file."""
    file = folder / FILE
    return file.stat().st_size if file.is_file() else 0
