"""What would another way to choose have earned, judged by what one way showed?

Source: inverse propensity scores of Horvitz and Thompson, JASA 1952, and their self-normalised form
(Swaminathan and Joachims, NeurIPS 2015), which is steadier and stays within the rewards seen. Knows
no policy: the chances of what was shown are given.
"""

import numpy as np
from numpy.typing import NDArray

from shopkeeper.errors import BadData
from shopkeeper.evaluation.bootstrap import Interval
from shopkeeper.evaluation.chances import resampled

Doubles = NDArray[np.float64]


def importance(logged: Doubles, wanted: Doubles, weight_max: float = np.inf) -> Doubles:
    """Return how much each row counts for another policy.

    Args:
        logged: Chance with which what was shown was shown, in (0, 1], [N].
        wanted: Chance with which the judged policy shows it, in [0, 1], [N].
        weight_max: A row counts so much at most; a bound trades a little bias for much noise.

    Returns:
        Weights, [N].

    Raises:
        BadData: A chance is outside its range, or missing.
    """
    logged, wanted = np.asarray(logged, np.float64), np.asarray(wanted, np.float64)
    if not ((logged > 0) & (logged <= 1)).all():
        worst = logged[~((logged > 0) & (logged <= 1))][0]
        raise BadData(
            f"A logged propensity is {worst:g}; it must be above 0 and at most 1. Leave out rows "
            "whose propensity is not known."
        )
    if not ((wanted >= 0) & (wanted <= 1)).all():
        raise BadData("A chance of the judged policy is outside [0, 1].")
    return np.asarray(np.minimum(wanted / logged, weight_max))


def snips(
    rewards: Doubles,
    weights: Doubles,
    *,
    groups: NDArray[np.generic] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Estimate what a policy earns for each row, self-normalised.

    Args:
        rewards: What came of each row that was shown, such as a click, [N].
        weights: What `importance` gave, [N].
        groups: Rows with one value are drawn together, such as one page, [N].
        resamples: How many resamples the interval rests on, from 1.
        seed: Same seed, same interval.

    Returns:
        The mean reward and its 95 % interval; NaN where no row counts.
    """
    rewards, weights = np.asarray(rewards, np.float64), np.asarray(weights, np.float64)

    def mean(drawn: Doubles) -> float:
        total = float(drawn @ weights)
        return float(drawn @ (weights * rewards)) / total if total > 0 else float("nan")

    found = resampled(mean, len(rewards), groups, resamples, seed)
    if np.isnan(found).all():
        return Interval(float("nan"), float("nan"), float("nan"))
    low, high = np.nanquantile(found, (0.025, 0.975))
    return Interval(mean(np.ones(len(rewards))), float(low), float(high))


def effective_rows(weights: Doubles) -> float:
    """Return how many rows of equal weight would say as much (Kish, 1965)."""
    weights = np.asarray(weights, np.float64)
    most = float(weights @ weights)
    return float(weights.sum() ** 2 / most) if most > 0 else 0.0
