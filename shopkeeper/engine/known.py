"""What a shop knows, taken from its lake: the one door through which models see data.

What anomalies mask is left out of what models learn from, and stays in what evaluation judges by.
"""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from shopkeeper import registry
from shopkeeper.config import Config
from shopkeeper.data import anomalies
from shopkeeper.engine.learn import Known
from shopkeeper.errors import BadData
from shopkeeper.schema import (
    COUNTRY,
    EVENT_ID,
    EVENT_NAME,
    ITEM,
    LEARN,
    PRICE,
    PRODUCT_ID,
    TIME,
    TRANSACTION,
    USER,
    VISITOR,
    WANTS,
)
from shopkeeper.store.lake import Lake
from shopkeeper.store.records import Records
from shopkeeper.tracing import stage

if TYPE_CHECKING:
    import ibis


def lake_of(folder: Path, config: Config) -> Lake:
    """Open the lake of a shop with the memory and threads that its settings allow."""
    return Lake(folder / "lake", memory_mb=config.store.memory_mb, threads=config.store.threads)


def records_of(folder: Path, config: Config) -> Records:
    """Open the records of a shop: `shop.db` in its folder, or the database its settings name."""
    return Records(config.store.url or f"sqlite:///{folder / 'shop.db'}")


def known_of(folder: Path, config: Config) -> Known:
    """Read what models learn from: the newest `events_max` wants, and the products as they are.

    Args:
        folder: The shop's folder.
        config: Its settings.

    Returns:
        Events in time order, ties by event id, without what anomalies mask; products by id.

    Raises:
        BadData: Nothing was loaded yet.
    """
    with stage("read"):
        lake = lake_of(folder, config)
        table = lake.table("events")
        decided = decided_of(folder, config, lake)
        events = _newest(anomalies.learned(table, decided), config.train.events_max)
        judged = None
        if anomalies.acts(decided):
            judged = _newest(table, config.train.events_max)
        products = products_of(folder, config)
    if events.is_empty() and not products.is_empty():
        raise BadData(
            f"This shop has {products.height:,} products but no events yet: nothing that shoppers "
            "did can be learned from or measured. Load events with `shopkeeper ingest`."
        )
    if events.is_empty() or products.is_empty():
        raise BadData("This shop has no products or events yet. Run `shopkeeper ingest` first.")
    return Known(events, products, judged)


def products_of(folder: Path, config: Config) -> pl.DataFrame:
    """Return the products of a shop as they are, by id."""
    with closing(records_of(folder, config)) as records:
        return records.all().sort(PRODUCT_ID)


def decided_of(folder: Path, config: Config, lake: Lake) -> pl.DataFrame:
    """Return the anomalies that were found last, and what becomes of each.

    Args:
        folder: The shop's folder.
        config: Its settings.
        lake: The shop's lake.

    Returns:
        `data.anomalies.DECIDED` rows.
    """
    with closing(records_of(folder, config)) as records:
        overrides = records.overrides()
    found = lake.table("anomalies").to_polars()
    return anomalies.decide(found, overrides, detector_settings(config))


def detector_settings(config: Config) -> dict[str, dict[str, Any]]:
    """Return the settings of every detector by name."""
    names = registry.names(anomalies.SHELF)
    return {name: config.part(anomalies.SHELF, name) for name in names}


def _newest(table: "ibis.Table", events_max: int) -> pl.DataFrame:
    """Read the newest wants of a table of events, oldest first."""
    wanted = table.filter(table[EVENT_NAME].isin(WANTS) & table[ITEM].notnull())
    newest = wanted.order_by(wanted[TIME].desc()).limit(events_max)
    columns = (*LEARN, TRANSACTION, PRICE, COUNTRY, VISITOR, EVENT_ID)
    events: pl.DataFrame = newest.select(*columns).to_polars()
    events = events.sort(TIME, EVENT_ID).with_columns(
        pl.col(TIME).cast(LEARN[TIME]), pl.coalesce(USER, VISITOR).alias(USER)
    )
    return events.select(*LEARN, TRANSACTION, PRICE, COUNTRY)
