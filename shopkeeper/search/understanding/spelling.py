"""Mends typing errors by the words of the shop's own catalogue and log.

Source: the noisy channel of Kernighan, Church and Gale, COLING 1990, here with costs of a hand on
a keyboard in place of counted errors: a neighbouring key, swapped and doubled letters and vowels
for vowels cost less, and words that sound alike may differ more. Every candidate is compared at
once, so no table of deletions is kept. A word that products have is never touched, nor is one with
a digit, one of another script, or one that is sound elsewhere. Knows nothing of meaning.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.training.augment_texts import neighbours

LETTERS_MAX = 20
"""Longer words are left alone."""
WORDS_MAX = 60_000
"""How many of the most frequent words can be what was meant."""
QUERIES_MIN = 5
"""A word that was searched this often is sound, whether or not products have it."""
CONTEXT_ALLOWS = 0.4
"""How much more errors may cost where the word stands beside its neighbours in products."""
FUNCTION_WORDS = frozenset(
    (  # noqa: SIM905
        "a about above after all also an and any are around as at be been before below best "
        "between both but buy by can cheap cheaper cheapest compare could did difference do does "
        "find for from get gift give good has have help her here him his how i if in into is it "
        "its kind less like list look looking made make many max maximum me min minimum more most "
        "much my need new no not of off on one only or order other our out over price show "
        "similar size small so some something than that the their them then there these they "
        "thing things this those to too under until up us use versus very vs want was we were "
        "what when where which while who why will with within without would you your "
    ).split()
)
"""English words that stand in queries and mean no product."""


@dataclass(frozen=True)
class _Costs:
    """What an error costs; 1 is any letter for any other."""

    neighbour: float = 0.7
    vowel: float = 0.8
    swap: float = 0.6
    doubled: float = 0.5
    first: float = 0.25
    sound: float = 0.6
    """What is let off where both words sound alike."""


COSTS = _Costs()


class Spelling:
    """Knows the shop's words, and finds the one that was meant."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._pairs: dict[tuple[str, str], int] = {}
        self._sound: frozenset[str] = frozenset()

    def build(
        self,
        lines: Iterable[Sequence[str]],
        details: Iterable[Sequence[str]] = (),
        queries: Mapping[str, float] | None = None,
        sound: Iterable[str] = (),
    ) -> Self:
        """Learn the words.

        Args:
            lines: The words of each title, brand and category; any can be what was meant.
            details: The words of descriptions: sound, but never what was meant.
            queries: How often each past query was searched.
            sound: Words of the language that are no errors, such as those of a text encoder.

        Returns:
            Itself.
        """
        counts: Counter[str] = Counter()
        pairs: Counter[tuple[str, str]] = Counter()
        for line in lines:
            counts.update(set(line))
            pairs.update(pairwise(line))
        known = set(sound)
        for line in details:
            known.update(line)
        asked: Counter[str] = Counter()
        for query, times in (queries or {}).items():
            for word in query.split():
                asked[word] += max(1, int(times))
        known.update(word for word, times in asked.items() if times >= QUERIES_MIN)
        for word, times in asked.items():
            if word in counts:
                counts[word] += times
        self._sound = frozenset(word for word in known if word.isalpha() and word not in counts)
        return self._take(dict(counts), {pair: n for pair, n in pairs.items() if n > 1})

    def knowing(self, words: Iterable[str]) -> Self:
        """Return one to which more words are sound."""
        made = copy(self)
        made._sound = self._sound | frozenset(words)
        return made

    def knows(self, word: str) -> bool:
        """Say whether products have `word`, in the singular or the plural."""
        return any(form in self._counts for form in forms(word))

    def count(self, word: str) -> int:
        """Return how many texts of products and queries have `word`."""
        return self._counts.get(word, 0)

    def beside(self, left: str, right: str) -> int:
        """Return how many times `right` follows `left` in the texts of products; 0 for once."""
        return self._pairs.get((left, right), 0)

    def is_sound(self, word: str) -> bool:
        """Say whether `word` is to be left alone."""
        if not (3 <= len(word) <= LETTERS_MAX and word.isascii() and word.isalpha()):
            return True
        return word in FUNCTION_WORDS or word in self._sound or self.knows(word)

    def frequent(self) -> list[str]:
        """Return the words that can be what was meant, most frequent first."""
        return [word for word in self._words if word not in FUNCTION_WORDS]

    def correct(self, words: Sequence[str], at: int) -> str | None:
        """Return what `words[at]` was meant to be, or None to leave it.

        Args:
            words: All words of the query in small letters; neighbours help to decide.
            at: Which word.

        Returns:
            A word that products have.
        """
        word = words[at]
        if self.is_sound(word) or not len(self._lengths):
            return None
        limit = _limit(len(word))
        near = self._near(word, 3)
        if not len(near):
            return None
        costs = _distances(word, self._codes[near], self._lengths[near])
        key = sounds(word)
        alike = np.array([self._keys[row] == key for row in near]) & (len(word) >= 5)
        costs = np.where(alike, np.maximum(costs - COSTS.sound, 0.1), costs)
        kept = np.flatnonzero(costs <= limit + CONTEXT_ALLOWS)
        before = words[at - 1] if at else ""
        after = words[at + 1] if at + 1 < len(words) else ""
        best, most = None, -math.inf
        for row in kept:
            meant, cost = self._words[near[row]], float(costs[row])
            context = self._context(before, meant, after)
            score = 0.4 * math.log1p(self._counts[meant]) - 5 * cost + context
            if score > most and (cost <= limit or context):
                best, most = meant, score
        return best

    def save(self, folder: Path) -> None:
        """Write the words into an existing `folder`."""
        words = list(self._counts)
        pl.DataFrame(
            {"word": words, "count": [self._counts[word] for word in words]},
            schema={"word": pl.String, "count": pl.Int64},
        ).write_parquet(folder / "words.parquet")
        pl.DataFrame(
            [(left, right, count) for (left, right), count in self._pairs.items()],
            schema={"left": pl.String, "right": pl.String, "count": pl.Int64},
            orient="row",
        ).write_parquet(folder / "pairs.parquet")
        pl.DataFrame({"word": sorted(self._sound)}, schema={"word": pl.String}).write_parquet(
            folder / "sound.parquet"
        )

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        counts = pl.read_parquet(folder / "words.parquet")
        pairs = pl.read_parquet(folder / "pairs.parquet")
        self._sound = frozenset(pl.read_parquet(folder / "sound.parquet")["word"].to_list())
        known = {(left, right): count for left, right, count in pairs.iter_rows()}
        return self._take(dict(counts.iter_rows()), known)

    def _take(self, counts: dict[str, int], pairs: dict[tuple[str, str], int]) -> Self:
        self._counts, self._pairs = counts, pairs
        meant = [
            word
            for word in counts
            if 3 <= len(word) <= LETTERS_MAX and word.isascii() and word.isalpha()
        ]
        meant.sort(key=lambda word: (-counts[word], word))
        self._words = meant[:WORDS_MAX]
        self._keys = [sounds(word) for word in self._words]
        self._lengths = np.array([len(word) for word in self._words], dtype=np.int64)
        self._codes = np.array([_coded(word) for word in self._words], dtype=np.int8)
        self._codes = self._codes.reshape(len(self._words), LETTERS_MAX)
        self._bags = _bags(self._codes)
        return self

    def _near(self, word: str, edits: int) -> NDArray[np.int64]:
        """Return the words that may be within `edits` letters, by their lengths and letters."""
        short = np.flatnonzero(np.abs(self._lengths - len(word)) <= 2)
        bag = _bags(np.array([_coded(word)], dtype=np.int8))[0]
        apart = np.abs(self._bags[short] - bag).sum(axis=1)
        near: NDArray[np.int64] = short[apart <= 2 * edits - (2 if len(word) < 8 else 0)]
        return near

    def _context(self, before: str, word: str, after: str) -> float:
        beside = self.beside(before, word) + self.beside(word, after)
        return 1.5 * math.log1p(beside)


def forms(word: str) -> tuple[str, ...]:
    """Return `word`, and what it is in the singular and the plural.

    >>> forms("mugs"), forms("mug")
    (('mugs', 'mug'), ('mug', 'mugs', 'muges'))
    """
    if word.endswith("ies") and len(word) > 4:
        return word, word[:-3] + "y"
    if word.endswith("es") and len(word) > 4:
        return word, word[:-1], word[:-2]
    if word.endswith("s") and len(word) > 3:
        return word, word[:-1]
    if word.endswith("y"):
        return word, word + "s", word[:-1] + "ies"
    return word, word + "s", word + "es"


_SOUNDS = tuple(
    (re.compile(pattern), sound)
    for pattern, sound in (
        ("ph", "f"),
        ("^[kg]n", "n"),
        ("^wr", "r"),
        ("gh", ""),
        ("[ct]ia|[ct]io|sh", "x"),
        ("t?ch", "x"),
        ("c(?=[eiy])", "s"),
        ("ck|[cq]", "k"),
        ("g(?=[eiy])|dg", "j"),
        ("z", "s"),
        ("v", "f"),
        ("[wh]", ""),
    )
)


def sounds(word: str) -> str:
    """Return how `word` sounds, roughly: consonants by their sound, no vowels after the first.

    >>> sounds("phone") == sounds("fone"), sounds("candle") == sounds("kandel")
    (True, True)
    """
    for pattern, sound in _SOUNDS:
        word = pattern.sub(sound, word)
    head, tail = word[:1], re.sub("[aeiouy]", "", word[1:])
    return re.sub(r"(.)\1+", r"\1", ("a" if head in "aeiouy" else head) + tail)


def _limit(letters: int) -> float:
    """Return what errors in a word of so many letters may cost."""
    if letters <= 3:
        return 0.7
    if letters == 4:
        return 1.0
    return 1.5 if letters <= 7 else 2.2


def _coded(word: str) -> list[int]:
    """Return letters as numbers from 1, 0 behind the end."""
    codes = [ord(letter) - 96 if "a" <= letter <= "z" else 27 for letter in word[:LETTERS_MAX]]
    return codes + [0] * (LETTERS_MAX - len(codes))


def _bags(codes: NDArray[np.int8]) -> NDArray[np.int8]:
    """Count the letters of each word. Shape [V, 27]."""
    bags = np.zeros((len(codes), 28), dtype=np.int8)
    for column in range(codes.shape[1]):
        np.add.at(bags, (np.arange(len(codes)), codes[:, column]), 1)
    return bags[:, 1:]


def _substitutions() -> NDArray[np.float32]:
    """Return what each letter for each other costs. Shape [28, 28]."""
    costs = np.ones((28, 28), dtype=np.float32)
    for letter, near in neighbours("qwerty").items():
        for other in near:
            costs[ord(letter) - 96, ord(other) - 96] = COSTS.neighbour
    vowels = [ord(letter) - 96 for letter in "aeiou"]
    costs[np.ix_(vowels, vowels)] = np.minimum(costs[np.ix_(vowels, vowels)], COSTS.vowel)
    np.fill_diagonal(costs, 0)
    return costs


_SUBSTITUTION = _substitutions()


def _distances(
    word: str, codes: NDArray[np.int8], lengths: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return what it costs to have typed `word` for each of the words `codes` [C, L]. Shape [C]."""
    typed = _coded(word)[: len(word)]
    width = int(lengths.max())
    size = len(codes)
    missed = np.ones((size, width + 1), dtype=np.float32)  # a letter that was not typed
    for j in range(2, width + 1):
        missed[codes[:, j - 1] == codes[:, j - 2], j] = COSTS.doubled
    missed[:, 0] = 0
    skipped = np.cumsum(missed, axis=1, dtype=np.float32)
    rows = [skipped]
    for i, letter in enumerate(typed, start=1):
        extra = COSTS.doubled if i > 1 and letter == typed[i - 2] else 1.0
        above, row = rows[-1], np.empty((size, width + 1), dtype=np.float32)
        row[:, 0] = above[:, 0] + extra
        changed = above[:, :-1] + _SUBSTITUTION[letter][codes[:, :width]]
        row[:, 1:] = np.minimum(above[:, 1:] + extra, changed)
        if i > 1:
            swapped = (codes[:, : width - 1] == letter) & (codes[:, 1:width] == typed[i - 2])
            swap = np.where(swapped, rows[-2][:, : width - 1] + COSTS.swap, np.inf)
            row[:, 2:] = np.minimum(row[:, 2:], swap)
        # Letters that were not typed: the best of all places to the left, at once.
        rows.append(skipped + np.minimum.accumulate(row - skipped, axis=1))
    costs = rows[-1][np.arange(size), lengths]
    first: NDArray[np.float32] = costs + COSTS.first * (codes[:, 0] != typed[0])
    return first
