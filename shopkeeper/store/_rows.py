"""How the rows of a table of the lake are told apart, shaped, and merged with those known.

Expressions only. Knows nothing of files.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from shopkeeper import schema
from shopkeeper.errors import unknown

if TYPE_CHECKING:
    import ibis

KEYS: dict[str, tuple[str, ...]] = {
    "events": (schema.EVENT_ID,),
    "products": (schema.PRODUCT_ID,),
    "promotions": ("promotion_id", "coupon", schema.ITEM),
    "shoppers": (schema.USER, "attribute"),
    "reviews": ("review_id",),
    "quarantine": ("table", "source", "file", "line", "row"),
    "anomalies": ("kind", "subject", "id"),
}
"""What tells two rows of a table apart."""

GROWING = ("events",)
"""Tables that only grow: a row known already is not added again. In the others the latest wins."""

LOAD, INPUT = "load", "input"
EXTRA: dict[str, dict[str, schema.Dtype]] = {
    "events": {LOAD: pl.String},
    "products": {LOAD: pl.String, INPUT: pl.String},
    "quarantine": {schema.USER: pl.String},
    "anomalies": {schema.USER: pl.String},
}
"""Columns kept beyond the schema: which load and input brought a row, and whose row it is,
so that it can be forgotten."""


def shape_of(name: str) -> dict[str, schema.Dtype]:
    """Return the columns that the lake keeps of a table, or raise BadConfig for its name."""
    if name not in schema.TABLES:
        raise unknown("table", name, schema.TABLES)
    return schema.TABLES[name] | EXTRA.get(name, {})


def conform(rows: "ibis.Table", shape: Mapping[str, schema.Dtype]) -> "ibis.Table":
    """Return `rows` with exactly the columns of `shape`, cast, and null where a column lacks."""
    import ibis

    types = ibis.memtable(schema.empty(shape)).schema()
    return rows.select(
        **{
            name: (rows[name] if name in rows.columns else ibis.null()).cast(types[name])
            for name in shape
        }
    )


def with_known(name: str, rows: "ibis.Table", known: "ibis.Table") -> "ibis.Table":
    """Return `rows` with the columns they lack as the known rows of the same keys have them."""
    lacks = [column for column in shape_of(name) if column not in rows.columns]
    if not lacks:
        return rows
    held = known.select(**{f"_{key}": known[key] for key in KEYS[name]}, **{c: c for c in lacks})
    on = [rows[key] == held[f"_{key}"] for key in KEYS[name]]
    return rows.left_join(held, on).select(*rows.columns, *lacks)


def merged(name: str, rows: "ibis.Table", known: "ibis.Table") -> "ibis.Table":
    """Return what to write: only unknown rows of a growing table, else all with the new winning."""

    def keys(table: "ibis.Table") -> "ibis.Table":
        named = {f"_{key}": table[key].cast("string").fill_null("") for key in KEYS[name]}
        return table.mutate(**named)

    on = [f"_{key}" for key in KEYS[name]]
    if name in GROWING:
        return keys(rows).anti_join(keys(known).select(on), on).drop(*on)
    stay = keys(known).anti_join(keys(rows).select(on), on).drop(*on)
    return stay.union(rows)
