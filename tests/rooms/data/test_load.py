import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta

import polars as pl
import pytest

from shopkeeper import registry, schema
from shopkeeper.data.load import LoadSettings, load
from shopkeeper.errors import BadConfig, BadData
from shopkeeper.store.lake import Lake

# Ibis 12 calls what duckdb 2 renamed.
pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")

START = datetime(2011, 5, 1, 9, 30)
COLUMNS = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice",
           "CustomerID", "Country"]  # fmt: skip
DIRTY = [
    ("536365", "85123A", "WHITE HEART HOLDER", 6, START, 2.55, 17850, "France"),
    ("536365", "71053", "METAL LANTERN", 2, START, 3.39, 17850, "France"),
    ("536365", "71053", "METAL LANTERN", 2, START, 3.39, 17850, "France"),
    ("536366", "85123A", "WHITE HEART HOLDER", 1, START + timedelta(days=70), 2.95, None, "Spain"),
    (
        "C536367",
        "85123A",
        "WHITE HEART HOLDER",
        -2,
        START + timedelta(days=2),
        2.55,
        17850,
        "France",
    ),
    ("536368", "POST", "POSTAGE", 1, START, 18.0, 12583, "France"),
    ("536369", "22139", "damaged", -3, START, 0.0, None, 'say "x"\\'),
    ("536370", "71053", "METAL LANTERN", 80_995, START, 3.39, 17850, "France"),
]


def _write(path, rows=DIRTY):
    pl.DataFrame(rows, schema=COLUMNS, orient="row").write_parquet(path)
    return path


def _source():
    return registry.build("data.sources", "online_retail")


def _state(lake):
    keys = {"events": "event_id", "products": "id", "quarantine": "line"}
    return {
        name: lake.table(name).to_polars().drop("load", strict=False).sort(key).to_dicts()
        for name, key in keys.items()
    }


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake", memory_mb=300, threads=1)


def test_a_dirty_file_becomes_sound_tables_and_every_refused_row_has_a_reason(tmp_path, lake):
    done = load(_source(), _write(tmp_path / "retail.parquet"), lake, source_name="gifts")
    events = lake.table("events").to_polars()
    schema.check(events, schema.EVENTS, "events")
    assert sorted(events["event_id"]) == [
        "uci-536365-000001", "uci-536365-000002", "uci-536366-000001", "uci-C536367-000001",
    ]  # fmt: skip
    refund = events.filter(pl.col("event_name") == "refund").to_dicts()[0]
    assert (refund["transaction_id"], refund["session_id"]) == ("536365", "C536367")
    refused = lake.table("quarantine").to_polars().filter(pl.col("table") == "events").sort("line")
    assert refused["line"].to_list() == [3, 6, 7, 8]
    assert refused["reason"].null_count() == 0
    assert set(refused["source"]) == {"gifts"}
    rows = [json.loads(row) for row in refused["row"]]
    assert rows[2]["country"] == 'say "x"\\'
    assert rows[2]["title"] == "damaged"
    counts = {row["table"]: row for row in done.quality["rows"].to_dicts()}
    assert counts["events"] == {"table": "events", "rows_in": 8, "kept": 4, "refused": 4}
    mended = dict(done.quality["mended"].select("what", "rows").rows())
    assert {what: num for what, num in mended.items() if num} == {
        "kept without a shopper": 1, "refund matched to its purchase": 1,
    }  # fmt: skip


def test_products_get_the_price_of_their_last_days_and_unsold_ones_have_none(tmp_path, lake):
    rows = [*DIRTY, ("9", "22000", "RED BOWL", 1, START, 0.0, 5, "France")]
    load(_source(), _write(tmp_path / "retail.parquet", rows), lake)
    products = {row["id"]: row for row in lake.table("products").to_polars().to_dicts()}
    assert products["85123A"]["price_minor"] == 295
    assert products["85123A"]["availability"] == "in_stock"
    assert (products["22000"]["price_minor"], products["22000"]["availability"]) == (
        None,
        "out_of_stock",
    )
    assert set(products) == {"85123A", "71053", "22000"}
    older = Lake(tmp_path / "older", memory_mb=300, threads=1)
    load(_source(), tmp_path / "retail.parquet", older, settings=LoadSettings(price_days=100))
    prices = dict(older.table("products").to_polars().select("id", "price_minor").rows())
    assert prices["85123A"] == 275


def test_a_rerun_changes_nothing_and_says_so(tmp_path, lake):
    file = _write(tmp_path / "retail.parquet")
    first = load(_source(), file, lake)
    before = {path: path.stat().st_mtime_ns for path in lake.folder.rglob("*.parquet")}
    manifest = (lake.folder / "manifest.json").read_bytes()
    again = load(_source(), file, Lake(lake.folder, threads=1))
    assert again.unchanged
    assert not first.unchanged
    assert again.load_id == first.load_id
    assert again.quality["refused"].equals(first.quality["refused"])
    assert {path: path.stat().st_mtime_ns for path in lake.folder.rglob("*.parquet")} == before
    assert (lake.folder / "manifest.json").read_bytes() == manifest
    assert not load(_source(), file, lake, settings=LoadSettings(price_days=9)).unchanged


def test_a_longer_export_adds_only_what_is_new(tmp_path, lake):
    load(_source(), _write(tmp_path / "may.parquet", DIRTY[:3]), lake)
    longer = load(_source(), _write(tmp_path / "june.parquet"), lake)
    assert longer.rows["events"] == 2
    whole = Lake(tmp_path / "whole", threads=1)
    load(_source(), tmp_path / "june.parquet", whole)
    assert _state(lake)["events"] == _state(whole)["events"]


def test_a_forgotten_shopper_stays_forgotten_after_a_rerun(tmp_path, lake):
    file = _write(tmp_path / "retail.parquet")
    load(_source(), file, lake)
    assert lake.forget("17850") == 5
    assert load(_source(), file, lake).unchanged
    assert "17850" not in str(_state(lake))


def test_a_file_without_one_sound_event_is_refused_as_a_whole(tmp_path, lake):
    with pytest.raises(BadData, match="None of the 2 events"):
        load(_source(), _write(tmp_path / "retail.parquet", DIRTY[5:7]), lake)
    assert lake.counts()["events"] == 0
    with pytest.raises(BadData, match="no file"):
        load(_source(), tmp_path / "nothing.parquet", lake)


def test_settings_of_checks_reach_them_and_wrong_ones_are_named(tmp_path, lake):
    file = _write(tmp_path / "retail.parquet")
    lax = LoadSettings(checks={"quantities": {"pieces_max": 100_000}}, skip=("duplicates",))
    assert load(_source(), file, lake, settings=lax).rows["events"] == 6
    with pytest.raises(BadConfig, match="Did you mean 'pieces_max'"):
        load(_source(), file, lake, settings=LoadSettings(checks={"quantities": {"piece_max": 1}}))


LOADER = """
import sys
from pathlib import Path
from shopkeeper import registry
from shopkeeper.data.load import load
from shopkeeper.store.lake import Lake
print("ready", flush=True)
source = registry.build("data.sources", "online_retail")
load(source, Path(sys.argv[1]), Lake(Path(sys.argv[2]), threads=1))
"""


def _many(path, num_days=150):
    rows = [
        (str(600_000 + day * 10 + n), f"{20_000 + n}", f"MUG {n}", 1 + n,
            START + timedelta(days=day),
         1.5 + n, 100 + day % 7, "France")
        for day in range(num_days) for n in range(8)
    ]  # fmt: skip
    return _write(path, rows)


@pytest.mark.parametrize("moment", [0.5, "writing"])
def test_a_killed_load_leaves_the_old_state_and_the_next_equals_an_undisturbed_one(
    tmp_path, moment
):
    first, second = (
        _write(tmp_path / "first.parquet", DIRTY[:2]),
        _many(tmp_path / "second.parquet"),
    )
    folder = tmp_path / "lake"
    load(_source(), first, Lake(folder, threads=1))
    before = _state(Lake(folder, threads=1))
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", LOADER, str(second), str(folder)],
        stdout=subprocess.PIPE, cwd=os.getcwd(),
    )  # fmt: skip
    child.stdout.readline()
    if moment == "writing":
        while child.poll() is None and not (folder / ".staging").exists():
            time.sleep(0.001)
    else:
        time.sleep(moment)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    after = Lake(folder, threads=1)
    assert _state(after) == before or len(after.loads()) == 2
    load(_source(), second, after)
    calm = Lake(tmp_path / "calm", threads=1)
    load(_source(), first, calm)
    load(_source(), second, calm)
    assert _state(after) == _state(calm)
    files = {str(path.relative_to(folder)) for path in folder.rglob("*.parquet")}
    manifest = json.loads((folder / "manifest.json").read_text())
    live = {e["file"] for entries in manifest["tables"].values() for e in entries}
    assert live <= files
    assert not (folder / ".staging").exists()


def _log(path, *rows):
    """A CSV of events for the source `mapped`, each given as (id, item, hour)."""
    lines = ["event_id,event_name,time,user_id,item_id,price,quantity"]
    lines += [f"{id},purchase,2024-01-01 {hour:02}:00:00,ann,{item},5,1" for id, item, hour in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def _mapped():
    return registry.build("data.sources", "mapped", table="events", currency="EUR")


def test_files_of_a_folder_are_loaded_as_they_come(tmp_path, lake):
    exports = tmp_path / "exports"
    _log(exports / "jan" / "day.csv", ("a", "mug", 1))
    _log(exports / "feb" / "day.csv", ("b", "cup", 2), ("c", "", 3))
    first = load(_mapped(), exports, lake, source_name="log")
    assert first.rows["events"] == 2
    held = lake.table("quarantine").to_polars().select("file", "line").rows()
    assert held == [("feb/day.csv", 2)]
    assert load(_mapped(), exports, lake, source_name="log").unchanged
    _log(exports / "mar" / "day.csv", ("d", "mug", 4), ("a", "mug", 1))
    third = load(_mapped(), exports, lake, source_name="log")
    assert third.rows["events"] == 1
    assert len(lake.loads()) == 2
    assert lake.counts()["events"] == 3


def test_other_rules_replace_what_the_same_files_brought(tmp_path, lake):
    exports = tmp_path / "exports"
    _log(exports / "one.csv", ("a", "mug", 1), ("b", "fee", 2))
    _log(exports / "two.csv", ("c", "fee", 3))
    load(_mapped(), exports, lake, source_name="log")
    _log(exports / "three.csv", ("d", "mug", 4))
    strict = LoadSettings(checks={"codes": {"never": "fee"}})
    with pytest.raises(BadData, match="None of the 1 events"):
        load(_mapped(), exports / "two.csv", lake, source_name="other", settings=strict)
    load(_mapped(), exports, lake, source_name="log", settings=strict)
    assert lake.table("events").to_polars()["event_id"].sort().to_list() == ["a", "d"]
    assert len(lake.loads()) == 2
    load(_mapped(), exports, lake, source_name="log")
    assert lake.counts()["events"] == 4
    assert lake.counts()["quarantine"] == 0


def test_a_strict_load_stops_before_anything_is_published(tmp_path, lake):
    file = _log(
        tmp_path / "log.csv", *((f"e{n}", "mug" if n % 10 else "fee", 1) for n in range(40))
    )
    rules = {"codes": {"never": "fee", "share_max": 0.05}}
    with pytest.raises(
        BadData, match=r"The check 'codes' refuses 10.0% .* 5.0% is allowed"
    ) as error:
        load(_mapped(), file, lake, settings=LoadSettings(checks=rules, strict=True))
    assert "\n" not in str(error.value)
    assert lake.counts() == Lake(tmp_path / "none").counts()
    rules["codes"]["share_max"] = 0.1
    load(_mapped(), file, lake, settings=LoadSettings(checks=rules, strict=True))
    assert lake.counts()["events"] == 36
    verdicts = load(_mapped(), file, lake, settings=LoadSettings(checks=rules, strict=True))
    row = verdicts.quality["thresholds"].row(0, named=True)
    assert (row["check"], row["rows"], row["verdict"]) == ("codes", 4, "ok")


def test_a_full_load_removes_products_that_the_feed_lacks(tmp_path, lake):
    file = tmp_path / "feed.csv"
    source = registry.build("data.sources", "mapped", table="products", currency="EUR")
    file.write_text("id,title,price\na,Red mug,5\nb,Blue cup,6\n")
    load(source, file, lake, source_name="feed")
    file.write_text("id,title,price\nb,Blue cup,7\n")
    load(source, file, lake, source_name="feed")
    assert lake.counts()["products"] == 2
    load(source, file, lake, source_name="feed", settings=LoadSettings(full=True))
    assert lake.table("products").to_polars().select("id", "price_minor").rows() == [("b", 700)]
