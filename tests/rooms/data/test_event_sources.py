import gzip
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import ibis
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shopkeeper import registry, schema
from shopkeeper.data.load import load
from shopkeeper.data.sources import _events, _ga4, _records
from shopkeeper.errors import BadConfig, BadData
from shopkeeper.store.lake import Lake

# Ibis 12 calls what duckdb 2 renamed.
pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")

SAMPLES = Path(__file__).parents[2] / "samples"
SOURCES = ("ga4_bigquery", "ga4_json", "google_retail", "algolia")
FILES = {
    "ga4_bigquery": "events_20240301.jsonl",
    "ga4_json": "events.jsonl",
    "google_retail": "user_events.jsonl",
    "algolia": "insights.jsonl",
}
KEPT = {"ga4_bigquery": 12, "ga4_json": 9, "google_retail": 12, "algolia": 11}
VISIT = "1184217823.1709280001"


@pytest.fixture(scope="module")
def backend():
    return ibis.duckdb.connect(threads=2)


def _read(backend, name, location, table="events", **how):
    source = registry.build("data.sources", name, **how)
    rows = source.read(backend, source.files(Path(location)))[table].to_polars()
    return rows.sort("line")


def _told(rows):
    """Return what the sample folders tell of each row, as text."""
    shown = [name for name in rows.columns if not name.startswith("raw_")]
    return rows.select(pl.col(sorted(shown)).cast(pl.String))


def _write(path, lines):
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text(text + "\n", "utf-8")
    return path


def _event(name="view_item", *, item=None, **params):
    values = [{"key": key, "value": {"string_value": str(v)}} for key, v in params.items()]
    items = [] if item is None else item if isinstance(item, list) else [item]
    return {
        "event_name": name, "event_timestamp": "1709280001000000", "user_pseudo_id": "1.2",
        "event_params": values, "items": items,
    }  # fmt: skip


@pytest.mark.parametrize("name", SOURCES)
def test_every_row_of_a_sample_is_as_expected(backend, name):
    rows = _told(_read(backend, name, SAMPLES / name / FILES[name]))
    expected = pl.read_csv(SAMPLES / name / "expected.csv", infer_schema=False)
    assert rows.columns == expected.columns
    for got, wanted in zip(rows.to_dicts(), expected.to_dicts(), strict=True):
        assert got == wanted


@pytest.mark.parametrize("name", SOURCES)
def test_a_sample_becomes_events_in_the_lake_once_and_refuses_the_rest_with_its_line(
    tmp_path, name
):
    lake = Lake(tmp_path / "lake", threads=1)
    source = registry.build("data.sources", name)
    done = load(source, SAMPLES / name, lake)
    events = lake.table("events").to_polars()
    assert done.rows["events"] == events.height == KEPT[name]
    schema.check(events, schema.EVENTS, "events")
    refused = lake.table("quarantine").to_polars()
    lines = (SAMPLES / name / FILES[name]).read_text("utf-8").split("\n")
    cut = refused.filter(pl.col("reason") == _records.UNREADABLE)["line"].to_list()
    assert cut
    for line in cut:
        with pytest.raises((ValueError, AttributeError)):
            json.loads(lines[line - 1]).keys()
    assert set(refused["line"]) <= set(range(1, len(lines)))
    assert load(source, SAMPLES / name, lake).unchanged
    shutil.copytree(SAMPLES / name, tmp_path / "twice")
    for file in (tmp_path / "twice").glob("*.jsonl"):
        # Another file with the same events, one of them new.
        lines = [line for line in file.read_text("utf-8").split("\n")[1:] if line]
        file.rename(file.with_name("other.jsonl")).write_text("\n".join(lines), "utf-8")
    load(source, tmp_path / "twice", lake)
    assert lake.table("events").to_polars().height == KEPT[name]


@pytest.mark.parametrize("name", SOURCES)
def test_packed_and_listed_files_read_like_lines(backend, tmp_path, name):
    lines = (SAMPLES / name / FILES[name]).read_text("utf-8").split("\n")
    plain = _read(backend, name, SAMPLES / name)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    assert _read(backend, name, tmp_path / "a.jsonl.gz").equals(plain)
    sound = [line for line in lines if line.startswith("{") and line.endswith("}")]
    _write(tmp_path / "b.jsonl", sound)
    listed = tmp_path / "b.json"
    listed.write_text("[\n" + ",\n".join(sound) + "]", "utf-8")
    wide = tmp_path / "c.json"
    wide.write_text("\n".join(json.dumps(json.loads(line), indent=2) for line in sound), "utf-8")
    expected = _read(backend, name, tmp_path / "b.jsonl")
    assert _read(backend, name, listed).equals(expected)
    assert _read(backend, name, wide).equals(expected)


@pytest.mark.parametrize("name", SOURCES)
def test_a_file_that_is_no_export_is_one_clear_line(backend, tmp_path, name):
    harms = {
        "empty.json": b"", "words.json": b"this is not JSON\n", "list.json": b"[]",
        "numbers.jsonl": b"1\n2\n", "other.jsonl": b'{"colour": "red"}\n', "cut.json": b"[{",
        "half.json.gz": gzip.compress(b'{"a": 1}' * 9)[:20], "fake.parquet": b"PAR1 no",
        "table.csv": b"a,b\n1,2\n", "bytes.json": bytes(range(256)),
    }  # fmt: skip
    for file, content in harms.items():
        (tmp_path / file).write_bytes(content)
        with pytest.raises(BadData) as error:
            _read(backend, name, tmp_path / file)
        assert file in str(error.value)
        assert "\n" not in str(error.value)
    with pytest.raises(BadData, match="There is no file"):
        _read(backend, name, tmp_path / "none.json")
    with pytest.raises(BadData, match="none was given"):
        registry.build("data.sources", name).files(None)
    pl.DataFrame({"event_nam": ["a"], "eventTyp": ["a"]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(BadData, match="Is it '"):
        _read(backend, name, tmp_path / "b.parquet")


def test_a_list_that_breaks_in_its_middle_loads_nothing(tmp_path):
    good = json.dumps(_event(item={"item_id": "A"}))
    file = tmp_path / "events.json"
    file.write_text("[" + ",".join([good] * 400) + ',{"event_name": ', "utf-8")
    lake = Lake(tmp_path / "lake", threads=1)
    with pytest.raises(BadData, match=r"events\.json") as error:
        load(registry.build("data.sources", "ga4_bigquery"), file, lake)
    assert "\n" not in str(error.value)
    assert lake.loads() == {}


VALUE = pa.struct(
    [
        ("string_value", pa.string()), ("int_value", pa.int64()),
        ("float_value", pa.float64()), ("double_value", pa.float64()),
    ]
)  # fmt: skip
PARAMS = pa.list_(pa.struct([("key", pa.string()), ("value", VALUE)]))
ITEMS = pa.list_(
    pa.struct(
        [(n, pa.float64() if n == "price" else pa.int64() if n == "quantity" else pa.string())
         for n in (*_ga4.ITEM, "item_list_index") if n not in ("discount", "currency", "index")]
    )
)  # fmt: skip
EXPORT = pa.schema(
    [
        ("event_date", pa.string()), ("event_timestamp", pa.int64()), ("event_name", pa.string()),
        ("event_params", PARAMS), ("event_bundle_sequence_id", pa.int64()),
        ("user_id", pa.string()), ("user_pseudo_id", pa.string()),
        ("device", pa.struct([("category", pa.string()), ("language", pa.string())])),
        ("geo", pa.struct([("country", pa.string())])),
        ("traffic_source", pa.struct([(n, pa.string()) for n in ("name", "medium", "source")])),
        ("ecommerce", pa.struct([("transaction_id", pa.string())])), ("items", ITEMS),
        ("batch_ordering_id", pa.int64()), ("batch_event_index", pa.int64()),
    ]
)  # fmt: skip


def _typed(value, dtype):
    """Give a value of the export's JSON the type that it has in Parquet."""
    if value is None:
        return None
    if pa.types.is_struct(dtype):
        return {field.name: _typed(value.get(field.name), field.type) for field in dtype}
    if pa.types.is_list(dtype):
        return [_typed(one, dtype.value_type) for one in value]
    return int(value) if pa.types.is_integer(dtype) else value


def _parquet(path, events):
    rows = [{f.name: _typed(event.get(f.name), f.type) for f in EXPORT} for event in events]
    pq.write_table(pa.Table.from_pylist(rows, schema=EXPORT), path)
    return path


def test_the_export_as_parquet_and_as_json_lines_is_the_same(backend, tmp_path):
    events = []
    sample = SAMPLES / "ga4_bigquery" / FILES["ga4_bigquery"]
    for line in sample.read_text("utf-8").split("\n"):
        try:
            event = json.loads(line)
            events.append({k: v for k, v in event.items() if isinstance(event["device"], dict)})
        except (ValueError, KeyError):
            continue
    events = [event for event in events if event]
    assert len(events) == 13
    lines = _write(tmp_path / "a.jsonl", events)
    parquet = _parquet(tmp_path / "a.parquet", events)
    for table in ("events", "products"):
        one = _read(backend, "ga4_bigquery", lines, table, products=True)
        other = _read(backend, "ga4_bigquery", parquet, table, products=True)
        assert one.height > 3
        assert one.drop(pl.selectors.starts_with("raw_")).equals(
            other.select(one.columns).drop(pl.selectors.starts_with("raw_"))
        )


def test_a_parquet_without_some_columns_is_read_and_one_without_events_is_not(backend, tmp_path):
    whole = pq.read_table(_parquet(tmp_path / "a.parquet", [_event(item={"item_id": "A"})]))
    slim = ["event_name", "event_timestamp", "event_params", "items", "device"]
    part = whole.select(slim).set_column(4, "device", pa.array([7]))
    pq.write_table(part, tmp_path / "b.parquet")
    row = _read(backend, "ga4_bigquery", tmp_path / "b.parquet").to_dicts()[0]
    assert (row["item_id"], row["visitor_id"], row["device"]) == ("A", None, None)
    pq.write_table(whole.rename_columns(["x", *whole.column_names[1:]]), tmp_path / "c.parquet")
    assert _read(backend, "ga4_bigquery", tmp_path / "c.parquet").height == 1
    for harm in (whole.drop_columns(["items"]), whole.set_column(2, "event_name", [[["a"]]])):
        pq.write_table(harm, tmp_path / "d.parquet")
        with pytest.raises(BadData, match=r"d\.parquet"):
            _read(backend, "ga4_bigquery", tmp_path / "d.parquet")


def test_names_of_housekeeping_are_left_out_and_others_are_not(backend, tmp_path):
    events = [*map(_event, _ga4.LEFT_OUT), _event("spin"), _event("quiz"), _event("search")]
    file = _write(tmp_path / "a.jsonl", events)
    names = _read(backend, "ga4_bigquery", file)["event_name"].to_list()
    assert names == ["spin", "quiz", "search"]
    fewer = _read(backend, "ga4_bigquery", file, leave_out="spin quiz")
    assert fewer["event_name"].to_list() == ["search"]
    assert not set(_ga4.LEFT_OUT) & set(schema.EVENT_NAMES)


def test_a_day_without_shopping_loads_as_nothing(tmp_path):
    _write(tmp_path / "a.jsonl", [_event("page_view"), _event("scroll")])
    lake = Lake(tmp_path / "lake", threads=1)
    done = load(registry.build("data.sources", "ga4_bigquery"), tmp_path / "a.jsonl", lake)
    assert lake.counts()["events"] == done.rows.get("events", 0) == 0


def test_blank_lines_count_and_bytes_that_are_no_text_cost_one_line(backend, tmp_path):
    sound = json.dumps(_event(item={"item_id": "A"})).encode()
    lines = [b"", sound, b"  ", b"", sound.replace(b"A", b"\xff"), b"\t", sound, b'{"a', b"", sound]
    (tmp_path / "a.jsonl").write_bytes(b"\r\n".join(lines))
    rows = _read(backend, "ga4_bigquery", tmp_path / "a.jsonl")
    assert rows["line"].to_list() == [2, 5, 7, 8, 10]
    assert rows["problem"].is_null().to_list() == [True, False, True, False, True]
    assert rows["item_id"].to_list() == ["A", None, "A", None, "A"]


def test_lines_are_numbered_by_file_and_products_of_a_line_by_their_place(backend, tmp_path):
    items = [{"item_id": letter} for letter in "ABC"]
    for file in ("a.jsonl", "b.jsonl"):
        _write(tmp_path / file, [_event("search"), _event("view_item_list", item=items)])
    rows = _read(backend, "ga4_bigquery", tmp_path)
    places = [(0, 1), (0, 2), (1, 2), (2, 2)]
    expected = [
        (file * schema.LINES_PER_FILE + place * schema.LINES_MAX + line)
        for file in (0, 1)
        for place, line in places
    ]
    assert rows["line"].to_list() == expected
    assert rows["item_id"].to_list() == [None, "A", "B", "C"] * 2


def test_too_many_products_or_events_on_a_line_are_one_row_with_a_problem(backend, tmp_path):
    items = [{"item_id": str(n)} for n in range(_events.ITEMS_MAX + 1)]
    file = _write(tmp_path / "a.jsonl", [_event(item=items), _event(item=items[1:])])
    rows = _read(backend, "ga4_bigquery", file)
    assert rows.height == 1 + _events.ITEMS_MAX
    assert rows["problem"].drop_nulls().to_list() == ["the event has more than 200 products"]
    many = [{"name": "search", "search_term": str(n)} for n in range(_events.EVENTS_MAX + 1)]
    file = _write(tmp_path / "b.jsonl", [{"events": many}, {"events": many[1:]}])
    rows = _read(backend, "ga4_json", file)
    assert rows.height == 1 + _events.EVENTS_MAX
    assert rows["line"].is_unique().all()
    assert rows["problem"].drop_nulls().to_list() == ["the line holds more than 50 events"]


def test_an_id_is_of_the_event_alone_and_events_that_differ_differ(backend, tmp_path):
    item = {"item_id": "A", "price": 2, "quantity": "1", "item_list_id": "home"}
    changes = [
        {"event_name": "select_item"}, {"event_timestamp": "1709280001000001"},
        {"user_pseudo_id": "1.3"}, {"user_id": "x"}, {"event_bundle_sequence_id": 7},
        {"batch_event_index": 2}, {"event_params": _event(search_term="x")["event_params"]},
        {"ecommerce": {"transaction_id": "t"}},
        *({"items": [item | {name: "3"}]} for name in item), {"items": [item, item]},
    ]  # fmt: skip
    events = [_event(item=item) | change for change in ({}, *changes)]
    rows = _read(backend, "ga4_bigquery", _write(tmp_path / "a.jsonl", events))
    ids = rows.sort("line")["event_id"].to_list()
    # The last event has two products, the first of which is as in the first event.
    assert len(set(ids)) == len(ids) - 1 == len(changes) + 1
    again = _read(
        backend, "ga4_bigquery", _write(tmp_path / "b.jsonl", events[::-1]), currency="JPY"
    )
    assert set(again["event_id"]) == set(ids)


@pytest.mark.parametrize(
    ("currency", "price", "minor"),
    [
        ("EUR", 19.99, 1999), ("jpy", "1200", 1200), ("KWD", 1.2345, 1235), (None, 5, 500),
        ("dollars", 5, 500), ("EUR", "0.004", 1), ("EUR", 0, 0), ("EUR", "free", None),
        ("EUR", "1e300", None), ("EUR", "nan", None), ("EUR", None, None), ("EUR", -2, -200),
    ],
)  # fmt: skip
def test_money_counts_in_the_smallest_unit_of_its_currency(
    backend, tmp_path, currency, price, minor
):
    said = {} if currency is None else {"currency": currency}
    event = _event("purchase", item={"item_id": "A", "price": price, "quantity": 1}, **said)
    file = _write(tmp_path / "a.jsonl", [event])
    row = _read(backend, "ga4_bigquery", file, currency="USD").to_dicts()[0]
    assert row["price_minor"] == minor
    known = currency is not None and len(currency) == 3
    assert row["currency"] == (currency.upper() if known else "USD")


@pytest.mark.parametrize(
    ("name", "quantity", "pieces"),
    [
        ("purchase", None, 1), ("purchase", "", 1), ("purchase", "many", None), ("refund", -3, 3),
        ("refund", "-1e12", None), ("refund", -(2**31), None), ("purchase", -3, -3),
        ("purchase", "2.0", 2), ("view_item", None, None), ("add_to_cart", [2], None),
    ],
)  # fmt: skip
def test_pieces_are_one_where_nothing_is_said_and_null_where_it_is_nonsense(
    backend, tmp_path, name, quantity, pieces
):
    file = _write(tmp_path / "a.jsonl", [_event(name, item={"item_id": "A", "quantity": quantity})])
    assert _read(backend, "ga4_bigquery", file)["quantity"].to_list() == [pieces]


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (1709280001234567, "08:00:01.234567"), (1709280001234, "08:00:01.234"),
        ("1709280001234", "08:00:01.234"), ("2024-03-01T09:00:01+01:00", "08:00:01"),
        ("2024-03-01T08:00:01", "08:00:01"), ("2024-03-01 08:00:01.1234567Z", "08:00:01.123456"),
        ("infinity", None), ("soon", None), (-5, None), (10**18, None), (True, None), ({}, None),
    ],
)  # fmt: skip
def test_times_are_epochs_or_iso_with_their_offset(backend, tmp_path, time, expected):
    file = _write(tmp_path / "a.jsonl", [{"name": "search", "timestamp_micros": time}])
    found = _read(backend, "ga4_json", file)["time"].to_list()[0]
    wanted = expected and datetime.fromisoformat(f"2024-03-01T{expected}").replace(tzinfo=UTC)
    assert found == wanted


def test_products_of_items_are_as_their_latest_event_names_them(backend, tmp_path):
    def seen(second, **item):
        event = _event("view_item", item={"item_id": "A", "price": second, **item}, currency="EUR")
        return event | {"event_timestamp": str(1709280000000000 + second * 10**6)}

    events = [
        seen(2, item_name="New", item_brand="B", item_category="Home", item_category2="Mugs"),
        seen(1, item_name="Old"), seen(3), seen(4, item_name="(not set)"),
    ]  # fmt: skip
    file = _write(tmp_path / "a.jsonl", events)
    assert set(registry.build("data.sources", "ga4_bigquery").read(backend, [file])) == {"events"}
    found = _read(backend, "ga4_bigquery", file, "products", products=True).to_dicts()
    assert len(found) == 1
    assert found[0] | {"updated": None, "line": None} == {
        "id": "A", "title": "New", "brand": "B", "product_type": "Home > Mugs", "price_minor": 200,
        "currency": "EUR", "availability": "in_stock", "updated": None, "line": None,
    }  # fmt: skip
    lake = Lake(tmp_path / "lake", threads=1)
    load(registry.build("data.sources", "ga4_bigquery", products=True), file, lake)
    assert lake.table("products").to_polars()["title"].to_list() == ["New"]


@pytest.mark.parametrize("name", ["google_retail", "algolia"])
def test_revenue_is_shared_among_pieces_only_where_that_is_wanted(backend, name):
    for spread in (True, False):
        rows = _read(backend, name, SAMPLES / name, spread_revenue=spread)
        bought = rows.filter(pl.col("event_name") == "purchase", pl.col("item_id").is_not_null())
        unpriced = bought.filter(pl.col("raw_price").is_null())
        assert unpriced.height == 2
        assert unpriced["price_minor"].is_not_null().all() == spread
        assert bought.filter(pl.col("raw_price").is_not_null())["price_minor"].min() > 0


def test_a_conversion_means_what_the_settings_say(backend):
    rows = _read(backend, "algolia", SAMPLES / "algolia", conversion="like")
    assert rows.filter(pl.col("item_id") == "A9")["event_name"].to_list() == ["like"]
    with pytest.raises(BadConfig, match="conversion"):
        registry.build("data.sources", "algolia", conversion="sale")


@pytest.mark.parametrize("name", SOURCES)
def test_a_currency_that_is_none_is_refused(name):
    with pytest.raises(BadConfig, match="currency"):
        registry.build("data.sources", name, currency="pounds")


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
junk = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.tuples(words, words, words), min_size=1, max_size=5))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_texts_come_through_as_they_are(backend, tmp_path, texts):
    lines = [
        {"name": "search", "client_id": "v", "search_term": "x" + term + "x", "country": "c",
         "item_id": "i" + item, "params": {"coupon": coupon}}
        for term, item, coupon in texts
    ]  # fmt: skip
    rows = _read(backend, "ga4_json", _write(tmp_path / "a.jsonl", lines))
    assert rows["search_term"].to_list() == ["x" + term + "x" for term, _, _ in texts]
    assert rows["problem"].is_null().all()
    space = " \t\n\r\v\f"
    assert rows["item_id"].to_list() == [("i" + item).strip(space) for _, item, _ in texts]
    known = [coupon.strip(space) for _, _, coupon in texts]
    assert [coupon or "" for coupon in rows["coupon"].to_list()] == [
        "" if coupon in _events.UNSET else coupon for coupon in known
    ]


@pytest.mark.parametrize("name", SOURCES)
@given(data=st.data())
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_nothing_in_a_line_stops_a_load_or_moves_another(backend, tmp_path, name, data):
    lines = (SAMPLES / name / FILES[name]).read_text("utf-8").split("\n")
    sound = json.loads(lines[4])
    harmed = []
    for _ in range(data.draw(st.integers(1, 4))):
        event = dict(sound)
        for field in data.draw(st.lists(st.sampled_from(list(sound)), min_size=1, max_size=4)):
            event[field] = data.draw(junk)
        text = json.dumps(event)
        harmed.append(text[: data.draw(st.integers(1, len(text)))])
    file = _write(tmp_path / "a.jsonl", [lines[4], *harmed, lines[4]])
    rows = _read(backend, name, file)
    alone = _read(backend, name, _write(tmp_path / "b.jsonl", [lines[4]]))
    for line in (1, len(harmed) + 2):
        mine = rows.filter(pl.col("line") % schema.LINES_MAX == line)
        assert mine.drop("line").equals(alone.select(mine.columns).drop("line"))
    assert rows["line"].is_unique().all()
