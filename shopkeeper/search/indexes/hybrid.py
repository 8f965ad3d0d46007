"""Words and meaning together: a weighted sum of BM25 and cosine.

Source: convex combination of Bruch, Gai and Ingber, TOIS 2023; BM25 is divided by its best score,
the cosine stays as it is, and words weigh less where no product has most of the query's words. Not
reciprocal ranks: those let a weak part spoil a strong one. Every product found by words gets its
exact cosine too. Knows nothing of stock, prices or shoppers.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.contracts import Hits
from shopkeeper.schema import SOURCE
from shopkeeper.search.indexes import dense, lexical

SOURCES = ("", "lexical", "dense", "lexical+dense")


@dataclass(frozen=True)
class Parts:
    """What words and meaning say of N products."""

    rows: NDArray[np.int64]
    words: NDArray[np.float32]
    """BM25 as a share of the best, [N]."""
    meaning: NDArray[np.float32]
    """Cosine, at least 0, [N]."""
    kinds: NDArray[np.int64]
    """Places in `SOURCES`, [N]."""
    trust: float | None
    """How far words may be trusted, from 0 to 1; None where there is no meaning."""

    @classmethod
    def none(cls) -> "Parts":
        """Return what they say of no product."""
        floats, whole = np.zeros(0, np.float32), np.zeros(0, np.int64)
        return cls(whole, floats, floats, whole, None)

    def scores(self, lexical_weight: float) -> NDArray[np.float32]:
        """Return the weighted sum, [N]."""
        if self.trust is None:
            return self.words
        weight = np.float32(lexical_weight * self.trust)
        return weight * self.words + (1 - weight) * self.meaning


class Hybrid:
    """Finds products by words and by meaning."""

    @dataclass(frozen=True, kw_only=True)
    class Config(lexical.Lexical.Config):
        """Settings, beside those of the words."""

        lexical_weight: float = 0.98
        """What words count beside meaning where products have most of them, from 0 to 1."""
        cosine_min: float = 0.35
        """Products not found by words must be at least this near in meaning, from -1 to 1."""
        pool: int = 1000
        """How many products each part may propose at least, from 10."""
        exact_max: int = 100_000
        """Up to so many distinct vectors all are compared, above it a graph is asked."""

        def __post_init__(self) -> None:
            super().__post_init__()
            if not 0 <= self.lexical_weight <= 1:
                raise ValueError(
                    f"lexical_weight must be from 0 to 1, but is {self.lexical_weight}."
                )
            if self.pool < 10:
                raise ValueError(f"pool must be at least 10, but is {self.pool}.")
            self.of_meaning()

        def of_meaning(self) -> dense.Dense.Config:
            """Return the settings of the part that compares vectors."""
            return dense.Dense.Config(cosine_min=self.cosine_min, exact_max=self.exact_max)

    def __init__(self, config: Config) -> None:
        self.config = config
        self._lexical = lexical.Lexical(config)
        self._dense = dense.Dense(config.of_meaning())

    def build(self, products: pl.DataFrame, vectors: NDArray[np.float32]) -> Self:
        """Learn words and vectors [N, D] of `products`; earlier products win ties.

        Raises BadData: The numbers of products and vectors differ, or a vector is not finite.
        """
        self._dense.build(products, vectors)
        self._lexical.build(products, vectors)
        return self

    def revised(self, products: pl.DataFrame, vectors: NDArray[np.float32]) -> Self:
        """Return an index with these products in place of those of their ids, or beside them.

        Raises BadData: As for `build`, or the vectors are as wide as no other.
        """
        made = type(self)(self.config)
        made._dense = self._dense.revised(products, vectors)
        made._lexical = self._lexical.revised(products, vectors)
        return made

    def search(self, query: str, vector: NDArray[np.float32] | None, k: int) -> pl.DataFrame:
        """Return up to k rows of `item_id`, `score`, `source`, best first.

        Without a `vector` [D] the words decide alone.
        """
        found = self.hits(query, vector, k)
        sources = pl.Series(SOURCE, [SOURCES[kind] for kind in found.source], dtype=pl.String)
        return self._lexical.groups.frame(found.rows, found.scores).with_columns(sources)

    def hits(self, query: str, vector: NDArray[np.float32] | None, k: int) -> Hits:
        """Return up to k products, best first; without a `vector` [D] the words decide alone."""
        found = self.parts(query, vector, k)
        scores = found.scores(self.config.lexical_weight)
        best = np.lexsort((found.rows, -scores))[:k]
        return Hits(found.rows[best], scores[best], found.kinds[best], SOURCES)

    @property
    def ids(self) -> NDArray[np.object_]:
        """Product ids by row, [N]."""
        return self._lexical.groups.ids

    def parts(self, query: str, vector: NDArray[np.float32] | None, k: int) -> "Parts":
        """Return what words and meaning say of the products that either proposes.

        Args:
            query: What is searched.
            vector: Its vector [D]; without it words decide alone.
            k: How many products each part proposes at least.

        Returns:
            The products, not yet in order.
        """
        pool = max(k, self.config.pool)
        rows, scores = self._lexical.ranked(query, pool)
        # The best BM25 score becomes 1.
        scores = scores / max(float(scores.max(initial=0.0)), 1e-9)
        asked = self._dense.ask(vector)
        if asked is None:
            nothing = np.zeros(len(rows), dtype=np.float32)
            return Parts(rows, scores, nothing, np.full(len(rows), 1, dtype=np.int64), None)
        near, _ = self._dense.nearest(asked, pool)
        every, words, kinds = _joined(rows, scores, near, len(self.ids))
        meaning = np.maximum(self._dense.cosines(asked, every), 0)
        return Parts(every, words, meaning, kinds, self._trust(query))

    def notes(self, query: str) -> list[str]:
        """Say which words of `query` no product has, and what was done about it."""
        return self._lexical.notes(query)

    def save(self, folder: Path) -> None:
        """Write the index into an empty `folder`."""
        for name, part in (("lexical", self._lexical), ("dense", self._dense)):
            (folder / name).mkdir(parents=True)
            part.save(folder / name)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        self._lexical.restore(folder / "lexical")
        self._dense.restore(folder / "dense")
        return self

    def _trust(self, query: str) -> float:
        """Return 1 where products have at least half of the query's words, 0 if they have none."""
        known, unknown = self._lexical.vocabulary(query)
        return min(1.0, 2 * len(known) / max(len(known) + len(unknown), 1))


def _joined(
    words: NDArray[np.int64], scores: NDArray[np.float32], near: NDArray[np.int64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """Return all rows of `words` and `near`, the scores of words, and their place in SOURCES."""
    by_words, found = np.zeros(size, dtype=np.float32), np.zeros(size, dtype=np.int8)
    by_words[words] = scores
    found[words] += 1
    found[near] += 2
    rows = np.flatnonzero(found)
    return rows, by_words[rows], found[rows].astype(np.int64)
