"""Cuts an event table at a moment: what was known before, what the shopper bought next.

Knows no model. A temporal cut, since any other leaks what the future likes.
"""

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from shopkeeper.schema import (
    EVENT_NAME,
    EXCLUDE,
    HISTORY,
    ITEM,
    NOW,
    PLACEMENT,
    REQUEST,
    REQUESTS,
    SEEDS,
    TIME,
    TRANSACTION,
    USER,
    WANTS,
)

TARGETS, BEFORE = "targets", "bought_before"


def next_basket(
    events: pl.DataFrame,
    split: datetime,
    *,
    new_only: bool = False,
    baskets: int = 1,
    strangers: bool = False,
) -> pl.DataFrame:
    """Return what each shopper who bought before `split` bought first on or after it.

    Args:
        events: `schema.LEARN` rows; with a `transaction_id` column a basket is one transaction,
            else what a shopper bought at one moment. Equal times count in the order of the rows.
        split: The first moment that is not known.
        new_only: Leave out targets that the shopper bought before `split`.
        baskets: How many of the shopper's next baskets count, from 1.
        strangers: Return those who bought nothing before `split` in place of those who did.

    Returns:
        One row per shopper, by `user_id`: `targets`, the distinct products of the basket in the
        order of the rows, and `bought_before`, those bought before the split, by id. Products that
        nobody bought before the split are no targets; shoppers without a target, or without a
        purchase before the split (or with one, for `strangers`), are left out.
    """
    bought = events.filter(
        (pl.col(EVENT_NAME) == "purchase") & pl.col(USER).is_not_null() & pl.col(ITEM).is_not_null()
    ).sort(TIME, maintain_order=True)
    sold = events.filter((pl.col(EVENT_NAME) == "purchase") & (pl.col(TIME) < split))
    past = bought.filter(pl.col(TIME) < split)
    basket = pl.coalesce(*_transaction(events), pl.col(TIME).cast(pl.String))
    later = bought.filter(pl.col(TIME) >= split).with_columns(basket.alias("basket"))
    wanted = (
        later.select(USER, "basket")
        .unique(maintain_order=True)
        .group_by(USER, maintain_order=True)
        .head(baskets)
    )
    first = later.join(wanted, on=[USER, "basket"], how="semi", maintain_order="left").join(
        sold.select(ITEM).unique(), on=ITEM, how="semi", maintain_order="left"
    )
    if new_only:
        known = past.select(USER, ITEM).unique()
        first = first.join(known, on=[USER, ITEM], how="anti", maintain_order="left")
    targets = first.group_by(USER, maintain_order=True).agg(
        pl.col(ITEM).unique(maintain_order=True).alias(TARGETS)
    )
    own = past.group_by(USER).agg(pl.col(ITEM).unique().sort().alias(BEFORE))
    if strangers:
        nothing = pl.lit([], pl.List(pl.String)).alias(BEFORE)
        return targets.join(own, on=USER, how="anti").with_columns(nothing).sort(USER)
    return targets.join(own, on=USER).sort(USER)


def requests_at(
    events: pl.DataFrame,
    split: datetime,
    users: Sequence[str],
    history_max: int,
    placement: str = "home",
) -> pl.DataFrame:
    """Ask on behalf of shoppers at one moment, with what they had done before it.

    Args:
        events: `schema.LEARN` rows; those on or after `split`, and those that show no interest in
            a product, are not looked at.
        split: The `now` of every request.
        users: Shoppers, one request each in this order; each once.
        history_max: How many of a shopper's newest events count, from 1.
        placement: Where the answers would be shown.

    Returns:
        `schema.REQUESTS` rows, numbered from 0; histories oldest first.

    Raises:
        ValueError: `history_max` is below 1.
    """
    if history_max < 1:
        raise ValueError(f"history_max must be at least 1, got {history_max}.")
    asked = pl.DataFrame({USER: list(users)}, schema={USER: pl.String})
    past = (
        events.filter(
            (pl.col(TIME) < split) & pl.col(EVENT_NAME).is_in(WANTS) & pl.col(ITEM).is_not_null()
        )
        .join(asked, on=USER, how="semi", maintain_order="left")
        .sort(TIME, maintain_order=True)
        .group_by(USER)
        .agg(pl.struct(ITEM, EVENT_NAME, TIME).tail(history_max).alias(HISTORY))
    )
    rows = asked.join(past, on=USER, how="left", maintain_order="left").with_row_index(REQUEST)
    nothing = pl.lit([], pl.List(pl.String))
    return rows.select(
        pl.col(REQUEST).cast(REQUESTS[REQUEST]),
        USER,
        pl.col(HISTORY).fill_null(pl.lit([], REQUESTS[HISTORY])),
        nothing.alias(SEEDS),
        nothing.alias(EXCLUDE),
        pl.lit(split).cast(REQUESTS[NOW]).alias(NOW),
        pl.lit(placement).alias(PLACEMENT),
    )


def _transaction(events: pl.DataFrame) -> list[pl.Expr]:
    return [pl.col(TRANSACTION)] if TRANSACTION in events.columns else []
