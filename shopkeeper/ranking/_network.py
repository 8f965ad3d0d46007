"""What `deep` and `multitask` share: learned with torch, answering with ONNX Runtime."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from shopkeeper.contracts import AMOUNTS, Columns
from shopkeeper.errors import Missing, NotFitted
from shopkeeper.ranking import _files, _lessons

Floats = NDArray[np.float32]
FILE = "network.onnx"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of the networks and of how they learn."""

    models: int = 1
    """How many networks, each with other requests held back; what they say is averaged. Each adds
    its time to every answer."""
    width: int = 8
    """Numbers that each column is turned into."""
    hidden: tuple[int, ...] = (128, 64)
    """Widths of the plain network, at least one."""
    pieces: int = 16
    """Pieces that each amount is read in, cut where candidates are equally many."""
    dropout: float = 0.1
    """Share of hidden numbers that learning leaves out, in [0, 1)."""
    embedding_l2: float = 1e-4
    """Penalty on the vectors of codes; the first setting to change where codes decide."""
    rare_max: int = 2
    """A code seen so often at most counts as an unknown one."""
    learning_rate: float = 2e-3
    """Step size of AdamW."""
    weight_decay: float = 1e-2
    """Weight decay of AdamW."""
    batch: int = 512
    """Candidates of one step."""
    epochs_max: int = 15
    """Passes over the candidates at most; fewer where requests held back get no better."""
    patience: int = 2
    """Passes without a better result before learning stops."""
    held_share: float = 0.15
    """Share of the requests held back, in (0, .5]."""
    minutes_max: float = 20.0
    """Time to learn for all networks together."""
    rows_max: int = 500_000
    """How many candidates to learn from; what was not bought is left out first."""
    seed: int = 0
    """Same seed and data, same networks."""

    def __post_init__(self) -> None:
        if min(self.models, self.width, self.pieces, self.batch, self.epochs_max) < 1:
            raise ValueError("models, width, pieces, batch and epochs_max must be at least 1.")
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError(f"hidden must name widths of at least 1, got {self.hidden}.")
        if not 0 <= self.dropout < 1 or not 0 < self.held_share <= 0.5:
            raise ValueError("dropout must be in [0, 1) and held_share in (0, .5].")
        if self.patience < 1 or self.rare_max < 0 or self.rows_max < 10:
            raise ValueError("patience must be at least 1, rare_max 0, rows_max 10.")
        if min(self.embedding_l2, self.weight_decay) < 0:
            raise ValueError("embedding_l2 and weight_decay must be at least 0.")
        if not min(self.minutes_max, self.learning_rate) > 0:
            raise ValueError("minutes_max and learning_rate must be above 0.")


class Network:
    """A ranker whose networks were learned in `training`."""

    name: ClassVar[str]
    kind: ClassVar[Literal["crossed", "towers"]]

    def __init__(self, config: Any) -> None:
        self.config = config
        self._network = b""
        self._session: Any = None

    def fit(
        self,
        features: Floats,
        labels: Floats,
        weights: Floats,
        owners: NDArray[np.int64],
        columns: Columns = AMOUNTS,
    ) -> Self:
        """Learn from [N, F] features, labels, what each row counts, and its request, [N].

        Labels are [N], or for several outcomes [N, T]; see `contracts.Ranker`.
        """
        _lessons.check(self.name, features, labels, weights, owners, columns)
        try:
            import onnx  # noqa: F401

            from shopkeeper.training import clicks
            from shopkeeper.training.loop import Plan
            from shopkeeper.training.networks.clicks import Shape, to_onnx
        except ImportError as error:
            raise Missing(
                f"Learning '{self.name}' needs '{error.name}', which is not installed. "
                "Install it with `pip install 'shopkeeper[train]'`."
            ) from error
        config = self.config
        labels_NT = labels.reshape(len(labels), -1).astype(np.float32)
        rows, counts = _lessons.thinned(labels_NT[:, 0], weights, config.rows_max, config.seed)
        features, labels_NT, owners = features[rows], labels_NT[rows], owners[rows]
        num_folds = max(config.models, round(1 / config.held_share))
        known = clicks.Impressions(
            features, labels_NT, counts, _lessons.folds(owners, num_folds, config.seed)
        )
        shape = Shape(
            width=config.width, hidden=tuple(config.hidden), dropout=config.dropout,
            outcomes=labels_NT.shape[1], kind=self.kind,
        )  # fmt: skip
        plan = Plan(
            epochs_max=config.epochs_max, patience_epochs=config.patience,
            minutes_max=config.minutes_max / config.models, lr=config.learning_rate,
            weight_decay=config.weight_decay, clip_norm=10.0, seed=config.seed,
        )  # fmt: skip
        how = clicks.Learning(config.models, config.batch, config.embedding_l2)
        fields = _fields(features, columns, config.pieces, config.rare_max)
        networks = clicks.teach(known, fields, shape, plan, how)
        return self._open(to_onnx(networks, features.shape[1]))

    def found(self, features: Floats) -> Floats:
        """Return what the networks say, [N, T]."""
        if self._session is None:
            raise NotFitted(f"'{self.name}' has not learned yet. Call `fit` or `restore` first.")
        if not features.shape[0]:
            return np.empty((0, self._session.get_outputs()[0].shape[1]), np.float32)
        (found,) = self._session.run(None, {"x": np.ascontiguousarray(features, np.float32)})
        return np.asarray(found, np.float32)

    def save(self, folder: Path) -> None:
        """Write the networks into an empty `folder`."""
        if not self._network:
            raise NotFitted(f"'{self.name}' has nothing to save yet. Call `fit` first.")
        (folder / FILE).write_bytes(self._network)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote. Needs no torch."""
        return self._open(_files.read_bytes(folder / FILE), folder / FILE)

    def _open(self, network: bytes, file: Path | str = FILE) -> Self:
        self._session = _files.session(network, file)
        self._network = network
        return self


def _fields(features: Floats, columns: Columns, pieces: int, rare_max: int) -> Any:
    """Learn where the pieces of amounts lie and which codes there are."""
    from shopkeeper.training.networks.clicks import Fields

    chosen = _lessons.amounts(features.shape[1], columns)
    edges_AQ = np.full((len(chosen), pieces + 1), np.nan, np.float32)
    for row, at in enumerate(chosen):
        known = features[:, at][np.isfinite(features[:, at])]
        if known.size:
            edges = np.unique(np.quantile(known, np.linspace(0, 1, pieces + 1)).astype(np.float32))
            edges_AQ[row, : len(edges)] = edges
    numbers = {
        at: _lessons.numbered(_lessons.codes_of(features[:, at]), rare_max) for at in columns.codes
    }
    places = 0
    if columns.place is not None:
        places = int(_lessons.codes_of(features[:, columns.place]).max(initial=-1)) + 1
    return Fields(
        tuple(chosen), edges_AQ, numbers, dict(columns.histories), columns.place, max(places, 1)
    )
