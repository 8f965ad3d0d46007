"""Logistic regression: the floor that every other ranker has to beat.

Amounts are drawn together (inverse hyperbolic sine), standardised and cut off at 6 deviations;
each code has a weight of its own, and so has a missing amount. The ridge penalty is chosen on
requests held back. Source: Richardson, Dominowska and Ragno, WWW 2007. Learns and answers with
NumPy and SciPy alone. Knows nothing of what columns do together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from shopkeeper.contracts import AMOUNTS, Columns
from shopkeeper.errors import NotFitted
from shopkeeper.ranking import _files, _lessons

FILE = "weights.npz"
CUT = 6.0
FOLDS = 3

# N rows, A amounts with what is made of them, C columns of codes
Doubles = NDArray[np.float64]


class Logistic:
    """A weighed sum of what is known of a candidate, read as the log odds of a sale."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings under [ranking.logistic] in shop.toml."""

        penalties: tuple[float, ...] = (1.0, 10.0, 100.0, 1000.0)
        """Ridge penalties, in candidates, of which the best on requests held back is taken."""
        rare_max: int = 2
        """A code seen so often at most counts as an unknown one."""
        rows_max: int = 500_000
        """How many candidates to learn from; what was not bought is left out first."""
        seed: int = 0
        """Same seed and data, same weights."""

        def __post_init__(self) -> None:
            if not self.penalties or min(self.penalties) <= 0:
                raise ValueError(f"penalties must be above 0, got {self.penalties}.")
            if self.rare_max < 0 or self.rows_max < 10:
                raise ValueError("rare_max must be at least 0 and rows_max at least 10.")

    def __init__(self, config: Config) -> None:
        self.config = config
        self.columns = AMOUNTS
        self.penalty = 0.0
        """The penalty that was chosen."""
        self._arrays: dict[str, NDArray[Any]] = {}

    def fit(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.float32],
        weights: NDArray[np.float32],
        owners: NDArray[np.int64],
        columns: Columns = AMOUNTS,
    ) -> Self:
        """Learn from [N, F] features, [N] labels, what each row counts, and its request, [N]."""
        _lessons.check("logistic", features, labels, weights, owners, columns)
        rows, counts = _lessons.thinned(labels, weights, self.config.rows_max, self.config.seed)
        features, labels, owners = features[rows], labels[rows], owners[rows]
        self.columns, self._arrays = columns, {}
        self._measure(features)
        amounts_NA, numbers_NC = self._laid(features, answering=False)
        sizes = [int(self._arrays[f"codes{at}"].max()) + 1 for at in self._tables()]
        known = _Known(amounts_NA, numbers_NC, sizes, labels, counts / counts.mean())
        self.penalty = self._chosen(known, owners)
        self._arrays["weights"] = known.solved(np.arange(len(labels)), self.penalty)
        return self

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the log odds of each row, [N]."""
        if not self._arrays:
            raise NotFitted("'logistic' has not learned yet. Call `fit` or `restore` first.")
        amounts_NA, numbers_NC = self._laid(features, answering=True)
        sizes = [int(self._arrays[f"codes{at}"].max()) + 1 for at in self._tables()]
        return _sums(self._arrays["weights"], amounts_NA, numbers_NC, sizes).astype(np.float32)

    def place_odds(self, features: NDArray[np.float32]) -> Doubles:
        """Return what the place of each row adds to the log odds of the first place, [N]."""
        assert self.columns.place is not None, "there is no place to speak of"
        codes = _lessons.codes_of(features[:, self.columns.place])
        numbers = self._arrays[f"codes{self.columns.place}"]
        # The table of the place stands last.
        odds = self._arrays["weights"][-int(numbers.max()) - 1 :]
        first = _lessons.number_of(np.zeros(1, np.int64), numbers)
        return np.asarray(odds[_lessons.number_of(codes, numbers)] - odds[first])

    def save(self, folder: Path) -> None:
        """Write the weights into an empty `folder`."""
        if not self._arrays:
            raise NotFitted("'logistic' has nothing to save yet. Call `fit` first.")
        about = {"columns": _files.said(self.columns), "penalty": self.penalty}
        _files.write_arrays(folder / FILE, self._arrays, about)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        arrays, about = _files.read_arrays(folder / FILE)
        try:
            self.columns, self.penalty = _files.heard(about["columns"]), about["penalty"]
            wanted = {"weights", "scale", "mean", "deviation", "flagged"}
            wanted |= {f"codes{at}" for at in self._tables()}
            if not wanted <= set(arrays):
                raise KeyError(f"{sorted(wanted - set(arrays))} is missing")
        except (KeyError, TypeError, ValueError) as error:
            raise _files.broken(folder / FILE, error) from error
        self._arrays = arrays
        return self

    def _tables(self) -> list[int]:
        """List the columns that have a weight for each value."""
        place = self.columns.place
        return [*self.columns.codes, *([] if place is None else [place])]

    def _amounts(self, features: NDArray[np.float32]) -> Doubles:
        chosen = _lessons.amounts(features.shape[1], self.columns)
        more = [_lessons.again(features, key, at) for key, at in self.columns.histories.items()]
        return np.column_stack([features[:, chosen], *more]).astype(np.float64)

    def _measure(self, features: NDArray[np.float32]) -> None:
        """Learn how amounts are spread, and which codes there are."""
        amount_NA = self._amounts(features)
        known = np.isfinite(amount_NA)
        size = np.where(known & (amount_NA != 0), np.abs(amount_NA), np.nan)
        scale = np.array([np.nanmedian(one) if np.isfinite(one).any() else 1 for one in size.T])
        drawn = np.where(known, np.arcsinh(amount_NA / scale), np.nan)
        filled = [one[np.isfinite(one)] for one in drawn.T]
        mean = np.array([one.mean() if one.size else 0 for one in filled])
        deviation = np.array([one.std() if one.size else 0 for one in filled])
        self._arrays |= {"scale": scale, "mean": mean}
        self._arrays["deviation"] = np.where(deviation > 1e-9, deviation, np.inf)
        self._arrays["flagged"] = np.asarray(np.isnan(amount_NA).any(0))
        for at in self._tables():
            codes = _lessons.codes_of(features[:, at])
            rare_max = 0 if at == self.columns.place else self.config.rare_max
            self._arrays[f"codes{at}"] = _lessons.numbered(codes, rare_max)

    def _laid(
        self, features: NDArray[np.float32], *, answering: bool
    ) -> tuple[Doubles, NDArray[np.int64]]:
        """Return amounts with a 1 and flags of what is missing, [N, A], and codes' numbers."""
        arrays = self._arrays
        amount_NA = np.clip(self._amounts(features), -1e30, 1e30)
        missing = np.isnan(amount_NA)
        drawn = (np.arcsinh(amount_NA / arrays["scale"]) - arrays["mean"]) / arrays["deviation"]
        drawn = np.where(missing, 0, np.clip(drawn, -CUT, CUT))
        flags = missing[:, arrays["flagged"]].astype(np.float64)
        numbers = []
        for at in self._tables():
            codes = _lessons.codes_of(features[:, at])
            if answering and at == self.columns.place:
                codes = np.zeros_like(codes)
            numbers.append(_lessons.number_of(codes, arrays[f"codes{at}"]))
        numbers_NC = np.stack(numbers, 1) if numbers else np.empty((len(features), 0), np.int64)
        return np.hstack([np.ones((len(features), 1)), drawn, flags]), numbers_NC

    def _chosen(self, known: "_Known", owners: NDArray[np.int64]) -> float:
        """Return the penalty with the smallest loss on requests held back."""
        penalties = self.config.penalties
        if len(penalties) == 1 or np.unique(owners).size < FOLDS:
            return sorted(penalties)[len(penalties) // 2]
        fold = _lessons.folds(owners, FOLDS, self.config.seed)
        losses = dict.fromkeys(penalties, 0.0)
        for one in range(FOLDS):
            start = None
            # From strong to weak, each solution is near the next.
            for penalty in sorted(penalties, reverse=True):
                start = known.solved(fold != one, penalty, start)
                losses[penalty] += known.loss(np.flatnonzero(fold == one), start)
        return min(penalties, key=lambda penalty: losses[penalty])


@dataclass
class _Known:
    """Lessons, laid out."""

    amounts_NA: Doubles
    numbers_NC: NDArray[np.int64]
    sizes: Sequence[int]
    labels: NDArray[np.float32]
    counts: NDArray[np.float32]

    def solved(self, rows: NDArray[Any], penalty: float, start: Doubles | None = None) -> Doubles:
        """Return the weights that fit some rows best, [A + the sizes of all tables]."""
        amounts, numbers = self.amounts_NA[rows], self.numbers_NC[rows]
        labels, counts = self.labels[rows], self.counts[rows]
        begins = amounts.shape[1] + np.cumsum([0, *self.sizes])
        ridge = np.full(begins[-1], penalty)
        ridge[0] = 0
        total = max(float(counts.sum()), 1e-9)
        # Starting from the rate makes a rare label no harder than a common one.
        rate = np.clip(float(counts @ labels) / total, 1e-6, 1 - 1e-6)
        if start is None:
            start = np.zeros(begins[-1])
            start[0] = np.log(rate / (1 - rate))

        def cost(weights: Doubles) -> tuple[float, Doubles]:
            sums = _sums(weights, amounts, numbers, self.sizes)
            loss = counts @ (np.logaddexp(0, sums) - labels * sums)
            wrong = counts * (expit(sums) - labels)
            tables = [
                np.bincount(numbers[:, at], wrong, size) for at, size in enumerate(self.sizes)
            ]
            slope = np.concatenate([amounts.T @ wrong, *tables]) + ridge * weights
            return (loss + 0.5 * float(ridge @ weights**2)) / total, slope / total

        found = minimize(cost, start, jac=True, method="L-BFGS-B", options={"maxiter": 300})
        return np.asarray(found.x)

    def loss(self, rows: NDArray[Any], weights: Doubles) -> float:
        """Return the log loss of some rows, summed."""
        sums = _sums(weights, self.amounts_NA[rows], self.numbers_NC[rows], self.sizes)
        return float(self.counts[rows] @ (np.logaddexp(0, sums) - self.labels[rows] * sums))


def _sums(
    weights: Doubles, amounts_NA: Doubles, numbers_NC: NDArray[np.int64], sizes: Sequence[int]
) -> Doubles:
    begins = amounts_NA.shape[1] + np.cumsum([0, *sizes])
    sums = amounts_NA @ weights[: amounts_NA.shape[1]]
    for at in range(len(sizes)):
        sums += weights[begins[at] : begins[at + 1]][numbers_NC[:, at]]
    return np.asarray(sums)
