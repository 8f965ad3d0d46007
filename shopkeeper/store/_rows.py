"""How the rows of a table of the lake are told apart, shaped, and merged with those known.

Expressions only. Knows nothing of files.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

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

LOAD, FIRST_LOAD, INPUT = "load", "first_load", "input"
EXTRA: dict[str, dict[str, schema.Dtype]] = {
    "events": {LOAD: pl.String},
    "products": {LOAD: pl.String, FIRST_LOAD: pl.String, INPUT: pl.String},
    "promotions": {LOAD: pl.String, FIRST_LOAD: pl.String},
    "reviews": {LOAD: pl.String, FIRST_LOAD: pl.String},
    "shoppers": {LOAD: pl.String, FIRST_LOAD: pl.String},
    "quarantine": {schema.USER: pl.String},
    "anomalies": {schema.USER: pl.String},
}
"""Columns kept beyond the schema: which load and input brought a row, which load brought it first,
and whose row it is, so that it can be forgotten."""


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


def staying(
    known: "ibis.Table | None",
    drop: "Callable[[ibis.Table], ibis.BooleanValue] | None",
    replaced: Sequence[str],
) -> "ibis.Table | None":
    """Return the known rows that stay when a load comes.

    Args:
        known: All rows of a table, with the columns of `shape_of`; None for none.
        drop: Which of them the load takes away.
        replaced: Loads that it replaces; what they brought goes, unless another changed it since
            or brought it before.

    Returns:
        Some of the rows.
    """
    if known is None:
        return None
    if drop is not None:
        known = known.filter(~drop(known).fill_null(False))
    if replaced and FIRST_LOAD in known.columns:
        theirs = known[LOAD].isin(replaced) & known[FIRST_LOAD].isin(replaced)
        known = known.filter(~theirs.fill_null(False))
    return known


def also(held: Mapping[str, Any], tables: Mapping[str, Any], replaced: Sequence[str]) -> list[str]:
    """Return tables that a load does not bring, but the loads that it replaces may have."""
    if not replaced:
        return []
    apart = [name for name, entries in held.items() if entries and name not in tables]
    return [name for name in apart if FIRST_LOAD in shape_of(name)]


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


def fresh_rows(
    name: str,
    rows: "ibis.Table | pl.DataFrame",
    held: "tuple[ibis.Table | None, ibis.Table | None]",
    load_id: str,
) -> "ibis.Table":
    """Return what to write when the rows of a load come to a table.

    Args:
        name: The table.
        rows: Those of the load.
        held: All rows that are known, and those of them that stay; None for none.
        load_id: The load.

    Returns:
        Rows with the columns of `shape_of`; of new events alone only those that have a value.
    """
    import ibis

    known, stay = held
    shape = shape_of(name)
    if isinstance(rows, pl.DataFrame):
        rows = ibis.memtable(rows.select(column for column in rows.columns if column in shape))
    if LOAD in shape:
        rows = rows.mutate(**{LOAD: ibis.literal(load_id)})
    if name not in GROWING and known is not None:
        rows = with_known(name, rows, known)
    if FIRST_LOAD in shape:
        before = rows[FIRST_LOAD] if FIRST_LOAD in rows.columns else ibis.null("string")
        rows = rows.mutate(**{FIRST_LOAD: before.coalesce(rows[LOAD])})
    if name in GROWING and known is None:
        # Empty columns cost a third of the time to write; `Lake.table` gives them back.
        shape = {column: dtype for column, dtype in shape.items() if column in rows.columns}
    rows = conform(rows, shape)
    return rows if stay is None else merged(name, rows, stay)
