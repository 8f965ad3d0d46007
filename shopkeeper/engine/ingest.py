"""From the files a shop has to sound tables: read, clean, check, publish, report."""

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from shopkeeper import registry
from shopkeeper.config import Config, Input
from shopkeeper.data.load import LoadResult, LoadSettings, load
from shopkeeper.data.quality import counted_anomalies, to_json
from shopkeeper.data.workbench import spark
from shopkeeper.engine import anomalies, categories, changes
from shopkeeper.engine.files import write_reports
from shopkeeper.engine.known import lake_of, records_of
from shopkeeper.errors import BadConfig, BadData, unknown
from shopkeeper.pages.report import quality_html
from shopkeeper.schema import PRODUCT_ID, PRODUCTS
from shopkeeper.store.lake import Lake
from shopkeeper.tracing import stage

BATCH_ROWS = 50_000
"""Products that go into the records at once."""


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
        results = {}
        try:
            for name, given in inputs_of(config, wanted).items():
                results[name] = _load(folder, name, given, config, lake, wanted.strict)
        finally:
            # What was published before an input failed is the shop's all the same.
            if lake.loads():
                lake.compact()
                with stage("records"):
                    fill_records(folder, config, lake)
        changed = any(not result.unchanged for result in results.values())
        if config.data.anomalies and lake.counts()["events"]:
            _find_anomalies(folder, config, lake)
        with stage("report"):
            _report(folder, lake, results)
    counts = lake.counts()
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


def _find_anomalies(folder: Path, config: Config, lake: Lake) -> None:
    """Look at the log unless it was looked at as it is: the run before may have been killed."""
    mark, loads = folder / "lake" / "looked-at", " ".join(_states(lake))
    if not mark.is_file() or mark.read_text() != loads:
        anomalies.find(folder, config, lake)
        mark.write_text(loads)


def _report(folder: Path, lake: Lake, results: Mapping[str, LoadResult]) -> None:
    """Write what the loads say, and what is unusual in the whole log, for people and machines."""
    found = counted_anomalies(lake.backend.to_polars(lake.table("anomalies")))
    tables = {name: {**result.quality, "anomalies": found} for name, result in results.items()}
    values: dict[str, Any] = {name: to_json(each) for name, each in tables.items()}
    only = next(iter(values.values())) if len(values) == 1 else values
    write_reports(folder / "reports", "quality", only, quality_html(tables))


def _load(
    folder: Path, name: str, given: Input, config: Config, lake: Lake, strict: bool
) -> LoadResult:
    """Load one input."""
    location = Path(given.file) if given.file else None
    if location is not None and not location.exists() and not location.parent.is_dir():
        raise BadData(f"There is no file '{location}'. Give the file to load, or mend [inputs].")
    settings = {**config.part("data.sources", given.source), **given.settings}
    if getattr(registry.find("data.sources", given.source).Config(), "currency", None) == "":
        settings["currency"] = settings.get("currency") or config.shop.currency
    source = registry.build("data.sources", given.source, **settings)
    how = LoadSettings(
        checks=checks_of(config, getattr(source, "check_settings", {})),
        full=given.load == "full",
        strict=config.data.strict or strict,
    )
    with stage("load"):
        return load(
            source,
            location,
            lake,
            settings=how,
            source_name=name,
            engine=_engine(config),
            finish=partial(_filled, folder, config, lake),
        )


def _filled(folder: Path, config: Config, lake: Lake, products: pl.DataFrame) -> pl.DataFrame:
    """Give products without a category that of their like, known ones included."""
    known: pl.DataFrame = lake.backend.to_polars(lake.table("products").select(*PRODUCTS))
    return categories.fill(folder, config, products, known=known)


def checks_of(config: Config, asked: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the settings of checks by name: those of the shop before those a source asks for.

    Args:
        config: The shop's settings.
        asked: What the source asks of checks.

    Returns:
        Settings of checks that differ from their defaults.
    """
    given = {check: config.part("data.checks", check) for check in registry.names("data.checks")}
    given["currencies"].setdefault("default", "")
    given["currencies"]["default"] = given["currencies"]["default"] or config.shop.currency
    return {
        check: {**asked.get(check, {}), **chosen}
        for check, chosen in given.items()
        if chosen or check in asked
    }


def _engine(config: Config) -> Callable[[], Any] | None:
    """Return what connects to the cluster that cleans, None where the lake's engine does."""
    return partial(spark, config.data.spark_master) if config.data.engine == "spark" else None


def fill_records(folder: Path, config: Config, lake: Lake) -> None:
    """Bring products into the records by what the lake holds: the run before may have been killed.

    Args:
        folder: The shop's folder.
        config: Its settings.
        lake: What the records follow.
    """
    mark = folder / "lake" / "in-records"
    held = mark.read_text().split() if mark.is_file() else []
    loads = _states(lake)
    with closing(records_of(folder, config)) as records:
        num = records.num_products()
        if num and held == list(loads):
            return
        products = lake.table("products")
        if num and held and set(held) <= set(loads):
            fresh = [load_id for state, load_id in loads.items() if state not in held]
            products = products.filter(products.load.isin(fresh))
        if lake.files("products"):
            batches = lake.batches(products, BATCH_ROWS)
            records.upsert(pl.DataFrame(pl.from_arrow(batch)) for batch in batches)
        if records.num_products() > lake.counts()["products"]:
            stay = lake.backend.to_polars(lake.table("products").select(PRODUCT_ID))
            every = records.all().select(PRODUCT_ID)
            records.delete(every.join(stay, on=PRODUCT_ID, how="anti")[PRODUCT_ID])
    mark.write_text(" ".join(loads))
    changes.tell(folder)


def _states(lake: Lake) -> dict[str, str]:
    """Return the id of each load by a word that is new when it is published again."""
    return {
        f"{load_id}@{about.get('version', 0)}": load_id for load_id, about in lake.loads().items()
    }
