"""The words every room shares: column names, table shapes, and one check for all tables.

Events use the names of GA4, products those of the Google Merchant Center feed. Money is in
minor units (pence, cents) beside its currency; times are UTC.
"""

from collections.abc import Mapping

import polars as pl

from shopkeeper.errors import BadData

Dtype = pl.DataType | type[pl.DataType]

EVENT_ID, EVENT_NAME, TIME = "event_id", "event_name", "time"
USER, VISITOR, SESSION = "user_id", "visitor_id", "session_id"
ITEM, PRODUCT_ID, TRANSACTION = "item_id", "id", "transaction_id"
QUANTITY, PRICE, CURRENCY = "quantity", "price_minor", "currency"
REQUEST, SCORE, RANK, SOURCE, BECAUSE = "request", "score", "rank", "source", "because"
HISTORY, SEEDS, EXCLUDE, NOW, PLACEMENT = "history", "seeds", "exclude", "now", "placement"
VECTOR, PICTURE_VECTOR, CATEGORY, COUNTRY = "vector", "picture_vector", "product_type", "country"

UTC_TIME = pl.Datetime("us", "UTC")

EVENT_NAMES = (
    "view_item",
    "view_item_list",
    "select_item",
    "add_to_cart",
    "remove_from_cart",
    "view_cart",
    "begin_checkout",
    "purchase",
    "refund",
    "search",
    "view_search_results",
    "view_promotion",
    "select_promotion",
    "like",
    "dismiss",
    "review",
)
"""GA4's names, and three that GA4 lacks: `like`, `dismiss` ("not interested"), `review`."""

WANTS = ("purchase", "add_to_cart", "view_item", "select_item", "like")
"""Events that show interest in a product; what recommenders learn from."""

EVENTS: dict[str, Dtype] = {
    EVENT_ID: pl.String,
    EVENT_NAME: pl.String,
    TIME: UTC_TIME,
    USER: pl.String,
    VISITOR: pl.String,
    SESSION: pl.String,
    TRANSACTION: pl.String,
    ITEM: pl.String,
    QUANTITY: pl.Int32,
    PRICE: pl.Int64,
    "discount_minor": pl.Int64,
    CURRENCY: pl.String,
    "coupon": pl.String,
    "search_term": pl.String,
    "item_list_id": pl.String,
    "index": pl.Int32,
    "request_id": pl.String,
    COUNTRY: pl.String,
    "location_id": pl.String,
    "promotion_id": pl.String,
    "device": pl.String,
    "referrer": pl.String,
}
"""One row per event and product. `price_minor` is what one piece cost after `discount_minor`."""

EXPONENTS = {
    **dict.fromkeys(
        [
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ],
        0,
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
}
"""Digits after the point of a currency by ISO 4217, where they are not 2."""

LEARN: dict[str, Dtype] = {USER: pl.String, ITEM: pl.String, EVENT_NAME: pl.String, TIME: UTC_TIME}
"""The columns of an event table that a recommender needs; more are kept and may be used."""

PRODUCTS: dict[str, Dtype] = {
    PRODUCT_ID: pl.String,
    "title": pl.String,
    "description": pl.String,
    CATEGORY: pl.String,
    "brand": pl.String,
    "size": pl.String,
    "color": pl.String,
    "item_group_id": pl.String,
    PRICE: pl.Int64,
    CURRENCY: pl.String,
    "availability": pl.String,
    "link": pl.String,
    "image_link": pl.String,
    "updated": UTC_TIME,
    "sale_price_minor": pl.Int64,
    "cost_of_goods_sold_minor": pl.Int64,
    "google_product_category": pl.String,
    "gender": pl.String,
    "age_group": pl.String,
    "material": pl.String,
    "condition": pl.String,
    "gtin": pl.String,
    "mpn": pl.String,
    "additional_image_link": pl.String,
    "virtual_model_link": pl.String,
    "attributes": pl.String,
}
"""One row per product. `product_type` is a path: `Grocery > Bread > Rye`; `additional_image_link`
has commas between; `attributes` is a JSON object of what else a feed says in plain values."""

REVIEWS: dict[str, Dtype] = {
    "review_id": pl.String,
    ITEM: pl.String,
    USER: pl.String,
    TIME: UTC_TIME,
    "rating": pl.Float32,
    "title": pl.String,
    "text": pl.String,
    "country": pl.String,
}
"""One row per review; `rating` runs from 1 to 5, null where there is none."""

PROMOTIONS: dict[str, Dtype] = {
    "promotion_id": pl.String,
    "promotion_name": pl.String,
    "coupon": pl.String,
    ITEM: pl.String,
    "start": UTC_TIME,
    "end": UTC_TIME,
}
"""One row per promotion and product; `coupon` is null where none is needed."""

SHOPPERS: dict[str, Dtype] = {USER: pl.String, "attribute": pl.String, "value": pl.String}
"""One row per shopper and attribute. Shown and audited, never used to decide."""

QUARANTINE: dict[str, Dtype] = {
    "table": pl.String,
    "reason": pl.String,
    "source": pl.String,
    "file": pl.String,
    "line": pl.Int64,
    "row": pl.String,
}
"""Every refused row: which table it was for, why, of which input and file, its row there (from
1), and all its columns as JSON."""

ANOMALIES: dict[str, Dtype] = {
    "kind": pl.String,
    "subject": pl.String,
    "id": pl.String,
    SCORE: pl.Float64,
    "evidence": pl.String,
    "num_events": pl.Int64,
    "first": UTC_TIME,
    "last": UTC_TIME,
}
"""What behaves unusually: `kind` is the detector, `subject` the column that `id` is of, such as
`user_id` or `event_id`; `score` in [0, 1]; `evidence` a sentence for people."""

OVERRIDES: dict[str, Dtype] = {
    "kind": pl.String,
    "subject": pl.String,
    "id": pl.String,
    "action": pl.String,
    "by": pl.String,
    TIME: UTC_TIME,
}
"""What a person decided about an anomaly, and when; one row per `kind`, `subject` and `id`."""

RULES: dict[str, Dtype] = {"id": pl.String, "rule": pl.String, TIME: UTC_TIME}
"""What a person decided on what is shown, and when; `rule` is JSON, as `rules.rule` reads it."""

LINES_PER_FILE = 10**12
"""A raw row's `line` is its file's place in the load, from 0, times this, plus its row from 1."""

LINES_MAX = 10**8
"""Lines a file of several rows a line may have: a row adds this times its place there, from 0."""

REQUESTS: dict[str, Dtype] = {
    REQUEST: pl.UInt32,
    USER: pl.String,
    HISTORY: pl.List(pl.Struct({ITEM: pl.String, EVENT_NAME: pl.String, TIME: UTC_TIME})),
    SEEDS: pl.List(pl.String),
    EXCLUDE: pl.List(pl.String),
    NOW: UTC_TIME,
    PLACEMENT: pl.String,
}
"""One row per request, numbered from 0; `history` is oldest first and all before `now`."""

RESULTS: dict[str, Dtype] = {
    REQUEST: pl.UInt32,
    ITEM: pl.String,
    SCORE: pl.Float32,
    RANK: pl.UInt32,
    SOURCE: pl.String,
    BECAUSE: pl.String,
}
"""Up to k rows per request, best first, rank from 1. `because` is the product that led here."""

TABLES: dict[str, dict[str, Dtype]] = {
    "events": EVENTS,
    "products": PRODUCTS,
    "promotions": PROMOTIONS,
    "shoppers": SHOPPERS,
    "reviews": REVIEWS,
    "quarantine": QUARANTINE,
    "anomalies": ANOMALIES,
}
"""The tables of the lake."""


def check(rows: pl.DataFrame, shape: Mapping[str, Dtype], table: str) -> pl.DataFrame:
    """Return `rows` unchanged if it has every column of `shape` with its type.

    Args:
        rows: Any table; columns beyond `shape` are kept.
        shape: Column names and types, such as `LEARN`.
        table: What the error calls it.

    Returns:
        The same table.

    Raises:
        BadData: A column is missing or has another type, or an event has an unknown name.
    """
    for name, dtype in shape.items():
        if name not in rows.columns:
            raise BadData(
                f"The {table} table has no column '{name}'. It has: {', '.join(rows.columns)}. "
                f"Rename a column to '{name}' first."
            )
        if rows.schema[name] != dtype:
            raise BadData(
                f"Column '{name}' of the {table} table must be {dtype}, "
                f"but is {rows.schema[name]}. Cast it first."
            )
    if EVENT_NAME in shape:
        strange = rows.filter(~pl.col(EVENT_NAME).is_in(EVENT_NAMES))
        if strange.height:
            raise BadData(
                f"{strange.height} of {rows.height} events have an unknown name, "
                f"first '{strange[EVENT_NAME][0]}'. Known: {', '.join(EVENT_NAMES)}."
            )
    return rows


def empty(shape: Mapping[str, Dtype]) -> pl.DataFrame:
    """Return a table of `shape` without rows."""
    return pl.DataFrame(schema=dict(shape))


def conform(rows: pl.DataFrame, shape: Mapping[str, Dtype]) -> pl.DataFrame:
    """Return `rows` with exactly the columns of `shape`, cast, and null where a column lacks."""
    return rows.select(
        (pl.col(name) if name in rows.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in shape.items()
    )
