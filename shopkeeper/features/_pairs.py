"""Purchases by shopper and product: what was bought when, counted in days and in baskets."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shopkeeper.contracts import Moment

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


def begins(owner_H: Rows, age_H: Floats) -> NDArray[np.bool_]:
    """Say where a basket begins: another owner than the purchase before, or another moment, [H]."""
    new_H: NDArray[np.bool_] = np.diff(owner_H, prepend=-1) != 0
    new_H |= np.diff(age_H, prepend=-1.0) != 0
    return new_H


@dataclass(frozen=True)
class Pairs:
    """L purchases, those of each of P pairs side by side, oldest first."""

    pair_P: Rows
    """Owner times the number of products, plus the product; ascending."""
    first_P: Rows
    """The oldest purchase of each pair."""
    owner_L: Rows
    item_L: Rows
    age_L: Floats
    """Days before the request."""
    ago_L: Rows
    """Baskets that the owner bought since, 0 for the newest basket."""
    size_L: Floats
    """Products in the basket."""
    baskets_B: Rows
    """Baskets of each owner."""
    log_size_B: Floats
    """Mean log size of an owner's baskets, NaN without any."""

    @classmethod
    def of(cls, owner_H: Rows, item_H: Rows, age_H: Floats, size: int, owners: int) -> "Pairs":
        """Sort purchases by pair.

        Args:
            owner_H: Whose, ascending.
            item_H: What, each product once a basket.
            age_H: Days ago, oldest first for each owner; what has one age is one basket.
            size: The number of products.
            owners: The number of owners.

        Returns:
            The same purchases by pair.
        """
        new_H = begins(owner_H, age_H)
        basket_H = np.cumsum(new_H) - 1
        owner_K = owner_H[new_H]
        baskets_B = np.bincount(owner_K, minlength=owners)
        size_K = np.bincount(basket_H, minlength=owner_K.size).astype(np.float64)
        with np.errstate(invalid="ignore"):
            log_size_B = np.bincount(owner_K, np.log(size_K), minlength=owners) / baskets_B
        ago_H = np.cumsum(baskets_B)[owner_H] - 1 - basket_H
        pair_H = owner_H * size + item_H
        order = np.argsort(pair_H, kind="stable")
        pair_L = pair_H[order]
        first_P = np.flatnonzero(np.diff(pair_L, prepend=-1))
        return cls(
            pair_L[first_P],
            first_P,
            owner_H[order],
            item_H[order],
            age_H[order],
            ago_H[order],
            size_K[basket_H][order],
            baskets_B,
            log_size_B,
        )

    @classmethod
    def of_moment(cls, at: Moment) -> "Pairs":
        """Return the purchases of all requests, worked out once for all features."""
        return at.once(cls, lambda: cls.of(at.owner_H, at.item_H, at.age_H, at.size, at.now_B.size))

    @cached_property
    def last_P(self) -> Rows:
        """The newest purchase of each pair."""
        return np.append(self.first_P[1:], self.age_L.size)[: self.first_P.size] - 1

    @cached_property
    def times_P(self) -> Rows:
        """How often each pair was bought."""
        return self.last_P - self.first_P + 1

    def sums(self, value_L: NDArray[np.generic]) -> Floats:
        """Sum values by pair, [P]."""
        if not self.first_P.size:
            return np.empty(0)
        return np.asarray(np.add.reduceat(value_L.astype(np.float64), self.first_P))

    def find(self, pair_N: Rows) -> Rows:
        """Return the place of each pair asked for in `pair_P`, P where it was never bought."""
        at = np.searchsorted(self.pair_P, pair_N)
        return np.where(np.append(self.pair_P, -1)[at] == pair_N, at, self.pair_P.size)
