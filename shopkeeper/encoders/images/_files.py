"""Encodes files of pictures, each content once, a few in memory at a time.

Knows nothing of products.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shopkeeper.contracts import ImageEncoder
from shopkeeper.encoders._cache import Fingerprinted, VectorCache, key_of
from shopkeeper.encoders.images._opening import BYTES_MAX, open_picture
from shopkeeper.errors import BadData

OPEN_MAX = 32
"""Pictures in memory at a time."""

_log = logging.getLogger(__name__)


class PictureEncoder(Fingerprinted, ImageEncoder, Protocol):
    """An encoder of pictures that says when its vectors would change."""


def encode_files(
    encoder: PictureEncoder, files: Sequence[Path], cache: VectorCache
) -> NDArray[np.float32]:
    """Return a vector of length 1 for each file, [N, D], and 0 for one that is no picture.

    Args:
        encoder: Who encodes contents that are not known yet.
        files: Pictures; one that is missing, broken or too large is named in the log.
        cache: Knows vectors by content.

    Returns:
        The vectors, rounded to half precision.
    """
    keys = [key_of(_content(file)) for file in files]

    def make(rows: list[int]) -> NDArray[np.float32]:
        chunks = [rows[at : at + OPEN_MAX] for at in range(0, len(rows), OPEN_MAX)]
        return np.concatenate([_encoded(encoder, [files[row] for row in each]) for each in chunks])

    return cache.fill(encoder, keys, make)


def _encoded(encoder: PictureEncoder, files: Sequence[Path]) -> NDArray[np.float32]:
    vectors = np.zeros((len(files), encoder.width), dtype=np.float32)
    opened = {}
    for row, file in enumerate(files):
        try:
            opened[row] = open_picture(_content(file))
        except BadData as error:
            _log.warning("%s is left out: %s", file.name, error)
    if opened:
        vectors[list(opened)] = encoder.encode(list(opened.values()))
    return vectors


def _content(file: Path) -> bytes:
    """Return the bytes of a file, none where it cannot be read, at most one too many."""
    try:
        with file.open("rb") as stream:
            return stream.read(BYTES_MAX + 1)
    except OSError:
        return b""
