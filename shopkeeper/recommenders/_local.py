"""Lists for everyone, and further ones for single countries and windows of time.

A country with few shoppers has no list of its own: what the shop as a whole wants is surer.
"""

from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.arrays import Ids, Rows
from shopkeeper.recommenders._ranking import Ranking
from shopkeeper.schema import COUNTRY, EVENT_NAME, SCORE, TIME, USER

SHOPPERS_MIN = 30
"""A country of fewer shoppers has no list of its own."""
COUNTRIES_MAX = 40
PRODUCTS_MAX = 1_000
"""Products of a list that is not the whole shop's."""
FILE = "local.parquet"


class LocalRanking(Ranking):
    """A recommender whose `fit` calls `_rank`, then `_rank_local` for each other list."""

    _locals: dict[tuple[str, float], "LocalRanking"]

    def __init__(self, config: Any) -> None:
        self.config = config

    def local(self, country: str, window_days: float) -> "LocalRanking":
        """Return the list of a country and the nearest window; see the contract."""
        there = [(days, part) for (name, days), part in self._locals.items() if name == country]
        if not country or not there:
            there = [(days, part) for (name, days), part in self._locals.items() if not name]
            there.append((0.0, self))
        wanted = window_days or self._own_days()
        return min(there, key=lambda one: abs(np.log((one[0] or self._own_days()) / wanted)))[1]

    def _own_days(self) -> float:
        """Return the window of the list for everyone."""
        raise NotImplementedError

    def _rank(self, ids: Ids, scores_N: NDArray[np.floating]) -> Self:
        self._locals = {}
        return super()._rank(ids, scores_N)

    def _rank_local(self, country: str, window_days: float, scores_N: NDArray[np.floating]) -> None:
        """Take the scores of a country, "" for all, and a window, 0 for the own one, [N]."""
        part = copy(self)
        kept = np.full(len(scores_N), np.nan)
        top: Rows = np.argsort(-np.nan_to_num(scores_N, nan=-np.inf), kind="stable")[:PRODUCTS_MAX]
        kept[top] = scores_N[top]
        part._rank(self.ids, kept)
        self._locals[country, window_days] = part

    def save(self, folder: Path) -> None:
        """Write all lists into `folder`."""
        super().save(folder)
        rows = [
            (country, days, row, float(part._scores_N[row]))
            for (country, days), part in self._locals.items()
            for row in np.flatnonzero(np.isfinite(part._scores_N)).tolist()
        ]
        # A list that shows nothing is one all the same.
        rows += [(country, days, -1, 0.0) for country, days in self._locals]
        shape = {COUNTRY: pl.String, "days": pl.Float64, "row": pl.Int64, SCORE: pl.Float64}
        pl.DataFrame(rows, schema=shape, orient="row").write_parquet(folder / FILE)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        super().restore(folder)
        if (folder / FILE).is_file():
            table = pl.read_parquet(folder / FILE)
            for (country, days), rows in table.group_by(COUNTRY, "days", maintain_order=True):
                scores_N, told = np.full(len(self.ids), np.nan), rows.filter(pl.col("row") >= 0)
                scores_N[told["row"].to_numpy()] = told[SCORE].to_numpy()
                self._rank_local(str(country), float(days), scores_N)  # type: ignore[arg-type]
        return self


def countries(events: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame, float]]:
    """Yield each country with enough shoppers, its events, and its silence.

    Args:
        events: `schema.LEARN` rows, perhaps with `country`.

    Yields:
        The country, its rows, and the days from its last event to the last of all.
    """
    if COUNTRY not in events.columns or events[COUNTRY].null_count() == events.height:
        return
    acted = events.drop_nulls(COUNTRY)
    who = pl.coalesce(pl.col(USER), pl.col(TIME).cast(pl.String)).n_unique().alias("shoppers")
    counted = acted.group_by(COUNTRY).agg(who, pl.col(TIME).max(), pl.col(EVENT_NAME).len())
    counted = counted.filter(pl.col("shoppers") >= SHOPPERS_MIN)
    if counted.height < 2:
        return
    last = events[TIME].max()
    for row in (
        counted.sort("shoppers", COUNTRY, descending=[True, False])
        .head(COUNTRIES_MAX)
        .iter_rows(named=True)
    ):
        silent_days = (last - row[TIME]).total_seconds() / 86_400  # type: ignore[operator]
        yield row[COUNTRY], acted.filter(pl.col(COUNTRY) == row[COUNTRY]), silent_days
