"""What came in, what was kept, mended and refused, and what the rows look like.

Tables of plain values for a report; drawing them is the work of `pages`. Counting is done by the
engine in a few passes that read few columns, and what comes back is small whatever was loaded;
`data.drift` compares with the last load. Knows nothing of what a threshold allows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import ibis
import polars as pl

from shopkeeper import schema
from shopkeeper.data.cleaning import Cleaned
from shopkeeper.data.drift import NAMES_MAX, drift

STEPS = {
    "search": "searches and lists",
    "view_search_results": "searches and lists",
    "view_item_list": "searches and lists",
    "view_promotion": "searches and lists",
    "view_item": "product views",
    "select_item": "product views",
    "add_to_cart": "carts",
    "begin_checkout": "checkouts",
    "purchase": "purchases",
    "refund": "refunds",
}
"""The steps of the funnel, in order, by event name; other events are no step."""

DAYS_MAX = 1_100
"""The newest days that are told one by one."""
EXACT_ROWS_MAX = 2_000_000
"""Above this sessions and shoppers are estimated, within a few percent."""
UNKNOWN_NAME = "unknown"
PLACES = ("line", "problem")
"""Columns of raw tables that say where a row stands, not what it holds."""
DIGITS_MAX = 15
"""Numbers of more digits than this share a bin."""


def quality(
    done: Cleaned,
    before: Mapping[str, Any] | None = None,
    *,
    files: Sequence[str] = (),
    anomalies: pl.DataFrame | None = None,
) -> dict[str, pl.DataFrame]:
    """Return the tables of the quality report; one that would say nothing has no rows.

    Args:
        done: What cleaning made of a load.
        before: What `to_json` made of the last load of the same input.
        files: The names of the files, in the order of the load.
        anomalies: Rows of `schema.ANOMALIES`; they are counted, and nobody is named.

    Returns:
        By name: `rows` (table, rows_in, kept, refused), `refused` (table, reason, rows, share,
        file, line: the first such row), `mended` (table, what, rows), `missing` (table, column,
        rows, share), `ranges` (table, column, and lowest, mean, highest of all rows and of those
        kept), `columns` (table, column, type, known), `categories` (category, rows), `currencies`
        (currency, rows), `product_prices` (from, before, after; bins at 1, 2, 5, 10, ...), `drift`
        (see `data.drift`), `anomalies` (kind, subject, found, num_events, score_max). Of events
        also `days` (day, before, after, and the kept by event name), `events` (event_name, before,
        after), `funnel` (step, events, sessions, shoppers, estimated), `prices` and `quantities`
        as `product_prices`, `countries` (country, rows).
    """
    refused = pl.concat([_refusals(rows, name, files) for name, rows in done.refused.items()])
    sizes = {name: _sizes(rows, name) for name, rows in done.raw.items()}
    kept = {name: _kept(done, name, sizes[name]["rows"]) for name in done.raw}
    tables = {
        "rows": _rows(sizes, refused),
        "refused": _shares(refused, sizes),
        "mended": _mended(done, kept),
        "missing": _missing(done, sizes),
        "ranges": _ranges(sizes, kept),
        "columns": _columns(done),
    }
    if "events" in done.raw:
        tables |= _of_events(done.raw["events"], done.kept["events"])
        tables["funnel"] = _funnel(kept["events"], sizes["events"]["rows"])
    if "products" in done.raw:
        tables |= _of_products(done.raw["products"], done.kept["products"], "events" in done.raw)
    if anomalies is not None:
        tables["anomalies"] = counted_anomalies(anomalies)
    tables["drift"] = drift(tables, from_json(before) if before else None)
    return tables


def to_json(tables: Mapping[str, pl.DataFrame]) -> dict[str, list[dict[str, Any]]]:
    """Turn tables into values that `json` can write."""
    return {name: rows.to_dicts() for name, rows in tables.items()}


def from_json(values: Mapping[str, Any]) -> dict[str, pl.DataFrame]:
    """Turn the values of `to_json` into tables again."""
    return {name: pl.DataFrame(rows, infer_schema_length=None) for name, rows in values.items()}


def _refusals(rows: ibis.Table, name: str, files: Sequence[str]) -> pl.DataFrame:
    """Count refused rows by reason, with the place of the first."""
    counted = rows.group_by("reason").agg(rows=rows.count(), at=rows.line.min()).to_polars()
    place = pl.col("at").cast(pl.Int64)
    named = dict(enumerate(files))
    told: pl.DataFrame = counted.select(
        pl.lit(name).alias("table"),
        pl.col("reason").cast(pl.String),
        pl.col("rows").cast(pl.Int64),
        (place // schema.LINES_PER_FILE)
        .replace_strict(named, default=None, return_dtype=pl.String)
        .alias("file"),
        (place % schema.LINES_PER_FILE % schema.LINES_MAX).alias("line"),
    ).sort(-pl.col("rows"), "reason")
    return told


def _sizes(rows: ibis.Table, name: str) -> dict[str, Any]:
    """Count rows and the values of each column, with the ends of numbers, in one pass."""
    counts = {f"n_{column}": rows[column].count() for column in _known(rows, name)}
    found: dict[str, Any] = (
        rows.aggregate(rows=rows.count(), **counts, **_ends(rows, name)).to_polars().to_dicts()[0]
    )
    return found


def _kept(done: Cleaned, name: str, rows_in: int) -> pl.DataFrame:
    """Count kept rows, what was mended, and by step of the funnel who came, in one pass."""
    rows = done.kept[name]
    sums = {f"m_{i}": _sum(when) for i, when in enumerate(done.notes.get(name, {}).values())}
    every = {"rows": rows.count(), **sums, **_ends(rows, name)}
    if name != "events":
        whole: pl.DataFrame = rows.aggregate(**every).to_polars()
        return whole
    step = rows[schema.EVENT_NAME].cases(*STEPS.items(), else_=ibis.null("string"))
    for words, columns in (
        ("sessions", [schema.SESSION]),
        ("shoppers", [schema.USER, schema.VISITOR]),
    ):
        there = [rows[column] for column in columns if column in rows.columns]
        if there:
            who = ibis.coalesce(*there)
            every[words] = who.nunique() if rows_in <= EXACT_ROWS_MAX else who.approx_nunique()
    steps: pl.DataFrame = rows.group_by(step=step).agg(**every).to_polars()
    return steps


def _ends(rows: ibis.Table, name: str) -> dict[str, Any]:
    ends: dict[str, Any] = {}
    for column in _known(rows, name):
        if rows[column].type().is_numeric():
            value = rows[column].cast("float64")
            ends |= {f"lowest_{column}": value.min(), f"highest_{column}": value.max()}
            ends[f"sum_{column}"] = value.sum()
            ends[f"with_{column}"] = value.count()
    return ends


def _rows(sizes: Mapping[str, Mapping[str, Any]], refused: pl.DataFrame) -> pl.DataFrame:
    gone = dict(refused.group_by("table").agg(pl.col("rows").sum()).iter_rows())
    counts = [
        {
            "table": name,
            "rows_in": size["rows"],
            "kept": size["rows"] - gone.get(name, 0),
            "refused": gone.get(name, 0),
        }
        for name, size in sizes.items()
    ]
    return pl.DataFrame(counts)


def _shares(refused: pl.DataFrame, sizes: Mapping[str, Mapping[str, Any]]) -> pl.DataFrame:
    came = {name: max(size["rows"], 1) for name, size in sizes.items()}
    every = pl.col("table").replace_strict(came, return_dtype=pl.Int64)
    share = (pl.col("rows") / every).round(6).alias("share")
    return refused.select("table", "reason", "rows", share, "file", "line").sort(
        "table", -pl.col("rows"), "reason"
    )


def _mended(done: Cleaned, kept: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    counts = [
        {"table": name, "what": what, "rows": int(kept[name][f"m_{i}"].sum())}
        for name, notes in done.notes.items()
        for i, what in enumerate(notes)
    ]
    return pl.DataFrame(counts, schema={"table": pl.String, "what": pl.String, "rows": pl.Int64})


def _missing(done: Cleaned, sizes: Mapping[str, Mapping[str, Any]]) -> pl.DataFrame:
    counts = []
    for name, rows in done.raw.items():
        every = sizes[name]["rows"]
        for column in _known(rows, name):
            gone = every - sizes[name][f"n_{column}"]
            if gone:
                share = round(gone / every, 6)
                counts.append({"table": name, "column": column, "rows": gone, "share": share})
    shape = {"table": pl.String, "column": pl.String, "rows": pl.Int64, "share": pl.Float64}
    return pl.DataFrame(counts, schema=shape)


def _ranges(
    sizes: Mapping[str, Mapping[str, Any]], kept: Mapping[str, pl.DataFrame]
) -> pl.DataFrame:
    sides = ("lowest", "mean", "highest", "lowest_kept", "mean_kept", "highest_kept")
    shape: dict[str, schema.Dtype] = {"table": pl.String, "column": pl.String}
    rows = []
    for name, size in sizes.items():
        whole = kept[name].select(
            pl.col("^lowest_.*$").min(),
            pl.col("^highest_.*$").max(),
            pl.col("^(sum|with)_.*$").sum(),
        )
        after = whole.to_dicts()[0] if whole.width else {}
        for column in [key.removeprefix("with_") for key in size if key.startswith("with_")]:
            ends = [*_three(size, column), *_three(after, column)]
            rows.append({"table": name, "column": column, **dict(zip(sides, ends, strict=True))})
    return pl.DataFrame(rows, schema=shape | dict.fromkeys(sides, pl.Float64))


def _three(size: Mapping[str, Any], column: str) -> tuple[float | None, float | None, float | None]:
    num = size.get(f"with_{column}")
    if not num:
        return None, None, None
    mean = size[f"sum_{column}"] / num
    return size[f"lowest_{column}"], round(mean, 4), size[f"highest_{column}"]


def _columns(done: Cleaned) -> pl.DataFrame:
    shape = {"table": pl.String, "column": pl.String, "type": pl.String, "known": pl.Boolean}
    found = [
        {
            "table": name,
            "column": column,
            "type": "timestamp" if dtype.is_timestamp() else str(dtype).removeprefix("!"),
            "known": column in schema.TABLES[name],
        }
        for name, rows in done.raw.items()
        for column, dtype in rows.schema().items()
        if column not in PLACES and not column.startswith("_")
    ]
    return pl.DataFrame(found, schema=shape)


def _of_events(raw: ibis.Table, kept: ibis.Table) -> dict[str, pl.DataFrame]:
    came, stayed = _by_day(raw), _by_day(kept)
    tables = {"days": _days(came, stayed), "events": _events(came, stayed)}
    columns = [column for column in (schema.PRICE, schema.QUANTITY) if column in raw.columns]
    before, after = _bins(raw, columns), _bins(kept, columns)
    for column in columns:
        name = "prices" if column == schema.PRICE else "quantities"
        tables[name] = _beside(before, after, column)
    places = _names(kept, [c for c in ("country", schema.CURRENCY) if c in kept.columns])
    if "country" in places.columns:
        tables["countries"] = _top(places, "country")
    if schema.CURRENCY in places.columns:
        tables["currencies"] = _top(places, schema.CURRENCY)
    return tables


def _of_products(raw: ibis.Table, kept: ibis.Table, with_events: bool) -> dict[str, pl.DataFrame]:
    tables = {}
    if schema.PRICE in raw.columns and schema.PRICE in kept.columns:
        prices = _beside(_bins(raw, [schema.PRICE]), _bins(kept, [schema.PRICE]), schema.PRICE)
        tables["product_prices"] = prices
    if schema.CATEGORY in kept.columns:
        top = kept[schema.CATEGORY].cast("string").re_extract(r"^[^>]*", 0).strip()
        tables["categories"] = _top(_names(kept.mutate(category=top), ["category"]), "category")
    if schema.CURRENCY in kept.columns and not with_events:
        tables["currencies"] = _top(_names(kept, [schema.CURRENCY]), schema.CURRENCY)
    return tables


def _by_day(rows: ibis.Table) -> pl.DataFrame:
    """Count rows by day and event name; names that are none of ours count together."""
    name = rows[schema.EVENT_NAME].isin(schema.EVENT_NAMES)
    name = name.ifelse(rows[schema.EVENT_NAME], ibis.literal(UNKNOWN_NAME))
    keyed = rows.select(day=rows[schema.TIME].date(), event_name=name.fill_null(UNKNOWN_NAME))
    counted: pl.DataFrame = keyed.group_by("day", "event_name").agg(rows=keyed.count()).to_polars()
    return counted.with_columns(pl.col("day").cast(pl.String), pl.col("rows").cast(pl.Int64))


def _days(came: pl.DataFrame, stayed: pl.DataFrame) -> pl.DataFrame:
    before = came.group_by("day").agg(pl.col("rows").sum().alias("before"))
    after = stayed.group_by("day").agg(pl.col("rows").sum().alias("after"))
    names = stayed.pivot("event_name", index="day", values="rows", sort_columns=True)
    days = before.join(after, "day", how="full", coalesce=True).join(names, "day", how="left")
    return days.drop_nulls("day").fill_null(0).sort("day").tail(DAYS_MAX)


def _events(came: pl.DataFrame, stayed: pl.DataFrame) -> pl.DataFrame:
    before = came.group_by("event_name").agg(pl.col("rows").sum().alias("before"))
    after = stayed.group_by("event_name").agg(pl.col("rows").sum().alias("after"))
    both = before.join(after, "event_name", how="full", coalesce=True).fill_null(0)
    return both.sort(-pl.col("before"), "event_name")


def _funnel(kept: pl.DataFrame, rows_in: int) -> pl.DataFrame:
    shape: dict[str, schema.Dtype] = {"step": pl.String, "events": pl.Int64}
    shape |= {"sessions": pl.Int64, "shoppers": pl.Int64, "estimated": pl.Boolean}
    found = {row["step"]: row for row in kept.to_dicts()}
    rows = [
        {
            "step": step,
            "events": found[step]["rows"],
            "sessions": found[step].get("sessions"),
            "shoppers": found[step].get("shoppers"),
            "estimated": rows_in > EXACT_ROWS_MAX,
        }
        for step in dict.fromkeys(STEPS.values())
        if step in found
    ]
    return pl.DataFrame(rows, schema=shape)


def _bins(rows: ibis.Table, columns: Sequence[str]) -> pl.DataFrame:
    """Count values by bins that begin at 1, 2, 5, 10, 20, ...; -1 is what is below 1."""
    numbers = [column for column in columns if rows[column].type().is_numeric()]
    if not numbers:
        return pl.DataFrame(schema={"rows": pl.Int64})
    # The same numbers come again and again, and logarithms are slow.
    same = rows.group_by(*numbers).agg(_same=rows.count())
    keyed = same.select("_same", **{column: _code(same[column]) for column in numbers})
    counted: pl.DataFrame = keyed.group_by(*numbers).agg(rows=keyed._same.sum()).to_polars()
    return counted.cast(pl.Int64)


def _code(number: Any) -> Any:
    value = number.cast("float64")
    sane = (value >= 1) & (value < 10.0**DIGITS_MAX)
    safe = sane.ifelse(value, 1.0)
    # A hair more, for a logarithm may fall short of the whole number.
    power = (safe.log10() + 1e-12).floor()
    lead = safe / ibis.literal(10.0) ** power + 1e-9
    code = power * 3 + (lead >= 2).cast("float64") + (lead >= 5).cast("float64")
    return (value >= 1).ifelse(sane.ifelse(code, 3.0 * DIGITS_MAX), value.isnull().ifelse(
        ibis.null("float64"), -1.0)).cast("int64")  # fmt: skip


def _beside(before: pl.DataFrame, after: pl.DataFrame, column: str) -> pl.DataFrame:
    """Lay the counts of bins before and after in one table."""

    def summed(rows: pl.DataFrame, name: str) -> pl.DataFrame:
        if column not in rows.columns:
            return pl.DataFrame(schema={column: pl.Int64, name: pl.Int64})
        return rows.drop_nulls(column).group_by(column).agg(pl.col("rows").sum().alias(name))

    both = summed(before, "before").join(summed(after, "after"), column, how="full", coalesce=True)
    starts = [(-1, 0)] + [(3 * p + i, lead * 10**p) for p in range(DIGITS_MAX + 1)
        for i, lead in enumerate((1, 2, 5))]  # fmt: skip
    start = pl.col(column).replace_strict(dict(starts), return_dtype=pl.Int64).alias("from")
    return both.sort(column).select(start, "before", "after").fill_null(0)


def _names(rows: ibis.Table, columns: Sequence[str]) -> pl.DataFrame:
    """Count rows by the values of few columns; only the most frequent come back."""
    if not columns:
        return pl.DataFrame()
    keyed = rows.select(*columns)
    counted = keyed.group_by(*columns).agg(rows=keyed.count())
    counted = counted.order_by(counted.rows.desc()).limit(NAMES_MAX * 10)
    found: pl.DataFrame = counted.to_polars()
    return found.cast({"rows": pl.Int64})


def _top(counted: pl.DataFrame, column: str) -> pl.DataFrame:
    summed = counted.group_by(column).agg(pl.col("rows").sum())
    return summed.sort(-pl.col("rows"), column).head(NAMES_MAX)


def counted_anomalies(rows: pl.DataFrame) -> pl.DataFrame:
    """Count anomalies by kind, without anybody's id."""
    return (
        rows.group_by("kind", "subject")
        .agg(
            pl.len().cast(pl.Int64).alias("found"),
            pl.col("num_events").sum(),
            pl.col(schema.SCORE).max().round(4).alias("score_max"),
        )
        .sort(-pl.col("found"), "kind")
    )


def _known(rows: ibis.Table, name: str) -> list[str]:
    return [column for column in rows.columns if column in schema.TABLES[name]]


def _sum(when: Any) -> Any:
    return when.fill_null(False).cast("int64").sum()
