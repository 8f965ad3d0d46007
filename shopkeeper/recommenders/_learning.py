"""Turns an event table into the arrays that the counting recommenders learn from.

Rows are put into one fixed order first, so that sums of floats, and with them ties, do not depend
on the order of the file. Knows no method.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.arrays import DAY_US, Floats, Ids, Rows, event_codes
from shopkeeper.schema import (
    EVENT_NAME,
    EVENT_NAMES,
    ITEM,
    LEARN,
    PRODUCT_ID,
    TIME,
    TRANSACTION,
    USER,
    check,
)

BLOCK_ROWS = 512
"""Products whose co-occurrences are held at once."""


class Weighs(Protocol):
    """Settings that say how much each action counts."""

    @property
    def purchase_weight(self) -> float:
        """Weight of a purchase."""

    @property
    def cart_weight(self) -> float:
        """Weight of a product put into the cart."""

    @property
    def view_weight(self) -> float:
        """Weight of a product looked at."""

    @property
    def like_weight(self) -> float:
        """Weight of a liked product."""


def weights_of(config: Weighs) -> dict[str, float]:
    """Return the weight of each event of `schema.WANTS`."""
    return {
        "purchase": config.purchase_weight,
        "add_to_cart": config.cart_weight,
        "view_item": config.view_weight,
        "select_item": config.view_weight,
        "like": config.like_weight,
    }


def check_settings(config: Any, *, above_0: tuple[str, ...] = (), **least: float) -> None:
    """Raise ValueError for a weight below 0, or a setting not above 0 or below its least value."""
    weights = [name for name in vars(config) if name.endswith("_weight")]
    for name in above_0:
        if not getattr(config, name) > 0:
            raise ValueError(f"{name} must be above 0, got {getattr(config, name)}.")
    for name, low in {**dict.fromkeys(weights, 0.0), **least}.items():
        if not getattr(config, name) >= low:
            raise ValueError(f"{name} must be at least {low:g}, got {getattr(config, name)}.")


def catalogue(events: pl.DataFrame, products: pl.DataFrame | None) -> Ids:
    """Return the products that may be shown: those of the catalogue, or else of the events."""
    check(events, LEARN, "event")
    return Ids.of(events[ITEM] if products is None else products[PRODUCT_ID])


class Learned:
    """The events worth learning from, by time, as arrays of one length."""

    def __init__(self, events: pl.DataFrame, weights: Mapping[str, float], ids: Ids) -> None:
        names = [name for name, weight in weights.items() if weight > 0]
        known = events.with_columns(pl.Series("row", ids.rows(events[ITEM]), pl.Int64))
        kept = known.filter(
            (pl.col("row") >= 0) & pl.col(EVENT_NAME).is_in(names) & pl.col(TIME).is_not_null()
        )
        basket = [TRANSACTION] if TRANSACTION in kept.columns else []
        kept = kept.select(USER, "row", EVENT_NAME, TIME, *basket)
        self.events = kept.sort(TIME, USER, "row", EVENT_NAME, *basket)
        self.item: Rows = self.events["row"].to_numpy()
        table = np.array([weights.get(name, 0.0) for name in EVENT_NAMES] + [0.0], np.float32)
        self.weight: Floats = table[event_codes(self.events[EVENT_NAME])]
        time_us = self.events[TIME].to_physical().to_numpy()
        last_us = time_us[-1] if len(time_us) else 0
        self.age_days: Floats = ((last_us - time_us) / DAY_US).astype(np.float32)

    def shoppers(self) -> Rows:
        """Number those who acted from 0: a known shopper is one, and so is each nameless basket."""
        nameless = pl.coalesce(self._basket(), pl.col(TIME).cast(pl.String))
        return self._numbered(pl.coalesce("u" + pl.col(USER), "t" + nameless))

    def baskets(self) -> Rows:
        """Number the baskets from 0: by `transaction_id`, else by shopper and moment."""
        moment = pl.col(TIME).cast(pl.String) + " " + pl.col(USER).fill_null("")
        return self._numbered(pl.coalesce("t" + self._basket(), "m" + moment))

    def _basket(self) -> pl.Expr:
        return (
            pl.col(TRANSACTION) if TRANSACTION in self.events.columns else pl.lit(None, pl.String)
        )

    def _numbered(self, key: pl.Expr) -> Rows:
        return self.events.select(key.rank("dense").cast(pl.Int64) - 1).to_series().to_numpy()


def strongest(
    actor: Rows, item: Rows, value: NDArray[np.floating], num_items: int
) -> tuple[Rows, Rows, Floats]:
    """Return each pair of actor and product once, with its greatest value, sorted by the pair."""
    if not len(actor):
        return actor, item, value.astype(np.float32)
    key = actor * num_items + item
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    first = order[starts]
    return actor[first], item[first], np.maximum.reduceat(value[order], starts).astype(np.float32)


def together(
    actor: Rows, item: Rows, value: NDArray[np.floating], num_items: int
) -> Iterator[tuple[int, Rows, Floats]]:
    """Yield for each product the products it was seen with, a bounded block at a time.

    Args:
        actor: Shopper or basket of each pair, from 0, [E]; each pair once.
        item: Row of the product, [E].
        value: What the pair weighs, [E].
        num_items: Number N of products.

    Yields:
        A product, the products it shares an actor with (itself among them), and the sums over
        actors of the two values' product.
    """
    from scipy.sparse import csr_array

    num_actors = int(actor.max()) + 1 if len(actor) else 0
    pairs = csr_array((value.astype(np.float32), (actor, item)), shape=(num_actors, num_items))
    by_item = pairs.T.tocsr()
    for begin in range(0, num_items, BLOCK_ROWS):
        block = by_item[begin : begin + BLOCK_ROWS] @ pairs
        for row in range(block.shape[0]):
            low, high = block.indptr[row], block.indptr[row + 1]
            if high > low:
                yield begin + row, block.indices[low:high], block.data[low:high]
