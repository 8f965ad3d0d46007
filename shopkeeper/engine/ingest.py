"""From the files a shop has to sound tables: read, clean, check, publish, report."""

from contextlib import closing
from pathlib import Path
from typing import Any

from shopkeeper import registry
from shopkeeper.config import Config
from shopkeeper.data.load import LoadResult, LoadSettings, load
from shopkeeper.data.quality import to_json
from shopkeeper.engine.files import write_reports
from shopkeeper.engine.known import lake_of, records_of
from shopkeeper.errors import BadData
from shopkeeper.pages.report import quality_html
from shopkeeper.tracing import stage


def ingest(folder: Path, config: Config, file: Path | None = None) -> dict[str, Any]:
    """Load products and events into the lake, and the products into the records.

    Args:
        folder: The shop's folder.
        config: Names the source and its file.
        file: Overrules the file in the settings.

    Returns:
        `tables` and `refused` as rows, `summary` in one sentence, `changed`.

    Raises:
        BadData: The file is missing, broken, or not what the source reads.
        ShopkeeperError: Another process is writing to this shop.
    """
    with stage("ingest"):
        location = file or (Path(config.data.file) if config.data.file else None)
        if location is not None and not location.exists():
            raise BadData(f"There is no file '{location}'. Give the file to load, or mend [data].")
        lake = lake_of(folder, config)
        source = registry.build(
            "data.sources", config.data.source, **config.part("data.sources", config.data.source)
        )
        checks = {name: config.part("data.checks", name) for name in registry.names("data.checks")}
        settings = LoadSettings(checks={name: given for name, given in checks.items() if given})
        with stage("load"):
            result = load(source, location, lake, settings=settings, source_name=config.data.source)
        with stage("records"), closing(records_of(folder, config)) as records:
            # By what the lake holds, not by what this run did: the one before may have been killed.
            loads, mark = " ".join(sorted(lake.loads())), folder / "lake" / "in-records"
            if not mark.is_file() or mark.read_text() != loads or records.all().is_empty():
                records.upsert(lake.table("products").to_polars())
                mark.write_text(loads)
        with stage("report"):
            write_reports(
                folder / "reports", "quality", to_json(result.quality), quality_html(result.quality)
            )
    counts = lake.counts()
    done = "nothing new in it" if result.unchanged else f"in {result.seconds:.1f} s"
    return {
        "tables": [{"table": name, "rows": rows} for name, rows in counts.items() if rows],
        "refused": refused_of(result),
        "summary": (
            f"{counts['events']:,} events and {counts['products']:,} products are in the shop "
            f"({done}). Report: {folder / 'reports' / 'quality.html'}"
        ),
        "changed": not result.unchanged,
    }


def refused_of(result: LoadResult) -> list[dict[str, Any]]:
    """Return how many rows were refused by table and reason, most first."""
    rows: list[dict[str, Any]] = result.quality["refused"].to_dicts()
    return rows
