"""Vectors that were computed once, by the content of their text or picture.

A folder of small finished files, never changed and only added to, so a killed run loses at most
the batch it was at. Knows nothing of models beyond their fingerprint.
"""

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shopkeeper.contracts import TextKind

KEY_BYTES = 16


class Fingerprinted(Protocol):
    """An encoder of anything that says when its vectors would change."""

    @property
    def width(self) -> int:
        """Numbers in a vector, D."""

    @property
    def fingerprint(self) -> str:
        """A short text that changes whenever vectors would."""


class TextEncoder(Fingerprinted, Protocol):
    """An encoder of texts that says when its vectors would change."""

    def encode(self, texts: Sequence[str], kind: TextKind = "passage") -> NDArray[np.float32]:
        """Return one vector of length 1 per text, [N, D]."""


class VectorCache:
    """Encodes through a `folder` of known vectors, a file for every `texts_per_file` new ones."""

    def __init__(self, folder: Path, texts_per_file: int = 4096) -> None:
        self._folder = folder
        self._texts_per_file = texts_per_file
        self.num_encoded = 0
        """How many texts or pictures had to be encoded so far."""

    def encode(
        self, encoder: TextEncoder, texts: Sequence[str], kind: TextKind = "passage"
    ) -> NDArray[np.float32]:
        """Return one vector of length 1 per text, [N, D]; equal texts are encoded once.

        Args:
            encoder: Who encodes the texts that are not known yet.
            texts: Any texts.
            kind: What the texts are; a query and a passage of equal words are kept apart.

        Returns:
            Vectors rounded to half precision, the same whether they were known or not.
        """
        keys = [key_of(text.encode("utf-8", "replace"), kind) for text in texts]
        # Long runs are sorted by length, so that the batches of the encoder are hardly padded.
        order = sorted(range(len(texts)), key=lambda row: (len(texts[row]), keys[row]))
        vectors = np.zeros((len(texts), encoder.width), dtype=np.float32)
        vectors[order] = self.fill(
            encoder,
            [keys[row] for row in order],
            lambda rows: encoder.encode([texts[order[row]] for row in rows], kind),
        )
        return vectors

    def fill(
        self,
        encoder: Fingerprinted,
        keys: Sequence[bytes],
        make: Callable[[list[int]], NDArray[np.float32]],
    ) -> NDArray[np.float32]:
        """Return a vector for each key, [N, D], made only where it is not known.

        Args:
            encoder: Whose vectors they are.
            keys: What `key_of` says of each content.
            make: Returns the vectors [M, D] of some rows of `keys`, given in their order.

        Returns:
            Vectors of length 1, or 0 where `make` gave 0, rounded to half precision.
        """
        folder = self._folder / encoder.fingerprint
        known = _read(folder, encoder.width)
        wanted: dict[bytes, int] = {}
        for row, key in enumerate(keys):
            if key not in known:
                wanted.setdefault(key, row)
        missing = list(wanted)
        for at in range(0, len(missing), self._texts_per_file):
            chunk = missing[at : at + self._texts_per_file]
            vectors = make([wanted[key] for key in chunk]).astype(np.float16)
            _write(folder, chunk, vectors)
            self.num_encoded += len(chunk)
            known.update(zip(chunk, vectors, strict=True))
        found = np.zeros((len(keys), encoder.width), dtype=np.float32)
        for row, key in enumerate(keys):
            found[row] = known[key]
        norms = np.linalg.norm(found, axis=1, keepdims=True)
        units: NDArray[np.float32] = found / np.maximum(norms, 1e-12)
        return units


def key_of(content: bytes, kind: str = "") -> bytes:
    """Return what `content` is known by, as one kind of thing."""
    return hashlib.blake2b(content, digest_size=KEY_BYTES, person=kind.encode()).digest()


def _read(folder: Path, width: int) -> dict[bytes, NDArray[np.float16]]:
    """Return the vectors of every sound file in `folder`; a broken one is passed over."""
    known: dict[bytes, NDArray[np.float16]] = {}
    for file in sorted(folder.glob("*.npy")):
        try:
            rows = np.load(file, allow_pickle=False)
        except (ValueError, EOFError, OSError):
            continue
        if rows.dtype != _row(width):
            continue
        keys = [key.tobytes() for key in rows["key"]]
        known.update(zip(keys, rows["vector"], strict=True))
    return known


def _write(folder: Path, keys: list[bytes], vectors: NDArray[np.float16]) -> None:
    """Add a finished file: written aside, flushed to the disk, then renamed."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = np.zeros(len(keys), dtype=_row(vectors.shape[1]))
    rows["key"] = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(-1, KEY_BYTES)
    rows["vector"] = vectors
    name = f"{time.time_ns():020d}-{os.getpid()}"
    unfinished = folder / f"{name}.part"
    with unfinished.open("wb") as stream:
        np.save(stream, rows, allow_pickle=False)
        stream.flush()
        os.fsync(stream.fileno())
    unfinished.replace(folder / f"{name}.npy")


def _row(width: int) -> np.dtype[np.void]:
    return np.dtype([("key", np.uint8, (KEY_BYTES,)), ("vector", np.float16, (width,))])
