"""Keeps sound rows, mends what can be mended, refuses the rest with a reason.

Expressions only, so that the same lines run on any engine Ibis speaks to; what is worked out lies
on disk, so memory is bounded by the engine's settings. Knows nothing of formats.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import ibis

from shopkeeper import registry, schema
from shopkeeper.data.workbench import Workbench
from shopkeeper.errors import BadConfig

ORDER = (
    "ids", "times", "codes", "notes", "prices", "quantities", "currencies", "duplicates",
    "product_prices", "reviews", "texts", "titles", "near_duplicates",
    "shoppers", "visitors", "cancellations", "sessions", "late",
)  # fmt: skip
"""Our checks in the order of their reasons: a row is refused by the first that applies. Checks
that are not named here, such as those of plugins, come after."""


@runtime_checkable
class Refuses(Protocol):
    """A check that refuses rows of some tables."""

    tables: tuple[str, ...]

    def refuse(self, rows: ibis.Table) -> "dict[str, ibis.BooleanValue | ibis.Table]":
        """Return which rows to refuse, by reason: a condition, or a table of their `line`.

        `rows` has unique numbers in `line`.
        """


@runtime_checkable
class Mends(Protocol):
    """A check that changes rows of some tables."""

    tables: tuple[str, ...]

    def mend(self, rows: ibis.Table) -> "tuple[ibis.Table, dict[str, ibis.BooleanValue]]":
        """Return the changed rows, and which of them to count under which words.

        Columns that begin with `_` are for counting only, and go.
        """


@runtime_checkable
class Remembers(Protocol):
    """A check that looks at what was loaded before."""

    def remember(self, known: Mapping[str, ibis.Table]) -> None:
        """Take the tables of the lake, by name; called before `refuse` and `mend`."""


@dataclass
class Cleaned:
    """What cleaning made of the raw tables."""

    raw: dict[str, ibis.Table] = field(default_factory=dict)
    kept: dict[str, ibis.Table] = field(default_factory=dict)
    refused: dict[str, ibis.Table] = field(default_factory=dict)
    """`line` and `reason` of each refused row, by table."""
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What was mended and how to count it, by table."""
    checks: dict[str, str] = field(default_factory=dict)
    """Which check refuses for a reason, by reason."""


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


def clean(
    bench: Workbench,
    raw: Mapping[str, ibis.Table],
    checks: Sequence[Any],
    known: Mapping[str, ibis.Table] | None = None,
) -> Cleaned:
    """Split raw tables into kept and refused rows.

    Args:
        bench: The engine, and where to keep what is worked out.
        raw: Tables of a source as that engine reads them, each with a `line` column that numbers
            its rows.
        checks: What to apply, in order; each has `tables` and either `refuse` or `mend`.
        known: What was loaded before, by table.

    Returns:
        The raw, kept and refused rows, worked out.

    Raises:
        BadConfig: A check neither refuses nor mends.
    """
    done = Cleaned()
    for check in checks:
        if not isinstance(check, Refuses | Mends):
            raise BadConfig(f"The check {type(check).__name__} has neither refuse nor mend.")
        if isinstance(check, Remembers):
            check.remember({name: _whole(rows, name) for name, rows in (known or {}).items()})
    for name, came in raw.items():
        rows = _whole(came, name)
        mine = [check for check in checks if name in check.tables]
        reasons: dict[str, Any] = {}
        for check in mine:
            if isinstance(check, Refuses):
                found = check.refuse(rows)
                reasons |= found
                done.checks |= dict.fromkeys(found, name_of(check))
        done.raw[name] = rows
        done.refused[name] = bench.keep(f"refused_{name}", _refused(rows, reasons))
        kept = rows.anti_join(done.refused[name], "line").drop("problem")
        kept, marks = _mended(bench, name, kept, [c for c in mine if isinstance(c, Mends)])
        done.kept[name] = bench.keep(f"kept_{name}", kept)
        done.notes[name] = {words: done.kept[name][mark] for words, mark in marks.items()}
    return done


def name_of(check: Any) -> str:
    """Return the name that a check has on its shelf."""
    return str(getattr(check, "address", ("", type(check).__name__))[1])


def quarantine(done: Cleaned, source: str, files: Sequence[str]) -> ibis.Table:
    """Return all refused rows with reason and place, as `schema.QUARANTINE` and their `user_id`.

    Args:
        done: What `clean` returned.
        source: The input that the rows were read for.
        files: The names of its files, in the order of the load.

    Returns:
        One row per refused row.
    """
    named = dict(enumerate(files))
    parts = []
    for name, refused in done.refused.items():
        rows = refused.inner_join(done.raw[name], "line")
        columns = [c for c in done.raw[name].columns if c not in ("line", "problem")]
        user = rows[schema.USER] if schema.USER in columns else ibis.null("string")
        parts.append(
            rows.select(
                table=ibis.literal(name),
                reason=rows.reason,
                source=ibis.literal(source),
                file=(rows.line // schema.LINES_PER_FILE).cast("int64").cases(*named.items()),
                line=(rows.line % schema.LINES_PER_FILE % schema.LINES_MAX).cast("int64"),
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


def as_json(rows: ibis.Table, columns: Sequence[str]) -> Any:
    """Write the given columns of each row as one JSON object, nulls left out.

    Built by hand, for engines differ in what they call JSON.
    """
    text: Any = ibis.literal("")
    for name in columns:
        value = rows[name].cast("string")
        if rows[name].type().is_timestamp():
            value = value.re_replace(r"\+00$", "").concat("+00:00")
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
    types = {schema.QUANTITY: "int32", schema.PRICE: "int64"}
    needed = {"problem"}
    if name == "events":
        needed |= {
            schema.USER, schema.VISITOR, schema.SESSION, schema.TRANSACTION, schema.ITEM,
            schema.QUANTITY, schema.PRICE, schema.CURRENCY,
        }  # fmt: skip
    lacks = sorted(needed - set(rows.columns))
    return rows.mutate(**{column: ibis.null(types.get(column, "string")) for column in lacks})


def _mended(
    bench: Workbench, name: str, rows: ibis.Table, checks: Sequence[Any]
) -> tuple[ibis.Table, dict[str, str]]:
    """Apply what mends in turn; return which columns mark what was mended, by its words."""
    marks: dict[str, str] = {}
    for check in checks:
        rows, notes = check.mend(rows)
        mine = {words: f"mended_{len(marks) + place}" for place, words in enumerate(notes)}
        rows = rows.mutate(**{mine[words]: when for words, when in notes.items()})
        rows = rows.drop(*(column for column in rows.columns if column.startswith("_")))
        if getattr(check, "heavy", False):
            rows = bench.keep(f"{name}_{name_of(check)}", rows)
        marks |= mine
    return rows, marks


def _refused(rows: ibis.Table, reasons: Mapping[str, Any]) -> ibis.Table:
    """Return `line` and the first `reason` of each refused row."""
    named = dict(enumerate(reasons))
    conditions = [
        (reasons[reason], place)
        for place, reason in named.items()
        if not isinstance(reasons[reason], ibis.Table)
    ]
    none = ibis.null("int64")
    first = ibis.cases(*conditions, else_=none) if conditions else none
    first = rows.problem.notnull().ifelse(ibis.literal(-1, "int64"), first.cast("int64"))
    judged = rows.select("line", _place=first)
    parts = [judged.filter(judged._place.notnull())]
    for place, reason in named.items():
        if isinstance(reasons[reason], ibis.Table):
            lines = reasons[reason].select("line", _place=ibis.literal(place, "int64"))
            parts.append(lines)
    every = ibis.union(*parts) if len(parts) > 1 else parts[0]
    ranked = every.group_by("line").agg(_place=every._place.min())
    if named:
        ranked = ranked.mutate(reason=ranked._place.cases(*named.items()))
    else:
        ranked = ranked.mutate(reason=ibis.null("string"))
    told = ranked.left_join(rows.select("line", "problem"), "line").drop("line_right")
    return told.select("line", reason=told.reason.coalesce(told.problem))
