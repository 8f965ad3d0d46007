import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import ibis
import polars as pl
import pytest

from shopkeeper import registry, schema
from shopkeeper.data import cleaning
from shopkeeper.data.descriptions import is_note
from shopkeeper.data.workbench import Workbench
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


def _done(backend, rows, *checks, table="events", known=None):
    """Return refused reasons by line, kept rows, and how many rows each note counts."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Workbench(backend, Path(folder))
        raw = bench.keep("raw", ibis.memtable(rows))
        held = {} if known is None else {table: bench.keep("known", ibis.memtable(known))}
        done = cleaning.clean(bench, {table: raw}, checks, held)
        refused = done.refused[table].to_polars().sort("line")
        kept = done.kept[table].to_polars().sort("line")
        notes = {words: int(kept[f"mended_{i}"].sum()) for i, words in enumerate(done.notes[table])}
        return dict(refused.rows()), kept, notes


def _clean(backend, events, *checks, **more):
    return _done(backend, events, *checks, **more)[:2]


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
    fees = "post M bank-charges"
    assert list(_refused(backend, events, "codes")) == []
    assert list(_refused(backend, events, "codes", never=fees)) == [1, 2, 3]
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
    assert list(_clean(backend, rows, check, table="products")[0]) == [2, 3]


def test_a_row_is_refused_by_the_first_reason_alone(backend):
    events = _events({"item_id": "POST", "price_minor": 0, "quantity": -1}, {})
    refused = _clean(backend, events, *cleaning.build_checks({"codes": {"never": "POST"}}, ()))[0]
    assert refused == {1: "the code is a fee or a note, not a product"}


def test_unknown_checks_and_settings_are_named_with_the_nearest():
    with pytest.raises(BadConfig, match="Did you mean 'prices'"):
        cleaning.build_checks({"price": {}}, ())
    with pytest.raises(BadConfig, match="Did you mean 'notes'"):
        cleaning.build_checks({}, ("note",))
    with pytest.raises(BadConfig, match="pieces_max"):
        cleaning.build_checks({"quantities": {"pieces_max": 0}}, ())


def _products(*changes):
    rows = [
        {
            "line": i + 1, "id": f"p{i}", "title": f"Red mug number {i}", "description": None,
            "product_type": "Home > Mugs", "brand": "Acme", "price_minor": 500 + i,
            "currency": "EUR", "sale_price_minor": None,
        } | change
        for i, change in enumerate(changes)
    ]  # fmt: skip
    shape = schema.PRODUCTS | {"line": pl.Int64}
    return pl.DataFrame(rows, schema={name: shape[name] for name in rows[0]})


def _reviews(*changes):
    rows = [
        {
            "line": i + 1, "review_id": f"r{i}", "item_id": "p", "user_id": "ann",
            "time": START, "rating": 4.0, "title": "Good", "text": "I like it",
        } | change
        for i, change in enumerate(changes)
    ]  # fmt: skip
    shape = schema.REVIEWS | {"line": pl.Int64}
    return pl.DataFrame(rows, schema={name: shape[name] for name in rows[0]})


@pytest.mark.parametrize(
    ("name", "table"),
    [
        (name, table)
        for name in registry.names("data.checks")
        for table in ("products", "reviews")
        if table in registry.build("data.checks", name).tables
    ],
)
def test_every_check_keeps_sound_products_and_reviews_and_survives_nulls(name, table, backend):
    check = registry.build("data.checks", name)
    sound = _products({}, {}) if table == "products" else _reviews({}, {})
    refused, kept, _ = _done(backend, sound, check, table=table)
    assert refused == {}
    assert kept.select(sound.columns).equals(sound)
    assert _clean(backend, sound.clear(), check, table=table)[0] == {}
    nulls = sound.with_columns(
        pl.lit(None, dtype).alias(column)
        for column, dtype in sound.schema.items()
        if column != "line"
    )
    refused, kept = _clean(backend, nulls, check, table=table)
    assert len(refused) + kept.height == 2


def _visits(*rows):
    """Events given as (minutes, visitor, user, session), with every column a session needs."""
    moments = [
        {"time": START + timedelta(minutes=minutes), "visitor_id": visitor, "user_id": user,
         "session_id": session, "event_name": "view_item", "transaction_id": None}
        for minutes, visitor, user, session in rows
    ]  # fmt: skip
    return _events(*moments)


def test_a_pause_of_more_than_30_minutes_begins_a_session_whatever_the_order(backend):
    visits = _visits(
        (61, "v", None, None), (0, "v", None, None), (30, "v", None, None), (0, "w", None, None),
        (200, "v", None, "own"), (5, None, None, None),
    )  # fmt: skip
    _, kept, notes = _done(backend, visits, registry.build("data.checks", "sessions"))
    late, first, second, other, own, nobody = kept["session_id"]
    assert first == second
    assert len({first, late, other}) == 3
    assert own == "own"
    assert nobody is None
    assert notes == {"put into a session": 4}
    longer = registry.build("data.checks", "sessions", idle_minutes=60)
    assert len(set(_clean(backend, visits, longer)[1]["session_id"][:3])) == 1


def test_a_session_goes_on_where_the_load_before_stopped(backend):
    check = registry.build("data.checks", "sessions")
    whole = _visits((0, "v", None, None), (20, "v", None, None), (45, "v", None, None))
    at_once = _clean(backend, whole, check)[1]
    first = _clean(backend, whole[:2], check)[1]
    second = _clean(backend, whole[2:], check, known=first.select(whole.columns))[1]
    assert second["session_id"].to_list() == at_once["session_id"][2:].to_list()
    overlapping = _clean(backend, whole[1:], check, known=first.select(whole.columns))[1]
    assert overlapping["line"].to_list() == [2, 3]
    far = whole[2:].with_columns(pl.col("time") + timedelta(hours=3))
    apart = _clean(backend, far, check, known=first.select(whole.columns))[1]
    assert apart["session_id"][0] != at_once["session_id"][0]


def test_a_visitor_who_signed_in_is_that_shopper_and_a_shared_device_is_nobody(backend):
    visits = _visits(
        (0, "phone", None, None), (1, "phone", "ann", None), (2, "shared", None, None),
        (3, "shared", "bob", None), (4, "shared", "eve", None), (5, "new", None, None),
    )  # fmt: skip
    check = registry.build("data.checks", "visitors")
    _, kept, notes = _done(backend, visits, check)
    assert kept["user_id"].to_list() == ["ann", "ann", None, "bob", "eve", None]
    assert notes == {"visitor known as a shopper": 1}
    known = _visits((0, "new", "kim", None))
    assert _clean(backend, visits, check, known=known)[1]["user_id"][5] == "kim"
    apart = registry.build("data.checks", "visitors", merge=False)
    assert _clean(backend, visits, apart)[1]["user_id"][0] is None


def test_a_refund_finds_a_purchase_of_an_earlier_load(backend):
    known = _events({"time": START - timedelta(days=3), "transaction_id": "old"})
    refund = _events({"event_name": "refund", "transaction_id": None})
    check = registry.build("data.checks", "cancellations")
    assert _clean(backend, refund, check, known=known)[1]["transaction_id"].to_list() == ["old"]
    assert _clean(backend, refund, check)[1]["transaction_id"].to_list() == [None]


def test_events_that_come_late_are_counted_and_stay(backend):
    known = _events({"time": START + timedelta(days=9)})
    events = _events({}, {"time": START + timedelta(days=8, hours=12)})
    _, kept, notes = _done(backend, events, registry.build("data.checks", "late"), known=known)
    assert kept.height == 2
    assert notes == {"came late, and took its place": 1}


def test_money_without_a_currency_is_the_shops_and_strange_codes_are_refused(backend):
    events = _events({"currency": "eur "}, {"currency": None}, {"currency": "USD"},
                     {"currency": "Dollars"}, currency="EUR")  # fmt: skip
    check = registry.build("data.checks", "currencies", default="EUR")
    refused, kept, notes = _done(backend, events, check)
    assert refused == {4: "the currency is no code of ISO 4217"}
    assert kept["currency"].to_list() == ["EUR", "EUR", "USD"]
    assert notes == {"in another currency than the shop's": 1}


@pytest.mark.parametrize(
    ("came", "reads"),
    [
        ("<p>Fits <b>two</b>&nbsp;cups &amp; a spoon</p><script>alert(1)</script>",
         "Fits two cups & a spoon"),
        ("CafÃ© crÃ¨me â€“ 5â‚¬", "Café crème – 5€"),
        ("  a\t\tb \x00 c ", "a b c"),
        ("2 < 3 and 5 > 4", "2 < 3 and 5 > 4"),
        ("Château Ângelo, 100 Â°C", "Château Ângelo, 100 °C"),
        ("茶杯 🍵 &eacute;t&eacute;", "茶杯 🍵 été"),
        ("<style>p{}</style><br/>one<br>two<!-- note -->", "one two"),
        ("   ", None),
    ],
)  # fmt: skip
def test_texts_become_what_a_person_would_read(came, reads, backend):
    check = registry.build("data.checks", "texts")
    rows = _products({"description": came})
    kept = _clean(backend, rows, check, table="products")[1]
    assert kept["description"].to_list() == [reads]
    again = kept.select(rows.columns)
    assert _clean(backend, again, check, table="products")[1]["description"].to_list() == [reads]


def test_texts_stay_as_they_came_where_that_is_asked(backend):
    check = registry.build("data.checks", "texts", html=False, encoding=False)
    rows = _products({"description": "<b>CafÃ©</b>"})
    _, kept, notes = _done(backend, rows, check, table="products")
    assert kept["description"].to_list() == ["<b>CafÃ©</b>"]
    assert set(notes.values()) == {0}


def test_products_below_nothing_are_refused_and_a_sale_above_the_price_is_none(backend):
    rows = _products({"price_minor": -1}, {"sale_price_minor": 501}, {"sale_price_minor": 400},
                     {"price_minor": None})  # fmt: skip
    check = registry.build("data.checks", "product_prices")
    refused, kept, notes = _done(backend, rows, check, table="products")
    assert refused == {1: "the product's price is negative"}
    assert kept["sale_price_minor"].to_list() == [None, 400, None]
    assert notes == {"without a price": 1, "a sale price that is no sale": 1}


def test_products_with_the_same_words_are_counted_or_refused(backend):
    rows = _products(
        {"title": "Blue Steel Kettle", "price_minor": 900},
        {"title": "kettle, steel: BLUE", "price_minor": 900},
        {"title": "Blue Steel Kettle", "price_minor": 999}, {"title": "Kettle", "price_minor": 1},
        {"title": "kettle", "price_minor": 1},
    )  # fmt: skip
    counted = registry.build("data.checks", "near_duplicates")
    refused, kept, notes = _done(backend, rows, counted, table="products")
    assert (refused, kept.height) == ({}, 5)
    assert notes == {"looks like another product, and was kept": 1}
    strict = registry.build("data.checks", "near_duplicates", refuse=True)
    assert list(_clean(backend, rows, strict, table="products")[0]) == [2]


def test_reviews_off_the_scale_or_without_words_and_rating_are_refused(backend):
    rows = _reviews({}, {"rating": 0.0}, {"rating": 11.0}, {"rating": None},
                    {"rating": None, "text": " "})  # fmt: skip
    refused = _clean(backend, rows, registry.build("data.checks", "reviews"), table="reviews")[0]
    assert list(refused) == [2, 3, 5]
    strict = registry.build("data.checks", "reviews", words_only=False)
    assert list(_clean(backend, rows, strict, table="reviews")[0]) == [2, 3, 4, 5]
