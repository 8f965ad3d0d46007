"""Nearest in meaning: exact cosine between the query's vector and every distinct product vector.

Exact on purpose: up to about 100,000 texts a matrix product is as fast as an approximate graph and
never misses. Products that share one vector are compared once. Knows nothing of words.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.errors import BadData, NotFitted
from shopkeeper.schema import PRODUCT_ID
from shopkeeper.search.indexes._groups import Groups

# N products, T distinct vectors, D width


class Dense:
    """Finds products by the cosine of vectors."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings."""

        cosine_min: float = 0.0
        """Products further away than this cosine are no results, from -1 to 1."""

        def __post_init__(self) -> None:
            if not -1 <= self.cosine_min <= 1:
                raise ValueError(f"cosine_min must be from -1 to 1, but is {self.cosine_min}.")

    def __init__(self, config: Config) -> None:
        self.config = config
        self._groups: Groups | None = None
        self._vectors: NDArray[np.float32] = np.zeros((0, 0), dtype=np.float32)

    def build(self, products: pl.DataFrame, vectors: NDArray[np.float32]) -> Self:
        """Learn the vectors [N, D] of `products`; earlier products win ties.

        Raises BadData: The numbers of products and vectors differ, or a vector is not finite.
        """
        if len(vectors) != products.height:
            raise BadData(
                f"There are {products.height} products but {len(vectors)} vectors. Give one each."
            )
        if not np.isfinite(vectors).all():
            raise BadData("A product vector holds NaN or infinity. Encode the texts again.")
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        halves = (vectors / np.maximum(norms, 1e-12)).astype(np.float16)
        groups = Groups.of(products[PRODUCT_ID].to_list(), [row.tobytes() for row in halves])
        self._take(groups, halves[groups.firsts()])
        return self

    def search(self, query: str, vector: NDArray[np.float32] | None, k: int) -> pl.DataFrame:  # noqa: ARG002
        """Return up to k rows of `item_id`, `score` (cosine); none without a `vector` [D]."""
        rows, cosines = self.nearest(self.cosines(vector), k)
        return self.groups.frame(rows, cosines)

    @property
    def groups(self) -> Groups:
        """Which products share a vector.

        Raises NotFitted: Nothing was built or restored.
        """
        if self._groups is None:
            raise NotFitted("The dense index is empty. Call `build` or `restore` first.")
        return self._groups

    def cosines(self, vector: NDArray[np.float32] | None) -> NDArray[np.float32]:
        """Return the cosine of every distinct product vector, [T]; none without a `vector` [D].

        Raises BadData: `vector` has another width than the products' vectors.
        """
        if vector is None or not self._vectors.size:
            return np.zeros(0, dtype=np.float32)
        if vector.shape != self._vectors.shape[1:]:
            raise BadData(
                f"The query's vector has shape {vector.shape}, but the products' vectors are "
                f"{self._vectors.shape[1]} wide. Use one encoder for both."
            )
        unit = vector.astype(np.float32) / max(float(np.linalg.norm(vector)), 1e-12)
        cosines: NDArray[np.float32] = self._vectors @ unit
        return cosines

    def nearest(
        self, cosines: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return up to k product rows and cosines, best first, from the answer of `cosines`."""
        texts = np.arange(len(cosines))
        if k < len(cosines):
            # Every text that ties with the k-th stays, so that ties are broken by the catalogue.
            bound = np.partition(cosines, len(cosines) - k)[len(cosines) - k]
            texts = np.flatnonzero(cosines >= bound)
        texts = texts[cosines[texts] >= self.config.cosine_min]
        return self.groups.spread(texts, cosines[texts], k)

    def save(self, folder: Path) -> None:
        """Write the index into an empty `folder`."""
        self.groups.save(folder)
        np.save(folder / "vectors.npy", self._vectors.astype(np.float16))

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        self._take(Groups.restore(folder), np.load(folder / "vectors.npy", allow_pickle=False))
        return self

    def _take(self, groups: Groups, halves: NDArray[np.float16]) -> None:
        self._groups = groups
        # Half as many bytes on disk; single precision in memory, where BLAS is 20 times faster.
        self._vectors = halves.astype(np.float32)
