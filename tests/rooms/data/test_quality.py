"""The tables of the quality report on small planted loads, and drift between two of them."""

import json
from datetime import UTC, datetime, timedelta

import ibis
import numpy as np
import polars as pl
import pytest

from shopkeeper import schema
from shopkeeper.data.cleaning import Cleaned
from shopkeeper.data.drift import stability_index
from shopkeeper.data.quality import from_json, quality, to_json

pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")

START = datetime(2024, 1, 1, 9, tzinfo=UTC)
GONE = pl.DataFrame(schema={"line": pl.Int64, "reason": pl.String})


def event(name, day=0, **more):
    return {"event_name": name, "time": START + timedelta(days=day), "price_minor": 250,
            "quantity": 1, "user_id": "ann", "session_id": "s1", "country": "France",
            "currency": "EUR", **more}  # fmt: skip


def events_table(rows):
    table = pl.DataFrame(rows, infer_schema_length=None).with_row_index("line", offset=1)
    return table.cast({"line": pl.Int64, "time": schema.UTC_TIME, "price_minor": pl.Int64})


def cleaned(refused=(), notes=None, **tables):
    """Split tables into kept and refused rows, as cleaning would."""
    done = Cleaned()
    for name, table in tables.items():
        mine = [(line, reason) for which, line, reason in refused if which == name]
        gone = pl.DataFrame(mine, schema=GONE.schema, orient="row")
        done.raw[name] = ibis.memtable(table)
        done.refused[name] = ibis.memtable(gone)
        done.kept[name] = ibis.memtable(table.join(gone, on="line", how="anti"))
        done.notes[name] = {}
    if notes:
        done.notes["events"] = {words: mark(done.kept["events"]) for words, mark in notes.items()}
    return done


def many(seed=0, days=28, per_day=200, **change):
    """A month of a shop whose shoppers and prices follow one distribution."""
    chance = np.random.default_rng(seed)
    rows = []
    for day in range(days):
        for _ in range(int(chance.poisson(per_day))):
            more = {
                "price_minor": int(chance.lognormal(6, 1)) + 1,
                "quantity": int(chance.geometric(0.4)),
                "country": str(chance.choice(["France", "Spain", "Italy"], p=[0.6, 0.3, 0.1])),
            }
            name = "view_item" if chance.random() < 0.8 else "purchase"
            rows.append(event(name, day, **more) | change)
    return events_table(rows)


def told(tables, name, key, value):
    return dict(tables[name].select(key, value).iter_rows())


def test_every_row_is_counted_once_kept_or_refused_and_the_first_of_a_reason_is_placed():
    rows = events_table([event("purchase") for _ in range(6)])
    second = schema.LINES_PER_FILE + 4
    rows = rows.with_columns(
        pl.when(pl.col("line") == 6).then(second).otherwise("line").alias("line")
    )
    refused = [("events", 2, "too dear"), ("events", 3, "too dear"), ("events", second, "no shop")]
    tables = quality(cleaned(refused, events=rows), files=["a.csv", "b.csv"])
    assert tables["rows"].to_dicts() == [{"table": "events", "rows_in": 6, "kept": 3, "refused": 3}]
    assert tables["refused"].select("reason", "rows", "file", "line").rows() == [
        ("too dear", 2, "a.csv", 2), ("no shop", 1, "b.csv", 4),
    ]  # fmt: skip
    assert tables["refused"]["share"].to_list() == pytest.approx([2 / 6, 1 / 6], abs=1e-6)


def test_days_tell_each_event_name_and_what_was_refused():
    rows = events_table([event("view_item"), event("purchase"), event("purchase", 2), event("odd")])
    tables = quality(cleaned([("events", 4, "unknown name")], events=rows))
    assert tables["days"].to_dicts() == [
        {"day": "2024-01-01", "before": 3, "after": 2, "purchase": 1, "view_item": 1},
        {"day": "2024-01-03", "before": 1, "after": 1, "purchase": 1, "view_item": 0},
    ]
    assert told(tables, "events", "event_name", "after") == {
        "purchase": 2, "view_item": 1, "unknown": 0,
    }  # fmt: skip


def test_the_funnel_counts_sessions_and_shoppers_once_at_each_step_and_leaves_out_the_rest():
    rows = events_table([
        event("search", session_id="a"), event("view_item_list", session_id="a"),
        event("view_item", session_id="a"), event("view_item", session_id="b", user_id=None,
            visitor_id="v"),
        event("like", session_id="c"), event("purchase", session_id="a", quantity=3),
        event("purchase", session_id="x", user_id="bob"),
    ])  # fmt: skip
    tables = quality(cleaned([("events", 7, "test traffic")], events=rows))
    assert tables["funnel"].drop("estimated").rows() == [
        ("searches and lists", 2, 1, 1), ("product views", 2, 2, 2), ("purchases", 1, 1, 1),
    ]  # fmt: skip


def test_large_loads_estimate_shoppers_and_say_so(monkeypatch):
    rows = events_table([event("purchase", user_id=f"u{i}") for i in range(500)])
    monkeypatch.setattr("shopkeeper.data.quality.EXACT_ROWS_MAX", 499)
    (step,) = quality(cleaned(events=rows))["funnel"].to_dicts()
    assert step["estimated"]
    assert 430 < step["shoppers"] < 570


@pytest.mark.parametrize(
    ("price", "start"),
    [(-5, 0), (0, 0), (1, 1), (2, 2), (4, 2), (5, 5), (9, 5), (10, 10), (19, 10), (999, 500),
     (1000, 1000), (1999, 1000), (2000, 2000), (999_999_999, 500_000_000),
     (10**9, 10**9), (10**17, 10**15)],
)  # fmt: skip
def test_bins_begin_at_one_two_and_five_of_each_power_of_ten(price, start):
    tables = quality(cleaned(events=events_table([event("purchase", price_minor=price)])))
    assert told(tables, "prices", "from", "before") == {start: 1}


def test_a_price_that_was_mended_moves_to_its_new_bin():
    rows = events_table([event("purchase", price_minor=25_000), event("purchase", price_minor=250)])
    done = cleaned(events=rows)
    done.kept["events"] = ibis.memtable(rows.with_columns(pl.lit(250).alias("price_minor")))
    assert quality(done)["prices"].rows() == [(200, 1, 2), (20_000, 1, 0)]


def test_missing_mended_and_ranges_are_counted_by_column():
    rows = events_table([
        event("purchase", user_id=None, price_minor=100, odd="x"),
        event("purchase", user_id=None, price_minor=900, odd="y"),
        event("purchase", price_minor=None, odd="z"),
        event("purchase", price_minor=70_000, odd=None),
    ])  # fmt: skip
    notes = {
        "without a shopper": lambda kept: kept.user_id.isnull(),
        "never": lambda kept: kept.user_id == "?",
    }
    tables = quality(cleaned([("events", 4, "too dear")], notes, events=rows))
    assert told(tables, "missing", "column", "share") == {"user_id": 0.5, "price_minor": 0.25}
    assert told(tables, "mended", "what", "rows") == {"without a shopper": 2, "never": 0}
    ends = {row["column"]: row for row in tables["ranges"].to_dicts()}["price_minor"]
    assert (ends["lowest"], ends["highest"], ends["highest_kept"]) == (100, 70_000, 900)
    assert ends["mean_kept"] == 500
    assert tables["columns"].filter(~pl.col("known"))["column"].to_list() == ["odd"]


def test_a_catalogue_alone_has_prices_and_categories_but_no_days():
    products = pl.DataFrame({
        "line": [1, 2, 3], "id": ["a", "b", "c"], "title": ["A", "B", None],
        "price_minor": [199, 5_000, None], "currency": ["EUR", "EUR", "EUR"],
        "product_type": ["Home > Lamps", "Home > Rugs > Wool", "Garden"],
    })  # fmt: skip
    tables = quality(cleaned([("products", 3, "no title")], products=products))
    assert "days" not in tables
    assert "funnel" not in tables
    assert tables["categories"].rows() == [("Home", 2)]
    assert tables["product_prices"].rows() == [(100, 1, 1), (5_000, 1, 1)]
    assert tables["currencies"].rows() == [("EUR", 2)]


def test_anomalies_are_counted_by_kind_and_nobody_is_named():
    found = pl.DataFrame(
        [("bots", "visitor_id", "v-17", 0.9, "visitor v-17 came", 40, START, START),
         ("bots", "visitor_id", "v-18", 0.7, "visitor v-18 came", 60, START, START)],
        schema=schema.ANOMALIES, orient="row",
    )  # fmt: skip
    tables = quality(cleaned(events=events_table([event("purchase")])), anomalies=found)
    assert tables["anomalies"].rows() == [("bots", "visitor_id", 2, 100, 0.9)]
    assert "v-17" not in json.dumps(to_json(tables))


def test_the_report_names_no_shopper():
    rows = events_table([event("purchase", user_id="ann@home.example") for _ in range(3)])
    tables = quality(cleaned([("events", 1, "too dear")], events=rows))
    assert "ann@home" not in json.dumps(to_json(tables))


def test_tables_survive_json_and_rows_that_begin_with_nothing():
    tables = quality(cleaned(events=many(days=3)), {})
    again = from_json(json.loads(json.dumps(to_json(tables))))
    for name, table in tables.items():
        assert again[name].to_dicts() == table.to_dicts(), name


def test_more_columns_need_no_more_passes(monkeypatch):
    asked = []
    whole = ibis.Table.to_polars
    monkeypatch.setattr(ibis.Table, "to_polars", lambda self: asked.append(1) or whole(self))

    def passes(**more):
        asked.clear()
        quality(cleaned(events=events_table([event("purchase", **more)])))
        return len(asked)

    few = passes()
    extra = {name: "x" for name in schema.EVENTS if name not in event("purchase")}
    assert passes(**extra) == few <= 8


def drifted(now, before, **refused):
    last = json.loads(json.dumps(to_json(quality(cleaned(**before)))))
    found = quality(cleaned(**now, **refused), last)["drift"]
    return {row["what"]: row for row in found.to_dicts()}


def verdicts(found):
    return {what: row["verdict"] for what, row in found.items() if row["verdict"] != "ok"}


def test_a_first_load_has_no_drift():
    assert quality(cleaned(events=many(days=8)))["drift"].is_empty()


def test_the_next_month_of_the_same_shop_is_fine():
    found = drifted({"events": many(seed=1)}, {"events": many(seed=2)})
    assert {"prices", "quantities", "event mix", "countries", "weekdays", "rows a day"} <= set(
        found
    )
    assert verdicts(found) == {}


def test_few_rows_are_not_taken_for_drift_but_the_index_alone_would_be():
    now, before = many(seed=3, days=1, per_day=12), many(seed=4)
    found = drifted({"events": now}, {"events": before})
    assert found["prices"]["value"] > 0.25
    assert found["prices"]["verdict"] == "ok"


@pytest.mark.parametrize(
    ("change", "what", "verdict"),
    [
        ({"price_minor": 90_000}, "prices", "alarm"),
        ({"quantity": 400}, "quantities", "alarm"),
        ({"event_name": "purchase"}, "event mix", "alarm"),
        ({"country": "Italy"}, "countries", "alarm"),
        ({"currency": "USD"}, "new currencies", "look"),
        ({"user_id": None}, "user_id of events", "alarm"),
        ({"days": 28, "per_day": 600}, "rows a day", "alarm"),
        ({"days": 28, "per_day": 260}, "rows a day", "look"),
    ],
)
def test_a_planted_change_is_named_and_the_rest_stays_fine(change, what, verdict):
    found = drifted({"events": many(seed=5, **change)}, {"events": many(seed=6)})
    assert verdicts(found)[what] == verdict
    others = {"prices", "quantities", "event mix", "countries", "rows a day", "weekdays"} - {what}
    assert not others & set(verdicts(found))


def test_a_day_that_is_no_longer_kept_shows_in_the_volume():
    calm, half = many(seed=7), many(seed=8)
    few = half.filter((pl.col("line") % 4) == 0)
    found = drifted({"events": few}, {"events": calm})
    assert found["rows a day"]["value"] < -5
    assert found["rows a day"]["verdict"] == "alarm"


def test_columns_that_came_went_or_changed_are_told():
    before = many(seed=9, days=8)
    now = before.rename({"country": "land"}).with_columns(pl.col("quantity").cast(pl.String))
    found = drifted({"events": now}, {"events": before})
    assert found["country of events"]["verdict"] == "alarm"
    assert found["land of events"]["verdict"] == "look"
    assert "string" in found["quantity of events"]["evidence"]
    assert next(iter(found)) == "country of events"


def test_categories_that_are_new_or_gone_are_named():
    def shop(*categories):
        return pl.DataFrame({"line": range(len(categories)), "id": [str(i) for i in range(len(
            categories))], "title": "x", "product_type": categories})  # fmt: skip

    found = drifted({"products": shop("Home", "Toys")}, {"products": shop("Home", "Garden")})
    assert found["new categories"]["evidence"] == "Toys (50.0% of the rows)"
    assert found["vanished categories"]["evidence"] == "Garden (50.0% of the rows)"


def test_a_report_of_an_older_version_is_compared_as_far_as_it_goes():
    old = {"rows": [], "prices": [{"from": 1, "before": 3, "after": 3}], "days": []}
    assert set(quality(cleaned(events=many(days=8)), old)["drift"]["what"]) == {"prices"}


def test_the_index_is_that_of_the_definition_and_zero_without_change():
    index, noise = stability_index([600, 400], [500, 500])
    assert index == pytest.approx(0.1 * np.log(0.6 / 0.5) - 0.1 * np.log(0.4 / 0.5), rel=1e-2)
    assert 0 < noise < 0.1
    assert stability_index([5, 7, 9], [5, 7, 9])[0] == 0


def test_chance_alone_crosses_the_noise_about_once_in_a_thousand():
    chance = np.random.default_rng(0)
    share = np.array([0.4, 0.3, 0.2, 0.1])
    crossed = 0
    for _ in range(2_000):
        now, before = chance.multinomial(300, share), chance.multinomial(500, share)
        index, noise = stability_index(now.tolist(), before.tolist())
        crossed += index > noise
    assert crossed <= 12
