"""What a web shop may send, and what it is told when it is wrong."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopkeeper import schema
from shopkeeper.errors import BadRequest
from shopkeeper.streaming.events import normalise

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def event(**changes):
    return {"event_name": "view_item", "visitor_id": "v1", "items": [{"item_id": "p1"}]} | changes


def one(**changes):
    return normalise([event(**changes)], NOW, currency="EUR")[0]


def test_an_event_becomes_one_row_per_item_with_every_column():
    rows = normalise(
        [
            {
                "name": "purchase",
                "event_id": "e1",
                "user_id": 17850,
                "time": "2026-05-01T11:00:00+02:00",
                "transaction_id": "t1",
                "currency": "eur",
                "value": 7.5,
                "items": [
                    {"item_id": "p1", "quantity": 2, "price": 2.55, "coupon": "SPRING"},
                    {"item_id": "p2", "quantity": "1", "price": "2.40", "index": 0},
                ],
            }
        ],
        NOW,
    )
    assert [row["item_id"] for row in rows] == ["p1", "p2"]
    assert all(list(row) == list(schema.EVENTS) for row in rows)
    assert [row["price_minor"] for row in rows] == [255, 240]
    assert [row["quantity"] for row in rows] == [2, 1]
    assert {row["event_id"] for row in rows} == {"e1"}
    assert rows[0]["user_id"] == "17850"
    assert rows[0]["currency"] == "EUR"
    assert rows[0]["time"] == datetime(2026, 5, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("currency", "price", "minor"), [("JPY", 120, 120), ("KWD", 1.234, 1234), ("GBP", 0.1, 10)]
)
def test_prices_follow_the_exponent_of_their_currency(currency, price, minor):
    assert one(currency=currency, items=[{"item_id": "p", "price": price}])["price_minor"] == minor


@pytest.mark.parametrize(
    "time", [1_777_636_800_000, 1_777_636_800_000_000, "2026-05-01T12:00:00Z", "2026-05-01 12:00"]
)
def test_time_may_be_text_milliseconds_or_microseconds(time):
    assert one(time=time)["time"] == NOW


def test_a_flat_item_and_nested_params_are_understood():
    flat = {"event_name": "view_item", "visitor_id": "v", "item_id": "p9", "quantity": 3}
    nested = {"name": "search", "visitor_id": "v", "params": {"search_term": "tea"}}
    rows = normalise([flat, nested], NOW)
    assert (rows[0]["item_id"], rows[0]["quantity"]) == ("p9", 3)
    assert (rows[1]["search_term"], rows[1]["item_id"]) == ("tea", None)


def test_an_event_twice_in_a_batch_counts_once_and_ids_are_made_where_they_lack():
    rows = normalise([event(event_id="a"), event(event_id="a"), event(), event()], NOW)
    assert len({row["event_id"] for row in rows}) == len(rows) == 3


BAD = [
    ({"event_name": "veiw_item"}, "event_name", "view_item"),
    ({"event_name": None}, "event_name", "event_name"),
    ({"event_name": 7.5}, "event_name", "text"),
    ({"visitor_id": None}, "visitor_id", "user_id or a visitor_id"),
    ({"visitor_id": " "}, "visitor_id", "user_id or a visitor_id"),
    ({"visitor_id": "x" * 201}, "visitor_id", "201"),
    ({"visitor_id": "a\0b"}, "visitor_id", "Unicode"),
    ({"visitor_id": "\ud800"}, "visitor_id", "Unicode"),
    ({"user_id": True}, "user_id", "text"),
    ({"user_id": ["x"]}, "user_id", "text"),
    ({"event_id": "x" * 201}, "event_id", "201"),
    ({"search_term": "x" * 501}, "search_term", "501"),
    ({"event_name": "search"}, "search_term", "search_term"),
    ({"time": "2026-05-01T12:06:00Z"}, "time", "future"),
    ({"time": "9999-12-31T23:59:59Z"}, "time", "future"),
    ({"time": "0000-01-01T00:00:00Z"}, "time", "not a time"),
    ({"time": "0001-01-01T00:00:00+23:00"}, "time", "not a time"),
    ({"time": 1_777_636_800}, "time", "1990"),
    ({"time": float("nan")}, "time", "not a time"),
    ({"time": float("inf")}, "time", "not a time"),
    ({"time": 10**400}, "time", "not a time"),
    ({"time": True}, "time", "not a time"),
    ({"time": {"a": 1}}, "time", "not a time"),
    ({"currency": "euros"}, "currency", "three letters"),
    ({"value": float("nan")}, "value", "finite"),
    ({"items": {}}, "items", "list"),
    ({"items": []}, "items", "at least one item"),
    ({"items": [3]}, "items[0]", "object"),
    ({"items": [{}]}, "items[0].item_id", "item_id"),
    ({"items": [{"item_id": "gone"}]}, "items[0].item_id", "no product 'gone'"),
    ({"items": [{"item_id": "p1"}, {"item_id": "p1", "quantity": 0}]}, "items[1].quantity", "1 to"),
    ({"items": [{"item_id": "p1", "quantity": -3}]}, "items[0].quantity", "-3"),
    ({"items": [{"item_id": "p1", "quantity": 1.5}]}, "items[0].quantity", "1.5"),
    ({"items": [{"item_id": "p1", "quantity": 10**9}]}, "items[0].quantity", "1,000,000"),
    ({"items": [{"item_id": "p1", "price": float("nan")}]}, "items[0].price", "finite"),
    ({"items": [{"item_id": "p1", "price": float("inf")}]}, "items[0].price", "finite"),
    ({"items": [{"item_id": "p1", "price": "12,50"}]}, "items[0].price", "number"),
    ({"items": [{"item_id": "p1", "price": -1}]}, "items[0].price", "from 0"),
    ({"items": [{"item_id": "p1", "price": 1e300}]}, "items[0].price", "from 0"),
    ({"items": [{"item_id": "p1", "price": 9e11}]}, "items[0].price", "too large"),
    ({"items": [{"item_id": "p1", "index": -1}]}, "items[0].index", "0 to"),
    ({"items": [{"item_id": "p1", "coupon": "x" * 300}]}, "items[0].coupon", "300"),
]


@pytest.mark.parametrize(("changes", "field", "words"), BAD, ids=[str(bad)[:60] for bad in BAD])
def test_every_mistake_names_its_field_and_refuses_the_batch(changes, field, words):
    with pytest.raises(BadRequest) as caught:
        normalise([event(), event(**changes)], NOW, {"p1"}.__contains__, currency="EUR")
    assert caught.value.field == f"events[1].{field}"
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_price_without_any_currency_is_refused():
    with pytest.raises(BadRequest, match="currency"):
        normalise([event(items=[{"item_id": "p1", "price": 1}])], NOW)


@pytest.mark.parametrize("batch", [[], [event()] * 1001, "view_item", {"a": 1}, ["text"]])
def test_a_batch_that_is_no_list_of_events_is_refused(batch):
    with pytest.raises(BadRequest, match=r".") as caught:
        normalise(batch, NOW)
    assert caught.value.field.startswith("events")


def test_unknown_products_pass_only_where_they_are_allowed():
    def nothing(_):
        return False

    assert normalise([event()], NOW, nothing, allow_unknown=True)[0]["item_id"] == "p1"
    with pytest.raises(BadRequest, match="no product"):
        normalise([event()], NOW, nothing)


def test_a_message_never_repeats_who_it_was():
    with pytest.raises(BadRequest) as caught:
        normalise([event(user_id="anna@example.org", event_name="buy")], NOW)
    assert "anna" not in str(caught.value)


def test_a_clock_four_minutes_fast_is_taken():
    assert one(time=(NOW + timedelta(minutes=4)).isoformat())["time"] > NOW


LEAF = st.sampled_from([None, True, -1, 10**30, 1.5, float("nan"), "", "tea", "\0", "茶", "1e999"])
JSON = LEAF | st.lists(LEAF, max_size=2) | st.dictionaries(st.sampled_from("ab"), LEAF, max_size=2)
FIELDS = ["event_name", "event_id", "time", "user_id", "visitor_id", "items", "item_id", "currency"]


@given(
    st.lists(st.dictionaries(st.sampled_from([*FIELDS, "value", "params"]), JSON), max_size=3),
    st.lists(
        st.dictionaries(st.sampled_from(["item_id", "quantity", "price", "index"]), JSON),
        max_size=3,
    ),
)
def test_whatever_comes_is_rows_or_a_named_mistake(events, items):
    rows, field = [], "events"
    try:
        rows = normalise([*events, event(items=items)], NOW, currency="EUR")
    except BadRequest as error:
        field = error.field
    assert field.startswith("events")
    assert all(list(row) == list(schema.EVENTS) for row in rows)
    json.dumps([row | {"time": row["time"].isoformat()} for row in rows], allow_nan=False)
