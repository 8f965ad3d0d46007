"""Which of five kinds of shopper buys: new; of few or many baskets, back soon or after long.

The same for a purchase of the past, by what its shopper had done before it, and for a request.
"""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from shopkeeper.contracts import Moment
from shopkeeper.features._pairs import begins

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

NUM_SEGMENTS = 5


class Segments:
    """Two bounds: more baskets than `few` are many, more days than `soon` are long."""

    def __init__(self, few: float, soon: float) -> None:
        self.few, self.soon = few, soon

    @classmethod
    def of(cls, before_K: Rows, idle_K: Floats) -> Self:
        """Draw the bounds at the medians of baskets whose shoppers came back."""
        back = before_K > 0
        if not back.any():
            return cls(0.0, 0.0)
        return cls(float(np.median(before_K[back])), float(np.median(idle_K[back])))

    def number(self, before: Rows, idle: Floats) -> Rows:
        """Number segments from 0, the new: by baskets before, and days since the last one."""
        place = 1 + 2 * (before > self.few) + (np.nan_to_num(idle) > self.soon)
        return np.where(before > 0, place, 0)

    def ask(self, moment: Moment) -> Rows:
        """Return the segment of each request, [B]."""
        size = moment.now_B.size
        new_H = begins(moment.owner_H, moment.age_H)
        idle_B = np.full(size, np.nan)
        np.fmin.at(idle_B, moment.owner_H, moment.age_H)
        return self.number(np.bincount(moment.owner_H[new_H], minlength=size), idle_B)


def past_baskets(owner_H: Rows, age_H: Floats) -> tuple[Rows, Rows, Floats]:
    """Say for each basket what its shopper had done before it.

    Args:
        owner_H: Shoppers, ascending.
        age_H: Days ago, oldest first for each; what has one age is one basket.

    Returns:
        The basket of each purchase, [H]; of each basket, baskets before it and days since the
        last of them, NaN for the first, [K].
    """
    new_H = begins(owner_H, age_H)
    owner_K, age_K = owner_H[new_H], age_H[new_H]
    first = np.flatnonzero(np.diff(owner_K, prepend=-1))
    before_K = np.arange(owner_K.size) - np.repeat(first, np.diff(first, append=owner_K.size))
    idle_K = -np.diff(age_K, prepend=np.nan)
    return np.cumsum(new_H) - 1, before_K, np.where(before_K > 0, idle_K, np.nan)
