"""From candidates to a page: which recommenders a placement asks, who orders, what may be shown."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np

from shopkeeper.arrays import Asked, Picks, Rows
from shopkeeper.config import Placement
from shopkeeper.contracts import Policy, Recommender
from shopkeeper.engine.catalogue import Catalogue
from shopkeeper.engine.fusion import Fusion
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


def compose(
    asked: Asked,
    placement: Placement,
    recommenders: Mapping[str, Recommender],
    fusion: Fusion,
    policies: Sequence[Policy],
    catalogue: Catalogue,
    k: int,
) -> Picks:
    """Answer one request with a page.

    Args:
        asked: One request.
        placement: Which recommenders to ask, and whether the ranker orders.
        recommenders: All that are trained, by name.
        fusion: The trained ranker with its recommenders.
        policies: What may be shown, applied in order.
        catalogue: The products as they are now.
        k: How many products at most.

    Returns:
        The page, best first.
    """
    want = k + SPARE + len(asked.item_X)
    lists = []
    if placement.ranker and (asked.event_H == PURCHASE).any():
        lists.append(fusion.rank(asked, want))
    for name in placement.sources:
        if name in recommenders and not (lists and len(lists[0]) >= want):
            lists.append(recommenders[name].propose(asked, want))
    page = _in_turn(lists, asked)
    seen = _looked_at(asked)
    if placement.ranker and len(seen) and "item_knn" in recommenders:
        near = replace(
            asked,
            owner_S=np.zeros(len(seen), np.int64),
            item_S=seen,
            seeded_B=np.ones(1, np.bool_),
            _memo={},
        )
        beside = recommenders.get("content", recommenders["item_knn"])
        visit = [part.propose(near, k) for part in (recommenders["item_knn"], beside)]
        page = _weave(page, _led(_in_turn(visit, asked), near, recommenders))
    if len(asked.item_X):
        page = page.take(np.flatnonzero(~np.isin(page.item_E, asked.item_X)))
    products = catalogue.aligned(page.ids.listed(page.item_E))
    for policy in policies:
        kept = policy.apply(page, asked, products)
        if not np.array_equal(kept, np.arange(len(page))):
            page = page.take(kept)
            products = products.take(kept.tolist())
    return _led(page.take(np.arange(min(k, len(page)))), asked, recommenders)


def _in_turn(lists: Sequence[Picks], asked: Asked) -> Picks:
    """Append lists, keeping each product where it comes first."""
    return _once(Picks.joined(lists, asked.ids))


def _led(page: Picks, asked: Asked, recommenders: Mapping[str, Recommender]) -> Picks:
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


def _looked_at(asked: Asked) -> Rows:
    """Return the products of this visit that were looked at or put in the cart, newest first."""
    since_us = asked.now_us_B[0] - VISIT.total_seconds() * 1e6
    looked: Rows = asked.item_H[LOOKS[asked.event_H] & (asked.time_us_H >= since_us)][::-1]
    newest: Rows = looked[np.sort(np.unique(looked, return_index=True)[1])]
    return newest[:VISIT_PRODUCTS]
