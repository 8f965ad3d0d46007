"""What a smaller text encoder is judged by in a shop: its own searches, or its own products.

Searches that ended at a product judge best. Without them a title has to find its own description,
or products of its category, or, where there is neither, the neighbours that it had before. Knows no
models.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from shopkeeper.evaluation.judged import Judged
from shopkeeper.schema import PRODUCT_ID
from shopkeeper.search.text import product_text

QUERIES_MIN, QUERIES_MAX = 30, 1_500
"""With fewer searches than the first, products judge; more than the second are not looked at."""
PRODUCTS_MAX = 5_000
"""Products that are searched, the right ones among them."""
SHARE_MIN = 0.5
"""Descriptions or categories judge if so many of the products have them."""
TEXTS_MAX = 10_000
"""Texts of each kind that a smaller model learns on."""


@dataclass(frozen=True)
class Ground:
    """What candidates are judged by, and what they learn on."""

    judged: Judged
    """Queries with products that are right for them; without grades if neighbours judge."""
    by: str
    """How that came about, for people."""
    passages: list[str]
    """Texts of products."""
    queries: list[str]
    """Texts as shoppers may write them, none of which is judged."""


def ground(
    products: pl.DataFrame,
    judged: Judged | None = None,
    visits: Iterable[tuple[str, str, str]] = (),
    seed: int = 0,
) -> Ground:
    """Find what a shop's encoder can be judged by.

    Args:
        products: The catalogue.
        judged: Queries with judgements of these products, if there are any.
        visits: Visit, query, and the product that it ended in.
        seed: Which queries and products are looked at, where there are many.

    Returns:
        The best that there is.
    """
    draw = np.random.default_rng(seed)
    by = "judged queries"
    visits = list(visits)
    if judged is None:
        judged, by = _searched(products, visits), "searches that ended at a product"
    if len(judged.queries) < QUERIES_MIN:
        judged, by = _own(products, draw)
    judged = _few(judged, draw)
    asked = set(judged.queries.values())
    texts = {query for _, query, _ in visits} | set(products["title"].drop_nulls())
    return Ground(
        judged, by,
        _drawn(sorted(set(product_text(products))), TEXTS_MAX, draw),
        _drawn(sorted(text for text in texts - asked if text), TEXTS_MAX, draw),
    )  # fmt: skip


def _searched(products: pl.DataFrame, visits: list[tuple[str, str, str]]) -> Judged:
    """Grade a product for a query by how many visits came to it."""
    known = set(products[PRODUCT_ID])
    seen = {(visit, query.strip().casefold(), item) for visit, query, item in visits}
    counts = Counter((query, item) for _, query, item in sorted(seen) if item in known)
    grades: dict[str, dict[str, float]] = {}
    for (query, item), times in counts.items():
        grades.setdefault(query, {})[item] = float(times)
    return Judged(products, {query: query for query in grades}, grades)


def _own(products: pl.DataFrame, draw: np.random.Generator) -> tuple[Judged, str]:
    """Let titles ask, and what else products say be found."""
    titled = products.filter(pl.col("title").fill_null("") != "")
    for column, make, by in (
        ("description", _descriptions, "titles that look for their own description"),
        ("product_type", _categories, "titles that look for products of their category"),
    ):
        if column in titled.columns:
            told = titled.filter(pl.col(column).fill_null("") != "")
            made = make(told, draw)
            if told.height >= SHARE_MIN * titled.height and len(made.queries) >= QUERIES_MIN:
                return made, by
    half = titled.height // 2
    mixed = titled[draw.permutation(titled.height)]
    queries = dict(mixed[:half].select(PRODUCT_ID, "title").iter_rows())
    return Judged(_titles(mixed[half:]), queries, {}), "titles that keep their nearest titles"


def _descriptions(told: pl.DataFrame, _: np.random.Generator) -> Judged:
    texts = told.select(PRODUCT_ID, title="description")
    queries = dict(told.select(PRODUCT_ID, "title").iter_rows())
    return Judged(texts, queries, {one: {one: 1.0} for one in queries})


def _categories(told: pl.DataFrame, draw: np.random.Generator) -> Judged:
    mixed = told[draw.permutation(told.height)]
    asking, found = mixed[: told.height // 2], mixed[told.height // 2 :][: PRODUCTS_MAX // 2]
    like: dict[str, list[str]] = {}
    for one, category in found.select(PRODUCT_ID, "product_type").iter_rows():
        like.setdefault(category, []).append(one)
    # A category that nearly all products share says nothing.
    sound = {name for name, ids in like.items() if len(ids) <= 0.5 * found.height}
    rows = asking.filter(pl.col("product_type").is_in(sound))
    return Judged(
        _titles(found),
        dict(rows.select(PRODUCT_ID, "title").iter_rows()),
        {
            one: dict.fromkeys(like[category], 1.0)
            for one, category in rows.select(PRODUCT_ID, "product_type").iter_rows()
        },
    )


def _titles(products: pl.DataFrame) -> pl.DataFrame:
    return products.select(PRODUCT_ID, "title")


def _few(judged: Judged, draw: np.random.Generator) -> Judged:
    """Keep some of the queries, the products that are right for them, and some others."""
    ids = _drawn(list(judged.queries), QUERIES_MAX, draw)
    grades = {one: judged.grades[one] for one in ids if one in judged.grades}
    right = {item for graded in grades.values() for item in graded}
    rows = judged.products[PRODUCT_ID]
    others = _drawn([one for one in rows if one not in right],
                    max(0, PRODUCTS_MAX - len(right)), draw)  # fmt: skip
    products = judged.products.filter(rows.is_in(right | set(others)))
    return Judged(products, {one: judged.queries[one] for one in ids}, grades)


def _drawn(texts: list[str], most: int, draw: np.random.Generator) -> list[str]:
    if len(texts) <= most:
        return texts
    return [texts[at] for at in np.sort(draw.choice(len(texts), most, replace=False))]
