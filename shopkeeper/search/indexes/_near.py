"""Which vectors are nearest to a query's: all are compared, or above some number a graph is asked.

A matrix product sees every vector. The graph (Malkov and Yashunin, HNSW, TPAMI 2020, by usearch)
holds int8 copies and names candidates, whose cosines are then computed from the vectors
themselves. Those stay on disk in half precision and are mapped into memory: only rows that are
asked for are read. Knows no products.
"""

import shutil
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shopkeeper.tracing import progress

Floats = NDArray[np.float32]
Halves = NDArray[np.float16]
Rows = NDArray[np.int64]

# T distinct vectors of length 1, D their width

VECTORS, GRAPH = "vectors.npy", "graph.usearch"
CONNECTIVITY, EXPANSION_ADD = 16, 64
"""Neighbours of a vector in the graph, and how many were looked at to choose them."""
EXPANSION_MIN = 256
"""How many vectors a search looks at, at least."""
SPARE = 1.2
"""How many times more are looked at than are wanted: int8 confuses near neighbours."""
ROWS_AT_ONCE = 20_000


class Nearness(Protocol):
    """How near vectors are to one query."""

    def best(self, k: int) -> tuple[Rows, Floats]:
        """Return the k nearest vectors and their cosines, in any order; more where some tie."""

    def of(self, rows: Rows | NDArray[np.int32]) -> Floats:
        """Return the cosines of some vectors."""


class Exact:
    """Compares every vector; in memory."""

    def __init__(self, halves: Halves) -> None:
        """Take vectors [T, D]."""
        self.size, self.width = halves.shape
        # A column for each vector: the product then reads memory in order, twice as fast as by
        # rows; in single precision, where BLAS is 20 times faster.
        self._vectors_DT: Floats = np.ascontiguousarray(halves.T, dtype=np.float32)

    def ask(self, unit: Floats) -> Nearness:
        """Compare a query [D] of length 1."""
        return _All(unit @ self._vectors_DT)

    def save(self, folder: Path) -> None:
        """Write the vectors into an existing `folder`."""
        np.save(folder / VECTORS, self._vectors_DT.T.astype(np.float16))


class Graph:
    """Asks a graph for candidates; vectors and graph lie in a folder."""

    def __init__(self, folder: Path) -> None:
        """Map what lies in `folder` into memory."""
        from usearch.index import Index

        self._folder = folder
        self.halves: Halves = np.load(folder / VECTORS, mmap_mode="r", allow_pickle=False)
        self.index: Any = Index.restore(folder / GRAPH, view=True)
        self.size, self.width = self.halves.shape

    @classmethod
    def build(cls, halves: Halves, threads: int = 0) -> "Graph":
        """Join vectors [T, D] to a graph, in a folder that goes with it; by all cores if 0."""
        from usearch.index import Index

        folder = Path(tempfile.mkdtemp(prefix="shopkeeper-dense-"))
        np.save(folder / VECTORS, halves)
        index = Index(
            ndim=halves.shape[1],
            metric="cos",
            dtype="i8",
            connectivity=CONNECTIVITY,
            expansion_add=EXPANSION_ADD,
            enable_key_lookups=False,
        )
        for at in progress(range(0, len(halves), ROWS_AT_ONCE), "vectors joined to the graph"):
            rows = np.arange(at, min(at + ROWS_AT_ONCE, len(halves)))
            index.add(rows, halves[rows].astype(np.float32), threads=threads)
        index.save(folder / GRAPH)
        made = cls(folder)
        weakref.finalize(made, shutil.rmtree, folder, ignore_errors=True)
        return made

    def ask(self, unit: Floats) -> Nearness:
        """Compare a query [D] of length 1."""
        return _Some(self, unit)

    def save(self, folder: Path) -> None:
        """Write vectors and graph into an existing `folder`."""
        for name in (VECTORS, GRAPH):
            shutil.copyfile(self._folder / name, folder / name)


class Grown:
    """Vectors of an index, and behind them those that came later, which are always compared."""

    def __init__(self, first: Exact | Graph, later: Halves) -> None:
        self._first, self._later = first, later
        self._exact = Exact(later)
        self.size, self.width = first.size + len(later), first.width

    def ask(self, unit: Floats) -> Nearness:
        """Compare a query [D] of length 1."""
        return _Both(self._first.ask(unit), self._exact.ask(unit), self._first.size)

    def then(self, later: Halves) -> "Grown":
        """Return these vectors and `later` [M, D] behind them."""
        return Grown(self._first, np.concatenate([self._later, later]))


Near = Exact | Graph | Grown


def load(folder: Path) -> Exact | Graph:
    """Read what `save` wrote."""
    if (folder / GRAPH).is_file():
        return Graph(folder)
    return Exact(np.load(folder / VECTORS, allow_pickle=False))


@dataclass(frozen=True)
class _All:
    """All cosines, known. Shape [T]."""

    cosines: Floats

    def best(self, k: int) -> tuple[Rows, Floats]:
        cosines = self.cosines
        if k >= len(cosines):
            return np.arange(len(cosines)), cosines
        bound = np.partition(cosines, len(cosines) - k)[len(cosines) - k]
        rows = np.flatnonzero(cosines >= bound)
        return rows, cosines[rows]

    def of(self, rows: Rows | NDArray[np.int32]) -> Floats:
        found: Floats = self.cosines[rows]
        return found


@dataclass(frozen=True)
class _Some:
    """Cosines of those vectors that are asked for."""

    graph: Graph
    unit: Floats

    def best(self, k: int) -> tuple[Rows, Floats]:
        wanted = min(max(int(SPARE * k), EXPANSION_MIN), self.graph.size)
        rows = np.sort(self.graph.index.search(self.unit, wanted, threads=1).keys.astype(np.int64))
        at, cosines = _All(self.of(rows)).best(k)
        return rows[at], cosines

    def of(self, rows: Rows | NDArray[np.int32]) -> Floats:
        found: Floats = self.graph.halves[rows].astype(np.float32) @ self.unit
        return found


@dataclass(frozen=True)
class _Both:
    """The cosines of two parts, the second behind the first."""

    first: Nearness
    later: Nearness
    size: int
    """Of the first."""

    def best(self, k: int) -> tuple[Rows, Floats]:
        (rows, cosines), (behind, others) = self.first.best(k), self.later.best(k)
        both = np.concatenate([rows, behind + self.size])
        return both, np.concatenate([cosines, others])

    def of(self, rows: Rows | NDArray[np.int32]) -> Floats:
        found = np.empty(len(rows), np.float32)
        behind = rows >= self.size
        found[~behind] = self.first.of(rows[~behind])
        found[behind] = self.later.of(rows[behind] - self.size)
        return found
