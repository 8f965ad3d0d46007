"""From found products to an answer: what the shop knows of them now, and the time it took."""

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from shopkeeper.engine.answers import Answer, Result
from shopkeeper.engine.catalogue import shown
from shopkeeper.engine.finding import Found
from shopkeeper.engine.live import Live
from shopkeeper.engine.now import Now
from shopkeeper.engine.personal import Taste

PERSONAL = "The order takes account of what you bought and looked at here."


def answered(  # noqa: PLR0913
    live: Live | Now,
    rows: Sequence[tuple[str, float, int, str]],
    sentences: Sequence[str],
    total: int,
    began: float,
    *,
    products: Mapping[str, dict[str, Any]] | None = None,
    notes: Sequence[str] = (),
    facets: Mapping[str, list[tuple[str, int]]] | None = None,
    fallback: str = "",
    timings: dict[str, float] | None = None,
) -> Answer:
    """Answer with products.

    Args:
        live: The running shop, or one moment of it.
        rows: Id, score, rank and source of each product.
        sentences: Why each is there.
        total: How many products there are to page through.
        began: What `time.perf_counter` said when the question came.
        products: Rows of `schema.PRODUCTS` by id, where they are at hand.
        notes: What the caller should know.
        facets: Values and counts by attribute.
        fallback: What was given up.
        timings: Milliseconds by stage; the caller may still add to them.

    Returns:
        The page.
    """
    known = products or live.catalogue.known(row[0] for row in rows)
    return Answer(
        request_id=secrets.token_hex(8),
        results=[
            Result(item, round(score, 6), rank, source, why, shown(known[item]))
            for (item, score, rank, source), why in zip(rows, sentences, strict=True)
        ],
        total=total,
        bundle=live.models.version,
        took_ms=round((time.perf_counter() - began) * 1e3, 2),
        notes=list(notes),
        facets=dict(facets or {}),
        fallback=fallback,
        timings={} if timings is None else timings,
    )


def searched(now: Now, found: Found, began: float, taste: Taste | None = None) -> Answer:
    """Answer a search from the moment that it was asked of.

    Args:
        now: The moment.
        found: What was found.
        began: What `time.perf_counter` said when the question came.
        taste: The shopper's, if it had a say in the order.

    Returns:
        The page, with facets and what was understood; where taste moved products up, a note says
        so, and each of them why.
    """
    page = found.page
    ranks = range(page.first_rank, page.first_rank + len(page.ids))
    rows = list(zip(page.ids, page.scores, ranks, page.sources, strict=True))
    sentences, notes = found.sentences(), page.notes
    if taste is not None and any(page.raised):
        whys = taste.why(np.array(page.places))
        sentences = [
            f"{said}; {why}" if raised and why else said
            for said, raised, why in zip(sentences, page.raised, whys, strict=True)
        ]
        notes = [*notes, PERSONAL]
    answer = answered(now, rows, sentences, page.total, began, notes=notes, facets=page.facets)
    return replace(answer, understood=found.understood)
