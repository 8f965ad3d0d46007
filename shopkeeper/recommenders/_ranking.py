"""One list of products for everyone. Knows not what the list is ordered by."""

from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.arrays import Asked, Floats, Ids, Picks, Rows
from shopkeeper.recommenders._base import Base
from shopkeeper.schema import ITEM, SCORE


class Ranking(Base):
    """A recommender whose `fit` calls `_rank`: the same scores for every request."""

    _scores_N: Floats
    _order_N: Rows

    def _rank(self, ids: Ids, scores_N: NDArray[np.floating]) -> Self:
        """Take one score per product, [N]; NaN is never shown."""
        self._ids, self._scores_N = ids, scores_N.astype(np.float32)
        order = np.lexsort((np.arange(len(ids)), -self._scores_N))
        self._order_N = order[np.isfinite(self._scores_N[order])]
        return self

    def propose(self, asked: Asked, k: int) -> Picks:
        """Return the first k products that each request does not exclude; see the contract."""
        asked = asked.within(self.ids)
        excluded = np.bincount(asked.owner_X, minlength=asked.size)
        # So many that k are left whatever a request excludes.
        sizes = np.minimum(excluded + k, len(self._order_N))
        request = np.repeat(np.arange(asked.size), sizes)
        item = self._order_N[np.arange(len(request)) - np.repeat(np.cumsum(sizes) - sizes, sizes)]
        return self.picks(asked, (request, item, self._scores_N[item]), k)

    def judge(self, asked: Asked, owner_N: Rows, item_N: Rows) -> Floats:  # noqa: ARG002
        """Return the score of each product, NaN where the list does not hold it, [N]."""
        item_N = asked.ids.within(self.ids, item_N)
        return np.append(self._scores_N, np.float32(np.nan))[item_N]

    def save(self, folder: Path) -> None:
        """Write products and scores into `folder`."""
        names = self.ids.names.to_frame()
        table = names.with_columns(pl.Series(SCORE, self._scores_N, pl.Float32))
        table.write_parquet(folder / "ranking.parquet")

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        table = pl.read_parquet(folder / "ranking.parquet")
        return self._rank(Ids.of(table[ITEM]), table[SCORE].to_numpy())
