"""Words and meaning together, and an order learned from what past queries found.

What `hybrid` proposes is ordered anew by a ranker that looks at many signals at once: BM25,
cosine, which words of the query title, category, brand and other fields have, numbers, letters.
Source: the gradient-boosted last stage of Vespa's experiments on ESCI, 2023. Without a ranker it
answers as `hybrid` does. Knows nothing of stock, prices or shoppers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper import registry
from shopkeeper.contracts import Hits, Ranker
from shopkeeper.search import text
from shopkeeper.search.indexes import hybrid, lexical
from shopkeeper.search.indexes._bags import Bag

# K candidates, F signals

GRAM = 4
BAGS = ("title", "pairs", "numbers", "pieces", "product_type", "brand", "details")
EXACT = 1 - 1e-4
ORDER = "order"
"""Folder of the ranker."""


@dataclass(frozen=True)
class Examples:
    """What a ranker of `learned` learns from; see `contracts.Ranker`."""

    features: NDArray[np.float32]
    labels: NDArray[np.float32]
    weights: NDArray[np.float32]
    owners: NDArray[np.int64]


class Learned(hybrid.Hybrid):
    """Finds products by words and by meaning, in a learned order."""

    @dataclass(frozen=True, kw_only=True)
    class Config(hybrid.Hybrid.Config):
        """Settings, beside those of words and meaning."""

        depth: int = 100
        """How many of the best are ordered anew, from 10."""

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.depth < 10:
                raise ValueError(f"depth must be at least 10, but is {self.depth}.")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.depth = config.depth
        self.order: Ranker | None = None
        """Who orders; None leaves the order of `hybrid`."""
        self._products: pl.DataFrame | None = None
        self._bags: dict[str, Bag] = {}

    def build(self, products: pl.DataFrame, vectors: NDArray[np.float32]) -> Self:
        """Learn words and vectors [N, D] of `products`; earlier products win ties.

        Raises BadData: The numbers of products and vectors differ, or a vector is not finite.
        """
        super().build(products, vectors)
        self._products, self._bags = products, {}
        return self

    def revised(self, products: pl.DataFrame, vectors: NDArray[np.float32]) -> Self:
        """Return an index with these products in place of those of their ids, or beside them.

        Raises BadData: As for `build`, or the vectors are as wide as no other.
        """
        made = super().revised(products, vectors)
        made.order = self.order
        if self.order is not None:
            self._know_words()
            more = _words_of(products)
            made._bags = {name: bag.then(more[name]) for name, bag in self._bags.items()}
        return made

    def hits(self, query: str, vector: NDArray[np.float32] | None, k: int) -> Hits:
        """Return up to k products, best first.

        Without a `vector` [D], or where nothing was learned, the order is that of `hybrid`.
        """
        parts = self.parts(query, vector, k)
        scores = parts.scores(self.config.lexical_weight)
        best = np.lexsort((parts.rows, -scores))[: max(k, self.depth)]
        falling = scores[best]
        if self.order is not None and vector is not None and len(best) > 1:
            head = best[: self.depth]
            learned = self.order.score(self.signals(query, parts, head))
            # What is named exactly stays in front, whatever was learned.
            named = self._is_named(query, parts.rows[head])
            order = np.lexsort((np.arange(len(head)), -learned, ~named))
            best = np.concatenate([head[order], best[self.depth :]])
        best = best[:k]
        return Hits(parts.rows[best], falling[:k], parts.kinds[best], hybrid.SOURCES)

    def signals(
        self, query: str, parts: hybrid.Parts, chosen: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return what a ranker looks at.

        Args:
            query: What is searched.
            parts: What words and meaning say.
            chosen: Places in `parts`, [K].

        Returns:
            A row for each candidate, [K, F].
        """
        self._know_words()
        rows = parts.rows[chosen]
        words = text.words(query, text.QUERY_CHARS_MAX)
        asked = {
            "pairs": list(_pairs(words)),
            "numbers": list(_numbers(words)),
            "pieces": list(_pieces(words)),
        }
        scores = parts.scores(self.config.lexical_weight)
        columns = [
            parts.words[chosen],
            parts.meaning[chosen],
            parts.meaning[chosen] - parts.meaning.max(initial=0.0),
            scores[chosen],
            _ranks(parts.words)[chosen],
            _ranks(parts.meaning)[chosen],
            np.full(len(chosen), parts.trust or 0.0),
            np.full(len(chosen), len(words)),
            np.full(len(chosen), len(asked["numbers"])),
            self._bags["title"].counts(rows),
        ]
        for name in BAGS:
            if name in self._bags:
                columns += self._bags[name].shares(asked.get(name, words), rows)
        return np.stack(columns, axis=1).astype(np.float32)

    def examples(
        self,
        queries: Mapping[str, str],
        vectors: NDArray[np.float32],
        grades: Mapping[str, Mapping[str, float]],
    ) -> Examples:
        """Return what a ranker can learn from queries whose right products are known.

        A product of some grade counts as right by its share of the highest grade, and as wrong by
        the rest.

        Args:
            queries: Text by id.
            vectors: One for each, in their order, [Q, D].
            grades: Grade by product, for each query.

        Returns:
            The candidates of all queries.
        """
        most = max((g for one in grades.values() for g in one.values()), default=1.0)
        found = []
        for owner, ((one, query), vector) in enumerate(zip(queries.items(), vectors, strict=True)):
            parts = self.parts(query, vector, self.depth)
            best = self._best(parts)
            share = np.array(
                [grades[one].get(name, 0.0) / most for name in self.ids[parts.rows[best]]],
                dtype=np.float32,
            )
            if not share.any():
                continue
            features = self.signals(query, parts, best)
            right, partly = share > 0, (share > 0) & (share < 1)
            # A grade in between stands twice: right by its share, wrong by the rest.
            found.append(
                (
                    np.concatenate([features, features[partly]]),
                    np.concatenate([right, np.zeros(partly.sum(), bool)]).astype(np.float32),
                    np.concatenate([np.where(right, share, 1), 1 - share[partly]]),
                    np.full(len(best) + int(partly.sum()), owner),
                )
            )
        if not found:
            width = self.signals("", hybrid.Parts.none(), np.zeros(0, np.int64)).shape[1]
            empty = np.zeros(0, np.float32)
            return Examples(np.zeros((0, width), np.float32), empty, empty, np.zeros(0, np.int64))
        return Examples(*(np.concatenate(part) for part in zip(*found, strict=True)))

    def save(self, folder: Path) -> None:
        """Write the index into an empty `folder`."""
        super().save(folder)
        if self.order is not None:
            self._know_words()
            for name, bag in self._bags.items():
                bag.save(folder / f"{name}.npz")
            registry.save(self.order, folder / ORDER)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        super().restore(folder)
        files = [folder / f"{name}.npz" for name in BAGS]
        self._bags = {file.stem: Bag.restore(file) for file in files if file.is_file()}
        self.order = registry.load(folder / ORDER) if (folder / ORDER).is_dir() else None
        return self

    def _know_words(self) -> None:
        """Note the words of every product; only a learned order needs them."""
        products = self._products
        if self._bags or products is None:
            return
        self._bags = {name: Bag.of(lines) for name, lines in _words_of(products).items()}

    def _is_named(self, query: str, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say which products have the query as id, or all its words and no others as title."""
        asked, own = self._bags["title"].shares(text.words(query, text.QUERY_CHARS_MAX), rows)
        by_id = self.ids[rows] == query.strip()
        named: NDArray[np.bool_] = ((asked > EXACT) & (own > EXACT)) | by_id.astype(bool)
        return named

    def _best(self, parts: hybrid.Parts) -> NDArray[np.int64]:
        """Return the places of the best candidates, best first, [K]."""
        scores = parts.scores(self.config.lexical_weight)
        best: NDArray[np.int64] = np.lexsort((parts.rows, -scores))[: self.depth]
        return best


def _lines(products: pl.DataFrame, columns: tuple[str, ...]) -> list[str]:
    there = [column for column in columns if column in products.columns]
    if not there:
        return [""] * products.height
    return [" ".join(filter(None, row)) for row in products.select(there).iter_rows()]


def _words_of(products: pl.DataFrame) -> dict[str, list[list[str]]]:
    """Return the words that each bag holds of each product."""
    lines = {name: _lines(products, columns) for name, columns in lexical.FIELDS.items()}
    found = {name: [text.words(line) for line in each] for name, each in lines.items()}
    titles = found["title"]
    made = {"pairs": _pairs, "numbers": _numbers, "pieces": _pieces}
    return found | {name: [list(make(words)) for words in titles] for name, make in made.items()}


def _pairs(words: list[str]) -> Iterator[str]:
    """Yield neighbouring words."""
    return (f"{left} {right}" for left, right in pairwise(words))


def _numbers(words: list[str]) -> Iterator[str]:
    """Yield words with a digit: sizes, models, years."""
    return (word for word in words if any(letter.isdigit() for letter in word))


def _pieces(words: list[str]) -> Iterator[str]:
    """Yield every four letters in a row of the words written without spaces."""
    joined = "".join(words)
    return (joined[at : at + GRAM] for at in range(max(len(joined) - GRAM + 1, 0)))


def _ranks(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the log of each place by falling score, 0 for the first."""
    ranks = np.empty(len(scores), dtype=np.float32)
    ranks[np.argsort(-scores, kind="stable")] = np.log1p(np.arange(len(scores)))
    return ranks
