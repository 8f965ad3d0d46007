"""What detectors share: whose a row is, what is usual, and the shape of what was found.

Usual is the median, and its spread the median distance from it (MAD), so that what is looked for
does not move what it is measured by. Knows no kind of behaviour.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper import schema

if TYPE_CHECKING:
    import ibis

SUBJECT, ID = "subject", "id"
WHO = (SUBJECT, ID)
ACTIONS = ("mask", "down_weight", "watch")
BUYS = ("purchase", "add_to_cart", "begin_checkout")
LOOKS = (
    "view_item", "view_item_list", "select_item", "search", "view_search_results",
    "view_promotion", "select_promotion",
)  # fmt: skip
FOUND_MAX = 10_000
"""Findings a detector may bring home, the plainest first."""
NORMAL = 1.4826
"""What a MAD is multiplied by to be a standard deviation where values are normal."""


def check_acting(config: Any) -> None:
    """Raise ValueError unless a detector's `action` and `keep_share` make sense."""
    if config.action not in ACTIONS:
        raise ValueError(f"action must be one of {', '.join(ACTIONS)}, but is '{config.action}'")
    if not 0 <= config.keep_share <= 1:
        raise ValueError(f"keep_share must be 0 to 1, but is {config.keep_share}")


def check_above(config: Any, **bounds: float) -> None:
    """Raise ValueError if a setting is below its bound."""
    for name, low in bounds.items():
        if getattr(config, name) < low:
            raise ValueError(f"{name} must be at least {low:g}, but is {getattr(config, name):g}")


def by_shopper(events: "ibis.Table") -> "ibis.Table":
    """Add who did it: `subject` is `user_id`, or `visitor_id` of those not signed in, and `id`.

    Args:
        events: `schema.EVENTS` rows.

    Returns:
        The rows that say so.
    """
    import ibis

    signed_in = events[schema.USER].notnull()
    rows = events.mutate(
        subject=ibis.ifelse(signed_in, schema.USER, schema.VISITOR),
        id=events[schema.USER].coalesce(events[schema.VISITOR]),
    )
    return rows.filter(rows.id.notnull() & rows[schema.TIME].notnull())


def usual(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the median and the robust standard deviation of values, [N]; 0 and 0 for none."""
    if not len(values):
        return 0.0, 0.0
    middle = float(np.median(values))
    return middle, NORMAL * float(np.median(np.abs(values - middle)))


def beyond(value: pl.Expr, limit: float | pl.Expr) -> pl.Expr:
    """Return how plain it is that a value is past its limit: 0.5 at the limit, towards 1 beyond.

    Args:
        value: At least 0.
        limit: Above 0.

    Returns:
        A score in [0, 1], below 0.5 before the limit.
    """
    share = value / limit
    return pl.when(share >= 1).then(1 - 0.5 / share).otherwise(0.5 * share).fill_null(0.0)


def together(*shares: pl.Expr) -> pl.Expr:
    """Return how far several signs go together, where 1 is the limit of one alone.

    Args:
        *shares: Each sign as a share of its own limit; below 0 or null counts as 0.

    Returns:
        The root of their sum of squares, so that two signs at 0.8 are beyond what each is not.
    """
    squares = [share.fill_null(0.0).clip(lower_bound=0.0).pow(2) for share in shares]
    return pl.sum_horizontal(squares).sqrt()


def found(rows: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Return findings as `schema.ANOMALIES` rows, plainest first, at most `FOUND_MAX`.

    Args:
        rows: `subject`, `id`, `score`, `evidence`, `num_events`, `first`, `last`.
        kind: The name of the detector.

    Returns:
        One row a subject and id.
    """
    named = rows.with_columns(pl.lit(kind).alias("kind"))
    named = schema.conform(named, schema.ANOMALIES)
    named = named.sort([schema.SCORE, SUBJECT, ID], descending=[True, False, False])
    return named.unique([SUBJECT, ID], keep="first", maintain_order=True).head(FOUND_MAX)


def span(rows: "ibis.Table") -> dict[str, Any]:
    """Return the aggregates every finding carries: `num_events`, `first`, `last`."""
    return {
        "num_events": rows.count(),
        "first": rows[schema.TIME].min(),
        "last": rows[schema.TIME].max(),
    }


def any_of(column: Any, words: Sequence[str]) -> Any:
    """Count the rows whose value is one of some words; for use in an aggregate."""
    return column.isin(list(words)).fill_null(False).cast("int64").sum()
