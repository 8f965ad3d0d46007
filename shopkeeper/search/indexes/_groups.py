"""Products that share one text or vector, so that each distinct one is kept and scored once.

Knows nothing of what is shared.
"""

from collections.abc import Hashable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.schema import ITEM, SCORE

GONE = -1
"""In the place of its text, for a product that another row replaces."""


class Groups:
    """Which products share a text. N products, T distinct texts, numbered by first appearance."""

    def __init__(
        self,
        ids: Sequence[str] | NDArray[np.object_],
        text_of: NDArray[np.int32],
        num_texts: int = 0,
    ) -> None:
        self.ids: NDArray[np.object_] = np.asarray(ids, dtype=object)
        self.text_of = text_of
        self.num_texts = max(int(text_of.max(initial=-1)) + 1, num_texts)
        there = np.flatnonzero(text_of != GONE)
        self._rows = there[np.argsort(text_of[there], kind="stable")]
        self.sizes = np.bincount(text_of[there], minlength=self.num_texts)
        """How many products have each text; 0 where all were replaced. Shape [T]."""
        self.num_empty = int((self.sizes == 0).sum())
        self._apart = bool((self.sizes == 1).all())
        """Whether no two products share a text, which is quicker."""
        self._ends = np.cumsum(self.sizes)
        self._begins = np.concatenate([[0], self._ends[:-1]]).astype(np.int64)[: self.num_texts]

    @classmethod
    def of(cls, ids: Sequence[str], keys: Sequence[Hashable]) -> "Groups":
        """Group products by equal `keys`, one per product."""
        numbers: dict[Hashable, int] = {}
        texts = [numbers.setdefault(key, len(numbers)) for key in keys]
        return cls(ids, np.array(texts, dtype=np.int32))

    def then(self, later: "Groups") -> "Groups":
        """Return these products and `later` behind them, which replace those of the same ids."""
        text_of = self.text_of.copy()
        known = (self.row_of.get(name) for name in later.ids.tolist())
        text_of[[row for row in known if row is not None]] = GONE
        joined = Groups(
            np.concatenate([self.ids, later.ids]),
            np.concatenate([text_of, later.text_of + np.int32(self.num_texts)]),
            self.num_texts + later.num_texts,
        )
        fresh = {name: len(self.ids) + at for at, name in enumerate(later.ids.tolist())}
        joined.row_of = self.row_of | fresh
        return joined

    @cached_property
    def row_of(self) -> dict[str, int]:
        """The row of each product."""
        return {name: row for row, name in enumerate(self.ids.tolist())}

    def firsts(self) -> NDArray[np.int64]:
        """Return the first product of each text. Shape [T]."""
        return self._rows[self._begins]

    def spread(
        self, texts: NDArray[np.int64], scores: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return up to k products of scored texts, best first, ties in the catalogue's order.

        Args:
            texts: Distinct text numbers in any order. Shape [M].
            scores: One score per text. Shape [M].
            k: Products to return at most.

        Returns:
            Product rows and their scores. Shapes [K] and [K].
        """
        if self._apart:
            rows = self._rows[self._begins[texts]]
            best = np.lexsort((rows, -scores))[:k]
            return rows[best], scores[best]
        order = np.lexsort((texts, -scores))
        sizes = self.sizes[texts[order]]
        needed = int(np.searchsorted(np.cumsum(sizes), k)) + 1
        if needed < len(order):
            # Texts that tie with the last one share its places by the catalogue's order.
            lowest = scores[order[needed - 1]]
            needed = int(np.searchsorted(-scores[order], -lowest, side="right"))
        order, sizes = order[:needed], sizes[:needed]
        begins = np.repeat(self._begins[texts[order]], sizes)
        within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        rows = self._rows[begins + within]
        spread_scores = np.repeat(scores[order], sizes)
        best = np.lexsort((rows, -spread_scores))[:k]
        return rows[best], spread_scores[best]

    def frame(self, rows: NDArray[np.int64], scores: NDArray[np.float32]) -> pl.DataFrame:
        """Return the rows as a table of `item_id`, `score`."""
        return pl.DataFrame(
            {
                ITEM: pl.Series(self.ids[rows].tolist(), dtype=pl.String),
                SCORE: pl.Series(scores, dtype=pl.Float32),
            }
        )

    def save(self, folder: Path) -> None:
        """Write into an existing `folder`."""
        table = pl.DataFrame({ITEM: pl.Series(self.ids.tolist(), dtype=pl.String)})
        table.with_columns(text=pl.Series(self.text_of)).write_parquet(folder / "groups.parquet")

    @classmethod
    def restore(cls, folder: Path) -> "Groups":
        """Read what `save` wrote."""
        table = pl.read_parquet(folder / "groups.parquet")
        return cls(table[ITEM].to_list(), table["text"].to_numpy().astype(np.int32))
