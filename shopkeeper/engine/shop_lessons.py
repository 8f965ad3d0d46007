"""What a shop's own log and catalogue teach a text encoder: which texts belong together.

Searches and what was wanted after them, titles and descriptions, categories and their products,
products of one basket. The strongest kind that is there is held back in part, to judge by.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from shopkeeper.config import Config
from shopkeeper.engine import past_searches
from shopkeeper.engine.past_searches import TERM
from shopkeeper.engine.search_lessons import Lessons, pairs_of
from shopkeeper.errors import BadConfig, BadData, unknown
from shopkeeper.evaluation.judged import Judged
from shopkeeper.schema import (
    CATEGORY,
    EVENT_NAME,
    ITEM,
    PRODUCT_ID,
    TIME,
    TRANSACTION,
    USER,
)
from shopkeeper.search import text
from shopkeeper.search.text import product_text

GRADES = {"purchase": 3.0, "add_to_cart": 2.0, "like": 2.0}
"""How good a product answered a query after which it was wanted so; 1 for a look."""
SHARE_MIN = 0.1
"""What fewer shoppers chose, beside the product most chosen for a query, is chance."""
HELD = 0.2
"""Share of the questions that judge."""
QUESTIONS_MIN = 150
"""With fewer questions of a kind nothing can be judged by it."""
QUESTIONS_MAX = 20_000
"""More questions of one kind are drawn from at random."""
TOGETHER_MIN = 3
"""Products that were bought together less often teach nothing."""
DESCRIPTION_CHARS = 300


@dataclass(frozen=True)
class ShopLessons:
    """Lessons of one shop, and the questions that judge."""

    lessons: Lessons
    held: Judged
    judged_on: str
    """The kind of the questions that judge."""
    counts: dict[str, int]
    """Pairs by kind."""


def learn_from(
    folder: Path,
    config: Config,
    products: pl.DataFrame,
    events: pl.DataFrame,
    kinds: Sequence[str],
    seed: int = 0,
) -> ShopLessons:
    """Gather what belongs together in a shop.

    Args:
        folder: The shop's folder.
        config: Its settings.
        products: The catalogue.
        events: What shoppers wanted, `schema.EVENTS`.
        kinds: Names of `KINDS`, or `basket`.
        seed: Which questions judge, and which are drawn where there are too many.

    Returns:
        The lessons; nothing of a question that judges is among them.

    Raises:
        BadConfig: A kind is not known, or none is named.
        BadData: There is nothing to learn from or to judge by.
    """
    _check(kinds)
    shop = _Shop(folder, config, products, seed)
    judged = {kind: find(shop) for kind, find in KINDS.items()}
    judge = _judge(judged)
    held, judged[judge] = judged[judge].split(HELD, seed)
    limit = QUESTIONS_MAX
    if judge == "search":
        limit = max(QUESTIONS_MIN, 2 * len(judged[judge].queries))
    banned = {text.clean(query) for query in held.queries.values()}
    pairs = {
        kind: shop.pairs(one, banned, None if kind == judge else limit)
        for kind, one in judged.items()
        if kind in kinds
    }
    beside = _together(shop, events, limit) if BASKET in kinds else []
    counts = {kind: len(found) for kind, found in pairs.items()}
    counts |= {BASKET: len(beside)} if BASKET in kinds else {}
    asked = [pair for found in pairs.values() for pair in found]
    lines = [*shop.texts(products).values(), *_descriptions(products)["description"].to_list()]
    return ShopLessons(Lessons(asked, beside, lines), held, judge, counts)


def past_questions(folder: Path, config: Config, products: pl.DataFrame) -> Judged:
    """Return past searches of a shop with what was wanted after them; none if there are none."""
    return _searches(_Shop(folder, config, products, 0))


def _check(kinds: Sequence[str]) -> None:
    known = (*KINDS, BASKET)
    if not kinds:
        raise BadConfig(f"No kind of lesson is named. Name one of {', '.join(known)}.")
    for kind in kinds:
        if kind not in known:
            raise unknown("kind of lesson", kind, known)


def _judge(judged: dict[str, Judged]) -> str:
    """Return the strongest kind of which there are enough questions to judge by."""
    counts = {kind: len(one.queries) for kind, one in judged.items()}
    for kind, count in counts.items():
        if count >= QUESTIONS_MIN:
            return kind
    most = max(counts, key=lambda kind: counts[kind])
    raise BadData(
        f"A tuned encoder has to be judged by at least {QUESTIONS_MIN} questions, and there "
        f"are {counts[most]} (by {most}). Load more searches, or products with descriptions."
    )


@dataclass(frozen=True)
class _Shop:
    folder: Path
    config: Config
    products: pl.DataFrame
    seed: int

    def texts(self, products: pl.DataFrame) -> dict[str, str]:
        return dict(zip(products[PRODUCT_ID], product_text(products), strict=True))

    def pairs(self, one: Judged, banned: set[str], limit: int | None) -> list[tuple[str, str]]:
        """Return questions with the texts of their answers, but no banned question."""
        found = [
            (query, answer)
            for query, answer in pairs_of(one, self.texts(one.products))
            if text.clean(query) not in banned
        ]
        if limit is None or len(found) <= limit:
            return found
        draw = np.random.default_rng(self.seed).permutation(len(found))
        return [found[row] for row in draw[:limit]]

    def few(self, rows: pl.DataFrame, column: str) -> pl.DataFrame:
        """Return the rows of so many questions at most."""
        names = rows[column].unique().sort()
        if len(names) <= QUESTIONS_MAX:
            return rows
        kept = np.random.default_rng(self.seed).permutation(len(names))[:QUESTIONS_MAX]
        return rows.filter(pl.col(column).is_in(names[kept.tolist()].implode()))


def _searches(shop: _Shop) -> Judged:
    """Return past queries with what was wanted after them."""
    rows = past_searches.followed(shop.folder, shop.config)
    rows = rows.join(shop.products, left_on=ITEM, right_on=PRODUCT_ID, how="semi")
    grade = pl.col(EVENT_NAME).replace_strict(GRADES, default=1.0)
    terms = {term: text.clean(term) for term in rows[TERM].unique()}
    counted = (
        rows.with_columns(pl.col(TERM).replace_strict(terms, default=""), grade.alias("grade"))
        .filter(pl.col(TERM) != "")
        .group_by(TERM, ITEM)
        .agg(pl.col("grade").max(), pl.col("visit").n_unique().alias("visits"))
        .filter(pl.col("visits") >= SHARE_MIN * pl.col("visits").max().over(TERM))
        .sort(TERM, ITEM)
    )
    return _judged(shop.products, shop.few(counted, TERM), TERM)


def _by_description(shop: _Shop) -> Judged:
    """Return descriptions with their products, which an encoder sees without them."""
    rows = _descriptions(shop.products).with_columns(pl.lit(1.0).alias("grade"))
    return _judged(shop.products, shop.few(rows, "description"), "description")


def _by_category(shop: _Shop) -> Judged:
    """Return the end of each category's path with its products, which are shown without it."""
    path = pl.col(CATEGORY).str.split(">")
    end = path.list.tail(2).list.eval(pl.element().str.strip_chars()).list.reverse().list.join(" ")
    rows = (
        shop.products.select(pl.col(PRODUCT_ID).alias(ITEM), end.alias("end"))
        .with_columns(pl.lit(1.0).alias("grade"))
        .filter(pl.col("end").str.len_chars() > 0)
        .sort(ITEM)
    )
    bare = shop.products.with_columns(pl.lit(None, dtype=pl.String).alias(CATEGORY))
    return _judged(bare, shop.few(rows, "end"), "end")


KINDS: dict[str, Callable[[_Shop], Judged]] = {
    "search": _searches,
    "description": _by_description,
    "category": _by_category,
}
"""Questions whose answers are known, the strongest first."""
BASKET = "basket"
"""Products that were bought together: they belong together, but one is no answer to the other."""


def _descriptions(products: pl.DataFrame) -> pl.DataFrame:
    """Return `item_id`, `description` of products whose description says more than the title."""
    words = pl.col("description").str.slice(0, DESCRIPTION_CHARS).str.strip_chars()
    return (
        products.select(pl.col(PRODUCT_ID).alias(ITEM), words, "title")
        .filter(pl.col("description").str.len_chars() > pl.col("title").str.len_chars() + 10)
        .select(ITEM, "description")
        .sort(ITEM)
    )


def _judged(products: pl.DataFrame, rows: pl.DataFrame, column: str) -> Judged:
    grades: dict[str, dict[str, float]] = {}
    for query, item, grade in rows.select(column, ITEM, "grade").iter_rows():
        grades.setdefault(query, {})[item] = grade
    return Judged(products, {query: query for query in grades}, grades)


def _together(shop: _Shop, events: pl.DataFrame, limit: int) -> list[tuple[str, str]]:
    """Return texts of products that are bought together more often than chance, surest first."""
    bought = events.filter(pl.col(EVENT_NAME) == "purchase")
    day = pl.col(USER) + " " + pl.col(TIME).dt.date().cast(pl.String)
    order = pl.coalesce(TRANSACTION, day) if TRANSACTION in bought.columns else day
    rows = bought.select(order.alias("basket"), ITEM).drop_nulls().unique()
    rows = rows.join(shop.products, left_on=ITEM, right_on=PRODUCT_ID, how="semi")
    common = rows.group_by(ITEM).len("count").filter(pl.col("count") >= TOGETHER_MIN)
    common = common.sort("count", ITEM, descending=[True, False]).head(BASKET_PRODUCTS_MAX)
    rows = rows.join(common, on=ITEM).filter(pl.len().over("basket") <= BASKET_MAX)
    pairs = rows.join(rows, on="basket", suffix="_b").filter(pl.col(ITEM) < pl.col("item_id_b"))
    num = max(rows["basket"].n_unique(), 1)
    lift = pl.col("together") * num / (pl.col("count") * pl.col("count_b"))
    best = (
        pairs.group_by(ITEM, "item_id_b", "count", "count_b")
        .agg(pl.len().alias("together"))
        .filter(pl.col("together") >= TOGETHER_MIN)
        .with_columns((lift.log() * pl.col("together").log1p()).alias("sure"))
        .filter(lift > 1)
        .sort("sure", ITEM, "item_id_b", descending=[True, False, False])
        .head(limit)
    )
    texts = shop.texts(shop.products)
    found = [
        (texts[left], texts[right]) for left, right in best.select(ITEM, "item_id_b").iter_rows()
    ]
    return [(left, right) for left, right in found if left and right and left != right]


BASKET_PRODUCTS_MAX = 5_000
"""Pairs are looked for among so many of the products most bought."""
BASKET_MAX = 50
"""A larger basket says little of any two of its products."""
