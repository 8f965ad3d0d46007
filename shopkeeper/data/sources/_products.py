"""Turns what product feeds say in words into columns of `schema.PRODUCTS`.

Every feed is first put under the attribute names of Google Merchant Center, all text, as `SAID`;
from there the ways are one. Knows nothing of files, and judges nothing: a value that cannot be
read is null, and what came stands beside it in a column `raw_...` for the quarantine.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from shopkeeper import schema
from shopkeeper.data.sources import _files, _money, _text

if TYPE_CHECKING:
    import ibis

MONEY = ("price", "sale_price", "cost_of_goods_sold")
TEXTS = tuple(
    name.removesuffix("_minor")
    for name in schema.PRODUCTS
    if name not in (schema.CURRENCY, "updated", "attributes")
)
"""Attributes that a feed may say in words, by their names in Google Merchant Center."""

SAID = (*TEXTS, "attributes", "problem", "raw_text")
"""Text columns of a feed before it is understood; `line` comes beside them."""

BATCH_ROWS = 20_000

AVAILABILITY = {
    "in_stock": ("instock", "availablefororder", "limitedavailability", "onlineonly",
                 "instoreonly", "available"),
    "out_of_stock": ("outofstock", "soldout", "discontinued", "reserved", "unavailable"),
    "preorder": ("preorder", "presale"),
    "backorder": ("backorder", "madetoorder"),
}  # fmt: skip
"""Our words by the letters that feeds and schema.org write."""

_as_json = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode
_PLAIN = {name.replace("_", ""): name for name in TEXTS}


@lru_cache(10_000)
def attribute(name: str) -> str:
    """Return our word for a column of a feed: `g:Image Link`, `image_link` are `image_link`.

    A word we have no column for is put in small letters with underscores; what stands in
    brackets, such as the parts of `shipping(country:price)`, is left out.
    """
    short = name.strip().lower().split("(")[0]
    if short.startswith(("g:", "c:")):
        short = short[2:]
    letters = "".join(letter if letter.isalnum() else " " for letter in short)
    words = "_".join(letters.split())
    return _PLAIN.get(words.replace("_", ""), words)


def as_attributes(rest: Mapping[str, str]) -> str | None:
    """Write values as the JSON object of the column `attributes`; None where there are none."""
    return _as_json(rest) if rest else None


def staged(backend: Any, rows: Iterable[Mapping[str, Any]]) -> "ibis.Table":
    """Copy rows to Parquet as they come, so that no feed is held in memory.

    Args:
        backend: An Ibis connection on DuckDB; the copy goes when it goes.
        rows: A `line` and texts of `SAID` each, stripped; what is left out is null.

    Returns:
        The copy, opened.
    """
    import pyarrow as pa
    from pyarrow import parquet

    copy = _text.scratch(backend, ".parquet")
    columns = [pa.field(name, pa.string()) for name in SAID]
    shape = pa.schema([pa.field("line", pa.int64()), *columns])
    left = iter(rows)
    with parquet.ParquetWriter(copy, shape) as writer:
        while batch := list(islice(left, BATCH_ROWS)):
            texts = [_texts([row.get(name) for row in batch]) for name in SAID]
            writer.write_table(pa.table([[row["line"] for row in batch], *texts], schema=shape))
    return backend.read_parquet(copy)


def said(rows: "ibis.Table", columns: Mapping[str, Any]) -> "ibis.Table":
    """Put expressions of `rows` under the names of `SAID`, null where a feed says nothing."""
    import ibis

    empty = ibis.null("string")
    return rows.select("line", **{name: columns.get(name, empty) for name in SAID})


def understood(rows: "ibis.Table", currency: str) -> "ibis.Table":
    """Read the words of a feed.

    Args:
        rows: `line` and the columns of `SAID`, without blanks around and null where empty.
        currency: What prices without a currency are in; empty where that is not known.

    Returns:
        `line`, columns of `schema.PRODUCTS`, `problem`, and what could not be read as `raw_...`.
    """
    import ibis

    default = ibis.literal(currency) if currency else ibis.null("string")
    digits = {f"_{name}": _money.digits(rows[name]) for name in MONEY}
    rows = _files.settled(rows.mutate(currency=_money.code(rows.price, default), **digits))
    own = rows.currency.coalesce(default)
    rows = _files.settled(
        rows.mutate(
            _availability=_plain(rows.availability),
            _factor=_money.factor(rows.currency),
            **{f"_{name}": _money.number(rows[f"_{name}"]) for name in MONEY},
            **{f"_{name}_in": _money.code(rows[name], own) for name in MONEY},
        )
    )
    kinds = [(rows._availability.isin(words), kind) for kind, words in AVAILABILITY.items()]
    read = {
        schema.PRODUCT_ID: _files.as_id(rows.id),
        "item_group_id": _files.as_id(rows.item_group_id),
        "additional_image_link": rows.additional_image_link.re_replace(r"\s*,\s*", ","),
        "availability": ibis.cases(*kinds, else_=ibis.null("string")),
        "condition": _plain(rows.condition).re_replace("condition$", ""),
        "gender": rows.gender.lower(),
        "age_group": rows.age_group.lower(),
        schema.CURRENCY: rows.currency,
        "attributes": rows.attributes,
    }
    for name in MONEY:
        factor = (rows[f"_{name}_in"] == rows.currency).ifelse(rows._factor, None)
        read[f"{name}_minor"] = _files.as_minor(rows[f"_{name}"] * factor, 0)
    shown = {name: read.get(name, rows[name] if name in rows.columns else None)
             for name in schema.PRODUCTS if name != "updated"}  # fmt: skip
    unread = {
        f"raw_{name}": read[column].isnull().ifelse(rows[name], ibis.null("string"))
        for name, column in (("availability",) * 2, *((name, f"{name}_minor") for name in MONEY))
    }
    no_currency = rows._price.notnull() & rows.currency.isnull()
    complaint = no_currency.ifelse(
        "the price names no currency, and the settings of the source name none", None
    )
    return rows.select(
        "line", **shown, **unread, raw_text=rows.raw_text, problem=rows.problem.coalesce(complaint)
    )


def as_object(pairs: "Iterable[tuple[Any, Any]]") -> Any:
    """Write expressions of names and texts as one JSON object, nulls and blanks left out.

    Null where nothing is left; names come in the order given.
    """
    import ibis

    inside: Any = ibis.literal("")
    for name, value in pairs:
        text = _quoted(value.strip().nullif(""))
        inside = inside.concat(ibis.literal(", ").concat(_quoted(name), ": ", text).fill_null(""))
    whole = ibis.literal("{").concat(inside.substr(2), "}")
    return (inside == "").ifelse(ibis.null("string"), whole)


def _quoted(value: Any) -> Any:
    """Write text as JSON does, by the engine's own hand."""
    import ibis

    if isinstance(value, str):
        return ibis.literal(json.dumps(value, ensure_ascii=False))
    return _to_json()(value).cast("string")


@cache
def _to_json() -> Any:
    import ibis

    @ibis.udf.scalar.builtin(name="to_json", signature=(("string",), "json"))
    def to_json(value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        """Declare a function of the engine."""

    return to_json


def _plain(text: Any) -> Any:
    """Leave the small letters of a word, of schema.org's addresses the last part."""
    return text.lower().re_replace(r"^https?://schema\.org/", "").re_replace("[^a-z]", "")


def _texts(values: list[str | None]) -> Any:
    import pyarrow as pa

    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        # JSON may name half of a surrogate pair, which is no letter.
        sound = [text and text.encode("utf-8", "replace").decode() for text in values]
        return pa.array(sound, pa.string())
