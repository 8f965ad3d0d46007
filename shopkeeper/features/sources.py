"""What every recommender says of the candidate, as it is and relative to the request's best."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.contracts import Moment


class Sources:
    """The scores of the recommenders that the ranker fuses."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings under [features.sources] in shop.toml."""

        recommenders: tuple[str, ...] = (
            "repeat",
            "item_knn",
            "item_knn_last",
            "ease",
            "sequential",
            "content",
        )
        """Whose scores the ranker sees: names of [train] fused, and of last_basket with `_last`."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def fit(self, events: pl.DataFrame, products: pl.DataFrame, now: datetime) -> Self:  # noqa: ARG002
        """Learn nothing: the recommenders did."""
        return self

    def names(self) -> tuple[str, ...]:
        """Name the columns of `compute`."""
        return tuple(
            f"{name}_{kind}" for name in self.config.recommenders for kind in ("score", "relative")
        )

    def compute(self, moment: Moment) -> NDArray[np.float32]:
        """Return [N, F]; NaN where a recommender was not asked or says nothing."""
        columns: list[NDArray[np.float32]] = []
        for name in self.config.recommenders:
            score_N = _scores(moment.scores, name, moment.owner_N.size)
            best_B = np.zeros(moment.now_B.size, np.float32)
            np.fmax.at(best_B, moment.owner_N, score_N)
            share_N = score_N / np.maximum(best_B, np.float32(1e-9))[moment.owner_N]
            columns += [score_N, share_N.astype(np.float32)]
        return np.column_stack(columns).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write nothing."""

    def restore(self, folder: Path) -> Self:  # noqa: ARG002
        """Read nothing."""
        return self


def _scores(scores: Mapping[str, NDArray[np.float32]], name: str, size: int) -> NDArray[np.float32]:
    return scores[name] if name in scores else np.full(size, np.nan, np.float32)
