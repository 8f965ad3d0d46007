"""Vectors without a model: words and pieces of words, hashed into a fixed width.

Source: feature hashing of Weinberger et al., ICML 2009; subwords as in Bojanowski et al., TACL
2017. Texts are near if they share letters, so it is a floor for real encoders, and what a shop
without the `train` extra uses. Knows no meaning.
"""

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from shopkeeper.contracts import TextKind

CHARS_MAX = 2_000
"""Texts are cut to this many characters."""

_WORD = re.compile(r"[^\W_]+")


class Hashing:
    """Encodes texts by hashing what they are written of."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings."""

        width: int = 256
        """Numbers in a vector, from 8 to 4096."""
        pieces_weight: float = 1.5
        """What the pieces of 3 to 5 letters of a word count beside the word itself."""

        def __post_init__(self) -> None:
            if not 8 <= self.width <= 4096:
                raise ValueError(f"width must be from 8 to 4096, but is {self.width}.")
            if not 0 <= self.pieces_weight <= 10:
                raise ValueError(
                    f"pieces_weight must be from 0 to 10, but is {self.pieces_weight}."
                )

    def __init__(self, config: Config) -> None:
        self.config = config

    def encode(self, texts: Sequence[str], kind: TextKind = "passage") -> NDArray[np.float32]:  # noqa: ARG002
        """Return one vector of length 1 per text, [N, D]; the same for every kind of text."""
        vectors = np.zeros((len(texts), self.width), dtype=np.float32)
        for row, text in enumerate(texts):
            for feature, weight in self._features(text).items():
                code = zlib.crc32(feature.encode("utf-8", "replace"))
                sign = 1 if code & 1 else -1
                vectors[row, (code >> 1) % self.width] += sign * weight
        norms = np.linalg.norm(vectors, axis=1)
        # An empty text, or one whose features cancel out, still gets a vector of length 1.
        vectors[norms < 1e-6, 0] = 1.0
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    @property
    def width(self) -> int:
        """Numbers in a vector, D."""
        return self.config.width

    @property
    def fingerprint(self) -> str:
        """A short text that changes whenever vectors would."""
        return f"hashing-{self.config.width}-{self.config.pieces_weight}"

    def ensure(self, folder: Path) -> Self:  # noqa: ARG002
        """Return itself: there is nothing to export into `folder`."""
        return self

    def save(self, folder: Path) -> None:
        """Write nothing: the settings, which the registry keeps, are all there is."""

    def restore(self, folder: Path) -> Self:  # noqa: ARG002
        """Return itself: there is nothing to read in `folder`."""
        return self

    def _features(self, text: str) -> dict[str, float]:
        """Return words and pieces with their weights, repeated ones dampened."""
        weights: dict[str, float] = {}
        for word, count in Counter(_WORD.findall(text[:CHARS_MAX].casefold())).items():
            pieces = [
                f"<{word}>"[at : at + size]
                for size in (3, 4, 5)
                for at in range(len(word) + 3 - size)
            ]
            dampened = count**0.5
            weights[f"word {word}"] = dampened
            share = self.config.pieces_weight * dampened / max(len(pieces), 1) ** 0.5
            for piece in pieces:
                weights[piece] = weights.get(piece, 0.0) + share
        return weights
