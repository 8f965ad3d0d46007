"""Turns a ranker's scores into chances that come true as often as they say.

Three ways are tried on rows that the ranker has not learned from, and the one with the smallest log
loss is taken: Platt's line, the beta curve of Kull, Silva Filho and Flach (AISTATS 2017), and
isotonic steps (Zadrozny and Elkan, KDD 2002), joined by lines. A placement may have a line of its
own on top, drawn towards that of all. Knows no ranker.
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
        The calibration with the smallest log loss in cross-validation; lines of placements only
        where they make it smaller.
    """
    weight = np.ones(len(scores)) if weights is None else np.asarray(weights, np.float64)
    label = np.asarray(labels, np.float64)
    spread = float(np.std(scores))
    plain = (float(np.mean(scores)), spread if spread > 1e-12 else 1.0)
    fold = np.random.default_rng(seed).permutation(len(label)) % FOLDS

    def loss(learn: Callable[[NDArray[Any]], Calibration]) -> float:
        chance = np.empty(len(label))
        for one in range(FOLDS):
            here = fold == one
            names = None if placements is None else placements[here]
            chance[here] = learn(~here).chances(scores[here], names)
        return float(weight @ -np.log(np.where(label > 0, chance, 1 - chance)))

    def by(method: str) -> Callable[[NDArray[Any]], Calibration]:
        def learn(rows: NDArray[Any]) -> Calibration:
            drawn = (np.asarray(scores, np.float64)[rows] - plain[0]) / plain[1]
            return Calibration(method, _learned(method, drawn, label[rows], weight[rows]), *plain)

        return learn

    def apart(rows: NDArray[Any]) -> Calibration:
        whole = by(best)(rows)
        assert placements is not None
        odds = _odds(best, whole.values, whole._drawn(scores[rows]))
        lines = {}
        for name in np.unique(placements[rows]).tolist():
            here = placements[rows] == name
            lines[name] = _line(odds[here], label[rows][here], weight[rows][here], 1.0, PRIOR)
        return Calibration(best, whole.values, *plain, lines)

    losses = {method: loss(by(method)) for method in METHODS}
    best = min(losses, key=lambda method: losses[method])
    every = np.ones(len(label), np.bool_)
    if placements is not None and np.unique(placements).size > 1 and loss(apart) < losses[best]:
        return apart(every)
    return by(best)(every)


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
