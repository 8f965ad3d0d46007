"""Places on a page that are taken: by a product that few know, and by products that rules pin."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from shopkeeper.engine.trace import Trace
from shopkeeper.engine.wanted import Page, Parts, Wanted, hard_of
from shopkeeper.rules.book import placed

EXPLORATION, BY_RULE = "exploration", "rule"
"""Sources of products that only a taken place brings."""


def with_unknown(page: Page, wanted: Wanted, parts: Parts) -> Page:
    """Give the placement's place for it to a product that few know, if one may be shown."""
    shelves, there = parts.shelves(), {*page.items}
    passing = wanted.passing(shelves)
    for item in parts.explored():
        rows = shelves.rows([item])
        shown = wanted.decision is None or wanted.decision.judge(rows, shelves).kept_N.all()
        if item in there or not shown or not passing[rows].all():
            continue
        if parts.admitted([item], hard_of(wanted.placement)):
            return _inserted(
                page, {item: EXPLORATION}, [(wanted.placement.explore, item)], wanted.k
            )
    return page


def with_pins(page: Page, wanted: Wanted, parts: Parts, trace: Trace) -> Page:
    """Put products in the places that rules give them, unless they may not be shown."""
    assert wanted.decision is not None
    pins = [pin for pin in wanted.decision.pins(parts.shelves()) if pin.place <= wanted.k]
    if not pins:
        return page
    may = {*parts.admitted([pin.item for pin in pins], hard_of(wanted.placement))}
    trace.unpinned = {pin.item: pin.rule.id for pin in pins if pin.item not in may}
    trace.pins = pins = [pin for pin in pins if pin.item in may]
    taken = [(pin.place, pin.item) for pin in pins]
    return _inserted(page, dict.fromkeys((pin.item for pin in pins), BY_RULE), taken, wanted.k)


def _inserted(page: Page, new: Mapping[str, str], taken: Sequence[tuple[int, str]], k: int) -> Page:
    """Give products their places; one that was on the page already keeps its source."""
    rows = zip(page.scores, page.sources, page.because, strict=True)
    known = dict(zip(page.items, rows, strict=True))
    items = placed(page.items, taken)[:k]
    least = min(page.scores, default=0.0)
    found = [known.get(item) or (least, new[item], None) for item in items]
    scores, sources, because = zip(*found, strict=True) if found else ((), (), ())
    return replace(page, items=items, scores=scores, sources=sources, because=because)
