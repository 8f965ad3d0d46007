"""How sure are we of a mean, or of a difference? Resamples the shoppers to find out.

Source: percentile intervals of Efron and Tibshirani, 1993. Knows nothing of what is measured.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CELLS_MAX = 4_000_000
"""Resampled values held at once."""


@dataclass(frozen=True)
class Interval:
    """A mean and the range that holds it with some confidence."""

    mean: float
    low: float
    high: float

    def above(self, value: float = 0.0) -> bool:
        """Say whether even the low end is above `value`."""
        return self.low > value


def mean_interval(
    values: NDArray[np.floating], *, resamples: int = 1000, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """Return the mean of `values` and its interval.

    Args:
        values: One score per shopper, [N].
        resamples: How many resamples, from 1.
        seed: Same seed, same interval.
        confidence: How much of the resampled means the interval holds, in (0, 1).

    Returns:
        The mean and its interval; all NaN without values.

    Raises:
        ValueError: `resamples` is below 1, or `confidence` is not between 0 and 1.
    """
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}.")
    values = np.asarray(values, np.float64)
    if not values.size:
        return Interval(float("nan"), float("nan"), float("nan"))
    chance = np.random.default_rng(seed)
    step = max(1, CELLS_MAX // values.size)
    means = [
        values[chance.integers(0, values.size, (min(step, resamples - done), values.size))].mean(1)
        for done in range(0, resamples, step)
    ]
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(means), (tail, 1 - tail))
    return Interval(float(values.mean()), float(low), float(high))


def paired_difference(
    ours: NDArray[np.floating],
    theirs: NDArray[np.floating],
    *,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Return how much better `ours` is than `theirs` for the same shoppers, and its interval.

    Args:
        ours: One score per shopper, [N].
        theirs: Scores of the same shoppers in the same order, [N].
        resamples: How many resamples, from 1.
        seed: Same seed, same interval.
        confidence: How much of the resampled differences the interval holds, in (0, 1).

    Returns:
        The mean difference and its interval.

    Raises:
        ValueError: The scores are not of the same shoppers, or as for `mean_interval`.
    """
    if len(ours) != len(theirs):
        raise ValueError(
            f"There are {len(ours)} scores on one side and {len(theirs)} on the other."
        )
    difference = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    return mean_interval(difference, resamples=resamples, seed=seed, confidence=confidence)
