"""One load: read the files, clean the rows, publish them, and tell what happened.

The same files with the same settings and the same code are loaded once; the next time nothing is
done. Knows the lake only by what it promises.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import ibis
import polars as pl

from shopkeeper import contracts, schema
from shopkeeper.data import cleaning
from shopkeeper.data.quality import from_json, quality, to_json
from shopkeeper.errors import BadConfig, BadData
from shopkeeper.tracing import stage


class Lake(Protocol):
    """What a load needs of the lake."""

    @property
    def backend(self) -> Any:
        """The Ibis connection that reads and writes."""

    def loads(self) -> dict[str, dict[str, Any]]:
        """Return what is known of each load by its id."""

    def publish(
        self, load_id: str, tables: Mapping[str, Any], lineage: Mapping[str, Any]
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
    """Rows added (events, quarantine) or now held (other tables)."""
    quality: dict[str, pl.DataFrame]
    """The tables of `data.quality`, also those of the load before where nothing changed."""
    seconds: float


def load(
    source: contracts.Source,
    location: Path | None,
    lake: Lake,
    *,
    settings: LoadSettings | None = None,
    source_name: str = "",
) -> LoadResult:
    """Bring the files of a source into the lake, once.

    Args:
        source: Who reads the files.
        location: The file or folder; None for a source that brings its own.
        lake: Where the rows go.
        settings: How to load.
        source_name: What quarantine and lineage call the source.

    Returns:
        What was added, kept, mended and refused. Files that are missing, empty or broken, or
        without one sound event, are BadData; a wrong setting of a check is BadConfig.
    """
    began = time.perf_counter()
    settings = settings or LoadSettings()
    name = source_name or type(source).__name__
    files = source.files(location)
    inputs = _hashes(files)
    asked = getattr(source, "check_settings", {})
    chosen = {
        check: {**asked.get(check, {}), **settings.checks.get(check, {})}
        for check in sorted({*asked, *settings.checks})
    }
    how: dict[str, Any] = {
        "source": name,
        "inputs": inputs,
        "code": code_version(),
        "checks": chosen,
    }
    how |= {"skip": sorted(settings.skip), "price_days": settings.price_days}
    config = getattr(source, "config", None)
    how["settings"] = asdict(config) if config is not None else {}
    load_id = hashlib.sha256(json.dumps(how, sort_keys=True).encode()).hexdigest()[:16]
    before = lake.loads().get(load_id)
    if before is not None:
        tables = from_json(before["quality"])
        return LoadResult(load_id, True, before["rows"], tables, time.perf_counter() - began)
    checks = cleaning.build_checks(chosen, settings.skip)
    tables, report = _work(source, files, lake.backend, checks, name, settings.price_days)
    lineage = how | {"rows": {}, "quality": to_json(report)}
    lineage["rows"] = {row["table"]: row["kept"] for row in report["rows"].to_dicts()}
    with stage("publish"):
        rows = lake.publish(load_id, tables, lineage)
    for table in schema.TABLES:
        cleaning.discard(lake.backend, f"raw_{table}")
        cleaning.discard(lake.backend, f"refused_{table}")
    return LoadResult(load_id, False, rows, report, time.perf_counter() - began)


def code_version() -> str:
    """Return a hash of the code that reads and cleans, so that a changed rule loads anew."""
    digest = hashlib.sha256()
    room = Path(__file__).parent
    files = [file for file in room.rglob("*.py") if "samples" not in file.parts]
    for file in [*sorted(files), Path(schema.__file__)]:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _work(
    source: contracts.Source,
    files: Sequence[Path],
    backend: Any,
    checks: list[Any],
    name: str,
    price_days: int,
) -> tuple[dict[str, ibis.Table], dict[str, pl.DataFrame]]:
    """Read, clean and measure; return the tables to publish and those of the report."""
    where = ", ".join(str(file) for file in files[:3])
    with _readable(where):
        with stage("read"):
            raw = source.read(backend, files)
        with stage("clean"):
            done = cleaning.clean(backend, raw, checks)
        with stage("quality"):
            report = quality(done)
    for row in report["rows"].to_dicts():
        if row["table"] == "events" and not row["kept"]:
            raise BadData(
                f"None of the {row['rows_in']} events of {where} is sound; the most "
                f"frequent reason is: {report['refused']['reason'][0]}. Correct the file."
            )
    tables = dict(done.kept)
    if "products" in tables and "events" in tables:
        sound = done.raw["events"].anti_join(done.refused["events"], "line")
        tables["products"] = cleaning.price_products(tables["products"], sound, price_days)
    for table in set(tables) - {"events"}:
        tables[table] = tables[table].order_by("line")
    tables["quarantine"] = cleaning.quarantine(done, name).order_by("table", "line")
    return tables, report


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
        raise BadData(
            f"Reading {what} stopped on its way, and nothing of it was loaded: "
            f"{' '.join(said[:2])[:300]} Correct the file, or export it again as UTF-8."
        ) from error


def _hashes(files: list[Path]) -> dict[str, str]:
    """Return the sha256 of each file by its name, or raise BadData where one is not there."""
    hashes = {}
    for file in files:
        if not file.is_file():
            raise BadData(f"There is no file {file}. Check the path.")
        with file.open("rb") as opened:
            hashes[file.name] = hashlib.file_digest(opened, "sha256").hexdigest()
    return hashes
