"""Completes what a shopper is typing: past queries, categories and phrases of titles.

Every entry can be reached by the beginning of any of its words; the best sellers come first, and a
word that nothing begins with is tried again with one letter wrong. Bounded: at most 30,000
entries. Knows nothing of the products behind an entry.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.errors import NotFitted
from shopkeeper.schema import CATEGORY, PRODUCT_ID
from shopkeeper.search import text

ENTRIES_MAX = 30_000
TYPED_CHARS_MAX = 60
PHRASE_WORDS_MAX = 3
PHRASE_PRODUCTS_MIN = 3
TYPO_LETTERS_MIN, TYPO_LETTERS_MAX = 4, 14
LOOKED_AT = 200
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
LAST = "\U0010ffff"

KIND_WEIGHT = {"query": 3.0, "category": 2.0, "product": 1.0}
"""What an entry counts by its kind, beside its sales."""

EDGE_WORDS = frozenset(
    ("a", "an", "and", "at", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with")
)
"""Words that no phrase may begin or end with."""


class Suggest:
    """Completes the words of a search box."""

    def __init__(self) -> None:
        self._entries: pl.DataFrame | None = None

    def build(
        self,
        products: pl.DataFrame,
        popularity: Mapping[str, float] | None = None,
        queries: Mapping[str, float] | None = None,
    ) -> Self:
        """Learn what can be completed.

        Args:
            products: `schema.PRODUCTS` rows.
            popularity: Pieces sold by product id; products that lack sold none.
            queries: How often each past query was searched.

        Returns:
            Itself.
        """
        sold = popularity or {}
        sales = [1.0 + max(sold.get(name, 0.0), 0.0) for name in products[PRODUCT_ID]]
        weights: dict[tuple[str, str], float] = {}
        for query, count in (queries or {}).items():
            _add(weights, text.clean(query, TYPED_CHARS_MAX), "query", max(float(count), 0.0))
        if CATEGORY in products.columns:
            for path, sale in zip(products[CATEGORY], sales, strict=True):
                for step in (path or "").split(" > "):
                    _add(weights, step.strip()[:TYPED_CHARS_MAX], "category", sale)
        for phrase, weight in _phrases(products["title"].to_list(), sales):
            _add(weights, phrase, "product", weight)
        return self._take(_best(weights))

    def complete(self, typed: str, k: int = 8) -> list[tuple[str, str]]:
        """Return up to k completions of `typed`, best first.

        Args:
            typed: What stands in the search box.
            k: How many to return at most.

        Returns:
            Text and kind: `query`, `category` or `product`.

        Raises:
            NotFitted: Nothing was built or restored.
        """
        if self._entries is None:
            raise NotFitted("There is nothing to suggest yet. Call `build` or `restore` first.")
        words = text.clean(typed, TYPED_CHARS_MAX).split()
        if not words or k < 1:
            return []
        found = self._matching(words)
        if not len(found):
            return []
        # Entries are numbered best first, so the first ones found are the best.
        found = found[: LOOKED_AT + k * 2]
        start = " ".join(words)
        begins = [self._small[entry].startswith(start) for entry in found.tolist()]
        scores = self._scores[found] * (1.0 + np.array(begins))
        best = found[np.lexsort((found, -scores))[: k * 2]]
        shown: dict[str, tuple[str, str]] = {}
        for entry in best.tolist():
            name = self._texts[entry]
            shown.setdefault(name.casefold(), (name, self._kinds[entry]))
        return list(shown.values())[:k]

    def save(self, folder: Path) -> None:
        """Write what can be completed into an existing `folder`."""
        if self._entries is None:
            raise NotFitted("There is nothing to save yet. Call `build` first.")
        self._entries.write_parquet(folder / "suggest.parquet")

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        return self._take(pl.read_parquet(folder / "suggest.parquet"))

    def __len__(self) -> int:
        return 0 if self._entries is None else self._entries.height

    def _take(self, entries: pl.DataFrame) -> Self:
        self._entries = entries
        self._texts: list[str] = entries["text"].to_list()
        self._kinds: list[str] = entries["kind"].to_list()
        self._scores: NDArray[np.float64] = entries["score"].to_numpy()
        self._small = [text.clean(name) for name in self._texts]
        starts = sorted(
            (word, entry) for entry, name in enumerate(self._small) for word in set(name.split())
        )
        self._words = [word for word, _ in starts]
        self._entry_of = np.array([entry for _, entry in starts], dtype=np.int64)
        return self

    def _matching(self, words: list[str]) -> NDArray[np.int64]:
        """Return the entries in which every typed word begins some word, in their order."""
        found = np.ones(len(self._texts), dtype=bool)
        for word in words:
            entries = self._beginning([word])
            if not entries.any() and TYPO_LETTERS_MIN <= len(word) <= TYPO_LETTERS_MAX:
                entries = self._beginning(self._guesses(word))
            found &= entries
        return np.flatnonzero(found)

    def _beginning(self, starts: list[str]) -> NDArray[np.bool_]:
        """Say which entries have a word that begins with one of `starts`."""
        found = np.zeros(len(self._texts), dtype=bool)
        for start in starts:
            begin, end = bisect_left(self._words, start), bisect_left(self._words, start + LAST)
            found[self._entry_of[begin:end]] = True
        return found

    def _guesses(self, word: str) -> list[str]:
        """Return the known beginnings that one wrong letter away from `word`."""
        known = []
        for guess in dict.fromkeys(_edits(word)):
            at = bisect_left(self._words, guess)
            if at < len(self._words) and self._words[at].startswith(guess):
                known.append(guess)
        return known


def _add(weights: dict[tuple[str, str], float], name: str, kind: str, weight: float) -> None:
    if len(name) >= 2:
        weights[name, kind] = weights.get((name, kind), 0.0) + weight


def _best(weights: dict[tuple[str, str], float]) -> pl.DataFrame:
    """Return the entries that count most: log of sales times the weight of the kind."""
    rows = [
        (name, kind, float(np.log1p(weight)) * KIND_WEIGHT[kind])
        for (name, kind), weight in weights.items()
    ]
    rows.sort(key=lambda row: (-row[2], row[0], row[1]))
    schema = {"text": pl.String, "kind": pl.String, "score": pl.Float64}
    return pl.DataFrame(rows[:ENTRIES_MAX], schema=schema, orient="row")


def _phrases(titles: list[str | None], sales: list[float]) -> Iterator[tuple[str, float]]:
    """Yield the phrases that several titles share, and short whole titles, with their sales."""
    sold: Counter[str] = Counter()
    for title, sale in zip(titles, sales, strict=True):
        sold[text.clean(title, TYPED_CHARS_MAX)] += sale  # type: ignore[assignment]
    counts: Counter[str] = Counter()
    weights: dict[str, float] = {}
    for title, sale in sold.items():
        for phrase in dict.fromkeys(_runs(title)):
            counts[phrase] += 1
            weights[phrase] = weights.get(phrase, 0.0) + sale
    for phrase, count in counts.items():
        if count >= PHRASE_PRODUCTS_MIN or phrase in sold:
            yield phrase, weights[phrase]


def _runs(title: str) -> Iterable[str]:
    """Yield the whole title, and every run of up to three of its words that can stand alone."""
    words = [word.strip(",.;:!?()[]\"'-") for word in title.split()]
    words = [word for word in words if word]
    if words:
        yield " ".join(words)
    for size in range(1, PHRASE_WORDS_MAX + 1):
        for at in range(len(words) - size + 1):
            first, last = words[at], words[at + size - 1]
            if not {first, last} & EDGE_WORDS and not first.isdigit() and len(last) > 1:
                yield " ".join(words[at : at + size])


def _edits(word: str) -> Iterator[str]:
    """Yield every text one letter dropped, swapped, changed or added away from `word`."""
    for at in range(len(word)):
        head, tail = word[:at], word[at:]
        yield head + tail[1:]
        if len(tail) > 1:
            yield head + tail[1] + tail[0] + tail[2:]
        for letter in LETTERS:
            yield head + letter + tail[1:]
            yield head + letter + tail
