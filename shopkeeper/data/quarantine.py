"""Refused rows: which there are, and how they are judged again after a fix.

A fix is a changed threshold, a changed check, or a corrected row. Knows nothing of files that
were read: a refused row was kept whole, as JSON.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import ibis
import polars as pl

from shopkeeper import schema
from shopkeeper.data import cleaning
from shopkeeper.data.load import Lake
from shopkeeper.data.workbench import Workbench
from shopkeeper.errors import BadData

ROWS_MAX = 500_000
"""Most rows that are judged again at once."""
KEYS = ("table", "source", "file", "line")
"""What names a refused row."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Which refused rows are meant; all by default."""

    source: str = ""
    """The input they came by."""
    table: str = ""
    """The table they were for."""
    reason: str = ""
    """Words that their reason holds."""

    def rows(self, quarantine: ibis.Table) -> Any:
        """Return the condition of these rows."""
        chosen = ibis.literal(True)
        if self.source:
            chosen &= quarantine.source == self.source
        if self.table:
            chosen &= quarantine.table == self.table
        if self.reason:
            chosen &= quarantine.reason.lower().contains(self.reason.lower())
        return chosen


def counts(lake: Lake, chosen: Chosen) -> pl.DataFrame:
    """Return how many rows were refused by `source`, `table` and `reason`, most first.

    Args:
        lake: Where quarantine lies.
        chosen: Which rows.

    Returns:
        Rows of `source`, `table`, `reason`, `rows`.
    """
    held = lake.table("quarantine")
    held = held.filter(chosen.rows(held))
    counted = held.group_by("source", "table", "reason").agg(rows=held.count())
    found: pl.DataFrame = lake.backend.to_polars(counted)
    return found.sort(-pl.col("rows"), "source", "table", "reason")


def rows(lake: Lake, chosen: Chosen, limit: int) -> pl.DataFrame:
    """Return refused rows in the order of their files, at most `limit`.

    Args:
        lake: Where quarantine lies.
        chosen: Which rows.
        limit: How many at most.

    Returns:
        Rows of `schema.QUARANTINE`.
    """
    held = lake.table("quarantine")
    held = held.filter(chosen.rows(held)).order_by("source", "file", "line", "table")
    found: pl.DataFrame = lake.backend.to_polars(held.limit(limit))
    return found.select(*schema.QUARANTINE)


def replay(
    lake: Lake,
    refused: pl.DataFrame,
    checks: Sequence[Any],
    source: str,
) -> dict[str, int]:
    """Judge refused rows of one input again; publish what is sound now, keep the rest.

    Args:
        lake: Where quarantine lies, and where sound rows go.
        refused: Rows of `schema.QUARANTINE`, perhaps corrected in `row`.
        checks: What judges.
        source: The input all of them came by.

    Returns:
        `judged`, `accepted` and `refused`, all counts of rows.

    Raises:
        BadData: There are too many rows at once, or a row is no JSON object.
    """
    if refused.height > ROWS_MAX:
        raise BadData(
            f"{refused.height:,} refused rows are more than the {ROWS_MAX:,} that are judged at "
            "once. Choose some by --input, --table or --reason."
        )
    accepted, again = {}, []
    with lake.working() as folder:
        bench = Workbench(lake.backend, folder)
        known = {"events": lake.table("events")} if lake.files("events") else {}
        for (table,), part in refused.group_by("table", maintain_order=True):
            name = str(table)
            placed = part.with_row_index("place", offset=1).cast({"place": pl.Int64})
            came = bench.keep(f"raw_{name}", ibis.memtable(_raw(placed, name)))
            done = cleaning.clean(bench, {name: came}, checks, known)
            still = lake.backend.to_polars(done.refused[name]).rename({"line": "place"})
            accepted[name] = done.kept[name]
            again.append(placed.drop("reason").join(still, on="place", how="inner").drop("place"))
        left = pl.concat(again).select(*schema.QUARANTINE)
        tables = dict(accepted)
        if "products" in tables:
            tables["products"] = tables["products"].mutate(input=ibis.literal(source))
        text = json.dumps([source, refused.select("file", "line", "row").rows()])
        load_id = f"replay-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        lineage = {
            "source": source, "replay": True, "inputs": {}, "rows": {},
            "judged": refused.height, "refused": left.height,
        }  # fmt: skip
        lake.publish(
            load_id,
            tables | {"quarantine": left},
            lineage,
            drop={"quarantine": _these(refused)},
        )
    num = refused.height
    return {"judged": num, "accepted": num - left.height, "refused": left.height}


def corrected(text: str, held: pl.DataFrame) -> pl.DataFrame:
    """Read corrected rows, as `shopkeeper quarantine show --out` wrote them.

    Args:
        text: JSON lines with the `table`, `source`, `file` and `line` of a refused row, and `row`.
        held: The refused rows.

    Returns:
        Those of `held` that the text names, with the row that it gives.

    Raises:
        BadData: A line is no such object, or names no refused row.
    """
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            given = json.loads(line)
            row = given["row"] if isinstance(given["row"], dict) else json.loads(given["row"])
            found.append({key: given[key] for key in KEYS} | {"fixed": json.dumps(row)})
        except (ValueError, KeyError, TypeError) as error:
            raise BadData(
                f"Line {number} of the corrected rows is not what `quarantine show --out` writes: "
                f"{type(error).__name__} {error}. Keep table, source, file, line and row."
            ) from error
    shape = {key: schema.QUARANTINE[key] for key in KEYS} | {"fixed": pl.String}
    fixes = pl.DataFrame(found, schema=shape)
    joined = held.join(fixes, on=KEYS, how="inner")
    if joined.height < fixes.height:
        raise BadData(
            f"{fixes.height - joined.height} of the {fixes.height} corrected rows are not in "
            "quarantine. Keep table, source, file and line as they were shown."
        )
    return joined.with_columns(pl.col("fixed").alias("row")).drop("fixed")


def _these(refused: pl.DataFrame) -> Callable[[ibis.Table], Any]:
    """Return the condition that a row of quarantine is one of `refused`."""
    keys = pl.concat_str([pl.col(key).cast(pl.String) for key in KEYS], separator="|")
    named = ibis.memtable(refused.select(_key=keys))

    def condition(held: ibis.Table) -> Any:
        parts = [held[key].cast("string") for key in KEYS]
        return parts[0].concat("|", parts[1], "|", parts[2], "|", parts[3]).isin(named._key)

    return condition


def _raw(placed: pl.DataFrame, table: str) -> pl.DataFrame:
    """Return the rows as a source gave them, numbered by `place`."""
    shape = schema.TABLES[table]
    values: list[Mapping[str, Any]] = [json.loads(row) for row in placed["row"]]
    names = dict.fromkeys(name for row in values for name in row)
    columns = {"line": placed["place"]}
    for name in names:
        given = [_value(row.get(name), shape.get(name, pl.String)) for row in values]
        columns[name] = pl.Series(name, given, dtype=shape.get(name, pl.String), strict=False)
    return pl.DataFrame(columns)


def _value(value: Any, dtype: schema.Dtype) -> Any:
    """Read one value of a row that was written as JSON; null where it cannot be."""
    if value is None or dtype == pl.String:
        return None if value is None else str(value)
    try:
        if dtype == schema.UTC_TIME:
            moment = datetime.fromisoformat(str(value))
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        return int(value) if dtype in (pl.Int32, pl.Int64) else float(value)
    except (ValueError, TypeError, OverflowError):
        return None
