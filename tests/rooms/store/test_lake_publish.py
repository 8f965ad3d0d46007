from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from shopkeeper.errors import ShopkeeperError
from shopkeeper.store.lake import Lake

START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake", memory_mb=300, threads=1)


def _events(*ids, day=0, user="ann"):
    return pl.DataFrame(
        [
            {"event_id": id, "event_name": "purchase", "time": START + timedelta(days=day),
             "user_id": user, "item_id": "a"}
            for id in ids
        ]
    )  # fmt: skip


def _products(**columns):
    return pl.DataFrame({"id": ["a", "b"], **columns})


def _rows(lake, table, *columns):
    return lake.table(table).to_polars().select(columns).sort(columns).rows()


def test_a_change_keeps_the_columns_that_it_does_not_bring(lake):
    whole = _products(title=["Mug", "Cup"], brand=["Acme", None], price_minor=[500, 600])
    lake.publish("one", {"products": whole}, {})
    change = pl.DataFrame({"id": ["b", "c"], "price_minor": [650, 700]})
    lake.publish("two", {"products": change}, {})
    assert _rows(lake, "products", "id", "title", "brand", "price_minor", "load") == [
        ("a", "Mug", "Acme", 500, "one"), ("b", "Cup", None, 650, "two"),
        ("c", None, None, 700, "two"),
    ]  # fmt: skip


def test_rows_that_a_load_drops_go_unless_it_brings_them(lake):
    first = _products(title=["Mug", "Cup"], input=["feed", "feed"])
    other = pl.DataFrame({"id": ["x"], "title": ["Pot"], "input": ["hand"]})
    lake.publish("one", {"products": first}, {})
    lake.publish("two", {"products": other}, {})
    lake.publish(
        "three", {"products": first[:1]}, {}, drop={"products": lambda rows: rows.input == "feed"}
    )
    assert _rows(lake, "products", "id") == [("a",), ("x",)]


def test_a_load_takes_the_place_of_an_earlier_one_also_after_compaction(lake):
    for number in range(4):
        lake.publish(f"load{number}", {"events": _events(f"e{number}", f"f{number}")}, {})
    assert lake.compact(files_max=3) == 1
    assert len(lake.files("events")) == 1
    assert lake.compact(files_max=3) == 0
    assert lake.counts()["events"] == 8
    lake.publish("again", {"events": _events("e1", "e2")}, {}, replaces=["load1", "load2"])
    assert [id for (id,) in _rows(lake, "events", "event_id")] == [
        "e0", "e1", "e2", "e3", "f0", "f3",
    ]  # fmt: skip
    assert set(lake.loads()) == {"load0", "load3", "again"}
    assert lake.forget("ann") == 6
    assert lake.counts()["events"] == 0


def test_a_log_of_many_chunks_lies_by_day_whole(lake, monkeypatch):
    monkeypatch.setattr("shopkeeper.store.lake.BATCH_ROWS", 7)
    monkeypatch.setattr("shopkeeper.store.lake.CHUNK_ROWS", 20)
    days = [_events(*(f"{day}-{n}" for n in range(9)), day=day) for day in (3, 0, 1, 2, 1_000)]
    rows = pl.concat(days).unique("event_id", maintain_order=True).sort("event_id")
    lake.publish("one", {"events": rows}, {})
    assert _rows(lake, "events", "event_id", "time") == sorted(
        rows.select("event_id", "time").rows()
    )
    folders = {path.parent.name for path in lake.files("events")}
    assert folders == {"2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04", "2026-09-27"}
    assert len(lake.files("events")) > 5


def test_reviews_that_a_load_brings_no_more_go_with_the_load_it_replaces(lake):
    reviews = pl.DataFrame({"review_id": ["r1", "r2"], "text": ["good", "bad"]})
    lake.publish("one", {"reviews": reviews, "events": _events("a")}, {})
    lake.publish("two", {"reviews": reviews[1:]}, {})
    lake.publish("three", {"events": _events("b")}, {}, replaces=["one"])
    assert _rows(lake, "reviews", "review_id") == [("r2",)]
    assert _rows(lake, "events", "event_id") == [("b",)]


def test_replace_puts_other_rows_in_a_table(lake):
    for kind in ("bots", "test_orders"):
        row = {"kind": [kind], "subject": ["user_id"], "id": ["ann"], "score": [1.0]}
        lake.replace("anomalies", pl.DataFrame(row))
    assert _rows(lake, "anomalies", "kind") == [("test_orders",)]
    lake.replace("anomalies", pl.DataFrame(row).clear())
    assert _rows(lake, "anomalies", "kind") == []


def test_one_load_works_at_a_time_and_leaves_nothing(lake):
    with lake.working() as folder:
        (folder / "rows.parquet").write_bytes(b"half")
        second = Lake(lake.folder).working()
        with pytest.raises(ShopkeeperError, match="Another process is loading"):
            second.__enter__()
    assert not folder.exists()
    (folder / "left").mkdir(parents=True)
    with lake.working() as folder:
        assert list(folder.iterdir()) == []


def test_what_was_unusual_of_a_shopper_is_forgotten_with_the_shopper(lake):
    rows = {"kind": ["bots"] * 2, "subject": ["user_id"] * 2, "id": ["ann", "bob"]}
    lake.replace("anomalies", pl.DataFrame(rows | {"user_id": ["ann", "bob"]}))
    assert lake.forget("ann") == 1
    assert _rows(lake, "anomalies", "id") == [("bob",)]
