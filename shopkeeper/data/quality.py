"""What came in, what was kept, mended and refused, and what the rows look like.

Tables of plain values for a report; drawing them is the work of `pages`.
"""

from collections.abc import Mapping
from typing import Any

import ibis
import polars as pl

from shopkeeper import schema
from shopkeeper.data.cleaning import Cleaned

COUNTRIES_SHOWN = 12


def quality(done: Cleaned) -> dict[str, pl.DataFrame]:
    """Return the tables of the quality report.

    Args:
        done: What cleaning made of a load.

    Returns:
        By name: `rows` (table, rows_in, kept, refused), `refused` (table, reason, rows), `mended`
        (table, what, rows), `missing` (table, column, rows, share), `days` (day, before, after),
        `prices` and `quantities` (from, before, after; bins double), `countries` (country, rows).
    """
    tables = {"rows": _rows(done), "refused": _refusals(done), "mended": _mended(done)}
    tables["missing"] = _missing(done)
    if "events" in done.raw:
        raw = done.raw["events"]
        gone = raw.semi_join(done.refused["events"], "line")
        tables["days"] = _beside(_days(raw), _days(gone), "day")
        for name, column in (("prices", schema.PRICE), ("quantities", schema.QUANTITY)):
            tables[name] = _beside(_bins(raw, column), _bins(gone, column), "from")
        if "country" in raw.columns:
            tables["countries"] = _countries(raw)
    return tables


def to_json(tables: Mapping[str, pl.DataFrame]) -> dict[str, list[dict[str, Any]]]:
    """Turn tables into values that `json` can write."""
    return {name: rows.to_dicts() for name, rows in tables.items()}


def from_json(values: Mapping[str, list[dict[str, Any]]]) -> dict[str, pl.DataFrame]:
    """Turn the values of `to_json` into tables again."""
    return {name: pl.DataFrame(rows) for name, rows in values.items()}


def _rows(done: Cleaned) -> pl.DataFrame:
    counts = []
    for name, raw in done.raw.items():
        came, refused = _count(raw), _count(done.refused[name])
        counts.append({"table": name, "rows_in": came, "kept": came - refused, "refused": refused})
    return pl.DataFrame(counts)


def _refusals(done: Cleaned) -> pl.DataFrame:
    shape: dict[str, schema.Dtype] = {
        "table": pl.String,
        "reason": pl.String,
        "rows": pl.Int64,
    }
    parts = [
        rows.group_by("reason").agg(rows=rows.count()).to_polars().select(
            pl.lit(name).alias("table"), "reason", "rows"
        )
        for name, rows in done.refused.items()
    ]  # fmt: skip
    rows = pl.concat([pl.DataFrame(schema=shape), *(part.cast(shape) for part in parts)])
    ordered: pl.DataFrame = rows.sort("table", -pl.col("rows"), "reason")
    return ordered


def _mended(done: Cleaned) -> pl.DataFrame:
    counts = []
    for name, notes in done.notes.items():
        if notes:
            sums = {f"n{i}": _sum(when) for i, when in enumerate(notes.values())}
            row = done.kept[name].aggregate(**sums).to_polars().row(0)
            counts += [
                {"table": name, "what": what, "rows": int(num or 0)}
                for what, num in zip(notes, row, strict=True)
            ]
    return pl.DataFrame(counts, schema={"table": pl.String, "what": pl.String, "rows": pl.Int64})


def _missing(done: Cleaned) -> pl.DataFrame:
    counts = []
    for name, raw in done.raw.items():
        columns = [column for column in raw.columns if column in schema.TABLES[name]]
        sums = {column: _sum(raw[column].isnull()) for column in columns}
        row = raw.aggregate(_all=raw.count(), **sums).to_polars().row(0, named=True)
        for column in columns:
            gone, every = int(row[column] or 0), max(int(row["_all"]), 1)
            if gone:
                share = round(gone / every, 6)
                counts.append({"table": name, "column": column, "rows": gone, "share": share})
    shape = {"table": pl.String, "column": pl.String, "rows": pl.Int64, "share": pl.Float64}
    return pl.DataFrame(counts, schema=shape)


def _days(rows: ibis.Table) -> pl.DataFrame:
    days = rows.mutate(day=rows[schema.TIME].date())
    counted: pl.DataFrame = days.group_by("day").agg(rows=days.count()).to_polars()
    return counted.drop_nulls("day").with_columns(pl.col("day").cast(pl.String))


def _bins(rows: ibis.Table, column: str) -> pl.DataFrame:
    """Count values by the power of two they begin at; 0 holds what is not above nothing."""
    value = rows[column].cast("float64")
    power = (value >= 1).ifelse(value.log2().floor().cast("int64"), -1)
    bins = rows.mutate(_power=power)
    counted: pl.DataFrame = bins.group_by("_power").agg(rows=bins.count()).to_polars()
    counted = counted.drop_nulls("_power")
    start = pl.when(pl.col("_power") < 0).then(0).otherwise(2 ** pl.col("_power").clip(0))
    binned: pl.DataFrame = counted.select(start.cast(pl.Int64).alias("from"), "rows")
    return binned


def _countries(rows: ibis.Table) -> pl.DataFrame:
    counted: pl.DataFrame = rows.group_by("country").agg(rows=rows.count()).to_polars()
    return counted.sort(-pl.col("rows"), "country").head(COUNTRIES_SHOWN)


def _beside(before: pl.DataFrame, gone: pl.DataFrame, on: str) -> pl.DataFrame:
    """Lay the counts before and after in one table; mending moves no row to another bin."""
    joined = before.join(gone.rename({"rows": "gone"}), on=on, how="left").fill_null(0)
    laid: pl.DataFrame = joined.select(
        on, pl.col("rows").alias("before"), (pl.col("rows") - pl.col("gone")).alias("after")
    ).sort(on)
    return laid


def _count(rows: ibis.Table) -> int:
    return int(rows.count().to_pyarrow().as_py())


def _sum(when: Any) -> Any:
    return when.fill_null(False).cast("int64").sum()
