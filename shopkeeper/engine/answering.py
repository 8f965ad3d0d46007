"""From found products to an answer: what the shop knows of them now, and the time it took."""

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from shopkeeper.engine.answers import Answer, Result
from shopkeeper.engine.catalogue import shown
from shopkeeper.engine.live import Live


def answered(
    live: Live,
    rows: Sequence[tuple[str, float, int, str]],
    sentences: Sequence[str],
    total: int,
    began: float,
    *,
    products: Mapping[str, dict[str, Any]] | None = None,
    notes: Sequence[str] = (),
    facets: Mapping[str, list[tuple[str, int]]] | None = None,
) -> Answer:
    """Answer with products.

    Args:
        live: The running shop.
        rows: Id, score, rank and source of each product.
        sentences: Why each is there.
        total: How many products there are to page through.
        began: What `time.perf_counter` said when the question came.
        products: Rows of `schema.PRODUCTS` by id, where they are at hand.
        notes: What the caller should know.
        facets: Values and counts by attribute.

    Returns:
        The page.
    """
    known = products or live.products(row[0] for row in rows)
    return Answer(
        request_id=secrets.token_hex(8),
        results=[
            Result(item, round(score, 6), rank, source, why, shown(known[item]))
            for (item, score, rank, source), why in zip(rows, sentences, strict=True)
        ],
        total=total,
        bundle=live.version,
        took_ms=round((time.perf_counter() - began) * 1e3, 2),
        notes=list(notes),
        facets=dict(facets or {}),
    )
