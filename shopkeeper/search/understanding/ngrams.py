"""Pieces of a text as a vector: words, pairs of words and runs of letters, hashed.

They catch what sentence vectors smooth over: spellings, brand names, one telling word. The hash is
crc32, the same in every process. Knows nothing of labels.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from shopkeeper.search import text

LETTERS = (3, 4)
CHARS_MAX = text.QUERY_CHARS_MAX
_WORD = re.compile(r"[^\W_]+|[?£$€¥%]")


def pieces(query: str) -> list[str]:
    """Return the pieces of `query`; those of one kind never equal those of another."""
    plain = text.clean(query, CHARS_MAX)
    words = _WORD.findall(plain)
    found = [f"w {word}" for word in words]
    found += [f"p {left} {right}" for left, right in pairwise(("", *words, ""))]
    if words:
        found.append(f"p0 {words[0]}")
    for word in words:
        edged = f" {word} "
        found += [edged[at : at + size] for size in LETTERS for at in range(len(edged) - size + 1)]
    return found


def counted(queries: Sequence[str], buckets: int) -> NDArray[np.float32]:
    """Count the pieces of each query in hashed buckets, dampened. Shape [N, buckets]."""
    counts = np.zeros((len(queries), buckets), dtype=np.float32)
    for row, query in enumerate(queries):
        places = [crc32(piece.encode("utf-8", "replace")) % buckets for piece in pieces(query)]
        np.add.at(counts[row], places, 1)
    logs: NDArray[np.float32] = np.log1p(counts)
    return logs
