"""Where the tables of a shop came from and what learned from them, as a graph and as a page."""

import os
from pathlib import Path

from shopkeeper.config import Config
from shopkeeper.data.lineage import Graph, graph
from shopkeeper.engine.known import lake_of
from shopkeeper.errors import BadData, NotFitted
from shopkeeper.operations.bundles import Bundles
from shopkeeper.pages.lineage import lineage_html


def lineage_of(folder: Path, config: Config, table: str = "", loads_max: int = 0) -> Graph:
    """Return the lineage of a shop's tables.

    Args:
        folder: The shop's folder.
        config: Its settings.
        table: Only this table; all by default.
        loads_max: Loads of an input beyond its newest so many are told as one; 0 tells each.

    Returns:
        The graph of `data.lineage`.

    Raises:
        BadConfig: There is no such table.
        BadData: Nothing was loaded yet.
    """
    lake, bundles = lake_of(folder, config), Bundles(folder / "bundles")
    try:
        current = bundles.current()
    except NotFitted:
        current = ""
    known = [
        bundles.manifest(version) | {"in_use": version == current} for version in bundles.versions()
    ]
    found = graph(lake.loads(), lake.counts(), known, table=table, loads_max=loads_max)
    if not lake.loads():
        raise BadData("Nothing was loaded into this shop yet. Run `shopkeeper ingest` first.")
    return found


def write_lineage(found: Graph, file: Path, title: str) -> None:
    """Write a page that draws a graph into `file`, which nobody sees half written."""
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    partial.write_text(lineage_html(found, title=title), "utf-8")
    partial.replace(file)
