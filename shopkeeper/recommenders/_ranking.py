"""One list of products for everyone. Knows not what the list is ordered by."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.recommenders._requests import Floats, Ids, listed, places, results
from shopkeeper.schema import EXCLUDE, ITEM, SCORE


class Ranking:
    """Scores of all known products, the same for every request; NaN is never shown."""

    def __init__(self, ids: Ids, scores: NDArray[np.floating]) -> None:
        self.ids, self.scores = ids, scores.astype(np.float32)
        order = np.lexsort((np.arange(len(ids)), -self.scores))
        self._order = order[np.isfinite(self.scores[order])]

    def recommend(self, requests: pl.DataFrame, source: str, k: int) -> pl.DataFrame:
        """Return the first k products that each request does not exclude, as `schema.RESULTS`."""
        excluded = np.bincount(listed(requests, EXCLUDE, self.ids)[0], minlength=requests.height)
        # So many that k are left whatever a request excludes.
        sizes = np.minimum(excluded + k, len(self._order))
        request = np.repeat(np.arange(requests.height), sizes)
        item = self._order[np.arange(len(request)) - np.repeat(np.cumsum(sizes) - sizes, sizes)]
        return results(requests, self.ids, source, (request, item, self.scores[item]), k)

    def score(self, requests: pl.DataFrame, candidates: pl.DataFrame) -> Floats:
        """Return the score of each candidate (`request`, `item_id`), NaN for unknown ones, [N]."""
        if not len(self.ids):
            return np.full(candidates.height, np.nan, np.float32)
        _, item, is_known = places(requests, candidates, self.ids)
        return np.where(is_known, self.scores[item], np.float32(np.nan))

    def save(self, folder: Path) -> None:
        """Write products and scores into `folder`."""
        table = self.ids.names.to_frame().with_columns(pl.Series(SCORE, self.scores, pl.Float32))
        table.write_parquet(folder / "ranking.parquet")

    @classmethod
    def load(cls, folder: Path) -> "Ranking":
        """Read what `save` wrote."""
        table = pl.read_parquet(folder / "ranking.parquet")
        return cls(Ids(table[ITEM]), table[SCORE].to_numpy())
