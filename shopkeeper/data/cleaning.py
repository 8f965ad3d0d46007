"""Keeps sound rows, mends what can be mended, refuses the rest with a reason.

Expressions only, so that the same lines run on any engine Ibis speaks to; raw rows are staged in
one temporary table each and spill to disk when memory is short. Knows nothing of formats.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import ibis

from shopkeeper import registry, schema
from shopkeeper.errors import BadConfig

ORDER = (
    "ids", "times", "codes", "notes", "prices", "quantities", "duplicates", "titles",
    "shoppers", "cancellations",
)  # fmt: skip
"""Our checks in the order of their reasons: a row is refused by the first that applies. Checks
that are not named here, such as those of plugins, come after."""


@runtime_checkable
class Refuses(Protocol):
    """A check that refuses rows of some tables."""

    tables: tuple[str, ...]

    def refuse(self, rows: ibis.Table) -> "dict[str, ibis.BooleanValue]":
        """Return which rows to refuse, by reason; `rows` has unique numbers in `line`."""


@runtime_checkable
class Mends(Protocol):
    """A check that changes rows of some tables."""

    tables: tuple[str, ...]

    def mend(self, rows: ibis.Table) -> "tuple[ibis.Table, dict[str, ibis.BooleanValue]]":
        """Return the changed rows, and which of them to count under which words."""


@dataclass
class Cleaned:
    """What cleaning made of the raw tables."""

    raw: dict[str, ibis.Table] = field(default_factory=dict)
    kept: dict[str, ibis.Table] = field(default_factory=dict)
    refused: dict[str, ibis.Table] = field(default_factory=dict)
    """`line` and `reason` of each refused row, by table."""
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What was mended and how to count it, by table."""


def build_checks(settings: Mapping[str, Mapping[str, Any]], skip: Sequence[str]) -> list[Any]:
    """Make every check of the shelf with its settings, in order.

    Args:
        settings: Settings by the name of the check.
        skip: Checks to leave out.

    Returns:
        The checks; a name that is unknown or a setting that is wrong is BadConfig.
    """
    known = registry.names("data.checks")
    strange = [name for name in [*settings, *skip] if name not in known]
    if strange:
        registry.find("data.checks", strange[0])
    ordered = [name for name in ORDER if name in known] + [n for n in known if n not in ORDER]
    chosen = [name for name in ordered if name not in skip]
    return [registry.build("data.checks", name, **settings.get(name, {})) for name in chosen]


def clean(backend: Any, raw: Mapping[str, ibis.Table], checks: Sequence[Any]) -> Cleaned:
    """Split raw tables into kept and refused rows.

    Args:
        backend: The Ibis connection that stages the rows.
        raw: Tables of a source, each with a `line` column that numbers its rows.
        checks: What to apply, in order; each has `tables` and either `refuse` or `mend`.

    Returns:
        The staged, kept and refused rows.

    Raises:
        BadConfig: A check neither refuses nor mends.
    """
    done = Cleaned()
    for name, rows in raw.items():
        staged = stage(backend, f"raw_{name}", _whole(rows, name))
        mine = [check for check in checks if name in check.tables]
        reasons: dict[str, Any] = {}
        for check in mine:
            if not isinstance(check, Refuses | Mends):
                raise BadConfig(f"The check {type(check).__name__} has neither refuse nor mend.")
            if isinstance(check, Refuses):
                reasons |= check.refuse(staged)
        done.raw[name] = staged
        done.refused[name] = stage(backend, f"refused_{name}", _refused(staged, reasons))
        kept = staged.anti_join(done.refused[name], "line")
        done.notes[name] = {}
        for check in mine:
            if isinstance(check, Mends):
                kept, notes = check.mend(kept)
                done.notes[name] |= notes
        done.kept[name] = kept
    return done


def quarantine(done: Cleaned, source: str) -> ibis.Table:
    """Return all refused rows with reason and place, as `schema.QUARANTINE` and their `user_id`.

    Args:
        done: What `clean` returned.
        source: What the rows were read from.

    Returns:
        One row per refused row.
    """
    parts = []
    for name, refused in done.refused.items():
        rows = refused.inner_join(done.raw[name], "line")
        columns = [column for column in done.raw[name].columns if column != "line"]
        user = rows[schema.USER] if schema.USER in columns else ibis.null("string")
        parts.append(
            rows.select(
                table=ibis.literal(name),
                reason=rows.reason,
                source=ibis.literal(source),
                file=ibis.literal(""),
                line=rows.line.cast("int64"),
                row=as_json(rows, columns),
                user_id=user.cast("string"),
            )
        )
    return ibis.union(*parts) if len(parts) > 1 else parts[0]


def price_products(products: ibis.Table, events: ibis.Table, days: int) -> ibis.Table:
    """Fill a product's price, stock and moment from its own sales, where it names none.

    Args:
        products: Rows of products, with columns of `schema.PRODUCTS`.
        events: Kept events.
        days: The price is the median of this many days before the product's last sale.

    Returns:
        The products with `price_minor`, `availability`, `updated`; a product that was never sold
        has no price and is out of stock.
    """
    sold = events.filter(events[schema.EVENT_NAME] == "purchase")
    lasts = sold.group_by(schema.ITEM).agg(_last=sold[schema.TIME].max())
    recent = sold.select(schema.ITEM, schema.TIME, schema.PRICE).inner_join(lasts, schema.ITEM)
    age_s = recent._last.epoch_seconds() - recent[schema.TIME].epoch_seconds()
    recent = recent.filter(age_s <= 86_400 * days)
    usual = recent.group_by(schema.ITEM).agg(
        _price=recent[schema.PRICE].median().round(0).cast("int64"), _last=recent._last.max()
    )
    usual = usual.rename({schema.PRODUCT_ID: schema.ITEM})
    rows = products.left_join(usual, schema.PRODUCT_ID).drop(f"{schema.PRODUCT_ID}_right")
    filled = {schema.PRICE: rows._price, "updated": rows._last}
    stock = rows._last.notnull().ifelse("in_stock", "out_of_stock")
    for name, value in (filled | {"availability": stock}).items():
        filled[name] = rows[name].coalesce(value) if name in rows.columns else value
    return rows.mutate(**filled).drop("_price", "_last")


def stage(backend: Any, name: str, rows: ibis.Table) -> ibis.Table:
    """Work out `rows` once and keep them in a temporary table until `discard`."""
    discard(backend, name)
    return backend.create_table(f"_{name}", rows, temp=True)


def discard(backend: Any, name: str) -> None:
    """Drop what `stage` kept. In plain SQL, for Ibis 12 writes DROP without the table's name."""
    backend.raw_sql(f'DROP TABLE IF EXISTS "_{name}"')


def as_json(rows: ibis.Table, columns: Sequence[str]) -> Any:
    """Write the given columns of each row as one JSON object, nulls left out.

    Built by hand, for engines differ in what they call JSON.
    """
    text: Any = ibis.literal("")
    for name in columns:
        value = rows[name].cast("string")
        if not rows[name].type().is_numeric():
            for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t")):
                value = value.replace(plain, escaped)
            value = value.re_replace(r"[\x00-\x1f]", " ")
            value = ibis.literal('"').concat(value, '"')
        elif rows[name].type().is_floating():
            strange = value.lower().isin(["nan", "inf", "-inf", "infinity", "-infinity"])
            value = strange.ifelse(ibis.literal('"').concat(value, '"'), value)
        pair = ibis.literal(f', "{name}": ').concat(value)
        text = text.concat(pair.fill_null(""))
    return ibis.literal("{").concat(text.re_replace("^, ", ""), "}")


def _whole(rows: ibis.Table, name: str) -> ibis.Table:
    """Add the columns every check may look at where a source left them out."""
    shape = schema.TABLES[name]
    if name != "events":
        return rows
    lacks = [column for column in shape if column not in rows.columns]
    needed = (schema.USER, schema.TRANSACTION, schema.QUANTITY, schema.PRICE)
    types = {schema.QUANTITY: "int32", schema.PRICE: "int64"}
    return rows.mutate(**{c: ibis.null(types.get(c, "string")) for c in lacks if c in needed})


def _refused(rows: ibis.Table, reasons: Mapping[str, Any]) -> ibis.Table:
    if not reasons:
        return rows.select("line", reason=ibis.literal("")).limit(0)
    first = ibis.cases(*((when, reason) for reason, when in reasons.items()), else_=None)
    judged = rows.select("line", reason=first)
    return judged.filter(judged.reason.notnull())
