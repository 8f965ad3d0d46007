"""What kind of shopper asks: how many baskets, how large, how lately, how loyal to products.

How long ago the last large basket was tells a visit for milk and bread from a week's shopping.

Knows nothing of the candidate.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.contracts import Moment
from shopkeeper.features._pairs import begins

NAMES = (
    "shopper_baskets",
    "shopper_products",
    "shopper_basket_size",
    "shopper_repeat_share",
    "shopper_fresh_share",
    "shopper_idle_days",
    "shopper_gap_days",
    "shopper_large_days",
    "shopper_last_size",
    "shopper_small_share",
)

FRESH_DAYS = 30
LARGE = 0.7
"""A basket is large from this quantile of its shopper's baskets on."""
SMALL_LINES = 5
"""A basket of at most so many products is small."""


class Shopper:
    """The shopper's way of buying, from the request's history."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings under [features.shopper] in shop.toml; there are none."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def fit(self, events: pl.DataFrame, products: pl.DataFrame, now: datetime) -> Self:  # noqa: ARG002
        """Learn nothing: all is in the request."""
        return self

    def names(self) -> tuple[str, ...]:
        """Name the columns of `compute`."""
        return NAMES

    def compute(self, moment: Moment) -> NDArray[np.float32]:
        """Return [N, F]; NaN for a shopper without purchases."""
        size = moment.now_B.size
        owner_H, age_H = moment.owner_H, moment.age_H
        new_basket_H = begins(owner_H, age_H)
        baskets_B = np.bincount(owner_H[new_basket_H], minlength=size)
        size_K = np.diff(np.flatnonzero(new_basket_H), append=owner_H.size)
        lines_B = np.bincount(owner_H, minlength=size)
        distinct = np.unique(owner_H * moment.size + moment.item_H) // moment.size
        products_B = np.bincount(distinct, minlength=size)
        idle_B, since_B = np.full(size, np.nan), np.full(size, np.nan)
        np.fmin.at(idle_B, owner_H, age_H)
        np.fmax.at(since_B, owner_H, age_H)
        lines = np.maximum(lines_B, 1)
        table_BF = np.column_stack(
            [
                baskets_B,
                products_B,
                lines_B / np.maximum(baskets_B, 1),
                1 - products_B / lines,
                _fresh(moment) / lines,
                idle_B,
                (since_B - idle_B) / np.maximum(baskets_B - 1, 1),
                *_sizes(owner_H[new_basket_H], age_H[new_basket_H], size_K, size),
            ]
        )
        table_BF[lines_B == 0] = np.nan
        return table_BF[moment.owner_N].astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write nothing."""

    def restore(self, folder: Path) -> Self:  # noqa: ARG002
        """Read nothing."""
        return self


def _fresh(moment: Moment) -> NDArray[np.int64]:
    """Count the purchases of the last `FRESH_DAYS` of products not bought before, [B]."""
    pair_H = moment.owner_H * moment.size + moment.item_H
    _, first_H = np.unique(pair_H, return_index=True)
    tried = first_H[moment.age_H[first_H] < FRESH_DAYS]
    return np.bincount(moment.owner_H[tried], minlength=moment.now_B.size)


def _sizes(
    owner_K: NDArray[np.int64], age_K: NDArray[np.float64], size_K: NDArray[np.int64], size: int
) -> tuple[NDArray[np.float64], ...]:
    """Return days since the last large basket, log size of the last, share of small ones, [B]."""
    count_B = np.bincount(owner_K, minlength=size)
    last_B = np.cumsum(count_B) - 1
    some = np.flatnonzero(count_B)
    order = np.lexsort((size_K, owner_K))
    # The lower of the two baskets that a quantile falls between.
    at = last_B[some] + 1 - count_B[some] + (LARGE * (count_B[some] - 1)).astype(np.int64)
    bound_B = np.zeros(size)
    bound_B[some] = size_K[order][at]
    large_K = size_K >= bound_B[owner_K]
    large_days_B, last_size_B = np.full(size, np.nan), np.full(size, np.nan)
    np.fmin.at(large_days_B, owner_K[large_K], age_K[large_K])
    last_size_B[some] = np.log(size_K[last_B[some]])
    small_B = np.bincount(owner_K, size_K <= SMALL_LINES, minlength=size)
    return large_days_B, last_size_B, small_B / np.maximum(count_B, 1)
