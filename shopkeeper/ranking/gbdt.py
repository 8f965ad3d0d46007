"""Gradient-boosted trees over features of request and candidate.

Source: LightGBM (Ke et al., NeurIPS 2017). Two kinds of trees are joined: binary log loss, for in
a basket every product bought is equally right, and LambdaMART (Burges, MSR-TR-2010-82), which
looks at the top of the list. In the place of a code, trees see how often it was followed by a sale;
what logistic regression says of the place on the page, they start from.
Learning needs LightGBM; answering runs the trees in ONNX Runtime.
Knows nothing of where features or candidates come from.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from shopkeeper.contracts import AMOUNTS, Columns
from shopkeeper.errors import Missing, NotFitted
from shopkeeper.ranking import _files, _lessons
from shopkeeper.ranking._codes import Codes
from shopkeeper.ranking._trees import to_onnx

FILE = "trees.onnx"
CODES = "codes.npz"
"""There only where some columns are not amounts."""


class Gbdt:
    """Trees that answer: which of these products come into the next basket?"""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings under [ranking.gbdt] in shop.toml."""

        models: int = 2
        """How many models of each kind, each with a seed of its own; scores are averaged."""
        order_share: float = 0.4
        """What models that learn the order count beside those that learn chances; 0 to 1."""
        order_top: int = 20
        """Places from the top whose order is learned."""
        trees: int = 90
        """Trees of one model; each adds about 3 microseconds per hundred candidates."""
        learning_rate: float = 0.1
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
        codes_prior: float = 20.0
        """How many candidates the overall rate of sales counts as, beside those of a code."""
        threads: int = 2
        """Threads while learning; a live answer takes one."""
        seed: int = 0
        """Same seed and data, same trees."""

        def __post_init__(self) -> None:
            if min(self.models, self.trees) < 1 or self.leaves < 2:
                raise ValueError("models and trees must be at least 1, leaves at least 2.")
            if not 0 <= self.order_share <= 1 or self.order_top < 1:
                raise ValueError("order_share must be in [0, 1] and order_top at least 1.")
            if not self.codes_prior > 0:
                raise ValueError(f"codes_prior must be above 0, got {self.codes_prior}.")
            for name in ("columns_share", "rows_share", "negatives_share"):
                if not 0 < getattr(self, name) <= 1:
                    raise ValueError(f"{name} must be in (0, 1], got {getattr(self, name)}.")

    def __init__(self, config: Config) -> None:
        self.config = config
        self._network = b""
        self._codes = Codes()
        self._session: Any = None
        self._gain_F: NDArray[np.float64] | None = None

    def fit(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.float32],
        weights: NDArray[np.float32],
        owners: NDArray[np.int64],
        columns: Columns = AMOUNTS,
    ) -> Self:
        """Learn from [N, F] features, [N] labels, what each row counts, and its request, [N]."""
        lightgbm = _lightgbm()
        _lessons.check("gbdt", features, labels, weights, owners, columns)
        config = self.config
        self._codes = Codes(columns, config.codes_prior)
        origin = self._codes.origin(features.shape[1])
        places = _place_odds(config.seed, features, labels, weights, owners, columns)
        if columns != AMOUNTS:
            features = self._codes.learned(features, labels, weights, owners)
        chance = np.random.default_rng(config.seed).random(labels.size)
        kept = (labels > 0) | (chance < config.negatives_share)
        begins = np.flatnonzero(np.diff(owners[kept], prepend=-1))
        data = lightgbm.Dataset(
            features[kept],
            labels[kept],
            weight=weights[kept],
            group=np.diff(begins, append=np.count_nonzero(kept)),
            init_score=None if places is None else places[kept],
            params=self._params(0),
        )
        shares = {"binary": 1 - config.order_share, "lambdarank": config.order_share}
        dumps, counts = [], []
        gain_F = np.zeros(origin.max() + 1)
        for objective, share in shares.items():
            for number in range(config.models if share else 0):
                params = self._params(number) | {"objective": objective}
                model = lightgbm.train(params, data, config.trees)
                dumps.append(model.dump_model())
                counts.append(share / config.models)
                gain = model.feature_importance("gain")
                gain = np.bincount(origin, gain, len(gain_F))
                gain_F += counts[-1] * gain / max(gain.sum(), 1e-12)
        self._gain_F = gain_F
        return self._open(to_onnx(dumps, counts, features.shape[1]))

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return one score per row, [N]; scores order the rows of one request and mean no more."""
        if self._session is None:
            raise NotFitted("'gbdt' has not learned yet. Call `fit` or `restore` first.")
        if not features.shape[0]:
            return np.empty(0, np.float32)
        told = np.ascontiguousarray(self._codes.laid(features), np.float32)
        (scores,) = self._session.run(None, {"x": told})
        return np.asarray(scores[:, 0], np.float32)

    def gains(self) -> NDArray[np.float64]:
        """Return each feature's share of what the trees gained; see the contract."""
        if self._gain_F is None:
            raise NotFitted("'gbdt' keeps no gains with its trees. Call `fit` first.")
        return self._gain_F

    def save(self, folder: Path) -> None:
        """Write the trees into an empty `folder`."""
        if not self._network:
            raise NotFitted("'gbdt' has nothing to save yet. Call `fit` first.")
        (folder / FILE).write_bytes(self._network)
        if self._codes.columns != AMOUNTS:
            _files.write_arrays(folder / CODES, self._codes.arrays, self._codes.about())

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        if (folder / CODES).exists():
            try:
                self._codes = Codes.restored(*_files.read_arrays(folder / CODES))
            except (KeyError, TypeError) as error:
                raise _files.broken(folder / CODES, error) from error
        return self._open(_files.read_bytes(folder / FILE), folder / FILE)

    def _open(self, network: bytes, file: Path | str = FILE) -> Self:
        self._session = _files.session(network, file)
        self._network = network
        return self

    def _params(self, number: int) -> dict[str, Any]:
        config = self.config
        return {
            "lambdarank_truncation_level": config.order_top,
            "learning_rate": config.learning_rate,
            "num_leaves": config.leaves,
            "min_data_in_leaf": config.leaf_rows_min,
            "feature_fraction": config.columns_share,
            "bagging_fraction": config.rows_share,
            "bagging_freq": 1,
            "lambda_l2": config.l2,
            "max_bin": 63,
            "seed": config.seed * config.models + number,
            "data_random_seed": config.seed,
            "num_threads": config.threads,
            "deterministic": True,
            "force_row_wise": True,
            "verbose": -1,
        }


def _place_odds(seed: int, *lessons: Any) -> NDArray[np.float64] | None:
    """Return what the place of each row adds to its log odds, [N]; None where there is none."""
    if lessons[-1].place is None:
        return None
    from shopkeeper.ranking.logistic import Logistic

    logistic = Logistic(Logistic.Config(seed=seed)).fit(*lessons)
    labels, weights = lessons[1], lessons[2]
    rate = float(labels @ weights / weights.sum())
    # Trees that are told where to start do not look for the overall rate themselves.
    return np.asarray(logistic.place_odds(lessons[0]) + np.log(rate / (1 - rate)))


def _lightgbm() -> Any:
    try:
        import lightgbm
    except ImportError as error:
        raise Missing(
            "Learning 'gbdt' needs 'lightgbm', which is not installed. "
            "Install it with `pip install 'shopkeeper[train]'`."
        ) from error
    return lightgbm
