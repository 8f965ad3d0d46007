"""Lays what shoppers did end to end, moment by moment, for learning and for answering alike.

A moment is everything a shopper did at one time, such as a basket; what order it has inside is
chance and is not used. Knows no network: products are rows, times are minutes.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.arrays import DAY_US, Asked, Ids, Rows
from shopkeeper.recommenders._evidence import history
from shopkeeper.schema import EVENT_NAME, ITEM, TIME, USER, WANTS

NUM_BUCKETS = 24
"""Time spans are told apart by their power of two, in minutes: the last is 8 years and more."""
MINUTE_US = 60_000_000
AGE_DAYS_MAX = 36_500.0
DAY_MINUTES = 1440
NUM_ACTIONS = len(WANTS)
HALF_LIVES_DAYS = (10, 40, 160)
"""What was done before is added up with each of these decays."""


@dataclass(frozen=True)
class Moments:
    """Histories of S shoppers: N moments with E events, oldest first."""

    item: Rows
    """Product row of each event, [E]."""
    action: Rows
    """Place of the event's name in `schema.WANTS`, [E]."""
    first: Rows
    """First event of each moment, then E, [N + 1]."""
    minute: Rows
    """Time of each moment in minutes since 1970, [N]."""
    start: Rows
    """First moment of each shopper, then N, [S + 1]; a shopper without moments is allowed."""


def bucket(minutes: Rows) -> Rows:
    """Return the power of two of each time span, in [0, NUM_BUCKETS)."""
    found: Rows = np.log2(np.maximum(minutes, 0) + 1.0).astype(np.int64)
    return np.minimum(found, NUM_BUCKETS - 1)


def of_events(events: pl.DataFrame, ids: Ids) -> Moments:
    """Lay out `schema.LEARN` rows, in whatever order they come; unknown products are left out.

    Args:
        events: `schema.LEARN` rows.
        ids: The products that count.

    Returns:
        One shopper for each `user_id` that has an event that counts, in the order of the ids.
    """
    kept = events.select(
        USER,
        pl.col(TIME).dt.epoch("us").alias("us"),
        pl.Series("item", ids.rows(events[ITEM]), pl.Int64),
        actions(events[EVENT_NAME]).alias("action"),
    )
    kept = kept.filter(
        (pl.col("item") >= 0) & (pl.col("action") >= 0) & pl.col("us").is_not_null()
    ).drop_nulls(USER)
    kept = kept.unique().sort(USER, "us", "item", "action")
    shopper = kept[USER].rle_id().to_numpy().astype(np.int64)
    return _lay(shopper, kept["us"].to_numpy(), kept["item"].to_numpy(), kept["action"].to_numpy())


def of_requests(asked: Asked) -> Moments:
    """Lay out the histories of requests, then their seeds as what is wanted now.

    Args:
        asked: The requests.

    Returns:
        One shopper for each request, in their order.
    """
    past = history(asked, {name: place + 1.0 for place, name in enumerate(WANTS)})
    now_us = asked.now_us_B // MINUTE_US * MINUTE_US
    age_us = (np.minimum(past.age_days.astype(np.float64), AGE_DAYS_MAX) * DAY_US).astype(np.int64)
    wanted = np.full(len(asked.item_S), WANTS.index("add_to_cart"))
    return _lay(
        np.concatenate([past.request, asked.owner_S]),
        np.concatenate([now_us[past.request] - age_us, now_us[asked.owner_S]]),
        np.concatenate([past.item, asked.item_S]),
        np.concatenate([past.weight.astype(np.int64) - 1, wanted]),
        asked.size,
    )


@dataclass(frozen=True)
class Seen:
    """What shoppers had before, Q pairs of an asking and a product, ascending."""

    asking: Rows
    item: Rows
    features: NDArray[np.float32]
    """Logarithm of the events, each decayed by its age, for each of HALF_LIVES_DAYS, [Q, H]."""
    age: Rows
    """Bucket of the time since the newest of them."""


def seen(laid: Moments, begin: Rows, end: Rows, now: Rows, num_items: int) -> Seen:
    """Add up what was done before each of Q askings.

    Args:
        laid: Histories.
        begin: First moment that counts, for each asking.
        end: The moment after the last that counts.
        now: Minute of the asking.
        num_items: How many product rows there are.

    Returns:
        One row for each asking and product that it finds in its moments.
    """
    first, last = laid.first[begin], laid.first[end]
    sizes = last - first
    events = spans(first, sizes)
    asking = np.repeat(np.arange(len(begin)), sizes)
    num_events = laid.first[1:] - laid.first[:-1]
    moments = spans(begin, end - begin)
    aged = now[np.repeat(np.arange(len(begin)), end - begin)] - laid.minute[moments]
    age = np.maximum(np.repeat(aged, num_events[moments]), 0)
    key = asking * num_items + laid.item[events]
    order = np.argsort(key, kind="stable")
    key, age = key[order], age[order]
    edges = np.flatnonzero(np.diff(key, prepend=-1))
    if not len(edges):
        none = np.empty(0, np.int64)
        return Seen(none, none, np.empty((0, len(HALF_LIVES_DAYS)), np.float32), none)
    sums = [
        np.add.reduceat(np.exp2(age * np.float32(-1 / (days * DAY_MINUTES))), edges)
        for days in HALF_LIVES_DAYS
    ]
    features = np.log(np.stack(sums, 1) + 1e-3).astype(np.float32)
    newest = np.minimum.reduceat(age, edges)
    return Seen(key[edges] // num_items, key[edges] % num_items, features, bucket(newest))


def actions(names: pl.Series) -> pl.Series:
    """Return the place of each event name in `schema.WANTS`, -1 for others."""
    known = names.cast(pl.Enum(list(WANTS)), strict=False)
    return known.to_physical().cast(pl.Int64).fill_null(-1)


def _lay(shopper: Rows, us: Rows, item: Rows, action: Rows, num: int | None = None) -> Moments:
    order = np.lexsort((action, item, us, shopper))
    shopper, us, item, action = shopper[order], us[order], item[order], action[order]
    fresh = np.ones(len(item), np.bool_)
    fresh[1:] = (np.diff(shopper) != 0) | (np.diff(us) != 0)
    first = np.flatnonzero(fresh)
    if num is None:
        num = int(shopper[-1]) + 1 if len(shopper) else 0
    start = np.searchsorted(shopper[first], np.arange(num + 1))
    return Moments(item, action, np.append(first, len(item)), us[first] // MINUTE_US, start)


def newest(laid: Moments, history_max: int) -> Moments:
    """Return the `history_max` newest moments of each shopper."""
    sizes = np.diff(laid.start)
    if not (sizes > history_max).any():
        return laid
    kept = np.minimum(sizes, history_max)
    moments = spans(laid.start[1:] - kept, kept)
    return take(laid, moments, np.concatenate([[0], np.cumsum(kept)]))


def take(laid: Moments, moments: Rows, start: Rows) -> Moments:
    """Return the chosen moments, [N], as histories that begin at `start`, [S + 1]."""
    sizes = laid.first[moments + 1] - laid.first[moments]
    events = spans(laid.first[moments], sizes)
    first = np.concatenate([[0], np.cumsum(sizes)])
    return Moments(laid.item[events], laid.action[events], first, laid.minute[moments], start)


def spans(begin: Rows, sizes: Rows) -> Rows:
    """Return `begin[0], begin[0] + 1, ...`, `sizes[i]` numbers for each i."""
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    found: Rows = np.arange(total) + np.repeat(begin - (ends - sizes), sizes)
    return found
