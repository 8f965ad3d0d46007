from datetime import UTC, datetime, timedelta

import ibis
import polars as pl
import pytest

from shopkeeper import registry, schema
from shopkeeper.data import cleaning
from shopkeeper.data.descriptions import is_note
from shopkeeper.errors import BadConfig

# Ibis 12 calls what duckdb 2 renamed.
pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")

START = datetime(2024, 1, 1, tzinfo=UTC)


def _events(*changes, **columns):
    """Sound purchases by Ann of product i in basket ti, with the given changes."""
    rows = [
        {
            "line": i + 1, "event_id": f"e{i}", "event_name": "purchase",
            "time": START + timedelta(hours=i), "user_id": "ann", "transaction_id": f"t{i}",
            "item_id": "10001", "quantity": 2, "price_minor": 250, "title": "RED MUG",
        } | columns | change
        for i, change in enumerate(changes)
    ]  # fmt: skip
    shape = schema.EVENTS | {"line": pl.Int64, "title": pl.String}
    names = [*rows[0]]
    return pl.DataFrame(rows, schema={name: shape[name] for name in names})


@pytest.fixture
def backend():
    return ibis.duckdb.connect(threads=1)


def _clean(backend, events, *checks):
    done = cleaning.clean(backend, {"events": ibis.memtable(events)}, checks)
    refused = done.refused["events"].to_polars().sort("line")
    return dict(refused.rows()), done.kept["events"].to_polars().sort("line")


def _refused(backend, events, name, **settings):
    return _clean(backend, events, registry.build("data.checks", name, **settings))[0]


@pytest.mark.parametrize("name", registry.names("data.checks"))
def test_every_check_keeps_sound_rows_and_survives_no_rows_and_nulls(name, backend):
    check = registry.build("data.checks", name)
    assert isinstance(check, cleaning.Refuses | cleaning.Mends)
    assert set(check.tables) <= set(schema.TABLES)
    if "events" in check.tables:
        sound = _events({}, {}, {})
        refused, kept = _clean(backend, sound, check)
        assert refused == {}
        assert kept.select(sound.columns).equals(sound)
        assert _clean(backend, sound.clear(), check)[0] == {}
        nulls = sound.with_columns(
            pl.lit(None, dtype).alias(column)
            for column, dtype in sound.schema.items()
            if column != "line"
        )
        refused, kept = _clean(backend, nulls, check)
        assert len(refused) + kept.height == 3


def test_rows_without_ids_or_with_unknown_names_are_refused(backend):
    events = _events({}, {"item_id": None}, {"event_id": ""}, {"event_name": "pruchase"},
                     {"event_name": "search", "item_id": None}, {"item_id": "x" * 300})  # fmt: skip
    reasons = _refused(backend, events, "ids")
    assert reasons == {
        2: "item_id is missing", 3: "event_id is missing",
        4: "the event has an unknown name", 6: "item_id is too long",
    }  # fmt: skip


def test_times_that_cannot_be_are_refused(backend):
    events = _events({}, {"time": None}, {"time": datetime(2031, 1, 1, tzinfo=UTC)},
                     {"time": datetime(1970, 1, 1, tzinfo=UTC)})  # fmt: skip
    reasons = _refused(backend, events, "times", now="2030-01-01T00:00:00")
    assert list(reasons) == [2, 3, 4]
    assert "future" in reasons[3]
    assert "before 1990" in reasons[4]
    assert list(_refused(backend, events, "times", now="2032-01-01")) == [2, 4]


def test_fees_are_refused_by_list_and_by_pattern(backend):
    codes = ["POST", "m", "BANK CHARGES", "gift_0001_20", "DCGSSGIRL", "85123A", "22139"]
    events = _events(*({"item_id": code} for code in codes))
    assert list(_refused(backend, events, "codes")) == [1, 2, 3]
    assert list(_refused(backend, events, "codes", pattern=r"^\d{5}")) == [1, 2, 3, 4, 5]
    with pytest.raises(BadConfig, match="pattern"):
        registry.build("data.checks", "codes", pattern="(")


def test_notes_on_unpaid_lines_are_refused_and_paid_lines_stay(backend):
    events = _events({"title": "damaged", "price_minor": 0}, {"title": "damaged"},
                     {"title": None, "price_minor": 0}, {"title": "?? lost",
                         "price_minor": None})  # fmt: skip
    assert list(_refused(backend, events, "notes")) == [1, 4]


@pytest.mark.parametrize(
    ("words", "note"),
    [
        ("?", True), ("???missing", True), ("damaged", True), ("Damaged", True), ("CHECK", True),
        ("wrongly coded 20713", True), ("Sold as 1 on dotcom", True),
            ("POSSIBLE DAMAGES OR LOST?", True),
        ("SET OF 6 SOLDIER SKITTLES", False), ("CHECKERED BAG", False), ("TEST TUBE VASE", False),
        ("FRENCH BLUE METAL DOOR SIGN No", False), ("Dr. Jam's Arouzer Stress Ball", False),
        ("FOUND OBJECTS FRAME", False), ("Next Day Carriage", False),
    ],
)  # fmt: skip
def test_notes_are_told_from_names(words, note, backend):
    rows = ibis.memtable(pl.DataFrame({"words": [words]}))
    assert backend.to_polars(rows.select(note=is_note(rows.words)))["note"][0] is note


def test_prices_missing_zero_or_absurd_are_refused(backend):
    changes = [{}] * 5 + [{"price_minor": value} for value in (None, 0, -5, 24_000, 26_000)]
    reasons = _refused(backend, _events(*changes), "prices")
    assert list(reasons) == [6, 7, 8, 10]
    assert "absurd" in reasons[10]
    assert list(_refused(backend, _events(*changes), "prices", times_usual_max=50.0)) == [
        6,
        7,
        8,
        9,
        10,
    ]
    assert 10 not in _refused(backend, _events(*changes), "prices", sales_min=20)


def test_quantities_missing_negative_or_absurd_are_refused(backend):
    events = _events(
        {}, {"quantity": None}, {"quantity": -3}, {"quantity": 80_995}, {"quantity": 4800}
    )
    assert list(_refused(backend, events, "quantities")) == [2, 3, 4]


def test_exact_duplicates_lose_all_but_the_first_and_near_ones_stay(backend):
    same = {"transaction_id": "t", "time": START}
    events = _events(same, same, same | {"quantity": 3}, same | {"user_id": None},
                     same | {"user_id": None}, same | {"title": "BLUE MUG"},
                         {"event_id": "e0"})  # fmt: skip
    reasons = _refused(backend, events, "duplicates")
    assert reasons == {
        2: "the line is an exact duplicate", 5: "the line is an exact duplicate",
        7: "the event_id came before",
    }  # fmt: skip
    assert list(_refused(backend, events, "duplicates", equal_lines=False)) == [7]


def test_nobody_is_kept_without_an_id(backend):
    events = _events({}, {"user_id": "GUEST"}, {"user_id": None})
    check = registry.build("data.checks", "shoppers")
    assert _clean(backend, events, check)[1]["user_id"].to_list() == ["ann", None, None]


def test_refunds_find_the_purchase_they_take_back(backend):
    refund = {"event_name": "refund", "transaction_id": "C9"}
    events = _events(
        {"quantity": 5}, {"quantity": 1}, refund | {"quantity": 4}, {"quantity": 9},
        refund | {"quantity": 1, "user_id": "bob"}, refund | {"quantity": 20},
        refund | {"quantity": 1, "user_id": None},
    )  # fmt: skip
    check = registry.build("data.checks", "cancellations")
    kept = _clean(backend, events, check)[1]
    assert kept["transaction_id"].to_list() == ["t0", "t1", "t0", "t3", None, "t3", None]
    short = registry.build("data.checks", "cancellations", days_max=1)
    late = events.with_columns(pl.col("time") + pl.duration(days=2 * pl.col("line")))
    assert _clean(backend, late, short)[1]["transaction_id"][2] is None


def test_products_without_a_name_are_refused(backend):
    rows = pl.DataFrame(
        {"line": [1, 2, 3, 4], "id": list("abcd"), "title": ["茶杯", None, "- ?", "7up"]}
    )
    check = registry.build("data.checks", "titles")
    done = cleaning.clean(backend, {"products": ibis.memtable(rows)}, [check])
    assert done.refused["products"].to_polars()["line"].sort().to_list() == [2, 3]


def test_a_row_is_refused_by_the_first_reason_alone(backend):
    events = _events({"item_id": "POST", "price_minor": 0, "quantity": -1}, {})
    done = cleaning.clean(backend, {"events": ibis.memtable(events)}, cleaning.build_checks({}, ()))
    assert done.refused["events"].to_polars().rows() == [
        (1, "the code is a fee or a note, not a product")
    ]


def test_unknown_checks_and_settings_are_named_with_the_nearest():
    with pytest.raises(BadConfig, match="Did you mean 'prices'"):
        cleaning.build_checks({"price": {}}, ())
    with pytest.raises(BadConfig, match="Did you mean 'notes'"):
        cleaning.build_checks({}, ("note",))
    with pytest.raises(BadConfig, match="pieces_max"):
        cleaning.build_checks({"quantities": {"pieces_max": 0}}, ())
