"""From candidates to a page: candidates, scores, policies, page; a trace tells what each step did.

Candidates come from the placement's recommenders, scores from the ranker and what the placement is
for. Rules, filters and policies drop and move; if they leave nothing, the placement falls back.
Last come the places that are taken: by a product nobody knows yet, and by products that rules pin.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np

from shopkeeper.arrays import Asked, Picks, Rows
from shopkeeper.contracts import Local, Recommender
from shopkeeper.engine import objective
from shopkeeper.engine.places import with_pins, with_unknown
from shopkeeper.engine.trace import Trace
from shopkeeper.engine.wanted import Page, Parts, Wanted, hard_of
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


def compose(asked: Asked, wanted: Wanted, parts: Parts, trace: Trace) -> Page:
    """Answer one request with a page.

    Args:
        asked: One request.
        wanted: The placement and what bounds it.
        parts: What pages are made with.
        trace: Told what each step did.

    Returns:
        At most k products: none twice, none that a hard policy or a rule drops.
    """
    page = _scored(_candidates(asked, wanted, parts, trace), wanted, parts, trace)
    trace.candidates = len(page)
    trace.laps.lap("candidates")
    left = _decided(page, asked, wanted, parts, trace)
    fallback = ""
    if len(page) and not len(left):
        left, fallback = _instead(asked, wanted, parts, trace)
    if len(left) > wanted.k:
        first = np.arange(wanted.k)
        trace.step("page", left, first)
        left = left.take(first)
    trace.laps.lap("policies")
    shown = _shown(_led(left, asked, parts.recommenders), fallback)
    trace.laps.lap("evidence")
    if wanted.placement.explore:
        shown = with_unknown(shown, wanted, parts)
    if wanted.decision is not None:
        shown = with_pins(shown, wanted, parts, trace)
    trace.laps.lap("places")
    return shown


def _candidates(asked: Asked, wanted: Wanted, parts: Parts, trace: Trace) -> Picks:
    """Ask the ranker and the sources, and weave in what this visit is about."""
    placement, recommenders = wanted.placement, parts.recommenders
    want = wanted.k + SPARE + len(asked.item_X)
    narrow = wanted.filters or wanted.decision is not None
    want = max(want, DEEP) if narrow else want
    lists = trace.lists
    if placement.ranker and (asked.event_H == PURCHASE).any():
        lists.append(parts.fusion.rank(asked, want))
        trace.ranked = True
        trace.laps.lap("ranker")
    for name in placement.sources:
        if name in recommenders and not (lists and len(lists[0]) >= want):
            lists.append(_local(recommenders[name], wanted).propose(asked, want))
    page = _in_turn(lists, asked)
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
        page = _weave(page, _led(_in_turn(visit, asked), near, recommenders))
    if len(asked.item_X):
        page = page.take(np.flatnonzero(~np.isin(page.item_E, asked.item_X)))
    return page


def _scored(page: Picks, wanted: Wanted, parts: Parts, trace: Trace) -> Picks:
    """Give scores that order the page, by what the placement is for."""
    if objective.neutral(wanted.placement.objective):
        return objective.level(page) if len(trace.lists) > 1 else page
    products = parts.catalogue.aligned(page.ids.listed(page.item_E))
    aims = wanted.placement.objective
    return objective.weighed(page, aims, products, parts.sales, odds=trace.ranked)


def _decided(
    page: Picks,
    asked: Asked,
    wanted: Wanted,
    parts: Parts,
    trace: Trace,
    named: Sequence[str] | None = None,
) -> Picks:
    """Let filters, rules and policies drop and move products."""
    names = page.ids.listed(page.item_E)
    decision, filters = wanted.decision, wanted.filters if named is None else {}
    if decision is not None or filters:
        shelves = parts.shelves()
        if filters:
            kept = np.flatnonzero(shelves.passing(filters)[shelves.rows(names)])
            page, names = _taken("filters", page, names, kept, trace)
        if decision is not None:
            verdict = decision.judge(shelves.rows(names), shelves)
            kept = np.flatnonzero(verdict.kept_N)
            page, names = _taken("rules hide", page, names, kept, trace, verdict.hiders)
    products = parts.catalogue.aligned(names)
    for name in wanted.placement.policies if named is None else named:
        kept = parts.policies[name].apply(page, asked, products)
        if not np.array_equal(kept, np.arange(len(page))):
            trace.step(f"policy {name}", page, kept)
            page = page.take(kept)
            products = products.take(kept.tolist())
    if decision is not None:
        # Last, so that a product moves by as many places of the page as its rule says.
        names = page.ids.listed(page.item_E)
        verdict = decision.judge(parts.shelves().rows(names), parts.shelves())
        page, _ = _taken("rules", page, names, verdict.order, trace, verdict.movers)
    return page


def _taken(
    name: str,
    page: Picks,
    names: list[str],
    kept: Rows,
    trace: Trace,
    rules: Mapping[int, Any] | None = None,
) -> tuple[Picks, list[str]]:
    if np.array_equal(kept, np.arange(len(page))):
        return page, names
    trace.step(name, page, kept, rules)
    return page.take(kept), [names[at] for at in kept.tolist()]


def _instead(asked: Asked, wanted: Wanted, parts: Parts, trace: Trace) -> tuple[Picks, str]:
    """Ask the fallback: with the same filters, then without; never past the hard policies."""
    recommenders = parts.recommenders
    names = [name for name in wanted.placement.fallback if name in recommenders]
    lists = [_local(recommenders[name], wanted).propose(asked, DEEP) for name in names]
    page = _in_turn(lists, asked)
    if len(asked.item_X):
        page = page.take(np.flatnonzero(~np.isin(page.item_E, asked.item_X)))
    hard = hard_of(wanted.placement)
    if wanted.filters:
        left = _decided(page, asked, wanted, parts, trace)
        if len(left):
            return left, "sources"
    left = _decided(page, asked, wanted, parts, trace, hard)
    return left, ("filters" if wanted.filters else "policies") if len(left) else ""


def _shown(page: Picks, fallback: str) -> Page:
    return Page(
        page.ids.listed(page.item_E),
        page.score_E.tolist(),
        [page.sources[number] for number in page.source_E],
        page.ids.listed(page.because_E),
        fallback,
    )


def _local(part: Recommender, wanted: Wanted) -> Recommender:
    """Return what a recommender learned of a country or another window, where it tells them."""
    if (wanted.country or wanted.window_days) and isinstance(part, Local):
        return part.local(wanted.country, wanted.window_days)
    return part


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


def looked_at(asked: Asked) -> Rows:
    """Return the products of this visit that were looked at or put in the cart, newest first."""
    since_us = asked.now_us_B[0] - VISIT.total_seconds() * 1e6
    looked: Rows = asked.item_H[LOOKS[asked.event_H] & (asked.time_us_H >= since_us)][::-1]
    newest: Rows = looked[np.sort(np.unique(looked, return_index=True)[1])]
    return newest[:VISIT_PRODUCTS]
