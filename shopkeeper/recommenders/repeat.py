"""What this shopper bought before, newer and oftener purchases first.

Knows only the history that the request brings; it learns nothing but which products there are.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from shopkeeper.arrays import Asked, Floats, Ids, Picks, Rows
from shopkeeper.recommenders._base import Base
from shopkeeper.recommenders._evidence import Flat, decayed, history, merged
from shopkeeper.recommenders._learning import catalogue, check_settings, weights_of


class Repeat(Base):
    """Recommends a shopper's own products; `because` is the product itself."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Which actions count, and how long."""

        half_life_days: float = 60.0
        """Age at which an action counts half."""
        purchase_weight: float = 1.0
        """What a purchase counts."""
        cart_weight: float = 0.0
        """What putting a product into the cart counts."""
        view_weight: float = 0.0
        """What looking at a product counts."""
        like_weight: float = 0.0
        """What liking a product counts."""

        def __post_init__(self) -> None:
            check_settings(self, above_0=("half_life_days",))

    def __init__(self, config: Config) -> None:
        self.config = config

    def fit(self, events: pl.DataFrame, products: pl.DataFrame | None = None) -> Self:
        """Take note of the known products: `schema.LEARN` rows in any order, the catalogue."""
        self._ids = catalogue(events, products)
        return self

    def propose(self, asked: Asked, k: int) -> Picks:
        """Return what each shopper bought, the most wanted first; see the contract."""
        asked = asked.within(self.ids)
        own = self._own(asked)
        return self.picks(asked, (own.request, own.item, own.weight), k)

    def judge(self, asked: Asked, owner_N: Rows, item_N: Rows) -> Floats:
        """Return the score of each product, NaN if never bought, [N]."""
        ids = self.ids
        item_N = asked.ids.within(ids, item_N)
        own = self._own(asked.within(ids))
        found = np.full(len(item_N), np.nan, np.float32)
        if len(own.item):
            key = own.request * len(ids) + own.item
            pair = owner_N * len(ids) + item_N
            at = np.minimum(np.searchsorted(key, pair), len(key) - 1)
            hit = (item_N >= 0) & (key[at] == pair)
            found[hit] = own.weight[at[hit]]
        return found

    def because(self, asked: Asked, owner_N: Rows, item_N: Rows) -> Rows:  # noqa: ARG002
        """Return the products themselves: they were bought before."""
        return item_N

    def save(self, folder: Path) -> None:
        """Write the known products into `folder`."""
        self.ids.save(folder)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        self._ids = Ids.load(folder)
        return self

    def _own(self, asked: Asked) -> Flat:
        rows = decayed(history(asked, weights_of(self.config)), self.config.half_life_days)
        return asked.once(self, lambda: merged(rows, len(asked.ids)))
