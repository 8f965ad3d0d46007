"""Nearest in meaning: the cosine between the query's vector and every distinct product vector.

Exact up to `exact_max` distinct vectors: as fast as an approximate graph, and it never misses.
Above, a graph names candidates and their cosines are exact (`_near`). Products that share one
vector are compared once. Knows nothing of words.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.contracts import Hits
from shopkeeper.errors import BadData, NotFitted
from shopkeeper.schema import PRODUCT_ID
from shopkeeper.search.indexes import _near
from shopkeeper.search.indexes._groups import Groups

# N products, T distinct vectors, D width


class Dense:
    """Finds products by the cosine of vectors."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings."""

        cosine_min: float = 0.0
        """Products further away than this cosine are no results, from -1 to 1."""
        exact_max: int = 100_000
        """Up to so many distinct vectors all are compared, above it a graph is asked."""

        def __post_init__(self) -> None:
            if not -1 <= self.cosine_min <= 1:
                raise ValueError(f"cosine_min must be from -1 to 1, but is {self.cosine_min}.")
            if self.exact_max < 0:
                raise ValueError(f"exact_max must be at least 0, but is {self.exact_max}.")

    def __init__(self, config: Config) -> None:
        self.config = config
        self._groups: Groups | None = None
        self._near: _near.Near = _near.Exact(np.zeros((0, 0), dtype=np.float16))

    def build(self, products: pl.DataFrame, vectors: NDArray[np.float32]) -> Self:
        """Learn the vectors [N, D] of `products`; earlier products win ties.

        Raises BadData: The numbers of products and vectors differ, or a vector is not finite.
        """
        groups, halves = _grouped(products, vectors)
        self._groups = groups
        graph = len(halves) > self.config.exact_max
        self._near = _near.Graph.build(halves) if graph else _near.Exact(halves)
        return self

    def revised(self, products: pl.DataFrame, vectors: NDArray[np.float32]) -> Self:
        """Return an index with these products and vectors [M, D] in place of those of their ids.

        Raises BadData: As for `build`, or the vectors are as wide as no other.
        """
        groups, halves = _grouped(products, vectors)
        if self._near.size and halves.shape[1] != self._near.width:
            raise BadData(
                f"The new vectors are {halves.shape[1]} wide, the known ones {self._near.width}. "
                "Use one encoder for both."
            )
        made = type(self)(self.config)
        made._groups = self.groups.then(groups)
        if not self._near.size:
            made._near = _near.Exact(halves)
        elif isinstance(self._near, _near.Grown):
            made._near = self._near.then(halves)
        else:
            made._near = _near.Grown(self._near, halves)
        return made

    def search(self, query: str, vector: NDArray[np.float32] | None, k: int) -> pl.DataFrame:
        """Return up to k rows of `item_id`, `score` (cosine); none without a `vector` [D]."""
        found = self.hits(query, vector, k)
        return self.groups.frame(found.rows, found.scores)

    def hits(self, query: str, vector: NDArray[np.float32] | None, k: int) -> Hits:  # noqa: ARG002
        """Return up to k products and their cosines; none without a `vector` [D]."""
        near = self.ask(vector)
        if near is None:
            rows, cosines = np.zeros(0, np.int64), np.zeros(0, np.float32)
        else:
            rows, cosines = self.nearest(near, k)
        return Hits(rows, cosines, np.zeros(len(rows), np.int64), ("dense",))

    @property
    def groups(self) -> Groups:
        """Which products share a vector.

        Raises NotFitted: Nothing was built or restored.
        """
        if self._groups is None:
            raise NotFitted("The dense index is empty. Call `build` or `restore` first.")
        return self._groups

    @property
    def ids(self) -> NDArray[np.object_]:
        """Product ids by row, [N]."""
        return self.groups.ids

    def ask(self, vector: NDArray[np.float32] | None) -> _near.Nearness | None:
        """Compare a query's vector [D] with those of all products; None where there are none.

        Raises BadData: `vector` has another width than the products' vectors.
        """
        if not self.groups.num_texts or vector is None or not self._near.size:
            return None
        if vector.shape != (self._near.width,):
            raise BadData(
                f"The query's vector has shape {vector.shape}, but the products' vectors are "
                f"{self._near.width} wide. Use one encoder for both."
            )
        return self._near.ask(vector.astype(np.float32) / max(float(np.linalg.norm(vector)), 1e-12))

    def nearest(
        self, near: _near.Nearness, k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return up to k product rows and cosines, best first, from the answer of `ask`."""
        texts, cosines = near.best(k + self.groups.num_empty)
        kept = cosines >= self.config.cosine_min
        return self.groups.spread(texts[kept], cosines[kept], k)

    def cosines(self, near: _near.Nearness, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the cosine of each of some product rows, from the answer of `ask`."""
        return near.of(self.groups.text_of[rows])

    def save(self, folder: Path) -> None:
        """Write the index into an empty `folder`; one that was revised is to be built anew."""
        assert not isinstance(self._near, _near.Grown)
        self.groups.save(folder)
        self._near.save(folder)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote; vectors beside a graph stay on disk and are mapped."""
        self._groups, self._near = Groups.restore(folder), _near.load(folder)
        return self


def _grouped(
    products: pl.DataFrame, vectors: NDArray[np.float32]
) -> tuple[Groups, NDArray[np.float16]]:
    """Return which products share a vector, and the distinct vectors [T, D] of length 1."""
    if len(vectors) != products.height:
        raise BadData(
            f"There are {products.height} products but {len(vectors)} vectors. Give one each."
        )
    if not np.isfinite(vectors).all():
        raise BadData("A product vector holds NaN or infinity. Encode the texts again.")
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    halves = (vectors / np.maximum(norms, 1e-12)).astype(np.float16)
    keys = [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in halves]
    groups = Groups.of(products[PRODUCT_ID].to_list(), keys)
    return groups, halves[groups.firsts()]
