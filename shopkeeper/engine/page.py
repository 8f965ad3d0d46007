"""From candidates to a page: candidates, scores, policies, page; a trace tells what each step did.

Scores are the ranker's, by what the placement is for. Rules, filters and policies drop and move; if
they leave nothing, the placement falls back. Last come the places that are taken: by a product that
few know, and by products that rules pin.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shopkeeper.arrays import Asked, Picks, Rows
from shopkeeper.engine import objective
from shopkeeper.engine.candidates import DEEP, Candidates, in_turn, led, local
from shopkeeper.engine.places import with_pins, with_unknown
from shopkeeper.engine.trace import Trace
from shopkeeper.engine.wanted import Page, Parts, Wanted, hard_of


def compose(found: Candidates, asked: Asked, wanted: Wanted, parts: Parts, trace: Trace) -> Page:
    """Make the page of one request from its candidates.

    Args:
        found: What was proposed.
        asked: One request.
        wanted: The placement and what bounds it.
        parts: What pages are made with.
        trace: Told what each step did.

    Returns:
        At most k products: none twice, none that a hard policy or a rule drops.
    """
    trace.lists, trace.ranked = list(found.lists), bool(found.ranked_B[0])
    page = _scored(found.page, wanted, parts, trace)
    trace.candidates = len(page)
    trace.laps.lap("scores")
    left = _decided(page, asked, wanted, parts, trace)
    fallback = ""
    if len(page) and not len(left):
        left, fallback = _instead(asked, wanted, parts, trace)
    if len(left) > wanted.k:
        first = np.arange(wanted.k)
        trace.step("page", left, first)
        left = left.take(first)
    trace.laps.lap("policies")
    shown = _shown(led(left, asked, parts.recommenders), fallback)
    trace.laps.lap("evidence")
    if wanted.placement.explore:
        shown = with_unknown(shown, wanted, parts)
    if wanted.decision is not None:
        shown = with_pins(shown, wanted, parts, trace)
    trace.laps.lap("places")
    return shown


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
    decision, narrow = wanted.decision, wanted.narrow and named is None
    if decision is not None or narrow:
        shelves = parts.shelves()
        if narrow:
            kept = np.flatnonzero(wanted.passing(shelves)[shelves.rows(names)])
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
    lists = [local(recommenders[name], wanted).propose(asked, DEEP) for name in names]
    trace.lists.extend(lists)
    page = in_turn(lists, asked)
    if len(asked.item_X):
        page = page.take(np.flatnonzero(~np.isin(page.item_E, asked.item_X)))
    hard = hard_of(wanted.placement)
    if wanted.narrow:
        left = _decided(page, asked, wanted, parts, trace)
        if len(left):
            return left, "sources"
    left = _decided(page, asked, wanted, parts, trace, hard)
    return left, ("filters" if wanted.narrow else "policies") if len(left) else ""


def _shown(page: Picks, fallback: str) -> Page:
    return Page(
        page.ids.listed(page.item_E),
        page.score_E.tolist(),
        [page.sources[number] for number in page.source_E],
        page.ids.listed(page.because_E),
        fallback,
    )
