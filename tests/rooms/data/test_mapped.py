"""Tables of any shop by a mapping: exact rows, times, money, ids, and what cannot be read."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import ibis
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shopkeeper import registry, schema
from shopkeeper.errors import BadConfig, BadData

SAMPLES = Path(__file__).parents[2] / "samples" / "mapped"
ORDERS = ["order=transaction_id", "who=user_id", "at=time", "what=item_id", "n=quantity",
          "each=price"]  # fmt: skip


def read(file, **config):
    source = registry.build("data.sources", "mapped", **config)
    backend = ibis.duckdb.connect(threads=1)
    ((table, rows),) = source.read(backend, source.files(file)).items()
    assert table == config.get("table", "events")
    return rows.to_polars().sort("line")


def said(rows, *columns):
    """What the rows say, nulls left out."""
    names = columns or [name for name in rows.columns if name != "event_id"]
    return [
        {k: v for k, v in row.items() if v is not None} for row in rows.select(names).to_dicts()
    ]


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def orders(file, **config):
    return read(file, map=ORDERS, event_name="purchase", **config)


def column(tmp_path, word, values, **config):
    """Read one column of words from a CSV."""
    needed = {"products": {"id": "x", "title": "t"}, "reviews": {"item_id": "x", "text": "t"}}
    rows = {**needed.get(config["table"], {}), word: values}
    pl.DataFrame(rows).write_csv(tmp_path / "one.csv")
    return read(tmp_path / "one.csv", **config)


def test_orders_of_a_german_till_are_read_to_the_last_word():
    rows = read(
        SAMPLES / "bestellungen.csv",
        map=["Bestellnr=transaction_id", "Kundennr=user_id", "Datum=time", "Artikelnr=item_id",
             "Menge=quantity", "Einzelpreis=price", "Art=event_name"],
        events=["kauf=purchase", "RÜCKGABE=refund"],
        time_zone="Europe/Berlin", decimal_comma=True, currency="EUR",
    )  # fmt: skip
    first = {
        "line": 1, "event_name": "purchase", "time": utc(2024, 10, 26, 7, 30), "user_id": "17850",
        "transaction_id": "1001", "item_id": "A1", "quantity": 2, "price_minor": 129_900,
        "currency": "EUR",
    }  # fmt: skip
    third = first | {"line": 3, "time": utc(2024, 10, 28, 8, 30), "transaction_id": "1002",
                     "item_id": "A2", "quantity": 1, "price_minor": 1999}  # fmt: skip
    del third["user_id"]
    last = first | {"line": 6, "time": utc(2024, 10, 31, 23, 15), "transaction_id": "1005",
                    "event_name": "refund", "user_id": "17852", "item_id": "A3", "quantity": 1,
                    "price_minor": 500}  # fmt: skip
    unread = {
        "line": 4, "user_id": "17851", "transaction_id": "1003", "item_id": "A2",
        "currency": "EUR", "raw_time": "gestern", "raw_quantity": "viele", "raw_price": "gratis",
        "raw_event_name": "geschenkt",
    }  # fmt: skip
    bad = {"line": 5, "problem": "the row has fewer values than the file has columns"}
    found = said(rows)
    found[4].pop("currency")
    assert found == [first, first | {"line": 2}, third, unread, bad, last]


def test_events_of_one_log_may_write_their_times_in_many_ways():
    rows = read(
        SAMPLES / "events.jsonl",
        map=["user=user_id", "product=item_id", "action=event_name", "ts=time", "n=quantity",
             "query=search_term", "paid=price", "order=transaction_id"],
        currency="EUR",
    )  # fmt: skip
    assert rows["event_name"].to_list() == ["view_item", "add_to_cart", "search", None, "purchase"]
    assert rows["time"].to_list() == [
        utc(2023, 11, 14, 22, 13, 20),
        utc(2023, 11, 14, 22, 14, 20, 123_000),
        utc(2023, 11, 14, 22, 20),
        None,
        utc(2023, 11, 14, 22, 30),
    ]
    assert rows["user_id"].to_list() == ["u1", "u1", "u1", None, "2"]
    assert rows["quantity"].to_list() == [None, 2, None, None, 2]
    assert rows["price_minor"].to_list() == [None, None, None, None, 350]
    assert rows["search_term"][2] == "green tea"
    assert rows["problem"].is_not_null().to_list() == [False, False, False, True, False]


def test_products_keep_what_has_no_word_in_attributes():
    rows = read(
        SAMPLES / "products.csv", table="products", currency="GBP",
        map=["SKU=id", "Name=title", "Special Price=sale_price", "Stock=availability",
             "Colour=color"],
    )  # fmt: skip
    tea = {
        "line": 1, "id": "A1", "title": "Tea", "price_minor": 350, "currency": "GBP",
        "availability": "in_stock", "color": "green",
        "attributes": '{"Origin": "Japan", "Weight": "100 g"}',
    }  # fmt: skip
    cup = {
        "line": 2, "id": "A2", "title": "Cup, blue", "price_minor": 129_900, "color": "blue",
        "sale_price_minor": 99_900, "currency": "GBP", "availability": "out_of_stock",
    }  # fmt: skip
    pot = {"line": 3, "id": "A3", "title": "Pot", "price_minor": 1250, "currency": "EUR",
           "raw_availability": "soon"}  # fmt: skip
    assert said(rows) == [tea, cup, pot]


def test_reviews_are_brought_to_five_stars_and_impossible_ones_are_null():
    rows = read(
        SAMPLES / "reviews.tsv", table="reviews", rating_max=10,
        map=["product=item_id", "stars=rating", "body=text", "when=time", "reviewer=user_id"],
    )  # fmt: skip
    assert rows["rating"].to_list() == [5.0, 1.0, None]
    assert rows["raw_rating"].to_list() == [None, None, "11"]
    assert rows["time"].to_list() == [utc(2024, 2, 3), utc(2024, 2, 3), None]
    assert rows["raw_time"][2] == "2024-02-30"
    assert rows["text"].to_list() == ['Good "tea"', None, "Too good"]
    assert rows["review_id"].n_unique() == 3


def test_a_wide_table_of_shoppers_becomes_a_row_an_attribute():
    rows = read(SAMPLES / "shoppers.csv", table="shoppers",
                map=["Customer ID=user_id", "Age band=age"])  # fmt: skip
    assert said(rows) == [
        {"line": 1, "user_id": "1", "attribute": "age", "value": "65+"},
        {"line": 2, "user_id": "1", "attribute": "City", "value": "Rome"},
        {"line": 4, "user_id": "2", "attribute": "City", "value": "Paris"},
        {"line": 5, "attribute": "age",
         "problem": "the row has fewer values than the file has columns"},
    ]  # fmt: skip


def test_a_long_table_of_shoppers_stays_as_it_is(tmp_path):
    (tmp_path / "long.csv").write_text("user_id,Attribute,value\n7,age,65+\n")
    rows = read(tmp_path / "long.csv", table="shoppers")
    assert said(rows) == [{"line": 1, "user_id": "7", "attribute": "age", "value": "65+"}]


def test_promotions_begin_and_end_on_the_days_of_the_shop():
    rows = read(
        SAMPLES / "promotions.csv", table="promotions", day_first=True, time_zone="Europe/Rome",
        map=["campaign=promotion_id", "sku=item_id", "starts_at=start", "ends_at=end",
             "code=coupon"],
    )  # fmt: skip
    start = utc(2024, 1, 31, 23)
    assert said(rows) == [
        {"line": 1, "promotion_id": "C1", "item_id": "A1", "start": start,
         "end": utc(2024, 2, 29, 23), "coupon": "TEA10"},
        {"line": 2, "promotion_id": "C1", "item_id": "A2", "start": start},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "point", "comma"),
    [
        ("19.99", 1999, 1999), ("19,99 €", 1999, 1999), ("£3.50", 350, 350),
        ("1.299,00", 129_900, 129_900), ("$1,299.00", 129_900, 129_900),
        ("1,299", 129_900, 130), ("1.299", 130, 129_900), ("1 299,50 kr", 129_950, 129_950),
        ("CHF 1'299.50", 129_950, 129_950), ("Rs.500", 50_000, 50_000), ("-£3.50", -350, -350),
        ("(12.00)", -1200, -1200), ("19,-", 1900, 1900), ("1,29,999.00", 12_999_900, 12_999_900),
        ("0,500", 50, 50), ("0.125", 13, 13), ("1e3", 100_000, 100_000), (".5", 50, None),
        ("2 x 19.99", None, None), ("10-20", None, None), ("2 19.99", None, None),
        ("$.5", None, None), ("free", None, None), ("nan", None, None), ("1.2.3", None, None),
    ],
)  # fmt: skip
def test_prices_are_read_as_people_write_them(tmp_path, text, point, comma):
    for decimal_comma, pence in ((False, point), (True, comma)):
        rows = column(tmp_path, "price", [text], table="products", decimal_comma=decimal_comma)
        assert rows["price_minor"][0] == pence
        assert rows["raw_price"][0] == (None if pence is not None else text)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [("¥500", "JPY", 500), ("1.250 KWD", "KWD", 1250), ("5", "EUR", 500), ("€5", "EUR", 500),
     ("5 TTC", "EUR", 500)],
)  # fmt: skip
def test_a_price_may_name_its_currency_and_has_its_minor_units(tmp_path, text, currency, minor):
    own = currency if currency == "JPY" else "EUR"
    rows = column(tmp_path, "price", [text], table="products", currency=own)
    assert rows.select("currency", "price_minor").row(0) == (currency, minor)


def test_prices_may_be_pence_already(tmp_path):
    rows = column(tmp_path, "price", ["1299"], table="products", price_in_minor=True)
    assert rows["price_minor"][0] == 1299
    rows = column(tmp_path, "price_minor", ["1299"], table="products")
    assert rows["price_minor"][0] == 1299


def test_a_column_of_currencies_counts_before_the_settings(tmp_path):
    frame = pl.DataFrame({"id": ["a", "b"], "title": "t", "price": [5, 5], "Geld": ["JPY", None]})
    frame.write_csv(tmp_path / "p.csv")
    rows = read(tmp_path / "p.csv", table="products", map=["Geld=currency"], currency="EUR")
    assert rows.select("currency", "price_minor").rows() == [("JPY", 5), ("EUR", 500)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-07-01T10:00:00+02:00", utc(2024, 7, 1, 8)), ("2024-07-01", utc(2024, 6, 30, 22)),
        ("2024-07-01T10:00:00.123456Z", utc(2024, 7, 1, 10, 0, 0, 123_456)),
        ("2024-07-01 10:00:00 +0200", utc(2024, 7, 1, 8)), ("20240701", utc(2024, 6, 30, 22)),
        ("2024-07-01 10:00:00 UTC", utc(2024, 7, 1, 10)), ("2024/07/01 10:00", utc(2024, 7, 1, 8)),
        ("12/1/2010 8:26", utc(2010, 12, 1, 7, 26)), ("13/1/2010 8:26", None),
        ("1.12.2010 08:26", utc(2010, 12, 1, 7, 26)),
        ("12/1/2010 8:26 PM", utc(2010, 12, 1, 19, 26)),
        ("1719820800", utc(2024, 7, 1, 8)), ("1719820800000", utc(2024, 7, 1, 8)),
        ("1719820800000000", utc(2024, 7, 1, 8)), ("2020年1月2日", utc(2020, 1, 1, 23)),
        # The clock in Paris leaves 02:30 out in March, and shows it twice in October.
        ("2024-03-31 01:59:59", utc(2024, 3, 31, 0, 59, 59)),
        ("2024-03-31 02:30:00", utc(2024, 3, 31, 1, 30)),
        ("2024-03-31 03:00:00", utc(2024, 3, 31, 1)),
        ("2024-10-27 01:59:59", utc(2024, 10, 26, 23, 59, 59)),
        ("2024-10-27 02:30:00", utc(2024, 10, 27, 1, 30)),
        ("2024-10-27 03:00:00", utc(2024, 10, 27, 2)),
        ("yesterday", None), ("5", None), ("2024-13-01", None),
    ],
)  # fmt: skip
def test_times_are_read_as_tables_write_them(tmp_path, text, expected):
    rows = column(tmp_path, "time", [text], table="reviews", time_zone="Europe/Paris")
    assert rows["time"][0] == expected
    assert rows["raw_time"][0] == (None if expected else text)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    times=st.lists(
        st.datetimes(datetime(1991, 1, 1), datetime(2035, 1, 1)), min_size=1, max_size=9
    ),
    zone=st.sampled_from(["UTC", "Europe/London", "America/New_York", "Asia/Kolkata"]),
)
def test_local_times_agree_with_the_zones_of_python(tmp_path, times, zone):
    local = [time.replace(tzinfo=ZoneInfo(zone)) for time in times]
    # An hour that a clock shows twice or never has no one answer.
    sure = [t for t in local if t.utcoffset() == t.replace(fold=1).utcoffset()]
    texts = [time.replace(tzinfo=None).isoformat(sep=" ") for time in sure] + ["2024-01-01"]
    rows = column(tmp_path, "time", texts, table="reviews", time_zone=zone)
    assert rows["time"].to_list()[:-1] == [time.astimezone(UTC) for time in sure]


def _tables(draw):
    ids = st.text("ABCxyz019äß灯_-", min_size=1, max_size=8).filter(
        lambda word: word.lower() not in ("nan", "none", "null", "na")
    )
    start = datetime(2020, 1, 1)
    row = st.tuples(
        ids, ids, st.timedeltas(timedelta(0), timedelta(900)), ids, st.integers(1, 999),
        st.integers(1, 10**9),
    )  # fmt: skip
    rows = draw(st.lists(row, min_size=1, max_size=12))
    return [(o, w, start + age, i, n, pence) for o, w, age, i, n, pence in rows]


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.composite(_tables)())
def test_what_was_written_is_read_from_csv_parquet_and_json_lines_alike(tmp_path, rows):
    names = [pair.split("=")[0] for pair in ORDERS]
    frame = pl.DataFrame(rows, schema=names, orient="row")
    frame = frame.with_columns(
        pl.col("at").cast(pl.Datetime("us")), pl.format("{}.{}", pl.col("each") // 100,
        (pl.col("each") % 100).cast(pl.String).str.zfill(2)).alias("each"),
    )  # fmt: skip
    frame.write_csv(tmp_path / "o.csv")
    frame.write_parquet(tmp_path / "o.parquet")
    frame.with_columns(pl.col("at").dt.to_string()).write_ndjson(tmp_path / "o.jsonl")
    found = [orders(tmp_path / f"o.{kind}", currency="EUR") for kind in ("csv", "parquet", "jsonl")]
    for each in found:
        values = each.select(
            "transaction_id", "user_id", "time", "item_id", "quantity", "price_minor"
        ).rows()
        assert values == [(o, w, t.replace(tzinfo=UTC), i, n, p) for o, w, t, i, n, p in rows]
        assert each["event_id"].is_unique().all()
        assert each["event_id"].equals(found[0]["event_id"])
        assert each["line"].to_list() == list(range(1, len(rows) + 1))


def test_ids_that_are_made_stay_when_rows_come_again_in_another_file(tmp_path):
    frame = pl.DataFrame(
        {"order": ["1", "1", "2"], "who": "7", "at": datetime(2024, 1, 1), "what": "A", "n": 1,
         "each": 2.5}
    )  # fmt: skip
    frame.write_parquet(tmp_path / "a.parquet")
    frame[[2, 0, 1]].write_csv(tmp_path / "b.csv")
    first, again = orders(tmp_path / "a.parquet"), orders(tmp_path / "b.csv")
    assert first["event_id"].n_unique() == 3
    assert first["event_id"][1] == f"{first['event_id'][0]}-2"
    assert set(first["event_id"]) == set(again["event_id"])


def test_an_id_of_the_shop_counts_before_one_that_is_made(tmp_path):
    (tmp_path / "e.csv").write_text(
        "event_id,time,item_id,event_name\ne1,2024-01-01,A,view\n,2024-01-01,B,view\n"
    )
    made = read(tmp_path / "e.csv")["event_id"].to_list()
    assert made[0] == "e1"
    assert made[1].startswith("row-")


def test_columns_that_have_our_words_need_no_mapping_and_told_ones_count_first(tmp_path):
    (tmp_path / "p.csv").write_text("ID,sku,Title,brand\n7,A1,Tea,Acme\n")
    (row,) = said(read(tmp_path / "p.csv", table="products", map=["sku=id"]))
    assert row["id"] == "A1"
    assert row["attributes"] == '{"ID": "7"}'
    assert (row["title"], row["brand"]) == ("Tea", "Acme")


def test_several_files_are_numbered_apart(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text("time,item_id,event_name\n2024-01-01,A,view\n")
    lines = read(tmp_path)["line"].to_list()
    assert lines == [1, schema.LINES_PER_FILE + 1]


def test_typed_columns_of_parquet_are_read_as_they_are(tmp_path):
    pl.DataFrame(
        {"order": [1.0], "who": [17850], "at": [date(2024, 7, 1)], "what": [22], "n": [2.0],
         "each": [2.55]}
    ).write_parquet(tmp_path / "o.parquet")  # fmt: skip
    (row,) = said(orders(tmp_path / "o.parquet", time_zone="Europe/Paris"))
    assert row["time"] == utc(2024, 6, 30, 22)
    assert (row["transaction_id"], row["user_id"], row["item_id"]) == ("1", "17850", "22")
    assert (row["quantity"], row["price_minor"]) == (2, 255)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"table": "event"}, "table must be one of events"),
        ({"map": ["sku=idd"], "table": "products"}, "Did you mean 'id'"),
        ({"map": ["sku"]}, "map takes theirs=ours, but has 'sku'"),
        ({"map": "sku=item_id"}, "map must be a list"),
        ({"map": ["a=time", "b=time"]}, "two columns for 'time'"),
        ({"map": ["a=time", "a=item_id"]}, "names 'a' twice"),
        ({"events": ["seen=view"]}, "There is no word for events 'view'"),
        ({"event_name": "buy"}, "There is no event 'buy'"),
        ({"currency": "pounds"}, "currency must be a code"),
        ({"encoding": "klingon"}, "encoding must be one such as utf-8"),
        ({"time_zone": "Mars/Olympus"}, "time_zone must be one such as Europe/Paris"),
        ({"time_zone": "../etc/passwd"}, "time_zone must be one such as Europe/Paris"),
        ({"rating_max": 1}, "rating_max must exceed 1"),
    ],
)
def test_a_wrong_setting_is_named(config, says):
    with pytest.raises(BadConfig) as error:
        registry.build("data.sources", "mapped", **config)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({}, "No column of .* is known to be time"),
        ({"map": ["when=time"]}, "has no column 'when'"),
        ({"table": "products", "map": ["b=id"]}, "is known to be title"),
        ({"table": "shoppers"}, "is known to be user_id"),
        ({"table": "reviews", "map": ["b=item_id"]}, "is known to be rating or text"),
    ],
)
def test_a_column_that_lacks_is_named(tmp_path, config, says):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(BadData, match=says):
        read(tmp_path / "t.csv", **config)


def test_lists_in_a_column_that_is_mapped_are_refused(tmp_path):
    pl.DataFrame({"id": [["a"]], "title": ["t"]}).write_parquet(tmp_path / "p.parquet")
    with pytest.raises(BadData, match="not text, numbers or times"):
        read(tmp_path / "p.parquet", table="products")


def test_no_file_and_a_folder_without_tables_say_what_to_give(tmp_path):
    source = registry.build("data.sources", "mapped")
    with pytest.raises(BadData, match="Give a file"):
        source.files(None)
    with pytest.raises(BadData, match=r"has no file that ends in \.parquet or \.csv"):
        source.files(tmp_path)
