"""One search, from who asks to an answer: taste, rules in force, what is found, reasons."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from shopkeeper.engine.answering import searched
from shopkeeper.engine.answers import Answer
from shopkeeper.engine.live import Live
from shopkeeper.engine.now import Now
from shopkeeper.engine.recommending import segments
from shopkeeper.engine.search_rules import SearchRuling
from shopkeeper.engine.trace import Trace
from shopkeeper.rules.book import Context
from shopkeeper.rules.rule import SEARCH, spelled
from shopkeeper.schema import CATEGORY
from shopkeeper.search.found import SearchPage


@dataclass(frozen=True, kw_only=True)
class Query:
    """Who asks for what; see `Shop.search`."""

    text: str
    user_id: str | None = None
    visitor_id: str | None = None
    understand: bool = True
    ignore: Sequence[str] = ()
    personal: bool = True
    segments: Sequence[str] = ()
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)


def search(live: Live, asked: Query, **page: Any) -> Answer:
    """Answer one search, and keep how it came to be.

    Args:
        live: The running shop.
        asked: Who asks for what.
        **page: `k`, `offset`, `sort`, `price_min` and `price_max`, as for `Finder.find`.

    Returns:
        The page.
    """
    began, trace = time.perf_counter(), Trace(SEARCH, query=asked.text)
    now, taste = live.now, None
    trace.bundle = now.models.version
    if asked.personal and live.config.search.personal:
        taste = live.taste(now, asked.user_id, asked.visitor_id)
    ruling = _ruling(live, now, asked, trace) if live.rules.rules else None
    trace.laps.lap("request")
    page["ignore"] = tuple(asked.ignore) if asked.understand else None
    found = now.find(asked.text, filters=asked.filters, lift=taste, ruling=ruling, **page)
    trace.laps.lap("search")
    answer = searched(now, found, began, taste)
    trace.items = [result.id for result in answer.results]
    trace.sources = [result.source for result in answer.results]
    trace.reasons = [result.reason for result in answer.results]
    trace.because = [None] * len(trace.items)
    trace.first_rank = found.page.first_rank
    trace.again = _again(asked, page)
    trace.laps.lap("products")
    live.traces.keep(answer.request_id, trace)
    return replace(answer, timings=trace.laps.ms)


def _again(asked: Query, page: Mapping[str, Any]) -> Callable[..., SearchPage]:
    """Return how to search for the same again, without what was known of the shopper."""

    def search(now: Now, **other: Any) -> SearchPage:
        return now.find(asked.text, filters=asked.filters, **{**page, **other}).page

    return search


def _ruling(live: Live, now: Now, asked: Query, trace: Trace) -> SearchRuling | None:
    """Return the rules in force for a search, None where there is none."""
    mine = live.state.steps(asked.user_id, asked.visitor_id)
    context = Context(
        placement=SEARCH,
        now=live.clock.now(),
        query=spelled(asked.text),
        categories=list(asked.filters.get(CATEGORY, ())),
        brands=list(asked.filters.get("brand", ())),
        segments=segments(mine) | {*asked.segments},
    )
    decision = live.rules.at(context)
    if decision is None:
        return None
    return SearchRuling(decision, now.shelves, now.catalogue.availability, trace)
