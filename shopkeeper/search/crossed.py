"""An index whose best products are read beside the query by a cross-encoder, and ordered anew.

The score of the index and that of the cross-encoder, each from 0 to 1 among the products looked
at, are weighed. Knows nothing of how either comes about.
"""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.contracts import CrossEncoder, Hits, Index
from shopkeeper.schema import ITEM, PRODUCT_ID, SCORE, SOURCE
from shopkeeper.search.text import product_text

DEPTH = 50
"""How many products are read."""


class Crossed:
    """Searches by an index that is built already, and reads its best products."""

    def __init__(
        self, index: Any, cross: CrossEncoder, texts: Mapping[str, str], weight: float
    ) -> None:
        """Join both.

        Args:
            index: An index that numbers its products.
            cross: Who reads.
            texts: What is read of each product, by id.
            weight: What the cross-encoder counts beside the index, from 0 to 1.
        """
        self.index, self.cross, self.texts, self.weight = index, cross, texts, weight

    @classmethod
    def of(cls, index: Index, cross: Any, products: pl.DataFrame) -> Self:
        """Let `cross` read these products; it says itself what it counts."""
        return cls(index, cross, _texts(products), cross.config.weight)

    @property
    def ids(self) -> NDArray[np.object_]:
        """Product ids by number, [N]."""
        ids: NDArray[np.object_] = self.index.ids
        return ids

    def hits(self, query: str, vector: NDArray[np.float32] | None, k: int) -> Hits:
        """Return up to k products, best first."""
        found: Hits = self.index.hits(query, vector, max(k, DEPTH))
        head = min(len(found.rows), DEPTH)
        order = np.arange(len(found.rows))
        if head > 1 and query.strip():
            read = [self.texts.get(name, "") for name in self.ids[found.rows[:head]]]
            said = _spread(self.cross.score(query, read))
            both = self.weight * said + (1 - self.weight) * _spread(found.scores[:head])
            order[:head] = np.argsort(-both, kind="stable")
        order = order[:k]
        # The places keep their scores, so that they fall.
        return Hits(found.rows[order], found.scores[:k], found.source[order], found.sources)

    def search(self, query: str, vector: NDArray[np.float32] | None, k: int) -> pl.DataFrame:
        """Return up to k rows of `item_id`, `score`, `source`, best first."""
        found = self.hits(query, vector, k)
        return pl.DataFrame(
            {
                ITEM: pl.Series(self.ids[found.rows].tolist(), dtype=pl.String),
                SCORE: pl.Series(found.scores, dtype=pl.Float32),
                SOURCE: pl.Series([found.sources[at] for at in found.source], dtype=pl.String),
            }
        )

    def revised(self, products: pl.DataFrame, vectors: NDArray[np.float32]) -> "Crossed":
        """Return the same with these products in place of those of their ids, or beside them."""
        index = self.index.revised(products, vectors)
        return Crossed(index, self.cross, {**self.texts, **_texts(products)}, self.weight)

    def notes(self, query: str) -> list[str]:
        """Say what the index says of `query`."""
        notes: list[str] = getattr(self.index, "notes", lambda _: [])(query)
        return notes


def _texts(products: pl.DataFrame) -> dict[str, str]:
    return dict(zip(products[PRODUCT_ID], product_text(products), strict=True))


def _spread(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return scores from 0 for the lowest to 1 for the highest."""
    low, high = float(scores.min()), float(scores.max())
    spread: NDArray[np.float32] = (scores - low) / max(high - low, 1e-9)
    return spread
