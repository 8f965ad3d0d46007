"""An index whose best products are read beside the query by a cross-encoder, and ordered anew.

The score of the index and that of the cross-encoder, each from 0 to 1 among the products looked
at, are weighed. Knows nothing of how either comes about.
"""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.contracts import CrossEncoder, Index
from shopkeeper.schema import ITEM, SCORE

DEPTH = 50
"""How many products are read."""

Texts = Callable[[Sequence[str]], Sequence[str]]
"""Returns the text of each product of some ids."""


class Crossed:
    """Searches by an index that is built already, and reads its best products."""

    def __init__(self, index: Index, cross: CrossEncoder, texts: Texts, weight: float) -> None:
        """Join both; `weight` is what the cross-encoder counts beside the index, from 0 to 1."""
        self.index, self.cross, self.texts, self.weight = index, cross, texts, weight

    def search(self, query: str, vector: NDArray[np.float32] | None, k: int) -> pl.DataFrame:
        """Return up to k rows of `item_id`, `score` and what the index adds, best first."""
        found = self.index.search(query, vector, max(k, DEPTH))
        head = found.head(DEPTH)
        if head.height > 1 and query.strip():
            order = self.order(query, head[ITEM].to_list(), head[SCORE].to_numpy())
            # The places keep their scores, so that they fall.
            head = head[order.tolist()].with_columns(head[SCORE])
        return pl.concat([head, found.slice(DEPTH)]).head(k)

    def order(
        self, query: str, ids: Sequence[str], scores: NDArray[np.float32]
    ) -> NDArray[np.int64]:
        """Return the order of products by both scores, best first, [K]."""
        said = _spread(self.cross.score(query, self.texts(ids)))
        both = self.weight * said + (1 - self.weight) * _spread(scores)
        order: NDArray[np.int64] = np.argsort(-both, kind="stable")
        return order

    def notes(self, query: str) -> list[str]:
        """Say what the index says of `query`."""
        notes: list[str] = getattr(self.index, "notes", lambda _: [])(query)
        return notes


def _spread(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return scores from 0 for the lowest to 1 for the highest."""
    low, high = float(scores.min()), float(scores.max())
    spread: NDArray[np.float32] = (scores - low) / max(high - low, 1e-9)
    return spread
