"""The graph from files to bundles, made by hand and by a real load, and how it is drawn."""

import itertools
import re

import polars as pl
import pytest

from shopkeeper.data.lineage import graph
from shopkeeper.errors import BadConfig
from shopkeeper.pages.lineage import facts, lineage_html
from shopkeeper.schema import EVENTS
from shopkeeper.store.lake import Lake

pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")

NASTY = "<script>alert(1)</script>"


def load(source="invoices", files=("may.csv",), kept=90, refused=10, **more):
    rows = [{"table": "events", "rows_in": kept + refused, "kept": kept, "refused": refused}]
    return {
        "source": source,
        "inputs": {file: f"hash-of-{file}" for file in files},
        "code": "c0de",
        "checks": {"codes": {"pattern": "x"}},
        "skip": [],
        "rows": {"events": kept, "products": 7},
        "quality": {"rows": rows},
        "published": "2026-03-01T10:00:00+00:00",
        **more,
    }


def live(day, rows=3):
    return {"source": "live log", "rows": rows, "published": f"{day}T08:00:00+00:00"}


ROWS = {"events": 180, "products": 7, "quarantine": 20}


def nodes(found, kind):
    return [node for node in found["nodes"] if node["kind"] == kind]


def ways(found):
    return {(edge["from"], edge["to"]) for edge in found["edges"]}


def test_a_table_leads_back_to_the_files_with_code_checks_and_counts():
    found = graph({"a": load()}, ROWS)
    assert ways(found) == {
        ("file:may.csv:hash-of-may.csv", "load:a"),
        ("load:a", "table:events"),
        ("load:a", "table:products"),
        ("load:a", "table:quarantine"),
    }
    (made,) = nodes(found, "load")
    assert (made["rows_in"], made["refused"], made["code"]) == (100, 10, "c0de")
    assert made["checks"] == {"codes": {"pattern": "x"}}
    (refused,) = [e["rows"] for e in found["edges"] if e["to"] == "table:quarantine"]
    assert refused == 10
    assert {n["label"]: n["rows"] for n in nodes(found, "table")} == ROWS


def test_every_way_ends_at_a_node_even_where_a_table_lost_all_its_rows():
    found = graph({"a": load()}, {"events": 90}, [{"version": "v1", "loads": ["a"]}])
    ids = {node["id"] for node in found["nodes"]}
    assert {end for way in ways(found) for end in way} == ids
    assert {n["label"]: n["rows"] for n in nodes(found, "table")} == {
        "events": 90,
        "products": 0,
        "quarantine": 0,
    }


def test_one_table_shows_only_what_leads_to_it_and_from_it():
    loads = {"a": load(), "b": load("feed", ("feed.xml",), rows={"reviews": 5})}
    bundle = {"version": "v1", "loads": ["a", "b"]}
    found = graph(loads, ROWS, [bundle], table="reviews")
    assert [n["label"] for n in found["nodes"]] == ["feed", "feed.xml", "reviews"]
    assert ways(found) == {
        ("file:feed.xml:hash-of-feed.xml", "load:b"),
        ("load:b", "table:reviews"),
    }
    assert nodes(graph(loads, ROWS, [bundle], table="events"), "bundle")
    with pytest.raises(BadConfig, match="Did you mean 'events'"):
        graph(loads, ROWS, table="evnts")


def test_folds_of_the_live_log_are_one_load_a_day():
    loads = {f"live-{i}": live("2026-03-02" if i < 40 else "2026-03-03") for i in range(50)}
    loads["live-old"] = {"source": "live log", "rows": 4}
    found = {n["label"]: n for n in nodes(graph(loads, ROWS), "load")}
    assert list(found) == [
        "live log of 2026-03-02", "live log of 2026-03-03", "live log of unknown day"
    ]  # fmt: skip
    assert [len(n["loads"]) for n in found.values()] == [40, 10, 1]
    assert [n["kept"] for n in found.values()] == [120, 30, 4]


def test_a_bundle_says_how_many_of_the_loads_it_knew():
    loads = {"a": load(), "b": load(files=("june.csv",)), "live-1": live("2026-03-02"),
             "live-2": live("2026-03-02")}  # fmt: skip
    known = [{"version": "v1"}, {"version": "v2", "loads": ["a", "gone", "live-1"]},
             {"version": "v3", "loads": list(loads), "in_use": True}]  # fmt: skip
    first, second, third = nodes(graph(loads, ROWS, known), "bundle")
    assert "does not say" in facts(first)[0]
    assert facts(second) == ["learned from 2 of 4 loads"]
    assert facts(third) == ["in use", "learned from every load"]


def test_many_loads_of_an_input_are_told_as_one_but_no_row_is_lost():
    loads = {f"l{i}": load(files=(f"{i}.csv",)) for i in range(30)} | {"x": load("feed")}
    few, whole = graph(loads, ROWS, loads_max=5), graph(loads, ROWS)
    assert len(nodes(whole, "load")) == 31
    drawn = nodes(few, "load")
    assert len(drawn) == 7
    assert sum(n["kept"] for n in drawn) == sum(n["kept"] for n in nodes(whole, "load"))
    assert "25 earlier files" in [n["label"] for n in nodes(few, "file")]


def test_the_same_file_read_twice_is_one_file():
    found = graph({"a": load(), "b": load(code="other")}, ROWS)
    assert len(nodes(found, "file")) == 1
    assert len(nodes(found, "load")) == 2


def test_the_page_draws_every_node_and_edge_once_and_runs_nothing():
    loads = {"a": load(NASTY, (NASTY,)), "live-1": live("2026-03-02")}
    found = graph(loads, ROWS, [{"version": "v1", "loads": ["a"]}])
    page = lineage_html(found, title="Lineage")
    assert page.count("<rect") == len(found["nodes"])
    assert page.count("<path") == len(found["edges"])
    assert "<script" not in page
    assert not re.search(r"(src|href)\s*=", page)
    places = re.findall(r'<rect x="([\d.]+)" y="([\d.]+)"', page)
    assert len(set(places)) == len(places)


def test_lines_run_from_left_to_right_through_boxes_that_do_not_overlap():
    loads = {f"l{i}": load(f"s{i}", (f"{i}.csv", f"{i}-more.csv")) for i in range(6)}
    page = lineage_html(graph(loads, ROWS, [{"version": "v1"}]))
    for start, end in re.findall(r'd="M([\d.]+),[\d.]+ C.* ([\d.]+),[\d.]+"', page):
        assert float(start) < float(end)
    columns = {}
    for x, y in re.findall(r'<rect x="([\d.]+)" y="([\d.]+)"', page):
        columns.setdefault(x, []).append(float(y))
    assert [len(heights) for heights in columns.values()].count(12) == 1
    for heights in columns.values():
        ordered = sorted(heights)
        assert all(b - a >= 60 for a, b in itertools.pairwise(ordered))


def test_an_empty_lake_has_an_empty_graph_and_a_page():
    found = graph({}, {})
    assert found == {"nodes": [], "edges": []}
    assert "<h1>Lineage</h1>" in lineage_html(found)


def test_the_lake_says_when_each_load_was_published(tmp_path):
    lake = Lake(tmp_path / "lake", memory_mb=300, threads=1)
    rows = pl.DataFrame({"event_id": ["e1", "e2"], "event_name": "purchase"})
    rows = rows.with_columns(pl.lit("2026-03-01T08:00:00Z").str.to_datetime("%+", time_unit="us",
        time_zone="UTC").alias("time"))  # fmt: skip
    assert lake.append_events(rows.cast({"time": EVENTS["time"]})) == 2
    (made,) = nodes(graph(lake.loads(), lake.counts()), "load")
    assert re.fullmatch(r"live log of 20\d\d-\d\d-\d\d", made["label"])
    assert made["kept"] == 2
