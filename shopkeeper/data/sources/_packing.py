"""Opens files packed by gzip, and refuses those that would unpack to beyond all measure."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from shopkeeper.data.sources import _text
from shopkeeper.errors import BadData

RATIO_MAX = 200
"""How many bytes may come of one, where text gives 3 to 30 and deflate could give 1,032."""
LOOKED_AT_BYTES = 4 * 2**20


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading, unpacked; one whose packing breaks on the way is BadData."""
    try:
        with _text.opened(path) as file:
            yield file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _text.broken(path, error) from error


def refuse_bombs(path: Path) -> None:
    """Raise BadData where the first megabytes of a file in gzip unpack to far too much."""
    if path.suffix.lower() != ".gz":
        return
    unpacker = zlib.decompressobj(wbits=31)
    taken = given = 0
    with path.open("rb") as file:
        while given < LOOKED_AT_BYTES and (piece := file.read(4096)):
            taken += len(piece)
            try:
                while piece and given < LOOKED_AT_BYTES:
                    given += len(unpacker.decompress(piece, 65_536))
                    piece = unpacker.unconsumed_tail
            except zlib.error:
                # Whoever reads the file says what is wrong with it.
                return
            taken -= len(piece)
    if given >= LOOKED_AT_BYTES // 4 and given > RATIO_MAX * taken:
        raise BadData(
            f"The file {path} unpacks to more than {RATIO_MAX} times its size, as no export does. "
            "Unpack it yourself and look, or export it again."
        )
