"""The words that a mapping may use: those of the schema, and friendlier ones for money and stock.

Knows no column of any shop; the names that shops give are in `data.guess`.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shopkeeper import schema
from shopkeeper.data.sources import _files, _products
from shopkeeper.errors import unknown

if TYPE_CHECKING:
    import ibis

TABLES = ("events", "products", "reviews", "shoppers", "promotions")
IDS = frozenset(
    {
        schema.EVENT_ID, schema.USER, schema.VISITOR, schema.SESSION, schema.TRANSACTION,
        schema.ITEM, schema.PRODUCT_ID, "item_list_id", "request_id", "location_id",
        "promotion_id", "review_id", "item_group_id", "gtin", "mpn", "coupon",
        "google_product_category",
    }
)  # fmt: skip
"""Words whose values are names for something, so that `17850.0` is 17850."""

NEEDED: dict[str, tuple[tuple[str, ...], ...]] = {
    "events": ((schema.TIME,), (schema.EVENT_NAME,), (schema.ITEM, "search_term")),
    "products": ((schema.PRODUCT_ID,), ("title",)),
    "reviews": ((schema.ITEM,), ("rating", "text")),
    "shoppers": ((schema.USER,), ("attribute",), ("value",)),
    "promotions": (("promotion_id",), (schema.ITEM,)),
}
"""What a table cannot do without; of words in one bracket, any."""

EVENT_WORDS = {
    "view_item": (
        "view", "views", "viewed", "pv", "pageview", "page_view", "product_view", "product view",
        "product viewed", "item_view", "detail-page-view", "detail_view", "detailview",
    ),
    "select_item": ("click", "clicks", "clicked", "product clicked", "select"),
    "add_to_cart": (
        "cart", "carts", "addtocart", "add-to-cart", "add to cart", "product added", "basket",
        "add_to_basket", "atc",
    ),
    "remove_from_cart": ("removefromcart", "remove-from-cart", "product removed"),
    "begin_checkout": ("checkout", "checkout started", "initiatecheckout"),
    "purchase": (
        "buy", "bought", "order", "orders", "sale", "transaction", "purchased", "purchases",
        "purchase-complete", "order completed", "placed order", "invoice",
    ),
    "refund": ("return", "returned", "refunded", "credit", "order refunded"),
    "search": ("searched", "query", "products searched"),
    "like": ("fav", "favorite", "favourite", "wishlist", "add_to_wishlist", "liked"),
    "review": ("rating", "rate", "rated", "product reviewed"),
}  # fmt: skip
"""Names that other systems give to events, in small letters, by ours."""

_YES, _NO = ("true", "yes", "y", "t", "active"), ("false", "no", "n", "f", "none", "inactive")


def _kinds(table: str) -> dict[str, str]:
    """Return how each word of a table is read."""
    kinds: dict[str, str] = {}
    for name, dtype in schema.TABLES[table].items():
        if name.endswith("_minor"):
            kinds |= {name.removesuffix("_minor"): "money", name: "money"}
        elif name in IDS:
            kinds[name] = "id"
        elif dtype == schema.UTC_TIME:
            kinds[name] = "time"
        elif dtype.is_integer():
            kinds[name] = "whole"
        elif dtype.is_float():
            kinds[name] = "rating"
        else:
            kinds[name] = {schema.EVENT_NAME: "event", "availability": name}.get(name, "text")
    return kinds


WORDS: dict[str, dict[str, str]] = {table: _kinds(table) for table in TABLES}
"""How each word is read, by table: id, text, time, whole, rating, money, event, availability."""


def column(word: str, table: str) -> str:
    """Return the column of the schema that a word fills: `price` fills `price_minor`."""
    return word if word in schema.TABLES[table] else f"{word}_minor"


def pairs(
    given: Sequence[str], setting: str, known: Collection[str] | None = None
) -> dict[str, str]:
    """Read settings such as `["sku=id", "name=title"]`.

    Args:
        given: Their word = ours; the last `=` counts.
        setting: What the settings call it.
        known: Our words; None for any.

    Returns:
        Ours by theirs.

    Raises:
        ValueError: One has no `=`, or two mean the same.
        BadConfig: A word of ours does not exist.
    """
    found: dict[str, str] = {}
    if not isinstance(given, list | tuple) or not all(isinstance(each, str) for each in given):
        raise ValueError(f'{setting} must be a list such as ["theirs=ours"], but is {given!r}')
    for each in given:
        theirs, equals, ours = (part.strip() for part in each.rpartition("="))
        if not (theirs and equals and ours):
            raise ValueError(f"{setting} takes theirs=ours, but has '{each}'")
        if known is not None and ours not in known:
            raise unknown(f"word for {setting}", ours, known)
        if theirs in found:
            raise ValueError(f"{setting} names '{theirs}' twice")
        if setting == "map" and ours in found.values():
            raise ValueError(f"{setting} gives two columns for '{ours}'")
        found[theirs] = ours
    return found


def lacking(table: str, words: Collection[str], *, named: bool = False) -> list[str]:
    """Return the words of the first thing that a table needs and that is not among `words`.

    Args:
        table: One of `TABLES`.
        words: What is there.
        named: Whether the name of all events is known without a column.

    Returns:
        Words of which one is needed; none if all is there.
    """
    for either in NEEDED[table]:
        if not set(either) & set(words) and not (named and either == (schema.EVENT_NAME,)):
            return list(either)
    return []


def with_events(rows: "ibis.Table", name: str, own: Mapping[str, str]) -> "ibis.Table":
    """Add our names of events as `_event`, null where nobody knows one.

    Args:
        rows: A table.
        name: Its column of names.
        own: Ours by theirs, before `EVENT_WORDS`.

    Returns:
        The table with names of `schema.EVENT_NAMES`.
    """
    import ibis
    import polars as pl

    known = {word: ours for ours, words in EVENT_WORDS.items() for word in words}
    known |= {ours: ours for ours in schema.EVENT_NAMES}
    known |= {theirs.strip().lower(): ours for theirs, ours in own.items()}
    words = pl.DataFrame({"_word": list(known), "_event": list(known.values())})
    rows = rows.mutate(_word=rows[name].cast("string").strip().lower())
    # A join, for a long list of conditions is slower by far.
    return rows.left_join(ibis.memtable(words), "_word").drop("_word", "_word_right")


def as_availability(value: Any) -> "ibis.expr.types.StringValue":
    """Return whether a product can be had: from words, yes and no, or how many are there."""
    import ibis

    text = value.cast("string").strip().lower()
    plain = text.re_replace("[^a-z]", "")
    pieces = _files.as_float(text)
    return ibis.cases(
        *((plain.isin(words), ours) for ours, words in _products.AVAILABILITY.items()),
        (text.isin(_YES) | (pieces > 0), "in_stock"),
        (text.isin(_NO) | (pieces <= 0), "out_of_stock"),
        else_=ibis.null("string"),
    )
