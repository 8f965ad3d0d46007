"""Turns a ranker's scores into chances that come true as often as they say.

Three ways are tried on rows that the ranker has not learned from: Platt's line; the beta curve of
Kull, Silva Filho and Flach (AISTATS 2017); isotonic steps (Zadrozny and Elkan, KDD 2002), joined by
lines. The line is taken unless another one's log loss is smaller by more than its standard error. A
placement may have a line of its own on top, drawn towards that of all. Knows no ranker.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from shopkeeper.contracts import AMOUNTS, Columns, Ranker
from shopkeeper.ranking import _lessons

Doubles = NDArray[np.float64]

FOLDS = 5
PRIOR = 20.0
"""How many rows the line of all placements counts as, beside those of one."""
ODDS_MAX = 16.0


@dataclass(frozen=True)
class Calibration:
    """From scores to chances."""

    method: str
    """`platt`, `beta` or `isotonic`."""
    values: Mapping[str, list[float]]
    """What the method learned."""
    centre: float
    spread: float
    placements: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """By placement: slope and shift of its own line on the log odds of all."""

    def chances(
        self, scores: NDArray[np.floating], placements: NDArray[Any] | None = None
    ) -> Doubles:
        """Return the chance of each row.

        Args:
            scores: What the ranker said, [N].
            placements: Where each row stands, [N]; one that is not known is like all.

        Returns:
            Numbers in (0, 1), [N].
        """
        odds = _odds(self.method, self.values, self._drawn(scores))
        if placements is not None:
            for name, (slope, shift) in self.placements.items():
                here = placements == name
                odds[here] = slope * odds[here] + shift
        return np.asarray(expit(np.clip(odds, -ODDS_MAX, ODDS_MAX)), np.float64)

    def said(self) -> dict[str, Any]:
        """Say it in words of JSON."""
        return {
            "method": self.method,
            "values": dict(self.values),
            "centre": self.centre,
            "spread": self.spread,
            "placements": {name: list(line) for name, line in self.placements.items()},
        }

    @classmethod
    def heard(cls, said: Mapping[str, Any]) -> Self:
        """Understand what `said` said."""
        lines = {name: (line[0], line[1]) for name, line in said["placements"].items()}
        return cls(said["method"], said["values"], said["centre"], said["spread"], lines)

    def _drawn(self, scores: NDArray[np.floating]) -> Doubles:
        return np.asarray((np.asarray(scores, np.float64) - self.centre) / self.spread)


def calibrate(
    scores: NDArray[np.floating],
    labels: NDArray[np.floating],
    weights: NDArray[np.floating] | None = None,
    placements: NDArray[Any] | None = None,
    seed: int = 0,
) -> Calibration:
    """Learn chances from scores of rows that the ranker did not learn from.

    Args:
        scores: [N].
        labels: 1 or 0, [N], both kinds.
        weights: What each row counts, [N]; 1 by default.
        placements: The name of each row's placement, [N], if there are several.
        seed: Deals rows out to choose the method.

    Returns:
        The calibration with the smallest log loss in cross-validation, the simpler one in doubt.
    """
    weight = np.ones(len(scores)) if weights is None else np.asarray(weights, np.float64)
    spread = float(np.std(scores))
    rows = _Rows(
        np.asarray(scores, np.float64), np.asarray(labels, np.float64), weight, placements,
        float(np.mean(scores)), spread if spread > 1e-12 else 1.0, seed,
    )  # fmt: skip
    best, least = METHODS[0], rows.losses(METHODS[0])
    for method in METHODS[1:]:
        if _surely_less(found := rows.losses(method), least):
            best, least = method, found
    apart = placements is not None and np.unique(placements).size > 1
    apart = apart and _surely_less(rows.losses(best, apart=True), least)
    return rows.learned(best, np.ones(len(scores), np.bool_), apart=apart)


@dataclass(frozen=True)
class _Rows:
    """What is calibrated on."""

    scores: Doubles
    labels: Doubles
    weights: Doubles
    placements: NDArray[Any] | None
    centre: float
    spread: float
    seed: int

    def learned(self, method: str, rows: NDArray[np.bool_], *, apart: bool) -> Calibration:
        """Return what some rows teach, with lines of placements or without."""
        drawn = (self.scores[rows] - self.centre) / self.spread
        labels, weights = self.labels[rows], self.weights[rows]
        values = _learned(method, drawn, labels, weights)
        lines = {}
        if apart and self.placements is not None:
            odds = _odds(method, values, drawn)
            names = self.placements[rows]
            for name in np.unique(names).tolist():
                here = names == name
                lines[name] = _line(odds[here], labels[here], weights[here], 1.0, PRIOR)
        return Calibration(method, values, self.centre, self.spread, lines)

    def losses(self, method: str, *, apart: bool = False) -> Doubles:
        """Return the log loss of each row by what the other folds teach, [N]."""
        fold = np.random.default_rng(self.seed).permutation(len(self.labels)) % FOLDS
        chance = np.empty(len(self.labels))
        for one in range(FOLDS):
            here = fold == one
            names = None if self.placements is None else self.placements[here]
            found = self.learned(method, ~here, apart=apart)
            chance[here] = found.chances(self.scores[here], names)
        came = np.where(self.labels > 0, chance, 1 - chance)
        return np.asarray(self.weights * -np.log(came))


def calibrated(
    make: Callable[[], Ranker],
    lessons: tuple[Any, Any, Any, Any],
    columns: Columns = AMOUNTS,
    placements: NDArray[Any] | None = None,
    num_folds: int = 3,
    seed: int = 0,
) -> tuple[Ranker, Calibration]:
    """Teach a ranker, and learn its chances from what its twins say of requests held back.

    Args:
        make: Builds the ranker, each time anew.
        lessons: Features, labels, weights and owners; see `contracts.Ranker`.
        columns: What the features are.
        placements: The name of each row's placement, [N].
        num_folds: How many twins, from 2.
        seed: Deals the requests out.

    Returns:
        The ranker, learned from all rows, and the calibration, from scores of each row that no
        lesson of its own went into.
    """
    features, labels, weights, owners = lessons
    first = labels if labels.ndim == 1 else labels[:, 0]
    fold = _lessons.folds(owners, num_folds, seed)
    scores: NDArray[np.floating] = np.empty(len(first))
    judged = np.zeros(len(first), np.bool_)
    for one in range(num_folds):
        held = fold == one
        if not held.any() or np.unique(first[~held]).size < 2:
            continue
        twin = make().fit(features[~held], labels[~held], weights[~held], owners[~held], columns)
        scores[held] = twin.score(features[held])
        judged |= held
    ranker = make().fit(features, labels, weights, owners, columns)
    if not judged.any():
        scores, judged = ranker.score(features), ~judged
    names = None if placements is None else placements[judged]
    return ranker, calibrate(scores[judged], first[judged], weights[judged], names, seed)


METHODS = ("platt", "beta", "isotonic")


def _surely_less(ours: Doubles, theirs: Doubles) -> bool:
    """Say whether losses of the same rows are smaller by more than a standard error."""
    less = theirs - ours
    return bool(less.sum() > less.std() * np.sqrt(len(less)))


def _learned(
    method: str, drawn: Doubles, label: Doubles, weight: Doubles
) -> dict[str, list[float]]:
    if method == "platt":
        return {"line": list(_line(drawn, label, weight, 0.0, 1e-3))}
    if method == "beta":
        start = expit(drawn)
        parts = np.stack([np.log(start), -np.log1p(-start)])
        return {"curve": _curve(parts, label, weight).tolist()}
    return _steps(drawn, label, weight)


def _odds(method: str, values: Mapping[str, list[float]], drawn: Doubles) -> Doubles:
    if method == "platt":
        slope, shift = values["line"]
        return slope * drawn + shift
    if method == "beta":
        low, high, shift = values["curve"]
        return np.asarray(low * log_expit(drawn) - high * log_expit(-drawn) + shift)
    return np.interp(drawn, values["at"], values["odds"])


def _line(
    drawn: Doubles, label: Doubles, weight: Doubles, towards: float, strength: float
) -> tuple[float, float]:
    """Return slope (at least 0) and shift of log odds, the slope drawn towards a value."""
    spread = float(weight @ drawn**2) / max(float(weight.sum()), 1e-9)

    def cost(line: Doubles) -> tuple[float, Doubles]:
        odds = line[0] * drawn + line[1]
        wrong = weight * (expit(odds) - label)
        off = line[0] - towards
        # The shift is held only where the line has a place to be drawn to.
        held = strength * 0.01 * line[1] if towards else 0.0
        loss = weight @ (np.logaddexp(0, odds) - label * odds)
        loss += strength * spread * off**2 / 2 + held * line[1] / 2
        slopes = np.array([wrong @ drawn + strength * spread * off, wrong.sum() + held])
        return float(loss), slopes

    start = np.array([towards, 0.0 if towards else _rate_odds(label, weight)])
    found = minimize(
        cost, start, jac=True, method="L-BFGS-B", bounds=[(0, None), (-ODDS_MAX, ODDS_MAX)]
    )
    return float(found.x[0]), float(found.x[1])


def _curve(parts: Doubles, label: Doubles, weight: Doubles) -> Doubles:
    """Return the three numbers of a beta curve, the first two at least 0."""

    def cost(curve: Doubles) -> tuple[float, Doubles]:
        odds = curve[:2] @ parts + curve[2]
        wrong = weight * (expit(odds) - label)
        loss = float(weight @ (np.logaddexp(0, odds) - label * odds))
        return loss, np.array([*(parts @ wrong), wrong.sum()])

    start = np.array([1.0, 1.0, _rate_odds(label, weight)])
    bounds = [(0, None), (0, None), (-ODDS_MAX, ODDS_MAX)]
    found = minimize(cost, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return np.asarray(found.x)


def _steps(drawn: Doubles, label: Doubles, weight: Doubles) -> dict[str, list[float]]:
    """Return the centres of steps that never fall, and their log odds."""
    at, place = np.unique(drawn, return_inverse=True)
    total = np.bincount(place, weight)
    hits = np.bincount(place, weight * label)
    blocks: list[list[float]] = []
    for centre, count, hit in zip(at, total, hits, strict=True):
        block = [centre * count, count, hit]
        while blocks and blocks[-1][2] * block[1] >= block[2] * blocks[-1][1]:
            block = [one + other for one, other in zip(blocks.pop(), block, strict=True)]
        blocks.append(block)
    sums = np.array([block for block in blocks if block[1] > 0])
    rate = float(hits.sum() / total.sum())
    # A step of nothing but misses must not say never.
    rates = (sums[:, 2] + rate) / (sums[:, 1] + 1)
    odds = np.maximum.accumulate(np.log(rates / (1 - rates)))
    return {"at": (sums[:, 0] / sums[:, 1]).tolist(), "odds": odds.tolist()}


def _rate_odds(label: Doubles, weight: Doubles) -> float:
    rate = np.clip(float(weight @ label) / max(float(weight.sum()), 1e-9), 1e-6, 1 - 1e-6)
    return float(np.log(rate / (1 - rate)))
