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

from shopkeeper.schema import SOURCE
from shopkeeper.search.indexes import dense, lexical

SOURCES = ("", "lexical", "dense", "lexical+dense")


class Hybrid:
    """Finds products by words and by meaning."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings."""

        lexical_weight: float = 0.98
        """What words count beside meaning where products have most of them, from 0 to 1."""
        cosine_min: float = 0.35
        """Products not found by words must be at least this near in meaning, from -1 to 1."""
        pool: int = 1000
        """How many products each part may propose at least, from 10."""
        piece_boost: float = 0.9
        """What four letters in a row of title or brand count; a word of the title counts 3."""
        typos: bool = True
        """Whether words that no product has are taken for the nearest words that one has."""

        def __post_init__(self) -> None:
            if not 0 <= self.lexical_weight <= 1:
                raise ValueError(
                    f"lexical_weight must be from 0 to 1, but is {self.lexical_weight}."
                )
            if self.pool < 10:
                raise ValueError(f"pool must be at least 10, but is {self.pool}.")
            dense.Dense.Config(cosine_min=self.cosine_min)
            lexical.Lexical.Config(piece_boost=self.piece_boost, typos=self.typos)

    def __init__(self, config: Config) -> None:
        self.config = config
        self._lexical = lexical.Lexical(
            lexical.Lexical.Config(piece_boost=config.piece_boost, typos=config.typos)
        )
        self._dense = dense.Dense(dense.Dense.Config(cosine_min=config.cosine_min))

    def build(self, products: pl.DataFrame, vectors: NDArray[np.float32]) -> Self:
        """Learn words and vectors [N, D] of `products`; earlier products win ties.

        Raises BadData: The numbers of products and vectors differ, or a vector is not finite.
        """
        self._dense.build(products, vectors)
        self._lexical.build(products, vectors)
        return self

    def search(self, query: str, vector: NDArray[np.float32] | None, k: int) -> pl.DataFrame:
        """Return up to k rows of `item_id`, `score`, `source`, best first.

        Without a `vector` [D] the words decide alone.
        """
        pool = max(k, self.config.pool)
        rows, scores = self._lexical.ranked(query, pool)
        found = np.full(len(rows), 1, dtype=np.int64)
        # The best BM25 score becomes 1.
        scores = scores / max(float(scores.max(initial=0.0)), 1e-9)
        cosines = self._dense.cosines(vector)
        if len(cosines):
            near, _ = self._dense.nearest(cosines, pool)
            weight = np.float32(self.config.lexical_weight * self._trust(query))
            rows, by_words, by_meaning, found = self._join(rows, scores, near, cosines)
            scores = weight * by_words + (1 - weight) * by_meaning
        best = np.lexsort((rows, -scores))[:k]
        sources = pl.Series(SOURCE, [SOURCES[kind] for kind in found[best]], dtype=pl.String)
        return self._lexical.groups.frame(rows[best], scores[best]).with_columns(sources)

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

    def _join(
        self,
        words: NDArray[np.int64],
        word_scores: NDArray[np.float32],
        near: NDArray[np.int64],
        cosines: NDArray[np.float32],
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
        """Return all rows of `words` and `near`, both scores, and their place in SOURCES."""
        rows = np.union1d(words, near)
        at_words, at_near = np.searchsorted(rows, words), np.searchsorted(rows, near)
        by_words = np.zeros(len(rows), dtype=np.float32)
        by_words[at_words] = word_scores
        found = np.zeros(len(rows), dtype=np.int64)
        found[at_words] += 1
        found[at_near] += 2
        by_meaning = np.maximum(cosines[self._dense.groups.text_of[rows]], 0)
        return rows, by_words, by_meaning, found
