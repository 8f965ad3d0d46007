import json
from datetime import datetime

import polars as pl
import pytest

from shopkeeper import registry
from shopkeeper.data import quarantine
from shopkeeper.data.cleaning import build_checks
from shopkeeper.data.load import load
from shopkeeper.data.quarantine import Chosen
from shopkeeper.errors import BadData
from shopkeeper.store.lake import Lake

# Ibis 12 calls what duckdb 2 renamed.
pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")

START = datetime(2011, 5, 1, 9, 30)
COLUMNS = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice",
           "CustomerID", "Country"]  # fmt: skip
ROWS = [
    ("536365", "85123A", "WHITE HEART HOLDER", 6, START, 2.55, 17850, "France"),
    ("536366", "71053", "METAL LANTERN", 20_000, START, 3.39, 17850, 'say "x"\\ 茶'),
    ("536367", "71053", "METAL LANTERN", 2, START, 0.0, None, "Spain"),
    ("536368", "POST", "POSTAGE", 1, START, 18.0, 12583, "France"),
]


def _file(path, rows=ROWS):
    pl.DataFrame(rows, schema=COLUMNS, orient="row").write_parquet(path)
    return path


@pytest.fixture
def lake(tmp_path):
    found = Lake(tmp_path / "lake", memory_mb=300, threads=1)
    source = registry.build("data.sources", "online_retail")
    load(source, _file(tmp_path / "may.parquet"), found, source_name="gifts")
    return found


def _reasons(lake, **chosen):
    found = quarantine.counts(lake, Chosen(**chosen))
    return dict(found.select("reason", "rows").iter_rows())


def _replay(lake, rows, **checks):
    asked = registry.find("data.sources", "online_retail").check_settings
    return quarantine.replay(lake, rows, build_checks(asked | checks, ()), "gifts")


def test_refused_rows_are_counted_and_shown_with_their_place(lake):
    assert sum(_reasons(lake, table="events").values()) == 3
    assert _reasons(lake, reason="ABOVE") == {"the quantity is above 10,000": 1}
    shown = quarantine.rows(lake, Chosen(reason="above"), 10).row(0, named=True)
    assert (shown["source"], shown["file"], shown["line"]) == ("gifts", "may.parquet", 2)
    assert json.loads(shown["row"])["country"] == 'say "x"\\ 茶'


def test_a_raised_threshold_lets_rows_in_and_the_rest_stays(lake):
    every = quarantine.rows(lake, Chosen(table="events"), 10)
    assert _replay(lake, every) == {"judged": 3, "accepted": 0, "refused": 3}
    before = _reasons(lake)
    done = _replay(lake, every, quantities={"pieces_max": 30_000})
    assert done == {"judged": 3, "accepted": 1, "refused": 2}
    events = lake.table("events").to_polars()
    late = events.filter(pl.col("event_id") == "uci-536366-000001").row(0, named=True)
    assert (late["quantity"], late["price_minor"], late["country"]) == (
        20_000, 339, 'say "x"\\ 茶',
    )  # fmt: skip
    assert late["time"].isoformat() == "2011-05-01T09:30:00+00:00"
    del before["the quantity is above 10,000"]
    assert _reasons(lake) == before
    assert quarantine.rows(lake, Chosen(reason="price"), 10)["line"].to_list() == [3]


def test_a_corrected_row_is_loaded_and_a_strange_one_is_named(lake):
    held = quarantine.rows(lake, Chosen(reason="price"), 10)
    row = held.select("table", "source", "file", "line", "row").row(0, named=True)
    row["row"] = json.loads(row["row"]) | {"price_minor": 250}
    fixed = quarantine.corrected(json.dumps(row) + "\n\n", held)
    assert _replay(lake, fixed)["accepted"] == 1
    assert 250 in lake.table("events").to_polars()["price_minor"].to_list()
    with pytest.raises(BadData, match="1 of the 1 corrected rows are not in quarantine"):
        quarantine.corrected(json.dumps(row | {"line": 99}), held)
    for text in ("no json", "[]", "{}", '{"row": 1}'):
        with pytest.raises(BadData, match="Line 1"):
            quarantine.corrected(text, held)


def test_a_corrected_file_takes_its_old_rows_out_of_quarantine(tmp_path, lake):
    source = registry.build("data.sources", "online_retail")
    right = [ROWS[0], (*ROWS[1][:3], 20, *ROWS[1][4:]), *ROWS[2:]]
    load(source, _file(tmp_path / "may.parquet", right), lake, source_name="gifts")
    assert "the quantity is above 10,000" not in _reasons(lake)
    assert lake.counts()["events"] == 2
    other = _file(tmp_path / "june.parquet", ROWS[1:2] + ROWS[:1])
    load(source, other, lake, source_name="gifts")
    assert _reasons(lake, table="events")["the quantity is above 10,000"] == 1
    assert len(_reasons(lake, table="events")) == 3
