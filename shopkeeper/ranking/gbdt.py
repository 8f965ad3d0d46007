"""Gradient-boosted trees over features of request and candidate.

Source: LightGBM (Ke et al., NeurIPS 2017), binary log loss: in a basket every product bought is
equally right, so a chance per product orders the list. Keeps its trees as LightGBM's own text.
Knows nothing of where features or candidates come from.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from shopkeeper.errors import NotFitted

FILE = "trees.txt"


class Gbdt:
    """Trees that answer: how likely is this product in the next basket?"""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings under [ranking.gbdt] in shop.toml."""

        trees: int = 150
        """How many trees; each adds about 5 microseconds per hundred candidates."""
        learning_rate: float = 0.07
        """Weight of each new tree."""
        leaves: int = 31
        """Leaves of one tree at most."""
        leaf_rows_min: int = 100
        """Candidates that a leaf must hold."""
        columns_share: float = 0.5
        """Share of the features that each tree sees."""
        rows_share: float = 0.8
        """Share of the candidates that each tree sees."""
        l2: float = 5.0
        """Ridge penalty of leaf values."""
        negatives_share: float = 0.3
        """Share of the candidates that were not bought to learn from."""
        threads: int = 2
        """Threads while learning; answering takes one."""
        seed: int = 0
        """Same seed and data, same trees."""

        def __post_init__(self) -> None:
            if self.trees < 1 or self.leaves < 2:
                raise ValueError("trees must be at least 1 and leaves at least 2.")
            if not 0 < self.negatives_share <= 1:
                raise ValueError(f"negatives_share must be in (0, 1], got {self.negatives_share}.")

    def __init__(self, config: Config) -> None:
        self.config = config
        self._trees: Any = None

    def fit(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.float32],
        weights: NDArray[np.float32],
    ) -> Self:
        """Learn from [N, F] features, [N] labels and what each row counts, [N]."""
        import lightgbm

        chance = np.random.default_rng(self.config.seed).random(labels.size)
        kept = (labels > 0) | (chance < self.config.negatives_share)
        data = lightgbm.Dataset(
            features[kept], labels[kept], weight=weights[kept], params=self._params()
        )
        self._trees = lightgbm.train(self._params(), data, self.config.trees)
        return self

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the log odds per row, [N]; odds are shifted by the sampling of negatives."""
        if self._trees is None:
            raise NotFitted("'gbdt' has not learned yet. Call `fit` or `restore` first.")
        if not features.shape[0]:
            return np.empty(0, np.float32)
        scored = self._trees.predict(features, raw_score=True, num_threads=1)
        return np.asarray(scored, np.float32)

    def importance(self) -> NDArray[np.float64]:
        """Return how much each feature lowered the loss, [F], summing to 1."""
        gain = np.asarray(self._trees.feature_importance("gain"), np.float64)
        return np.asarray(gain / max(gain.sum(), 1e-12), np.float64)

    def save(self, folder: Path) -> None:
        """Write the trees into an empty `folder`."""
        if self._trees is None:
            raise NotFitted("'gbdt' has nothing to save yet. Call `fit` first.")
        (folder / FILE).write_text(self._trees.model_to_string(), "utf-8")

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        import lightgbm

        self._trees = lightgbm.Booster(model_str=(folder / FILE).read_text("utf-8"))
        return self

    def _params(self) -> dict[str, Any]:
        config = self.config
        return {
            "objective": "binary",
            "learning_rate": config.learning_rate,
            "num_leaves": config.leaves,
            "min_data_in_leaf": config.leaf_rows_min,
            "feature_fraction": config.columns_share,
            "bagging_fraction": config.rows_share,
            "bagging_freq": 1,
            "lambda_l2": config.l2,
            "max_bin": 63,
            "seed": config.seed,
            "num_threads": config.threads,
            "deterministic": True,
            "force_row_wise": True,
            "verbose": -1,
        }
