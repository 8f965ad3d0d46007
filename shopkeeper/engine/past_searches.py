"""Past searches of a shop, and what shoppers looked at and bought after them.

Read from the lake, the newest ones, without what anomalies mask. Knows no index and no model.
"""

from pathlib import Path

import polars as pl

from shopkeeper.config import Config
from shopkeeper.data import anomalies
from shopkeeper.engine.known import decided_of, lake_of
from shopkeeper.schema import (
    EVENT_ID,
    EVENT_NAME,
    EVENTS,
    ITEM,
    SESSION,
    TIME,
    USER,
    VISITOR,
    WANTS,
)

TERM, VISIT = "search_term", "visit"
SEARCHES_MAX = 500_000
"""How many of the newest searches, and of the newest wants, are read."""
WITHIN = "30m"
"""What is wanted so soon after a search, and before the next one, came of it."""


def searches(folder: Path, config: Config) -> pl.DataFrame:
    """Return the newest searches: `visit`, `search_term`, `time`, `request_id`."""
    found = _events(folder, config, ("search", "view_search_results")).drop_nulls(TERM)
    return found.select(VISIT, TERM, TIME, "request_id")


def followed(folder: Path, config: Config) -> pl.DataFrame:
    """Return what was wanted after searches.

    Args:
        folder: The shop's folder.
        config: Its settings.

    Returns:
        `visit`, `search_term`, `item_id`, `event_name`, `time`, a row for each event that shows a
        want within half an hour of a search and before the next; one that answers the request of
        another list is left out.
    """
    asked = searches(folder, config)
    wanted = _events(folder, config, WANTS).drop_nulls(ITEM)
    columns = (VISIT, TERM, ITEM, EVENT_NAME, TIME)
    if asked.is_empty() or wanted.is_empty():
        return pl.DataFrame(schema={name: EVENTS[name] for name in columns[1:]}).select(
            pl.lit(None, dtype=pl.String).alias(VISIT), pl.all()
        )
    joined = wanted.drop(TERM).sort(TIME).join_asof(
        asked.rename({"request_id": "asked_id"}).sort(TIME),
        on=TIME, by=VISIT, strategy="backward", tolerance=WITHIN, check_sortedness=False,
    )  # fmt: skip
    elsewhere = (pl.col("request_id") != pl.col("asked_id")).fill_null(False)
    return joined.drop_nulls(TERM).filter(~elsewhere).select(columns)


def ended(folder: Path, config: Config) -> pl.DataFrame:
    """Return the first product that was wanted after each search, whatever was asked between.

    Args:
        folder: The shop's folder.
        config: Its settings.

    Returns:
        `visit`, `search_term`, `item_id`: several queries of a visit may end in one product.
    """
    asked = searches(folder, config).select(VISIT, TERM, TIME)
    wanted = _events(folder, config, WANTS).drop_nulls(ITEM).select(VISIT, ITEM, TIME)
    if asked.is_empty() or wanted.is_empty():
        return pl.DataFrame(schema=dict.fromkeys((VISIT, TERM, ITEM), pl.String))
    joined = asked.sort(TIME).join_asof(
        wanted.sort(TIME), on=TIME, by=VISIT, strategy="forward", tolerance=WITHIN,
        check_sortedness=False,
    )  # fmt: skip
    return joined.drop_nulls(ITEM).select(VISIT, TERM, ITEM)


def _events(folder: Path, config: Config, names: tuple[str, ...]) -> pl.DataFrame:
    """Return the newest events of some names with the visit that each belongs to."""
    lake = lake_of(folder, config)
    table = anomalies.learned(lake.table("events"), decided_of(folder, config, lake))
    chosen = table.filter(table[EVENT_NAME].isin(names))
    newest = chosen.order_by(chosen[TIME].desc(), chosen[EVENT_ID]).limit(SEARCHES_MAX)
    columns = (EVENT_NAME, SESSION, USER, VISITOR, TERM, ITEM, TIME, "request_id")
    rows: pl.DataFrame = newest.select(*columns).to_polars()
    day = pl.col(TIME).dt.date().cast(pl.String)
    person = pl.coalesce(USER, VISITOR) + " " + day
    return rows.with_columns(pl.coalesce(SESSION, person).alias(VISIT)).drop_nulls(VISIT)
