"""One place on a page, from who asks to an answer: history, rules in force, page, reasons."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from shopkeeper.arrays import Asked, Ids, Picks
from shopkeeper.config import Placement
from shopkeeper.engine.answering import answered
from shopkeeper.engine.answers import Answer
from shopkeeper.engine.live import Live
from shopkeeper.engine.now import Now
from shopkeeper.engine.page import compose
from shopkeeper.engine.trace import Trace
from shopkeeper.engine.wanted import Page, Parts, Wanted
from shopkeeper.explain.sentences import reasons
from shopkeeper.features import PURCHASE
from shopkeeper.rules.book import Context, Decision
from shopkeeper.schema import CATEGORY, PRODUCT_ID
from shopkeeper.streaming.state import Steps

NO_EVENTS = "Recommendations come once `shopkeeper train` has events to learn from."
GAVE_UP = {
    "sources": "Nothing that suits you passed here; these are popular instead.",
    "filters": "Nothing passed the filters of this place; these are popular instead.",
    "policies": "Nothing passed what may be shown here; these are popular instead.",
}
"""What to say of a fallback."""
REGULAR_DAYS = 4
"""Who bought on so many days is a regular."""
DICE = 20
"""So many products that few know are tried for a place."""
DAY_S = 86_400


@dataclass(frozen=True, kw_only=True)
class Question:
    """Who asks for what; see `Shop.recommend`."""

    name: str
    placement: Placement
    k: int
    user_id: str | None = None
    visitor_id: str | None = None
    items: Sequence[str] = ()
    exclude: Sequence[str] = ()
    category: str = ""
    country: str = ""
    window_days: float = 0.0
    segments: Sequence[str] = ()


def recommend(live: Live, question: Question) -> Answer:
    """Answer one place on a page, and keep how it came to be.

    Args:
        live: The running shop; it has learned from events.
        question: Who asks for what.

    Returns:
        The page, each product with source and reason.
    """
    began, trace = time.perf_counter(), Trace(question.name)
    banned = [*question.exclude, *question.items]
    steps = live.state.steps(question.user_id, question.visitor_id)
    steps = steps.take(np.s_[-live.config.train.history_max :])
    with live.lock:
        now = live.now
        asked = live.asked(steps, question.items, banned)
    trace.bundle = now.models.version
    trace.asked, trace.place, trace.banned = asked, question.placement, frozenset(banned)
    wanted = Wanted(
        placement=question.placement,
        k=question.k,
        category=question.category,
        country=question.country,
        window_days=question.window_days,
        decision=_decision(live, now, question, steps) if live.rules.rules else None,
    )
    trace.laps.lap("request")
    parts = _Dealer(live, now, question, steps).parts()
    with live.lock:
        page = compose(asked, wanted, parts, trace)
    trace.items, trace.sources, trace.because = page.items, page.sources, page.because
    answer = _told(live, page, asked, trace, began)
    live.traces.keep(answer.request_id, trace)
    return answer


def _told(live: Live, page: Page, asked: Asked, trace: Trace, began: float) -> Answer:
    """Find words for a page."""
    bought = asked.ids.listed(asked.item_H[asked.event_H == PURCHASE])
    products = live.products([*page.items, *page.because])
    lines = zip(page.items, page.sources, page.because, strict=True)
    trace.reasons = reasons(lines, _titles(products), Counter(bought))
    ranks = range(1, len(page.items) + 1)
    rows = list(zip(page.items, page.scores, ranks, page.sources, strict=True))
    notes = [GAVE_UP[page.fallback]] if page.fallback else []
    answer = answered(
        live,
        rows,
        trace.reasons,
        len(rows),
        began,
        products=products,
        notes=notes,
        fallback=page.fallback,
        timings=trace.laps.ms,
    )
    trace.laps.lap("products")
    return answer


class _Dealer:
    """Deals what a page of one request is made with; most of it only if somebody asks."""

    def __init__(self, live: Live, now: Now, question: Question, steps: Steps) -> None:
        self._live, self._now, self._question, self._steps = live, now, question, steps

    def parts(self) -> Parts:
        """Return what the page is made with."""
        models = self._now.models
        assert models.fusion is not None
        return Parts(
            models.recommenders,
            models.fusion,
            self._live.policies,
            self._now.catalogue,
            lambda: self._now.shelves,
            models.sales,
            self._admitted,
            self._explored,
        )

    def _admitted(self, items: Sequence[str], policies: Sequence[str]) -> list[str]:
        """Return which of some products policies let through; models need not know them."""
        banned = {*self._question.exclude, *self._question.items}
        names = [item for item in items if item not in banned]
        ids, size = Ids(names), len(names)
        asked = self._live.asked(self._steps, (), (), ids)
        nobody = np.full(size, -1)
        source = np.zeros(size, np.int64)
        score = np.zeros(size, np.float32)
        page = Picks(ids, source, ids.rows(names), score, nobody, ("rule",), source)
        products = self._now.catalogue.aligned(names)
        for name in policies:
            kept = self._live.policies[name].apply(page, asked, products)
            page, products = page.take(kept), products.take(kept.tolist())
        known = zip(ids.listed(page.item_E), products[PRODUCT_ID], strict=True)
        return [item for item, there in known if there is not None]

    def _explored(self) -> list[str]:
        """Throw the dice for products that few know: the same all day for one shopper."""
        pool, question = self._now.little_known, self._question
        if not pool:
            return []
        day = int(self._live.clock.now().timestamp() // DAY_S)
        who = question.user_id or question.visitor_id or ""
        thrown = f"{self._live.config.train.seed}\0{question.name}\0{who}\0{day}"
        seed = int.from_bytes(blake2b(thrown.encode(), digest_size=8).digest(), "big")
        places = np.random.default_rng(seed).integers(0, len(pool), DICE).tolist()
        return list(dict.fromkeys(pool[place] for place in places))


def _decision(live: Live, now: Now, question: Question, steps: Steps) -> Decision | None:
    """Return the rules in force for who asks, what for, and when."""
    at_hand = now.catalogue.known(question.items).values()
    named = [question.category] if question.category else []
    context = Context(
        placement=question.name,
        now=live.clock.now(),
        categories=[*named, *(row[CATEGORY] for row in at_hand if row[CATEGORY])],
        brands=[row["brand"] for row in at_hand if row["brand"]],
        segments=segments(steps) | {*question.segments},
    )
    return live.rules.at(context)


def segments(steps: Steps) -> frozenset[str]:
    """Return the groups that a history puts a shopper in, as rules may name them.

    Args:
        steps: What the shopper did.

    Returns:
        `new` for one nobody knows, `visitor` for one without a purchase, else `customer`, and
        `regular` for one who bought on four days.
    """
    if not len(steps):
        return frozenset(["new"])
    bought = steps.time_us[steps.event == PURCHASE]
    if not len(bought):
        return frozenset(["visitor"])
    days = len(np.unique(bought // (DAY_S * 10**6)))
    return frozenset(["customer", "regular"] if days >= REGULAR_DAYS else ["customer"])


def _titles(products: Mapping[str, dict[str, Any]]) -> dict[str, str]:
    return {item: row["title"] or item for item, row in products.items() if row[PRODUCT_ID]}
