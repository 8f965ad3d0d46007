"""Which products may come on pages: who is asked, in which order, and what this visit is about.

How much is known of a request decides who answers it. One with purchases gets the order of the
ranker. Without, the placement's sources answer in turn: those that read looks and carts where
there are any, and what is popular where there is nothing. What was looked at in this visit leads
to a share of the places. Many requests are answered at once as each of them alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import numpy as np

from shopkeeper.arrays import Asked, Picks, Rows
from shopkeeper.contracts import Local, Recommender
from shopkeeper.engine.fusion import Fusion
from shopkeeper.engine.wanted import Wanted
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


@dataclass
class Candidates:
    """What was proposed to B requests, in the order in which it may come on their pages."""

    page: Picks
    lists: list[Picks] = field(default_factory=list)
    """What each source proposed, the ranker first where it was asked."""
    who: list[Rows] = field(default_factory=list)
    """The requests that each source was asked for."""
    ranked_B: Rows = field(default_factory=lambda: np.zeros(0, np.bool_))
    """Whether the ranker was asked."""

    def of(self, owner: int) -> "Candidates":
        """Return those of one request, which becomes the first."""
        lists = [
            _of_one(one, owner) for one, who in zip(self.lists, self.who, strict=True)
            if owner in who
        ]  # fmt: skip
        first = np.zeros(1, np.int64)
        ranked_B = self.ranked_B[owner : owner + 1]
        return Candidates(_of_one(self.page, owner), lists, [first] * len(lists), ranked_B)


def ordered(
    asked: Asked,
    wanted: Wanted,
    recommenders: Mapping[str, Recommender],
    fusion: Fusion | None,
    lap: Callable[[str], None] = lambda _: None,
) -> Candidates:
    """Ask the ranker and the sources, and weave in what this visit is about.

    Args:
        asked: The requests, numbering products as the recommenders do.
        wanted: The placement and what bounds it; the same for all requests, but for decisions.
        recommenders: All that are trained, by name.
        fusion: The trained ranker with its recommenders; None if there is none yet.
        lap: Told `ranker` when that has answered.

    Returns:
        Best first; more than k where there are, for policies to choose from.
    """
    placement = wanted.placement
    most_X = int(np.bincount(asked.owner_X).max()) if len(asked.item_X) else 0
    narrow = wanted.narrow or (wanted.decision is not None and wanted.decision.narrow)
    want = max(wanted.k + SPARE + most_X, DEEP if narrow else 0)
    found = Candidates(Picks.joined([], asked.ids), ranked_B=np.zeros(asked.size, np.bool_))
    # How long the first list of each request is, -1 as long as nobody was asked.
    first_B = np.full(asked.size, -1)

    def ask(rows: Rows, answer: Callable[[Asked, int], Picks]) -> None:
        picks = _among(asked, rows, lambda some: answer(some, want))
        count_B = np.bincount(picks.owner_E, minlength=asked.size)
        fresh = rows[first_B[rows] < 0]
        first_B[fresh] = count_B[fresh]
        found.lists.append(picks)
        found.who.append(rows)

    if placement.ranker and fusion is not None:
        found.ranked_B[asked.owner_H[asked.event_H == PURCHASE]] = True
        if found.ranked_B.any():
            ask(np.flatnonzero(found.ranked_B), fusion.rank)
            lap("ranker")
    for name in placement.sources:
        short = np.flatnonzero(first_B < want)
        if name in recommenders and len(short):
            ask(short, local(recommenders[name], wanted).propose)
    found.page = in_turn(found.lists, asked)
    if placement.ranker and "item_knn" in recommenders:
        _steer(found, asked, recommenders, wanted.k)
    if len(asked.item_X):
        banned = asked.owner_X * len(asked.ids) + asked.item_X
        kept = ~np.isin(found.page.owner_E * len(asked.ids) + found.page.item_E, banned)
        found.page = found.page.take(np.flatnonzero(kept))
    return found


def _among(asked: Asked, rows: Rows, answer: Callable[[Asked], Picks]) -> Picks:
    """Answer some of the requests; picks keep the numbers that the requests have among all."""
    if len(rows) == asked.size:
        return answer(asked)
    found = answer(asked.take(rows))
    return replace(found, owner_E=rows[found.owner_E])


def _of_one(page: Picks, owner: int) -> Picks:
    mine = page.take(np.flatnonzero(page.owner_E == owner))
    return replace(mine, owner_E=np.zeros(len(mine), np.int64))


def _steer(
    found: Candidates, asked: Asked, recommenders: Mapping[str, Recommender], k: int
) -> None:
    """Give some places of each page to what is near the products looked at in this visit."""
    owner, item = looked_at(asked)
    rows = np.unique(owner)
    if not len(rows):
        return
    near = replace(
        asked.take(rows),
        owner_S=np.searchsorted(rows, owner),
        item_S=item,
        seeded_B=np.ones(len(rows), np.bool_),
        _memo={},
    )
    beside = recommenders.get("content", recommenders["item_knn"])
    visit = [part.propose(near, k) for part in (recommenders["item_knn"], beside)]
    led_here = led(in_turn(visit, near), near, recommenders)
    found.lists += [replace(one, owner_E=rows[one.owner_E]) for one in visit]
    found.who += [rows] * len(visit)
    found.page = _weave(found.page, replace(led_here, owner_E=rows[led_here.owner_E]))


def local(part: Recommender, wanted: Wanted) -> Recommender:
    """Return what a recommender learned of a country or another window, where it tells them."""
    if (wanted.country or wanted.window_days) and isinstance(part, Local):
        return part.local(wanted.country, wanted.window_days)
    return part


def in_turn(lists: Sequence[Picks], asked: Asked) -> Picks:
    """Append lists, keeping each product of a request where it comes first."""
    every = Picks.joined(lists, asked.ids)
    return _once(every.take(np.argsort(every.owner_E, kind="stable")))


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
    pair = page.owner_E * len(page.ids) + page.item_E
    return page.take(np.sort(np.unique(pair, return_index=True)[1]))


def _weave(page: Picks, visit: Picks) -> Picks:
    """Give one place in `VISIT_EVERY` to the products near what was just looked at."""
    place = np.concatenate([page.place_E + 1.0, (visit.place_E + 1.0) * VISIT_EVERY - 0.5])
    both = Picks.joined([page, visit], page.ids)
    return _once(both.take(np.lexsort((place, both.owner_E))))


def looked_at(asked: Asked) -> tuple[Rows, Rows]:
    """Return the products that requests looked at or put in the cart in this visit.

    Args:
        asked: The requests.

    Returns:
        Requests and products, the newest of a request first.
    """
    since_us_B = asked.now_us_B - round(VISIT.total_seconds() * 1e6)
    looked = np.flatnonzero(LOOKS[asked.event_H] & (asked.time_us_H >= since_us_B[asked.owner_H]))
    looked = looked[np.lexsort((-looked, asked.owner_H[looked]))]
    owner, item = asked.owner_H[looked], asked.item_H[looked]
    newest = np.sort(np.unique(owner * len(asked.ids) + item, return_index=True)[1])
    owner, item = owner[newest], item[newest]
    kept = np.arange(len(owner)) - np.searchsorted(owner, owner) < VISIT_PRODUCTS
    return owner[kept], item[kept]
