"""One load: read the files, clean the rows, publish them, and tell what happened.

The same files with the same settings and the same code are loaded once; the next time nothing is
done. The same files under other rules replace what they brought before. Knows the lake only by
what it promises.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import ibis
import polars as pl

from shopkeeper import contracts, schema
from shopkeeper.data import cleaning
from shopkeeper.data.parts import Part, code_version, named, split
from shopkeeper.data.quality import from_json, quality, to_json
from shopkeeper.data.workbench import Workbench
from shopkeeper.errors import BadConfig, BadData
from shopkeeper.tracing import stage

SOURCE_SHARE_MAX = 0.02
"""Largest share of rows that cannot be read at all in a strict load."""


class Lake(Protocol):
    """What a load needs of the lake."""

    @property
    def backend(self) -> Any:
        """The Ibis connection that reads and writes."""

    def loads(self) -> dict[str, dict[str, Any]]:
        """Return what is known of each load by its id."""

    def table(self, name: str) -> ibis.Table:
        """Return all rows of a table."""

    def files(self, name: str) -> list[Path]:
        """Return the Parquet files of a table."""

    def working(self) -> AbstractContextManager[Path]:
        """Hand out an empty folder for a load; one load at a time."""

    def publish(
        self,
        load_id: str,
        tables: Mapping[str, Any],
        lineage: Mapping[str, Any],
        *,
        replaces: Sequence[str] = (),
        drop: Mapping[str, Callable[[ibis.Table], Any]] | None = None,
    ) -> dict[str, int]:
        """Add the rows of a load to all its tables in one step; return counts by table."""


@dataclass(frozen=True, kw_only=True)
class LoadSettings:
    """How to load."""

    checks: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Settings of checks by name; what the source asks for holds where these say nothing."""
    skip: tuple[str, ...] = ()
    """Checks to leave out."""
    price_days: int = 60
    """A product without a price gets the median of this many days before its last sale."""
    full: bool = False
    """Whether products of this input that the files lack are removed."""
    strict: bool = False
    """Whether a check beyond its threshold stops the load before anything is published."""

    def __post_init__(self) -> None:
        if self.price_days < 1:
            raise BadConfig(f"price_days must be at least 1, but is {self.price_days}.")


@dataclass(frozen=True)
class LoadResult:
    """What a load did."""

    load_id: str
    unchanged: bool
    """True where the same load was published before, and nothing was done."""
    rows: dict[str, int]
    """Rows added (events) or now held (other tables)."""
    quality: dict[str, pl.DataFrame]
    """The tables of `data.quality`, also those of the load before where nothing changed."""
    seconds: float


Finish = Callable[[pl.DataFrame], pl.DataFrame]


def load(
    source: contracts.Source,
    location: Path | None,
    lake: Lake,
    *,
    settings: LoadSettings | None = None,
    source_name: str = "",
    engine: Callable[[], Any] | None = None,
    finish: Finish | None = None,
) -> LoadResult:
    """Bring the files of a source into the lake, once.

    Args:
        source: Who reads the files.
        location: The file, folder or pattern; None for a source that brings its own.
        lake: Where the rows go.
        settings: How to load.
        source_name: What quarantine and lineage call the input.
        engine: Makes the Ibis connection that cleans; that of the lake by default.
        finish: Adds what another room knows to the kept products, before they are published.

    Returns:
        What was added, kept, mended and refused. Files that are missing, empty or broken, or
        without one sound row, are BadData, raised when the files of other loads are in; a wrong
        setting of a check is BadConfig.
    """
    began = time.perf_counter()
    settings = settings or LoadSettings()
    how = _how(source, settings, source_name or type(source).__name__)
    checks = cleaning.build_checks(how["checks"], settings.skip)
    files = named(source.files(location), location)
    before = lake.loads()
    apart = getattr(source, "apart", False) and not settings.full
    loads = [Part(files_of, how, files) for files_of in split(files, before, how, apart)]
    fresh = [one for one in loads if not one.stands(before)]
    if not fresh:
        last = before[loads[-1].load_id]
        rows, report = last["rows"], from_json(last["quality"])
        return LoadResult(loads[-1].load_id, True, rows, report, time.perf_counter() - began)
    rows, problems = {}, []
    with lake.working() as folder:
        worker = engine() if engine else lake.backend
        for number, one in enumerate(fresh):
            within = folder / str(number)
            within.mkdir()
            work = _Work(source, lake, Workbench(worker, within), checks, settings, finish)
            try:
                added, report = work.do(one)
            except BadData as error:
                # Files that are sound need not wait for the one that is not.
                problems.append(error)
                continue
            rows = {table: rows.get(table, 0) + num for table, num in added.items()}
    if problems:
        raise problems[0]
    return LoadResult(fresh[-1].load_id, False, rows, report, time.perf_counter() - began)


def _how(source: contracts.Source, settings: LoadSettings, name: str) -> dict[str, Any]:
    """Return by which rules an input is loaded; with its files, they make the id of a load."""
    asked = getattr(source, "check_settings", {})
    chosen = {
        check: {**asked.get(check, {}), **settings.checks.get(check, {})}
        for check in sorted({*asked, *settings.checks})
    }
    config = getattr(source, "config", None)
    return {
        "source": name, "code": code_version(), "checks": chosen, "skip": sorted(settings.skip),
        "price_days": settings.price_days, "full": settings.full,
        "settings": asdict(config) if config is not None else {},
    }  # fmt: skip


@dataclass(frozen=True)
class _Work:
    """Who reads, cleans and keeps."""

    source: contracts.Source
    lake: Lake
    bench: Workbench
    checks: list[Any]
    settings: LoadSettings
    finish: Finish | None

    def do(self, one: Part) -> tuple[dict[str, int], dict[str, pl.DataFrame]]:
        """Load some files; return the rows added by table, and the tables of the report."""
        loads = self.lake.loads()
        replaced = one.replaced(loads)
        done = self._clean(one, replaced)
        with stage("quality"):
            before = [about for about in loads.values() if about.get("source") == one.name]
            last = next((about["quality"] for about in before[::-1] if "quality" in about), None)
            report = quality(done, last, files=list(one.inputs))
            report["thresholds"] = self._thresholds(done, report)
        self._judge(one, report)
        lineage = one.about | {"rows": {}, "quality": to_json(report)}
        lineage["rows"] = {row["table"]: row["kept"] for row in report["rows"].to_dicts()}
        files = list(one.inputs)
        drop: dict[str, Callable[[ibis.Table], Any]] = {
            "quarantine": lambda rows: (rows.source == one.name) & rows.file.isin(files)
        }
        if self.settings.full:
            drop["products"] = lambda rows: rows.input == one.name
        with stage("publish"):
            tables = self._tables(done, one)
            rows = self.lake.publish(one.load_id, tables, lineage, replaces=replaced, drop=drop)
        return rows, report

    def _clean(self, one: Part, replaced: Sequence[str]) -> cleaning.Cleaned:
        bench, reader = self.bench, self.lake.backend
        where = ", ".join(str(file) for file in one.files[:3])
        with _readable(where), stage("read"):
            raw = {
                name: bench.keep(f"raw_{name}", rows, by=reader)
                for name, rows in self.source.read(reader, one.files).items()
            }
        with stage("clean"):
            return cleaning.clean(bench, raw, self.checks, self._known(replaced))

    def _known(self, replaced: Sequence[str]) -> dict[str, ibis.Table]:
        """Return what was loaded before, less what this load replaces, by table."""
        known = {}
        for name in ("events", "products"):
            files = self.lake.files(name)
            if not files:
                continue
            mine = self.bench.backend is self.lake.backend
            rows = self.lake.table(name) if mine else self.bench.open(files)
            if replaced and "load" in rows.columns:
                rows = rows.filter(~rows.load.isin(replaced).fill_null(False))
            known[name] = rows
        return known

    def _thresholds(
        self, done: cleaning.Cleaned, report: Mapping[str, pl.DataFrame]
    ) -> pl.DataFrame:
        """Return how much each check refused of each table, and how much it may."""
        allowed = {
            cleaning.name_of(check): getattr(check.config, "share_max", None)
            for check in self.checks
            if hasattr(check, "config")
        }
        came = dict(report["rows"].select("table", "rows_in").iter_rows())
        counts: dict[tuple[str, str], int] = {}
        for row in report["refused"].to_dicts():
            key = (done.checks.get(row["reason"], "source"), row["table"])
            counts[key] = counts.get(key, 0) + row["rows"]
        rows = [
            {
                "check": check, "table": table, "rows": num, "share": num / max(came[table], 1),
                "allowed": allowed.get(check, SOURCE_SHARE_MAX),
            }
            for (check, table), num in counts.items()
        ]  # fmt: skip
        shape = {
            "check": pl.String, "table": pl.String, "rows": pl.Int64, "share": pl.Float64,
            "allowed": pl.Float64,
        }  # fmt: skip
        found = pl.DataFrame(rows, schema=shape).sort("table", "check")
        over = (pl.col("share") > pl.col("allowed")).fill_null(False)
        return found.with_columns(
            pl.when(over).then(pl.lit("alarm")).otherwise(pl.lit("ok")).alias("verdict")
        )

    def _judge(self, one: Part, report: Mapping[str, pl.DataFrame]) -> None:
        """Raise BadData where nothing is sound, or too much is not in a strict load."""
        where = ", ".join(str(file) for file in one.files[:3])
        for row in report["rows"].to_dicts():
            if row["rows_in"] and not row["kept"]:
                reasons = report["refused"].filter(pl.col("table") == row["table"])["reason"]
                raise BadData(
                    f"None of the {row['rows_in']} {row['table']} of {where} is sound; the most "
                    f"frequent reason is: {reasons[0]}. Correct the file."
                )
        over = report["thresholds"].filter(pl.col("verdict") == "alarm")
        if self.settings.strict and over.height:
            worst = over.sort("share", descending=True).row(0, named=True)
            raise BadData(
                f"The check '{worst['check']}' refuses {worst['share']:.1%} of the "
                f"{worst['table']} of {where}, and {worst['allowed']:.1%} is allowed; nothing was "
                f"published. Correct the file, raise share_max under [data.checks."
                f"{worst['check']}], or load without --strict."
            )

    def _tables(self, done: cleaning.Cleaned, one: Part) -> dict[str, Any]:
        """Return what to publish: the kept rows and the quarantine, read by the lake's engine."""
        here = Workbench(self.lake.backend, self.bench.folder)
        tables: dict[str, Any] = {
            name: here.open(self.bench.path(f"kept_{name}")) for name in done.kept
        }
        if "products" in tables:
            products = tables["products"]
            if "events" in tables:
                products = cleaning.price_products(
                    products, tables["events"], self.settings.price_days
                )
            if self.finish is not None:
                products = self._finished(products, self.finish)
            tables["products"] = products.mutate(input=ibis.literal(one.name))
        for table in set(tables) - {"events"}:
            tables[table] = tables[table].order_by("line")
        refused = cleaning.quarantine(done, one.name, list(one.inputs))
        kept = self.bench.keep("quarantine", refused)
        if self.bench.backend is not self.lake.backend:
            kept = here.open(self.bench.path("quarantine"))
        tables["quarantine"] = kept.order_by("table", "line")
        return tables

    def _finished(self, products: ibis.Table, finish: Finish) -> ibis.Table:
        """Add what another room knows; what was known of a category before comes first."""
        if schema.CATEGORY not in products.columns:
            known = self.lake.table("products").select(schema.PRODUCT_ID, schema.CATEGORY)
            products = products.left_join(known, schema.PRODUCT_ID)
            products = products.drop(f"{schema.PRODUCT_ID}_right")
        if "title" not in products.columns:
            return products
        missing = products.filter(products[schema.CATEGORY].isnull()).count()
        if not self.lake.backend.to_polars(missing):
            return products
        return ibis.memtable(finish(self.lake.backend.to_polars(products)))


@contextmanager
def _readable(what: str) -> Iterator[None]:
    """Say in one line what the engine says in many of a file that goes bad on its way."""
    import duckdb

    try:
        yield
    except (duckdb.DataError, duckdb.InvalidInputException, duckdb.IOException) as error:
        # Not the line itself, which may name a shopper.
        lines = (line.strip() for line in str(error).splitlines())
        said = [line for line in lines if line and not line.startswith("Original Line")]
        if "write" in said[0].lower() or "space" in said[0].lower():
            raise OSError(" ".join(said[:2])[:300]) from error
        raise BadData(
            f"Reading {what} stopped on its way, and nothing of it was loaded: "
            f"{' '.join(said[:2])[:300]} Correct the file, or export it again as UTF-8."
        ) from error
