"""One place on a page, from who asks to an answer: history, rules in force, page, reasons."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import numpy as np

from shopkeeper.arrays import Asked, Ids, Picks
from shopkeeper.config import Placement
from shopkeeper.engine.answering import answered
from shopkeeper.engine.answers import Answer
from shopkeeper.engine.candidates import ordered
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

NO_EVENTS = "More recommendations come once `shopkeeper train` has events to learn from."
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
        live: The running shop.
        question: Who asks for what.

    Returns:
        The page, each product with source and reason.
    """
    began, trace = time.perf_counter(), Trace(question.name)
    ((asked, page),) = pages(live, [question], [trace])
    trace.asked = asked
    trace.items, trace.sources, trace.because = page.items, page.sources, page.because
    products = live.products([*page.items, *page.because])
    trace.reasons = worded(asked, page, products)
    ranks = range(1, len(page.items) + 1)
    rows = list(zip(page.items, page.scores, ranks, page.sources, strict=True))
    notes = [GAVE_UP[page.fallback]] if page.fallback else []
    if not rows and live.models.fusion is None:
        notes.append(NO_EVENTS)
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
    live.traces.keep(answer.request_id, trace)
    return answer


def pages(
    live: Live, questions: Sequence[Question], traces: Sequence[Trace]
) -> list[tuple[Asked, Page]]:
    """Make a page for each question, all for one placement; see `recommend`.

    Args:
        live: The running shop.
        questions: They differ in who asks, and about which products.
        traces: Told how each page came to be.

    Returns:
        The request as the models read it, and the page, for each question.
    """
    most, first = live.config.train.history_max, questions[0]
    histories = [live.state.steps(one.user_id, one.visitor_id) for one in questions]
    histories = [steps.take(np.s_[-most:]) for steps in histories]
    banned = [[*one.exclude, *one.items] for one in questions]
    wanted = Wanted(
        placement=first.placement,
        k=first.k,
        category=first.category,
        country=first.country,
        window_days=first.window_days,
    )
    made: list[tuple[Asked, Page]] = []
    with live.lock:
        now = live.now
        asked = live.asked(histories, [one.items for one in questions], banned)
        wants = [
            replace(wanted, decision=_decision(live, now, one, steps)) if live.rules.rules
            else wanted
            for one, steps in zip(questions, histories, strict=True)
        ]  # fmt: skip
        for trace in traces:
            trace.laps.lap("request")
        found = ordered(
            asked,
            _widest(wants),
            now.models.recommenders,
            now.models.fusion,
            traces[0].laps.lap,
        )
        for number, (question, trace) in enumerate(zip(questions, traces, strict=True)):
            trace.laps.lap("candidates")
            trace.bundle, trace.place = now.models.version, question.placement
            trace.banned = frozenset(banned[number])
            alone = len(questions) == 1
            mine, own = (asked, found) if alone else (asked.slice(number, number + 1), None)
            parts = _Dealer(live, now, question, histories[number]).parts()
            page = compose(own or found.of(number), mine, wants[number], parts, trace)
            made.append((mine, page))
    return made


def _widest(wants: Sequence[Wanted]) -> Wanted:
    """Return the question whose decision may leave least, so that enough is proposed to all."""
    return next((one for one in wants if one.decision and one.decision.narrow), wants[0])


def worded(asked: Asked, page: Page, products: Mapping[str, dict[str, Any]]) -> list[str]:
    """Say why each product is on a page."""
    bought = asked.ids.listed(asked.item_H[asked.event_H == PURCHASE])
    lines = zip(page.items, page.sources, page.because, strict=True)
    return reasons(lines, _titles(products), Counter(bought))


class _Dealer:
    """Deals what a page of one request is made with; most of it only if somebody asks."""

    def __init__(self, live: Live, now: Now, question: Question, steps: Steps) -> None:
        self._live, self._now, self._question, self._steps = live, now, question, steps

    def parts(self) -> Parts:
        """Return what the page is made with."""
        models = self._now.models
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
        asked = self._live.asked([self._steps], ids=ids)
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
