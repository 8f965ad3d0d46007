"""From candidates to a page: which recommenders a placement asks, who orders, what may be shown."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import polars as pl

from shopkeeper.config import Placement
from shopkeeper.contracts import Policy, Recommender
from shopkeeper.engine.catalogue import Catalogue
from shopkeeper.engine.fusion import Fusion
from shopkeeper.schema import (
    EVENT_NAME,
    EXCLUDE,
    HISTORY,
    ITEM,
    NOW,
    PLACEMENT,
    RANK,
    REQUEST,
    REQUESTS,
    RESULTS,
    SEEDS,
    TIME,
    USER,
    conform,
)

VISIT = timedelta(minutes=30)
"""How long a look at a product steers the next page."""
VISIT_EVERY = 3
"""One in so many places follows what was looked at in this visit."""


def request(
    placement: str,
    history: Sequence[tuple[str, str, datetime]],
    now: datetime,
    *,
    user_id: str | None = None,
    seeds: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> pl.DataFrame:
    """Build one row of `schema.REQUESTS` from a shopper's history, oldest first."""
    items, names, times = zip(*history, strict=True) if history else ((), (), ())
    steps = pl.DataFrame(
        {ITEM: items, EVENT_NAME: names, TIME: times},
        schema={ITEM: pl.String, EVENT_NAME: pl.String, TIME: pl.Datetime("us", "UTC")},
    )
    about = {
        REQUEST: [0],
        USER: [user_id],
        SEEDS: [list(seeds)],
        EXCLUDE: [list(exclude)],
        NOW: [now],
        PLACEMENT: [placement],
    }
    shape = {name: REQUESTS[name] for name in about}
    past = steps.select(pl.struct(ITEM, EVENT_NAME, TIME).implode().alias(HISTORY))
    return pl.DataFrame(about, schema=shape).hstack(past).select(REQUESTS.keys())


def compose(
    asked: pl.DataFrame,
    placement: Placement,
    recommenders: Mapping[str, Recommender],
    fusion: Fusion | None,
    policies: Sequence[Policy],
    catalogue: Catalogue,
    k: int,
) -> pl.DataFrame:
    """Answer one request with a page.

    Args:
        asked: One row of `schema.REQUESTS`.
        placement: Which recommenders to ask, and whether the ranker orders.
        recommenders: All that are trained, by name.
        fusion: The trained ranker with its recommenders; None where there is none.
        policies: What may be shown, applied in order.
        catalogue: The products as they are now.
        k: How many products at most.

    Returns:
        `schema.RESULTS` rows, best first, rank from 1.
    """
    want = k + 50 + len(asked[EXCLUDE][0])
    lists = []
    if placement.ranker and fusion is not None and _bought(asked):
        lists.append(fusion.rank(asked, want))
    lists += [
        recommenders[name].recommend(asked, want)
        for name in placement.sources
        if name in recommenders and (not lists or lists[0].height < want)
    ]
    page = _in_turn(lists)
    seen = _looked_at(asked)
    if placement.ranker and seen and "item_knn" in recommenders:
        near = asked.with_columns(pl.Series(SEEDS, [seen], dtype=pl.List(pl.String)))
        beside = recommenders.get("content", recommenders["item_knn"])
        visit = [part.recommend(near, k) for part in (recommenders["item_knn"], beside)]
        page = _weave(page, _in_turn(visit))
    for policy in policies:
        page = policy.apply(page, asked, catalogue.rows(page[ITEM].to_list()))
    return _numbered(page.head(k))


def _in_turn(lists: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Append lists, keeping each product where it comes first."""
    if not lists:
        return pl.DataFrame(schema=dict(RESULTS))
    return _numbered(pl.concat(lists).unique(ITEM, keep="first", maintain_order=True))


def _weave(page: pl.DataFrame, visit: pl.DataFrame) -> pl.DataFrame:
    """Give one place in `VISIT_EVERY` to the products near what was just looked at."""
    both = pl.concat(
        [
            page.with_columns(place=pl.col(RANK).cast(pl.Float64)),
            visit.with_columns(place=pl.col(RANK) * float(VISIT_EVERY) - 0.5),
        ]
    )
    woven = both.sort("place", maintain_order=True).unique(ITEM, keep="first", maintain_order=True)
    return _numbered(woven.drop("place"))


def _numbered(page: pl.DataFrame) -> pl.DataFrame:
    return conform(page.with_columns(pl.int_range(1, pl.len() + 1).alias(RANK)), RESULTS)


def _bought(asked: pl.DataFrame) -> bool:
    return bool((asked[HISTORY][0].struct.field(EVENT_NAME) == "purchase").any())


def _looked_at(asked: pl.DataFrame) -> list[str]:
    """Return the products of this visit that were looked at or put in the cart, newest first."""
    steps = asked[HISTORY][0].struct.unnest()
    recent = steps.filter(
        (pl.col(TIME) >= asked[NOW][0] - VISIT)
        & pl.col(EVENT_NAME).is_in(("view_item", "add_to_cart", "like"))
    )
    return list(dict.fromkeys(recent[ITEM].to_list()[::-1]))[:5]
