"""From candidates to pages: which recommenders a placement asks, who orders, what may be shown.

How much is known of a request decides who answers it. One with purchases gets the order of the
ranker. Without, the placement's sources answer in turn: those that read looks and carts where
there are any, and what is popular, in the category where they came in if that is told, where
there is nothing. What was looked at in this visit leads
to a share of the places.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np

from shopkeeper.arrays import Asked, Picks, Rows
from shopkeeper.config import Placement
from shopkeeper.contracts import Policy, Recommender
from shopkeeper.engine.catalogue import Catalogue
from shopkeeper.engine.fusion import Fusion
from shopkeeper.features import PURCHASE
from shopkeeper.schema import CATEGORY, EVENT_NAMES

VISIT = timedelta(minutes=30)
"""How long a look at a product steers the next page."""
VISIT_EVERY = 3
"""One in so many places follows what was looked at in this visit."""
VISIT_PRODUCTS = 5
"""So many of the products looked at last steer it."""
LOOKS = np.isin([*EVENT_NAMES, ""], ("view_item", "add_to_cart", "like"))
SPARE = 50
"""Products beyond a page that are proposed, so that policies have something to choose from."""
POPULAR_DEPTH = 5_000
"""So many of the most popular products are looked through for those of a category."""


def compose(
    asked: Asked,
    placement: Placement,
    recommenders: Mapping[str, Recommender],
    fusion: Fusion | None,
    policies: Sequence[Policy],
    catalogue: Catalogue,
    k: int,
    category: str = "",
) -> Picks:
    """Answer requests with a page each.

    Args:
        asked: The requests, numbering products as the catalogue of the models.
        placement: Which recommenders to ask, and whether the ranker orders.
        recommenders: All that are trained, by name.
        fusion: The trained ranker with its recommenders; None if there is none yet.
        policies: What may be shown, applied in order.
        catalogue: The products as they are now.
        k: How many products at most.
        category: Where somebody came in of whom nothing else is known, a path such as
            `Home > Lamps`: what is popular there comes first.

    Returns:
        The pages, best first.
    """
    page = ordered(asked, placement, recommenders, fusion, k)
    if category and "popular" in recommenders and not (len(asked.item_H) or len(asked.item_S)):
        liked = recommenders["popular"].propose(asked, POPULAR_DEPTH)
        kinds = catalogue.aligned(liked.ids.listed(liked.item_E))[CATEGORY]
        there = [f"{kind} > ".startswith(f"{category} > ") for kind in kinds]
        page = _in_turn([liked.take(np.flatnonzero(there)[: k + SPARE]), page], asked)
    products = catalogue.aligned(page.ids.listed(page.item_E))
    for policy in policies:
        kept = policy.apply(page, asked, products)
        if not np.array_equal(kept, np.arange(len(page))):
            page = page.take(kept)
            products = products.take(kept.tolist())
    return _led(page.take(np.flatnonzero(page.place_E < k)), asked, recommenders)


def ordered(
    asked: Asked,
    placement: Placement,
    recommenders: Mapping[str, Recommender],
    fusion: Fusion | None,
    k: int,
) -> Picks:
    """Order the candidates of each request, as `compose` does before policies.

    Args:
        asked: The requests, numbering products as the catalogue of the models.
        placement: Which recommenders to ask, and whether the ranker orders.
        recommenders: All that are trained, by name.
        fusion: The trained ranker with its recommenders; None if there is none yet.
        k: How many products the page will have.

    Returns:
        Best first; more than k where there are, for policies to choose from.
    """
    most_X = int(np.bincount(asked.owner_X).max()) if len(asked.item_X) else 0
    want = k + SPARE + most_X
    lists: list[Picks] = []
    # How long the first list of each request is, -1 as long as nobody was asked.
    first_B = np.full(asked.size, -1)

    def ask(rows: Rows, answer: Callable[[Asked, int], Picks]) -> None:
        found = _of(asked, rows, lambda some: answer(some, want))
        count_B = np.bincount(found.owner_E, minlength=asked.size)
        fresh = rows[first_B[rows] < 0]
        first_B[fresh] = count_B[fresh]
        lists.append(found)

    if placement.ranker and fusion is not None:
        bought_B = np.zeros(asked.size, np.bool_)
        bought_B[asked.owner_H[asked.event_H == PURCHASE]] = True
        if bought_B.any():
            ask(np.flatnonzero(bought_B), fusion.rank)
    for name in placement.sources:
        short = np.flatnonzero(first_B < want)
        if name in recommenders and len(short):
            ask(short, recommenders[name].propose)
    page = _in_turn(lists, asked)
    if placement.ranker and "item_knn" in recommenders:
        page = _steered(page, asked, recommenders, k)
    if len(asked.item_X):
        banned = asked.owner_X * len(asked.ids) + asked.item_X
        kept = ~np.isin(page.owner_E * len(asked.ids) + page.item_E, banned)
        page = page.take(np.flatnonzero(kept))
    return page


def _of(asked: Asked, rows: Rows, answer: Callable[[Asked], Picks]) -> Picks:
    """Answer some of the requests; picks keep the numbers that the requests have among all."""
    if len(rows) == asked.size:
        return answer(asked)
    found = answer(asked.take(rows))
    return replace(found, owner_E=rows[found.owner_E])


def _steered(page: Picks, asked: Asked, recommenders: Mapping[str, Recommender], k: int) -> Picks:
    """Give some places of each page to what is near the products looked at in this visit."""
    owner, item = _looked_at(asked)
    rows = np.unique(owner)
    if not len(rows):
        return page
    near = replace(
        asked.take(rows),
        owner_S=np.searchsorted(rows, owner),
        item_S=item,
        seeded_B=np.ones(len(rows), np.bool_),
        _memo={},
    )
    beside = recommenders.get("content", recommenders["item_knn"])
    visit = [part.propose(near, k) for part in (recommenders["item_knn"], beside)]
    led = _led(_in_turn(visit, near), near, recommenders)
    return _weave(page, replace(led, owner_E=rows[led.owner_E]))


def _in_turn(lists: Sequence[Picks], asked: Asked) -> Picks:
    """Append lists, keeping each product of a request where it comes first."""
    every = Picks.joined(lists, asked.ids)
    return _once(every.take(np.argsort(every.owner_E, kind="stable")))


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
    pair = page.owner_E * len(page.ids) + page.item_E
    return page.take(np.sort(np.unique(pair, return_index=True)[1]))


def _weave(page: Picks, visit: Picks) -> Picks:
    """Give one place in `VISIT_EVERY` to the products near what was just looked at."""
    place = np.concatenate([page.place_E + 1.0, (visit.place_E + 1.0) * VISIT_EVERY - 0.5])
    both = Picks.joined([page, visit], page.ids)
    return _once(both.take(np.lexsort((place, both.owner_E))))


def _looked_at(asked: Asked) -> tuple[Rows, Rows]:
    """Return the products that requests looked at or put in the cart in this visit.

    Those of a request lie side by side, the newest first.
    """
    since_us_B = asked.now_us_B - round(VISIT.total_seconds() * 1e6)
    looked = np.flatnonzero(LOOKS[asked.event_H] & (asked.time_us_H >= since_us_B[asked.owner_H]))
    looked = looked[np.lexsort((-looked, asked.owner_H[looked]))]
    owner, item = asked.owner_H[looked], asked.item_H[looked]
    newest = np.sort(np.unique(owner * len(asked.ids) + item, return_index=True)[1])
    owner, item = owner[newest], item[newest]
    kept = np.arange(len(owner)) - np.searchsorted(owner, owner) < VISIT_PRODUCTS
    return owner[kept], item[kept]
