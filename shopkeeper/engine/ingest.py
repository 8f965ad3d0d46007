"""From the files a shop has to sound tables: read, clean, check, publish, report."""

import dataclasses
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from shopkeeper import registry
from shopkeeper.config import Config, Input
from shopkeeper.data.load import LoadResult, LoadSettings, load
from shopkeeper.data.quality import to_json
from shopkeeper.engine.files import write_reports
from shopkeeper.engine.known import lake_of, records_of
from shopkeeper.errors import BadConfig, BadData, unknown
from shopkeeper.pages.report import quality_html
from shopkeeper.store.lake import Lake
from shopkeeper.tracing import stage


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """What to load; with nothing said, every input of `shop.toml`."""

    file: Path | None = None
    """Read this instead of what the input names."""
    name: str = ""
    """Which input; not needed where there is one, or `source` is given."""
    source: str = ""
    """Who reads `file`, for a file that is no input of `shop.toml`."""
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Settings of the source that overrule those of the input."""
    full: bool = False
    """Whether products that the file lacks are removed, whatever the input says."""
    strict: bool = False
    """Whether a check beyond its threshold stops the load, whatever [data] says."""


def ingest(folder: Path, config: Config, wanted: Wanted | None = None) -> dict[str, Any]:
    """Load products, events and all else into the lake, and the products into the records.

    Args:
        folder: The shop's folder.
        config: Names the inputs.
        wanted: Which of them; all by default.

    Returns:
        `tables` and `refused` as rows, `summary` in one sentence, `changed`.

    Raises:
        BadData: A file is missing, broken, or not what the source reads.
        BadConfig: There is no such input, or none at all.
        ShopkeeperError: Another process is writing to this shop.
    """
    wanted = wanted or Wanted()
    with stage("ingest"):
        lake = lake_of(folder, config)
        results = {
            name: _load(name, given, config, lake)
            for name, given in inputs_of(config, wanted).items()
        }
        with stage("records"):
            _fill_records(folder, config, lake)
        with stage("report"):
            for name, result in results.items():
                page = "quality" if len(results) == 1 else f"quality-{name}"
                write_reports(
                    folder / "reports", page, to_json(result.quality), quality_html(result.quality)
                )
    counts = lake.counts()
    changed = any(not result.unchanged for result in results.values())
    seconds = sum(result.seconds for result in results.values())
    done = f"in {seconds:.1f} s" if changed else "nothing new in it"
    return {
        "tables": [{"table": name, "rows": rows} for name, rows in counts.items() if rows],
        "refused": [row for result in results.values() for row in refused_of(result)],
        "summary": (
            f"{counts['events']:,} events and {counts['products']:,} products are in the shop "
            f"({done}). Report: {folder / 'reports' / 'quality.html'}"
        ),
        "changed": changed,
    }


def inputs_of(config: Config, wanted: Wanted) -> dict[str, Input]:
    """Return what to load by name.

    Args:
        config: Names the inputs of the shop.
        wanted: What a person asked for.

    Returns:
        At least one input.

    Raises:
        BadConfig: There is no such input, or it is not clear which one is meant.
    """
    if wanted.source:
        name = wanted.name or wanted.source
        found = {name: Input(source=wanted.source)}
    elif wanted.name and wanted.name not in config.inputs:
        raise unknown("input", wanted.name, config.inputs)
    else:
        found = {
            name: given
            for name, given in config.inputs.items()
            if wanted.name in ("", name)
        }  # fmt: skip
    if not found:
        raise BadConfig(
            "This shop has no [inputs] yet. Say who reads the file, as in `shopkeeper ingest "
            "feed.xml --source merchant_center`, or try `shopkeeper ingest feed.xml --guess`."
        )
    if wanted.file is not None and len(found) > 1:
        raise BadConfig(
            f"This shop has several inputs: {', '.join(found)}. Say which one the file is of by "
            "`--input NAME`, or who reads it by `--source NAME`."
        )
    changes: dict[str, Any] = {"file": str(wanted.file)} if wanted.file is not None else {}
    changes |= {"load": "full"} if wanted.full else {}
    return {
        name: dataclasses.replace(
            given, **changes, settings={**given.settings, **wanted.settings}
        )
        for name, given in found.items()
    }  # fmt: skip


def refused_of(result: LoadResult) -> list[dict[str, Any]]:
    """Return how many rows were refused by table and reason, most first."""
    rows: list[dict[str, Any]] = result.quality["refused"].to_dicts()
    return rows


def _load(name: str, given: Input, config: Config, lake: Lake) -> LoadResult:
    """Load one input."""
    location = Path(given.file) if given.file else None
    if location is not None and not location.exists() and not location.parent.is_dir():
        raise BadData(f"There is no file '{location}'. Give the file to load, or mend [inputs].")
    settings = {**config.part("data.sources", given.source), **given.settings}
    source = registry.build("data.sources", given.source, **settings)
    checks = {check: config.part("data.checks", check) for check in registry.names("data.checks")}
    how = LoadSettings(checks={check: chosen for check, chosen in checks.items() if chosen})
    with stage("load"):
        return load(source, location, lake, settings=how, source_name=name)


def _fill_records(folder: Path, config: Config, lake: Lake) -> None:
    """Bring the products into the records by what the lake holds: a run may have been killed."""
    with closing(records_of(folder, config)) as records:
        loads, mark = " ".join(sorted(lake.loads())), folder / "lake" / "in-records"
        if not mark.is_file() or mark.read_text() != loads or records.all().is_empty():
            records.upsert(lake.table("products").to_polars())
            mark.write_text(loads)
