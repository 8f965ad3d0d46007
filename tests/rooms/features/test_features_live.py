"""What a feature says of one live request is what it said of the same request in training."""

import dataclasses
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from shopkeeper import registry
from shopkeeper.arrays import Asked, Ids
from shopkeeper.data.samples.planted import OPENED, basket_shop, products_of, requests
from shopkeeper.features import moment
from shopkeeper.schema import ITEM, REQUEST, TIME

EVENTS = basket_shop(shoppers=20, baskets=8)
PRODUCTS = products_of(EVENTS)
IDS = Ids(PRODUCTS["id"])
NOW = OPENED + timedelta(days=8)
assert IDS.names.to_list() == PRODUCTS["id"].to_list()
HISTORIES = {"a": ["p002", "p003", "p002"], "b": [], "c": ["p004", "unknown"]}
REQUESTS = requests(HISTORIES, NOW)
CANDIDATES = pl.DataFrame(
    {REQUEST: [0, 0, 0, 1, 2, 2], ITEM: ["p002", "p003", "p005", "p000", "p000", "p004"]},
    schema={REQUEST: pl.UInt32, ITEM: pl.String},
)
SCORES = {"repeat": np.array([3, 1, np.nan, 2, 0.5, 1], np.float32)}


@pytest.fixture(params=registry.names("features"))
def feature(request):
    return registry.build("features", request.param).fit(EVENTS, PRODUCTS, NOW)


def at(requests, candidates, scores):
    owner = candidates[REQUEST].to_numpy().astype(np.int64)
    return moment(Asked.of(requests, IDS), owner, IDS.rows(candidates[ITEM]), scores)


def batch():
    return at(REQUESTS, CANDIDATES, SCORES)


def test_columns_are_named_and_as_many_as_the_names(feature):
    found = feature.compute(batch())
    assert found.shape == (CANDIDATES.height, len(feature.names()))
    assert found.dtype == np.float32
    assert len(set(feature.names())) == len(feature.names())


def test_one_request_alone_gets_the_same_numbers_as_in_a_batch(feature):
    together = feature.compute(batch())
    for number in range(REQUESTS.height):
        mine = (CANDIDATES[REQUEST] == number).to_numpy()
        alone = at(
            REQUESTS.slice(number, 1).with_columns(pl.lit(0, pl.UInt32).alias(REQUEST)),
            CANDIDATES.filter(mine).with_columns(pl.lit(0, pl.UInt32).alias(REQUEST)),
            {name: values[mine] for name, values in SCORES.items()},
        )
        np.testing.assert_array_equal(feature.compute(alone), together[mine])


def test_nothing_after_now_counts(feature):
    leak = EVENTS.with_columns(pl.col(TIME) + timedelta(days=100), pl.lit("p005").alias(ITEM))
    again = registry.build("features", feature.address[1])
    again.fit(pl.concat([EVENTS, leak]), PRODUCTS, NOW)
    np.testing.assert_array_equal(again.compute(batch()), feature.compute(batch()))


def test_saving_and_loading_changes_nothing(feature, tmp_path):
    registry.save(feature, tmp_path)
    again = registry.load(tmp_path)
    assert again.names() == feature.names()
    np.testing.assert_array_equal(again.compute(batch()), feature.compute(batch()))


def test_no_candidates_give_no_rows(feature):
    nothing = at(REQUESTS, CANDIDATES.clear(), {"repeat": np.empty(0, np.float32)})
    assert feature.compute(nothing).shape[0] == 0


def columns(name, **settings):
    part = registry.build("features", name, **settings).fit(EVENTS, PRODUCTS, NOW)
    return dict(zip(part.names(), part.compute(batch()).T, strict=True))


def test_own_purchases_are_counted_as_by_hand():
    # a bought p002 three days ago, p003 two days ago, p002 one day ago: three baskets.
    found = columns("shopper_product")
    assert found["own_share"][0] == pytest.approx(2 / 3)
    assert found["own_last_days"][0] == 1
    assert found["own_baskets_ago"][:2].tolist() == [0, 1]
    assert found["own_gap_days"][0] == 2
    assert found["own_due"][0] == 0.5
    assert found["own_decay14"][0] == pytest.approx(2 ** (-3 / 14) + 2 ** (-1 / 14))
    assert found["own_share"][2] == 0
    assert np.isnan(found["own_last_days"][2])


def test_a_shopper_is_described_as_by_hand():
    found = columns("shopper")
    assert found["shopper_baskets"][0] == 3
    assert found["shopper_products"][0] == 2
    assert found["shopper_repeat_share"][0] == pytest.approx(1 / 3)
    assert found["shopper_idle_days"][0] == 1
    assert np.isnan(found["shopper_baskets"][3])


def test_popularity_windows_count_known_shoppers_baskets():
    found = columns("product_trend")
    bought = EVENTS.drop_nulls("user_id").filter(pl.col(ITEM) == "p000")
    week = bought.filter(pl.col(TIME) > NOW - timedelta(days=7)).height
    assert found["bought7"][3] == week
    assert found["bought90"][3] == bought.height


def test_scores_come_raw_and_as_a_share_of_the_best():
    found = columns("sources", recommenders=("repeat",))
    assert found["repeat_relative"][:2].tolist() == pytest.approx([1, 1 / 3])
    assert np.isnan(found["repeat_score"][2])


def test_a_shop_without_categories_gets_no_category_columns():
    bare = PRODUCTS.with_columns(pl.lit(None, pl.String).alias("product_type"))
    part = registry.build("features", "category").fit(EVENTS, bare, NOW)
    assert part.names() == ()
    assert part.compute(batch()).shape == (CANDIDATES.height, 0)


def test_every_setting_of_a_feature_can_be_refused_or_kept():
    for name in registry.names("features"):
        config = registry.find("features", name).Config()
        assert dataclasses.replace(config) == config


def test_prices_are_those_paid_before_the_moment():
    paid = EVENTS.with_columns(
        pl.when(pl.col(TIME) < NOW - timedelta(days=4))
        .then(100)
        .otherwise(900)
        .alias("price_minor")
    )
    early = registry.build("features", "product_trend").fit(paid, PRODUCTS, NOW - timedelta(days=4))
    prices = dict(zip(early.names(), early.compute(batch()).T, strict=True))["price"]
    assert set(prices) == {100.0}


def test_purchases_from_small_baskets_count_more():
    found = columns("shopper_product")
    # Each of a's baskets holds one product, so size does not matter: three, two and one day ago.
    assert found["own_meant60"][0] == pytest.approx(np.exp(-3 / 60) + np.exp(-1 / 60))
    assert found["own_meant60_relative"][0] == 1
    assert found["own_meant60_relative"][1] == pytest.approx(
        np.exp(-2 / 60) / found["own_meant60"][0]
    )
    at_once = requests({"b": ["p002", "p003"]}, NOW)
    steps = at_once["history"].list.eval(
        pl.struct(
            pl.element().struct.field("item_id"),
            pl.element().struct.field("event_name"),
            pl.lit(NOW - timedelta(days=1)).cast(pl.Datetime("us", "UTC")).alias("time"),
        )
    )
    part = registry.build("features", "shopper_product").fit(EVENTS, PRODUCTS, NOW)
    two = at(at_once.with_columns(history=steps), CANDIDATES.head(2), {})
    meant = dict(zip(part.names(), part.compute(two).T, strict=True))["own_meant60"]
    assert meant == pytest.approx([np.exp(-1 / 60) / 2**0.25] * 2)


def bought(baskets, now=NOW):
    """Ask for one shopper who bought these products these days ago, oldest first."""
    steps = [
        {"item_id": item, "event_name": "purchase", "time": now - timedelta(days=days)}
        for days, items in baskets
        for item in items
    ]
    asked = requests({"a": []}, now)
    return asked.with_columns(pl.Series("history", [steps], dtype=asked.schema["history"]))


def told(name, baskets, items, events=EVENTS, now=NOW, **settings):
    part = registry.build("features", name, **settings).fit(events, PRODUCTS, now)
    wanted = pl.DataFrame({REQUEST: [0] * len(items), ITEM: items}).cast({REQUEST: pl.UInt32})
    found = part.compute(at(bought(baskets, now), wanted, {}))
    return dict(zip(part.names(), found.T, strict=True))


def test_repurchase_counts_in_baskets():
    # p002 in the first, second and fourth of five baskets; p003 in the last alone.
    baskets = [
        (20, ["p002", "p004"]), (15, ["p002"]), (9, ["p004"]), (5, ["p002"]), (2, ["p003"]),
    ]  # fmt: skip
    found = told("repurchase", baskets, ["p002", "p003", "p005"])
    steady = (0.9**4 + 0.9**3 + 0.9) / ((1 - 0.9**5) / 0.1)
    assert found["again_steady90"].tolist() == pytest.approx(
        [steady, 1 / ((1 - 0.9**5) / 0.1), 0], rel=1e-5
    )
    assert found["again_steady90_relative"].tolist() == pytest.approx(
        [1, 1 / (0.9**4 + 0.9**3 + 0.9), 0], rel=1e-5
    )
    assert found["again_last_gap"][0] == 2
    assert found["again_due_last"][0] == 1
    assert found["again_due"][0] == pytest.approx(2 / 1.5)
    assert found["again_since_first"].tolist()[:2] == pytest.approx([3 / 5, 1])
    assert found["again_size"][0] == pytest.approx(np.log(2) / 3, rel=1e-5)
    assert found["again_size_relative"][1] == pytest.approx(-np.log(2) / 5, rel=1e-5)
    for name in ("again_last_gap", "again_due"):
        assert np.isnan(found[name][1:]).all()
    assert np.isnan(found["again_product"][2])


def test_the_chance_to_come_back_is_what_came_of_what_could():
    # Every shopper buys p000 in each of four baskets, p002 in the first alone.
    rows = [
        {"user_id": f"s{n}", ITEM: item, "event_name": "purchase", TIME: OPENED + timedelta(day)}
        for n in range(50)
        for day in range(4)
        for item in (["p000", "p002"] if day == 0 else ["p000"])
    ]
    events = pl.DataFrame(rows).cast({TIME: pl.Datetime("us", "UTC")})
    events = events.with_columns(
        pl.lit(None, pl.String).alias("transaction_id"), pl.lit(100).alias("price_minor")
    )
    now = OPENED + timedelta(days=4)
    found = told(
        "repurchase", [(1, ["p000", "p002"])], ["p000", "p002"], events, now, product_prior=1e-6
    )
    assert found["again_product"].tolist() == pytest.approx([1, 0], abs=1e-3)


def test_the_weekday_of_a_purchase_counts_from_the_day_of_the_request():
    # Today, tomorrow and the day after, a week ago: 7, 6 and 5 days before; 4 is another day.
    for days, near in ((7, True), (6, True), (5, True), (4, False), (8, False)):
        found = told("repurchase", [(days, ["p002"])], ["p002"])
        assert found["again_weekday"][0] == pytest.approx((near + 9 / 7) / 4)


def test_purchases_by_a_clock_that_is_ahead_are_of_now():
    found = told("repurchase", [(1, ["p000"]), (-0.001, ["p002"]), (-0.002, ["p002"])], ["p002"])
    assert found["again_since_first"][0] == 1
    assert np.isnan(found["again_last_gap"][0])


def test_large_and_small_baskets_of_a_shopper_as_by_hand():
    six = [f"p00{n}" for n in range(2, 8)]
    found = told("shopper", [(30, six), (9, six), (4, ["p000"]), (1, ["p002", "p003"])], ["p000"])
    assert found["shopper_large_days"][0] == 9
    assert found["shopper_last_size"][0] == pytest.approx(np.log(2))
    assert found["shopper_small_share"][0] == 0.5


def test_the_kind_of_a_product_as_by_hand():
    mine, other = "p000", "p007"
    kinds = dict(zip(PRODUCTS["id"], PRODUCTS["product_type"], strict=True))
    assert kinds[mine] == kinds[other] == "Home > Lamps"
    found = told("category", [(21, [other]), (11, [mine]), (1, [other])], [mine, other])
    weights = [2 ** (-days / 90) for days in (21, 11, 1)]
    assert found["kind_own_share"][0] == pytest.approx(weights[1] / sum(weights), rel=1e-5)
    assert found["kind_gap_days"].tolist() == [10, 10]
    assert found["kind_due"][0] == pytest.approx(0.1)
    assert found["kind_rate"].tolist() == [1, 1]
    assert found["kind_since_days"].tolist() == [10, 0]
