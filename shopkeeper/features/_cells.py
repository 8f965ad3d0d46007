"""Requests times categories, or brands: where what was bought meets what may be shown."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Cells:
    """Requests times categories: where purchases H and candidates N meet."""

    place_H: NDArray[np.int64]
    place_N: NDArray[np.int64]
    """The cell of each candidate, the last one of all where nothing was bought."""
    size: int

    @classmethod
    def of(cls, cell_H: NDArray[np.int64], cell_N: NDArray[np.int64]) -> "Cells":
        """Number the cells of purchases, [H], and find those of candidates among them, [N]."""
        cells, place_H = np.unique(cell_H, return_inverse=True)
        at = np.searchsorted(cells, cell_N)
        found = np.append(cells, -1)[at] == cell_N
        return cls(place_H, np.where(found, at, cells.size), cells.size)

    def sums(self, value_H: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum values by cell and read the sums at the candidates, 0 where there is none."""
        sums = np.bincount(self.place_H, value_H, minlength=self.size + 1)
        return np.asarray(sums[self.place_N], np.float64)

    def least(self, value_H: NDArray[np.float64]) -> NDArray[np.float64]:
        """Read the least value of each cell at the candidates, NaN where there is none."""
        least = np.full(self.size + 1, np.inf)
        np.minimum.at(least, self.place_H, value_H)
        least[self.size] = np.nan
        return np.asarray(least[self.place_N])


def ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """Divide, NaN where the whole is nothing, [N]."""
    found = np.full(part.size, np.nan)
    np.divide(part, whole, out=found, where=whole > 0)
    return found
