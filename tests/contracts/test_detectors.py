"""What every detector promises, whatever it looks for."""

from datetime import UTC, datetime, timedelta

import ibis
import polars as pl
import pytest

from shopkeeper import registry, schema
from shopkeeper.errors import BadConfig

pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")

START = datetime(2024, 3, 1, 9, tzinfo=UTC)
DETECTORS = registry.names("data.detectors")
OTHER_SETTINGS = {
    "bots": {"steps_min": 10, "steps_a_day": 40},
    "click_fraud": {"clicks_min": 5, "clicks_each": 2},
    "wholesale": {"orders_min": 1, "spreads": 2.0},
    "price_mistakes": {"sales_min": 2, "times_min": 1.5},
    "test_orders": {"repeats_min": 2, "refund_s": 5},
}


def _rows(rows):
    return pl.DataFrame(
        [{"event_id": f"e{number}"} | row for number, row in enumerate(rows)], schema=schema.EVENTS
    )


def quiet_shop():
    """Forty shoppers who look at some products at their leisure and buy one of them."""
    rows = []
    for shopper in range(40):
        at = START + timedelta(days=shopper % 9, minutes=7 * shopper)
        for step in range(6):
            at += timedelta(seconds=11 + (shopper * 7 + step * step * 13) % 90)
            item = f"i{(shopper + step * 3) % 12}"
            who = {"user_id": f"u{shopper}", "item_id": item, "time": at}
            rows += [{"event_name": "view_item"} | who, {"event_name": "select_item"} | who]
        sale = {"event_name": "purchase", "transaction_id": f"t{shopper}", "currency": "EUR"}
        price = 100 * (1 + int(item[1:])) + shopper % 3
        rows.append(sale | who | {"quantity": 1 + shopper % 4, "price_minor": price})
    return _rows(rows)


def products_of(events):
    ids = events["item_id"].drop_nulls().unique().sort()
    return schema.conform(pl.DataFrame({"id": ids}), schema.PRODUCTS)


def find(name, events, products=None, **settings):
    products = products_of(events) if products is None else products
    detector = registry.build("data.detectors", name, **settings)
    rows = detector.find(ibis.memtable(events), ibis.memtable(products))
    schema.check(rows, schema.ANOMALIES, "anomalies")
    assert rows.columns == list(schema.ANOMALIES)
    assert set(rows["kind"]) <= {name}
    assert rows["score"].is_between(0, 1).all()
    assert rows.select(pl.exclude("first", "last").null_count()).sum_horizontal().item() == 0
    assert not rows.select("subject", "id").is_duplicated().any()
    assert rows["score"].is_sorted(descending=True)
    assert set(rows["subject"]) <= set(schema.EVENTS)
    return rows


def test_every_detector_is_on_trial_with_other_settings_too():
    assert set(OTHER_SETTINGS) == set(DETECTORS)


@pytest.mark.parametrize("name", DETECTORS)
def test_nothing_is_found_in_a_quiet_shop(name):
    assert find(name, quiet_shop()).is_empty()


@pytest.mark.parametrize("name", DETECTORS)
def test_no_rows_and_nothing_but_nulls_are_survived(name):
    events = quiet_shop()
    settings = OTHER_SETTINGS[name]
    assert find(name, events.clear()).is_empty()
    for column in ("time", "user_id", "transaction_id", "item_id", "price_minor"):
        holes = events.with_columns(pl.lit(None, schema.EVENTS[column]).alias(column))
        find(name, holes, products_of(events), **settings)
    bare = schema.conform(events.select("event_id", "event_name"), schema.EVENTS)
    assert find(name, bare, products_of(events).clear(), **settings).is_empty()


@pytest.mark.parametrize("name", DETECTORS)
def test_events_that_are_all_alike_are_survived(name):
    one = quiet_shop().tail(1)
    many = pl.concat([one] * 80).with_columns(
        pl.format("e{}", pl.int_range(pl.len())).alias("event_id")
    )
    find(name, many, **OTHER_SETTINGS[name])


@pytest.mark.parametrize("name", DETECTORS)
def test_the_order_of_rows_changes_nothing(name):
    events = quiet_shop()
    found = find(name, events, **OTHER_SETTINGS[name])
    assert found.equals(
        find(name, events.sample(fraction=1, shuffle=True, seed=4), **OTHER_SETTINGS[name])
    )


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("wrong", [{"action": "delete"}, {"keep_share": 1.5}, {"nonsense": 1}])
def test_a_wrong_setting_is_one_clear_error(name, wrong):
    with pytest.raises(BadConfig, match=next(iter(wrong))):
        registry.build("data.detectors", name, **wrong)
