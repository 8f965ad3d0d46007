"""Which words each product has, as numbers side by side, so that many are compared at once.

Knows nothing of what the words are.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

# N products, K of them compared, V distinct words

Rows = NDArray[np.int64]
Floats = NDArray[np.float32]


class Bag:
    """The distinct words of each of N lines, rare ones weighing more."""

    def __init__(self, words: Sequence[str], numbers: NDArray[np.int32], ends: Rows) -> None:
        self._words = list(words)
        self._number_of = {word: at for at, word in enumerate(self._words)}
        self._numbers, self._ends = numbers, ends
        found = np.bincount(numbers, minlength=len(self._words))
        num = max(len(ends), 1)
        self._weight_V = np.log1p(num / (1.0 + found)).astype(np.float32)
        self._unknown = float(np.log1p(num))
        self._marked = np.zeros(len(self._words), dtype=np.float32)
        starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
        sums = np.concatenate([[0.0], np.cumsum(self._weight_V[numbers], dtype=np.float64)])
        self._total_N = (sums[ends] - sums[starts]).astype(np.float32)
        self._starts = starts

    @classmethod
    def of(cls, lines: Iterable[Iterable[str]]) -> Self:
        """Number the words of each line."""
        number_of: dict[str, int] = {}
        numbers: list[int] = []
        ends: list[int] = []
        for line in lines:
            numbers += [number_of.setdefault(word, len(number_of)) for word in dict.fromkeys(line)]
            ends.append(len(numbers))
        return cls(list(number_of), np.array(numbers, np.int32), np.array(ends, np.int64))

    def then(self, lines: Iterable[Iterable[str]]) -> "Bag":
        """Return the same lines with others behind them."""
        words, number_of = list(self._words), dict(self._number_of)
        numbers: list[int] = []
        ends: list[int] = []
        for line in lines:
            for word in dict.fromkeys(line):
                if word not in number_of:
                    number_of[word] = len(words)
                    words.append(word)
                numbers.append(number_of[word])
            ends.append(len(self._numbers) + len(numbers))
        return Bag(
            words,
            np.concatenate([self._numbers, np.array(numbers, np.int32)]),
            np.concatenate([self._ends, np.array(ends, np.int64)]),
        )

    def shares(self, query: Iterable[str], rows: Rows) -> tuple[Floats, Floats]:
        """Say how much of a query lines have, and how much of lines the query has.

        Args:
            query: Words.
            rows: Lines, [K].

        Returns:
            Shares of the weight of the query's words, [K], and of each line's words, [K].
        """
        asked = list(dict.fromkeys(query))
        known = [self._number_of[word] for word in asked if word in self._number_of]
        total = float(self._weight_V[known].sum()) + self._unknown * (len(asked) - len(known))
        marked = np.zeros_like(self._marked)
        marked[known] = self._weight_V[known]
        starts, sizes = self._starts[rows], (self._ends - self._starts)[rows]
        before = np.cumsum(sizes) - sizes
        within = np.arange(int(sizes.sum())) - np.repeat(before, sizes)
        hits = marked[self._numbers[np.repeat(starts, sizes) + within]]
        sums = np.concatenate([[0.0], np.cumsum(hits, dtype=np.float64)])
        covered = (sums[before + sizes] - sums[before]).astype(np.float32)
        return covered / max(total, 1e-9), covered / np.maximum(self._total_N[rows], 1e-9)

    def counts(self, rows: Rows) -> Floats:
        """Return how many words lines have, [K]."""
        sizes: Floats = (self._ends - self._starts)[rows].astype(np.float32)
        return sizes

    def save(self, file: Path) -> None:
        """Write into a file that ends in .npz."""
        words = "\n".join(self._words).encode()
        np.savez(file, words=np.frombuffer(words, np.uint8), numbers=self._numbers, ends=self._ends)

    @classmethod
    def restore(cls, file: Path) -> Self:
        """Read what `save` wrote."""
        with np.load(file, allow_pickle=False) as found:
            words = found["words"].tobytes().decode()
            return cls(words.split("\n") if words else [], found["numbers"], found["ends"])
