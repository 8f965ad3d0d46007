"""Products that are like the seeds, or like what the shopper wanted: nearest by their vectors.

Needs no sales, so it can show a product from its first day. Knows nothing of other shoppers but
what vectors tell, except where the catalogue has none: then the most wanted of the same kind are
shown. A vector shorter than 1 is less sure, and its product comes later.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import polars as pl

from shopkeeper.arrays import NONE, Asked, Floats, Ids, Picks, Rows
from shopkeeper.recommenders._base import Base
from shopkeeper.recommenders._evidence import Flat, chunks, evidence
from shopkeeper.recommenders._learning import (
    Learned,
    catalogue,
    check_settings,
    strongest,
    weights_of,
)
from shopkeeper.recommenders._likeness import Likeness, one_per_group


class Content(Base):
    """Recommends what a product is like; `because` is the seed, or the product of the history."""

    joined_vectors: ClassVar[bool] = True
    """A `vector` that also tells what products were wanted with is welcome."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Which actions count, and how long."""

        half_life_days: float = 30.0
        """Age at which an action counts half in a request's history."""
        history_max: int = 20
        """How many products of a history count, the weightiest first."""
        purchase_weight: float = 1.0
        """What a purchase counts."""
        cart_weight: float = 0.5
        """What putting a product into the cart counts."""
        view_weight: float = 0.2
        """What looking at a product counts."""
        like_weight: float = 0.7
        """What liking a product counts."""

        def __post_init__(self) -> None:
            check_settings(self, above_0=("half_life_days",), history_max=1)

    def __init__(self, config: Config) -> None:
        self.config = config
        self._likeness: Likeness | None = None

    def fit(self, events: pl.DataFrame, products: pl.DataFrame | None = None) -> Self:
        """Learn the catalogue: `schema.PRODUCTS` rows with a `vector` column. Forgets the last one.

        Products without a vector are never shown, unless no product has one. `events` count
        only then.
        """
        ids = catalogue(events, products)
        learned = Learned(events, weights_of(self.config), ids)
        _, item, _ = strongest(learned.shoppers(), learned.item, learned.weight, len(ids))
        wanted = np.bincount(item, minlength=len(ids))
        self._likeness = Likeness.of(ids, products, wanted)
        self._ids = ids
        return self

    def propose(self, asked: Asked, k: int) -> Picks:
        """Return what is most like the evidence, nothing without; see the contract.

        Seeds are not shown again, and of products with one `item_group_id` only the best is.
        """
        ids, likeness = self.ids, self._known(self._likeness)
        asked = asked.within(ids)
        ban_request = np.concatenate([asked.owner_X, asked.owner_S])
        ban_item = np.concatenate([asked.item_X, asked.item_S])
        rows = self._evidence(asked)
        found = [(NONE, NONE, np.empty(0, np.float32))]
        for begin, end in chunks(asked.size, len(ids)):
            some = rows.between(begin, end)
            scores = likeness.scores(some, end - begin)
            inside = (ban_request >= begin) & (ban_request < end)
            scores[ban_request[inside] - begin, ban_item[inside]] = -np.inf
            at, item, score = one_per_group(scores, likeness.group, k)
            found.append((at + begin, item, score.astype(np.float32)))
        request, item, score = (np.concatenate(column) for column in zip(*found, strict=True))
        return self.picks(asked, (request, item, score), k)

    def judge(self, asked: Asked, owner_N: Rows, item_N: Rows) -> Floats:
        """Return the likeness of each product, NaN without a vector, [N]."""
        ids, likeness = self.ids, self._known(self._likeness)
        item_N = asked.ids.within(ids, item_N)
        asked = asked.within(ids)
        rows = self._evidence(asked)
        found = np.full(len(item_N), np.nan, np.float32)
        for begin, end in chunks(asked.size, len(ids)):
            scores = likeness.scores(rows.between(begin, end), end - begin)
            mine = np.flatnonzero((item_N >= 0) & (owner_N >= begin) & (owner_N < end))
            found[mine] = scores[owner_N[mine] - begin, item_N[mine]]
        return np.where(np.isfinite(found), found, np.float32(np.nan))

    def because(self, asked: Asked, owner_N: Rows, item_N: Rows) -> Rows:
        """Return the seed, or the product of the history, that is most like each, [N]."""
        item_N = asked.ids.within(self.ids, item_N)
        rows = self._evidence(asked.within(self.ids))
        known = item_N >= 0
        found = np.full(len(item_N), -1, np.int64)
        shown = (owner_N[known], item_N[known])
        found[known] = self._known(self._likeness).because(rows, shown)
        return self.ids.within(asked.ids, found)

    def save(self, folder: Path) -> None:
        """Write products and vectors into `folder`."""
        self.ids.save(folder)
        self._known(self._likeness).save(folder)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        self._ids, self._likeness = Ids.load(folder), Likeness.load(folder)
        return self

    def _evidence(self, asked: Asked) -> Flat:
        config = self.config
        return evidence(asked, weights_of(config), config.half_life_days, config.history_max)
