"""Which products may come on a page: who is asked, in which order, and what this visit is about."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np

from shopkeeper.arrays import Asked, Picks, Rows
from shopkeeper.contracts import Local, Recommender
from shopkeeper.engine.trace import Trace
from shopkeeper.engine.wanted import Parts, Wanted
from shopkeeper.features import PURCHASE
from shopkeeper.schema import EVENT_NAMES

VISIT = timedelta(minutes=30)
"""How long a look at a product steers the next page."""
VISIT_EVERY = 3
"""One in so many places follows what was looked at in this visit."""
VISIT_PRODUCTS = 5
"""So many of the products looked at last steer it."""
LOOKS = np.isin([*EVENT_NAMES, ""], ("view_item", "add_to_cart", "like"))
SPARE = 50
"""Products beyond a page that are proposed, so that policies have something to choose from."""
DEEP = 1_000
"""So many are proposed where a filter may leave few of them."""


def ordered(asked: Asked, wanted: Wanted, parts: Parts, trace: Trace) -> Picks:
    """Ask the ranker and the sources, and weave in what this visit is about."""
    placement, recommenders = wanted.placement, parts.recommenders
    want = wanted.k + SPARE + len(asked.item_X)
    narrow = wanted.narrow or (wanted.decision is not None and wanted.decision.narrow)
    want = max(want, DEEP) if narrow else want
    lists = trace.lists
    if placement.ranker and (asked.event_H == PURCHASE).any():
        lists.append(parts.fusion.rank(asked, want))
        trace.ranked = True
        trace.laps.lap("ranker")
    for name in placement.sources:
        if name in recommenders and not (lists and len(lists[0]) >= want):
            lists.append(local(recommenders[name], wanted).propose(asked, want))
    page = in_turn(lists, asked)
    seen = looked_at(asked)
    if placement.ranker and len(seen) and "item_knn" in recommenders:
        near = replace(
            asked,
            owner_S=np.zeros(len(seen), np.int64),
            item_S=seen,
            seeded_B=np.ones(1, np.bool_),
            _memo={},
        )
        beside = recommenders.get("content", recommenders["item_knn"])
        visit = [part.propose(near, wanted.k) for part in (recommenders["item_knn"], beside)]
        lists.extend(visit)
        page = _weave(page, led(in_turn(visit, asked), near, recommenders))
    if len(asked.item_X):
        page = page.take(np.flatnonzero(~np.isin(page.item_E, asked.item_X)))
    return page


def local(part: Recommender, wanted: Wanted) -> Recommender:
    """Return what a recommender learned of a country or another window, where it tells them."""
    if (wanted.country or wanted.window_days) and isinstance(part, Local):
        return part.local(wanted.country, wanted.window_days)
    return part


def in_turn(lists: Sequence[Picks], asked: Asked) -> Picks:
    """Append lists, keeping each product where it comes first."""
    return _once(Picks.joined(lists, asked.ids))


def led(page: Picks, asked: Asked, recommenders: Mapping[str, Recommender]) -> Picks:
    """Let each recommender say which product led to those that it proposed, unless it is said."""
    because_E = page.because_E.copy()
    for number, name in enumerate(page.sources):
        mine = np.flatnonzero((page.source_E == number) & (because_E < 0))
        if len(mine):
            because = recommenders[name].because(asked, page.owner_E[mine], page.item_E[mine])
            because_E[mine] = because
    return replace(page, because_E=because_E)


def _once(page: Picks) -> Picks:
    return page.take(np.sort(np.unique(page.item_E, return_index=True)[1]))


def _weave(page: Picks, visit: Picks) -> Picks:
    """Give one place in `VISIT_EVERY` to the products near what was just looked at."""
    place = np.concatenate([page.place_E + 1.0, (visit.place_E + 1.0) * VISIT_EVERY - 0.5])
    both = Picks.joined([page, visit], page.ids)
    return _once(both.take(np.argsort(place, kind="stable")))


def looked_at(asked: Asked) -> Rows:
    """Return the products of this visit that were looked at or put in the cart, newest first."""
    since_us = asked.now_us_B[0] - VISIT.total_seconds() * 1e6
    looked: Rows = asked.item_H[LOOKS[asked.event_H] & (asked.time_us_H >= since_us)][::-1]
    newest: Rows = looked[np.sort(np.unique(looked, return_index=True)[1])]
    return newest[:VISIT_PRODUCTS]
