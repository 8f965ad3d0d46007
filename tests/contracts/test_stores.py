import fcntl
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from shopkeeper import schema
from shopkeeper.errors import BadConfig, BadData, ShopkeeperError
from shopkeeper.store.lake import Lake

# Ibis 12 calls what duckdb 2 renamed.
pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")


def _events(ids, user="ann", day=1):
    start = datetime(2024, 1, day, 12, tzinfo=UTC)
    rows = pl.DataFrame(
        {
            "event_id": list(ids),
            "event_name": "purchase",
            "time": [start + timedelta(hours=8 * i) for i in range(len(ids))],
            "user_id": user,
            "item_id": "mug",
        }
    )
    return schema.conform(rows, schema.EVENTS)


def _products(**titles):
    rows = pl.DataFrame({"id": list(titles), "title": list(titles.values())})
    return schema.conform(rows, schema.PRODUCTS)


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake", memory_mb=300, threads=1)


def _ids(lake):
    return sorted(lake.table("events").select("event_id").to_polars()["event_id"])


@pytest.mark.parametrize("name", list(schema.TABLES))
def test_a_table_never_written_has_its_columns_and_no_rows(lake, name):
    rows = lake.table(name).to_polars()
    assert rows.height == 0
    schema.check(rows, schema.TABLES[name], name)


def test_rows_come_back_with_the_types_of_the_schema(lake):
    lake.publish("one", {"events": _events("abc"), "products": _products(mug="Mug")}, {"by": "me"})
    for name in ("events", "products"):
        rows = lake.table(name).to_polars()
        schema.check(rows, schema.TABLES[name], name)
    assert _ids(lake) == ["a", "b", "c"]
    assert lake.loads()["one"]["by"] == "me"
    assert lake.counts()["events"] == 3


def test_events_lie_by_day(lake):
    lake.publish("one", {"events": _events("abc")}, {})
    days = {path.parent.name for path in (lake.folder / "events").rglob("*.parquet")}
    assert days == {"2024-01-01", "2024-01-02"}


def test_known_events_are_not_added_again_and_the_latest_product_wins(lake):
    lake.publish("one", {"events": _events("ab"), "products": _products(mug="Mug", tea="Tea")}, {})
    tables = {"events": _events("bc"), "products": _products(mug="Blue Mug", jar="Jar")}
    assert lake.publish("two", tables, {})["events"] == 1
    assert _ids(lake) == ["a", "b", "c"]
    titles = dict(lake.table("products").select("id", "title").to_polars().rows())
    assert titles == {"mug": "Blue Mug", "tea": "Tea", "jar": "Jar"}


def test_appending_the_same_live_events_again_changes_nothing(lake):
    assert lake.append_events(_events("ab")) == 2
    version = (lake.folder / "manifest.json").read_text()
    assert lake.append_events(_events("ba")) == 0
    assert (lake.folder / "manifest.json").read_text() == version
    assert lake.append_events(_events("bc")) == 1
    assert lake.append_events(_events("")) == 0
    assert _ids(lake) == ["a", "b", "c"]


def test_forget_deletes_every_row_of_the_shopper_and_of_nobody_else(lake):
    ours = {"user_id": ["ann", "bob"], "attribute": "age", "value": "30"}
    refused = {
        "table": "events", "reason": "late", "source": "till", "line": [1, 2],
        "row": ['{"user": "ann"}', "{}"], "user_id": ["ann", None],
    }  # fmt: skip
    tables = {
        "events": pl.concat([_events("ab"), _events("cd", "bob"), _events("e", None)]),
        "shoppers": pl.DataFrame(ours),
        "quarantine": pl.DataFrame(refused),
    }
    lake.publish("one", tables, {})
    assert lake.forget("ann") == 4
    assert lake.forget("ann") == 0
    assert _ids(lake) == ["c", "d", "e"]
    assert lake.counts()["shoppers"] == lake.counts()["quarantine"] == 1
    kept = b"".join(path.read_bytes() for path in lake.folder.rglob("*.parquet"))
    assert b"ann" not in kept


def test_sql_in_names_and_ids_survives_unexecuted(lake):
    nasty = "x'; DROP TABLE events; --"
    rows = _events("a", nasty).with_columns(pl.lit(nasty).alias("item_id"))
    lake.publish("one", {"events": pl.concat([rows, _events("b")])}, {})
    assert lake.table("events").to_polars().sort("event_id")["item_id"][0] == nasty
    assert lake.forget("' OR '1'='1") == 0
    assert lake.forget(nasty) == 1


def test_a_half_written_file_is_named(lake):
    lake.publish("one", {"products": _products(mug="Mug")}, {})
    (file,) = (lake.folder / "products").rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(BadData, match=file.name):
        Lake(lake.folder).table("products")
    file.unlink()
    with pytest.raises(BadData, match=file.name):
        Lake(lake.folder).table("products")


def test_a_broken_manifest_and_an_unknown_table_are_clear_errors(lake):
    with pytest.raises(BadConfig, match="Did you mean 'events'"):
        lake.table("event")
    lake.folder.mkdir()
    (lake.folder / "manifest.json").write_text('{"version": 1, "tab')
    with pytest.raises(BadData, match=r"manifest\.json"):
        lake.table("events")


def test_two_writers_get_a_clear_error_and_the_state_stays(lake):
    lake.publish("one", {"events": _events("a")}, {})
    with (lake.folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ShopkeeperError, match="Another process is writing"):
            lake.publish("two", {"events": _events("b")}, {})
    assert _ids(lake) == ["a"]
    lake.publish("two", {"events": _events("b")}, {})
    assert _ids(lake) == ["a", "b"]


def test_leftovers_of_a_killed_write_are_never_read_and_swept_by_the_next(lake):
    lake.publish("one", {"events": _events("a")}, {})
    stray = lake.folder / "events" / "2024-01-01" / "stray.parquet"
    _events("z").write_parquet(stray)
    (lake.folder / ".staging" / "events").mkdir(parents=True)
    assert _ids(lake) == ["a"]
    lake.publish("two", {"events": _events("b")}, {})
    assert not stray.exists()
    assert _ids(lake) == ["a", "b"]
