"""Do predicted chances come true, and how sure are we?

Bins hold about equally many rows, so that a rare event does not leave all rows in one. Intervals
are of Efron and Tibshirani, 1993: rows, or whole groups of them, are drawn again. Knows no model.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.evaluation.bootstrap import Interval

Doubles = NDArray[np.float64]
BINS = 10


def reliability(labels: Doubles, chances: Doubles, bins: int = BINS) -> list[dict[str, float]]:
    """Compare what was foretold with what came, by bins of about equally many rows.

    Args:
        labels: 1 or 0, [N].
        chances: In [0, 1], [N]; equal ones fall into one bin.
        bins: How many at most, from 1.

    Returns:
        A row for each bin, the smallest chances first: `rows`, `foretold` and `came`, both means.
    """
    bin_of = _bins(chances, bins)
    count = np.bincount(bin_of)
    foretold = np.bincount(bin_of, chances) / count
    came = np.bincount(bin_of, labels) / count
    return [
        {"rows": int(rows), "foretold": float(said), "came": float(was)}
        for rows, said, was in zip(count, foretold, came, strict=True)
    ]


def calibration_error(labels: Doubles, chances: Doubles, bins: int = BINS) -> float:
    """Expected calibration error: the mean gap between what was foretold and what came.

    Args:
        labels: 1 or 0, [N], N from 1.
        chances: In [0, 1], [N].
        bins: Bins of equal mass, from 1.

    Returns:
        A number in [0, 1], 0 for chances that come true in every bin. Noise alone makes it more
        than 0.

    Source: Naeini, Cooper and Hauskrecht, AAAI 2015; with bins of equal mass as in Nguyen and
    O'Connor, EMNLP 2015.
    """
    return _gap(labels, chances, _bins(chances, bins), np.ones(len(labels)))


def precision_recall(labels: Doubles, scores: Doubles) -> tuple[Doubles, Doubles]:
    """Return precision and recall where the list is cut after each different score.

    Args:
        labels: 1 or 0, [N], with a 1.
        scores: Higher for likelier, [N].

    Returns:
        Precision and recall, the highest scores first, [S]; S different scores.
    """
    _, end, hit = _cuts(scores, labels, np.ones(len(labels)))
    return hit / end, hit / hit[-1]


def average_precision(labels: Doubles, scores: Doubles) -> float:
    """Area below the precision-recall curve, as steps; NaN without a 1.

    Args:
        labels: 1 or 0, [N].
        scores: Higher for likelier, [N]; equal ones are cut together.

    Returns:
        A number in (0, 1]; a random order has about the share of 1.
    """
    return _precision(labels, scores, np.ones(len(labels)))


MEASURES: Mapping[str, str] = {
    "auc": "chance that a hit scores above a miss",
    "log_loss": "mean surprise, in nats",
    "calibration_error": "mean gap between chance and truth, equal-mass bins",
    "average_precision": "area below the precision-recall curve",
}


def judged(
    labels: Doubles,
    chances: Doubles,
    *,
    groups: NDArray[Any] | None = None,
    resamples: int = 500,
    seed: int = 0,
    bins: int = BINS,
) -> dict[str, Interval]:
    """Return every measure of `MEASURES` with its 95 % interval.

    Args:
        labels: 1 or 0, [N], both kinds.
        chances: In (0, 1), [N].
        groups: Rows with one value are drawn together, [N]; else each row alone.
        resamples: How many resamples, from 1.
        seed: Same seed, same intervals; and the same resamples for all models of one data set.
        bins: Of the calibration error.

    Returns:
        An interval by measure, around the value on all rows.
    """
    bin_of = _bins(chances, bins)
    surprise = surprises(labels, chances)
    order = np.argsort(-chances, kind="stable")
    label, chance = labels[order], chances[order]
    ends = np.flatnonzero(np.diff(chance, append=-np.inf))

    def all_of(weight: Doubles) -> list[float]:
        total, hit = np.cumsum(weight[order])[ends], np.cumsum(weight[order] * label)[ends]
        return [
            _area(total, hit),
            float(weight @ surprise / weight.sum()),
            _gap(labels, chances, bin_of, weight),
            _steps(total, hit),
        ]

    values = resampled(all_of, len(labels), groups, resamples, seed)
    whole = all_of(np.ones(len(labels)))
    low, high = np.nanquantile(values, (0.025, 0.975), axis=0)
    return {
        name: Interval(whole[at], float(low[at]), float(high[at]))
        for at, name in enumerate(MEASURES)
    }


def surprises(labels: Doubles, chances: Doubles, edge: float = 1e-12) -> Doubles:
    """Return the log loss of each row, [N]; see `metrics.log_loss`."""
    kept = np.clip(np.asarray(chances, np.float64), edge, 1 - edge)
    return np.asarray(-np.where(np.asarray(labels) > 0, np.log(kept), np.log1p(-kept)))


def resampled(
    measure: Callable[[Doubles], Any],
    num: int,
    groups: NDArray[Any] | None,
    resamples: int,
    seed: int,
) -> Doubles:
    """Return what `measure` makes of weights, how often each row was drawn, for each resample.

    Args:
        measure: Given weights [N], one number or several.
        num: N.
        groups: Rows with one value are drawn together, [N].
        resamples: How often.
        seed: Same seed, same draws.

    Returns:
        [R, ...].
    """
    chance = np.random.default_rng(seed)
    member = None if groups is None else np.unique(groups, return_inverse=True)[1]
    size = num if member is None else int(member.max()) + 1
    found = []
    for _ in range(resamples):
        drawn = np.bincount(chance.integers(0, size, size), minlength=size).astype(np.float64)
        found.append(measure(drawn if member is None else drawn[member]))
    return np.asarray(found, np.float64)


def _bins(chances: Doubles, bins: int) -> NDArray[np.int64]:
    """Return the bin of each row, from 0 without gaps, [N]; equal chances share one."""
    edges = np.quantile(chances, np.linspace(0, 1, bins + 1)[1:-1])
    place = np.searchsorted(np.unique(edges), chances, side="right")
    return np.asarray(np.unique(place, return_inverse=True)[1], np.int64)


def _gap(labels: Doubles, chances: Doubles, bin_of: NDArray[np.int64], weight: Doubles) -> float:
    off = np.bincount(bin_of, weight * (chances - labels))
    return float(np.abs(off).sum() / weight.sum())


def _cuts(scores: Doubles, labels: Doubles, weight: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Return each different score, falling, and the rows and hits down to it."""
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    score = np.asarray(scores, np.float64)[order]
    ends = np.flatnonzero(np.diff(score, append=-np.inf))
    end = np.cumsum(weight[order])[ends]
    return score[ends], end, np.cumsum((weight * labels)[order])[ends]


def _precision(labels: Doubles, scores: Doubles, weight: Doubles) -> float:
    _, end, hit = _cuts(scores, labels, weight)
    return _steps(end, hit)


def _steps(end: Doubles, hit: Doubles) -> float:
    if not hit[-1] > 0:
        return float("nan")
    precision = np.divide(hit, end, out=np.zeros(len(hit)), where=end > 0)
    return float(np.diff(hit, prepend=0) @ precision / hit[-1])


def _area(end: Doubles, hit: Doubles) -> float:
    """Return the area under the curve of hits over misses, ties counting half."""
    miss = end - hit
    if not hit[-1] > 0 or not miss[-1] > 0:
        return float("nan")
    below = np.diff(miss, prepend=0) @ (hit - np.diff(hit, prepend=0) / 2)
    return float(below / (hit[-1] * miss[-1]))
