"""Each feature finds the planted truth; a column that looks elsewhere cannot."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from shopkeeper import registry
from shopkeeper.arrays import Asked, Ids
from shopkeeper.errors import BadConfig
from shopkeeper.evaluation.metrics import auc
from shopkeeper.features import moment
from shopkeeper.schema import (
    EVENT_NAME,
    HISTORY,
    ITEM,
    LEARN,
    NOW,
    PRODUCT_ID,
    PRODUCTS,
    REQUEST,
    REQUESTS,
    TIME,
    USER,
    conform,
)

MONDAY = datetime(2025, 3, 3, tzinfo=UTC)
LONG_AFTER = MONDAY + timedelta(days=400)


def catalogue(size, **columns):
    """Return products p000 and so on, with a list of values for each named column."""
    ids = [f"p{n:03d}" for n in range(size)]
    vectors = columns.pop("vector", None)
    table = conform(pl.DataFrame({PRODUCT_ID: ids, **columns}), PRODUCTS)
    if vectors is None:
        return table
    return table.with_columns(pl.Series("vector", vectors, dtype=pl.Array(pl.Float32, 2)))


def log(rows):
    """Return purchases: shopper, product by number, and time."""
    table = [
        {USER: user, ITEM: f"p{item:03d}", EVENT_NAME: "purchase", TIME: time}
        for user, item, time in rows
    ]
    return pl.DataFrame(table, schema=LEARN)


def told(name, events, products, asked, now=LONG_AFTER, **settings):
    """Return every column of a feature: asked is a list of history and moment for each request.

    A history holds product by number, event name and time; every product is a candidate. [B, P].
    """
    feature = registry.build("features", name, **settings).fit(events, products, now)
    rows = [
        {
            REQUEST: number,
            USER: f"asker{number}",
            HISTORY: [
                {ITEM: f"p{item:03d}", EVENT_NAME: event, TIME: time}
                for item, event, time in history
            ],
            NOW: clock,
        }
        for number, (history, clock) in enumerate(asked)
    ]
    requests = conform(pl.DataFrame(rows, schema_overrides={HISTORY: REQUESTS[HISTORY]}), REQUESTS)
    ids = Ids(products[PRODUCT_ID])
    owner, item = (each.ravel() for each in np.indices((len(asked), len(ids))).astype(np.int64))
    found = feature.compute(moment(Asked.of(requests, ids), owner, item, {}))
    return {
        column: values.reshape(len(asked), -1)
        for column, values in zip(feature.names(), found.T, strict=True)
    }


def separates(truth, values):
    return auc(truth.ravel().astype(np.int64), np.nan_to_num(values, nan=-1.0).ravel())


# When the shopper asks


def visit(*times, **settings):
    found = told("visit_time", log([]), catalogue(1), [([], time) for time in times], **settings)
    return {name: values[:, 0] for name, values in found.items()}


def test_hours_weekdays_and_days_are_those_of_the_shops_zone():
    found = visit(MONDAY + timedelta(hours=6), zone="UTC")
    assert found["time_hour_sin"][0] == pytest.approx(1)
    assert found["time_weekday_cos"][0] == pytest.approx(1)
    assert found["time_month_day"][0] == 3
    # Six in the morning by UTC is half past eleven in Kolkata, and Sunday evening in Honolulu.
    there = visit(MONDAY + timedelta(hours=6), zone="Asia/Kolkata")
    assert there["time_hour_cos"][0] == pytest.approx(np.cos(2 * np.pi * 11.5 / 24))
    west = visit(MONDAY + timedelta(hours=6), zone="Pacific/Honolulu")
    assert (found["time_weekend"][0], west["time_weekend"][0]) == (0, 1)


def test_a_circle_keeps_midnight_together_and_a_bare_hour_does_not():
    late, early, noon = (timedelta(minutes=m) for m in (23 * 60 + 50, 24 * 60 + 10, 12 * 60))
    found = visit(MONDAY + late, MONDAY + early, MONDAY + noon)
    place = np.column_stack([found["time_hour_sin"], found["time_hour_cos"]])
    near, far = np.linalg.norm(place[0] - place[1]), np.linalg.norm(place[0] - place[2])
    assert near < 0.1 < 1.9 < far
    hours = np.array([23.8, 0.2, 12.0])
    assert abs(hours[0] - hours[1]) > abs(hours[0] - hours[2])


def test_days_to_and_since_a_feast_are_counted_over_the_end_of_the_year():
    eve, day, after = (datetime(2025, 12, 24, 23, tzinfo=UTC) + timedelta(days=d) for d in range(3))
    new_year = datetime(2026, 1, 2, tzinfo=UTC)
    found = visit(eve, day, after, new_year, days=("12-25", "01-01"))
    assert found["time_days_to_12_25"].tolist() == [1, 0, 364, 357]
    assert found["time_days_since_12_25"].tolist() == [364, 0, 1, 8]
    assert found["time_days_since_01_01"].tolist() == [357, 358, 359, 1]


@pytest.mark.parametrize(
    "settings", [{"zone": "Mars/Base"}, {"days": ("02-29",)}, {"days": ("9-1",)}, {"weekend": (0,)}]
)
def test_a_calendar_that_cannot_be_is_refused(settings):
    with pytest.raises(BadConfig, match=next(iter(settings))):
        registry.build("features", "visit_time", **settings)


# Recency, frequency and money


def test_money_tells_who_spends_more_and_counting_baskets_cannot():
    # Everybody buys ten times; only even shoppers buy what is dear.
    products = catalogue(2, price_minor=[100, 5000])
    days = [MONDAY + timedelta(days=7 * n) for n in range(10)]
    rows = [(f"u{n}", int(n % 2 == 0), day) for n in range(20) for day in days]
    asked = [([(int(n % 2 == 0), "purchase", day) for day in days], days[-1]) for n in range(20)]
    found = told("spending", log(rows), products, asked, days[-1] + timedelta(days=1))
    dear = np.repeat(np.arange(20) % 2 == 0, 2)
    assert separates(dear, found["spending_money"]) == 1
    assert separates(dear, found["spending_frequency"]) == 0.5
    assert found["spending_basket"][0] == pytest.approx(np.log(5000))
    assert found["spending_total"][0] == pytest.approx(np.log(50000))


def test_ranks_are_shares_of_the_shops_shoppers():
    # Shopper n bought n+1 times, the last time n days before the snapshot.
    last = MONDAY + timedelta(days=200)
    rows = [
        (f"u{n:02d}", 0, last - timedelta(days=n + 3 * again))
        for n in range(50)
        for again in range(n + 1)
    ]
    now = last + timedelta(hours=1)
    often = [(0, "purchase", last - timedelta(days=40 + 3 * n)) for n in range(41)][::-1]
    asked = [(often, now), ([(0, "purchase", last)], now), ([], now)]
    found = told("spending", log(rows), catalogue(1, price_minor=[100]), asked, now)
    assert found["spending_frequency"][:2, 0].tolist() == pytest.approx([0.8, 0.01], abs=0.03)
    assert found["spending_recency"][:2, 0].tolist() == pytest.approx([0.2, 0.99], abs=0.03)
    assert np.isnan(found["spending_recency"][2, 0])


def test_a_window_forgets_what_is_older():
    now = MONDAY + timedelta(days=100)
    history = [(0, "purchase", MONDAY), (0, "purchase", now - timedelta(days=1))]
    events = log([("u", 0, MONDAY), ("u", 0, now - timedelta(days=1))])
    products = catalogue(1, price_minor=[100])
    long, short = (
        told("spending", events, products, [(history, now)], now, window_days=days)
        for days in (365.0, 30.0)
    )
    assert long["spending_total"][0, 0] == pytest.approx(np.log(200))
    assert short["spending_total"][0, 0] == pytest.approx(np.log(100))


# Prices


def test_a_cheap_shopper_is_told_by_the_band_and_not_by_the_price_itself():
    # Five kinds of ten products; a kind's prices are ten times those of the kind before.
    kinds = [f"Home > K{n // 10}" for n in range(50)]
    prices = [10 ** (n // 10) * (10 + n % 10) for n in range(50)]
    products = catalogue(50, product_type=kinds, price_minor=prices)
    day = MONDAY + timedelta(days=10)
    # Shoppers know four kinds, and buy the cheap or the dear half; the fifth kind is asked for.
    asked, truth = [], np.zeros((10, 50), bool)
    for shopper in range(10):
        half = 5 * (shopper % 2)
        bought = [10 * kind + half + 2 for kind in range(5) if kind != shopper // 2]
        asked.append(([(item, "purchase", MONDAY) for item in bought], day))
        truth[shopper, [10 * (shopper // 2) + half + n for n in range(5)]] = True
    found = told("price_band", log([]), products, asked)
    kind_asked = np.array([[n // 10 == shopper // 2 for n in range(50)] for shopper in range(10)])
    near = -np.abs(found["price_usual_rank"])
    assert separates(truth[kind_asked], near[kind_asked]) > 0.95
    for column in ("price_kind_rank", "price_kind_ratio"):
        assert separates(truth[kind_asked], found[column][kind_asked]) == pytest.approx(0.5)


def test_prices_beside_the_usual_as_by_hand():
    products = catalogue(
        5,
        product_type=["A", "A", "A", "B", None],
        price_minor=[100, 200, 800, 300, 100],
    )
    history = [(0, "purchase", MONDAY), (3, "purchase", MONDAY)]
    found = told("price_band", log([]), products, [(history, MONDAY + timedelta(days=1))])
    assert found["price_kind_rank"][0].tolist()[:4] == pytest.approx([1 / 6, 3 / 6, 5 / 6, 0.5])
    assert found["price_kind_ratio"][0, 2] == pytest.approx(np.log(4))
    usual = (np.log(100) + np.log(300)) / 2
    assert found["price_usual_ratio"][0, 1] == pytest.approx(np.log(200) - usual, rel=1e-5)
    assert found["price_own_kind_ratio"][0, 2] == pytest.approx(np.log(8))
    assert np.isnan(found["price_kind_rank"][0, 4])
    assert np.isnan(found["price_own_kind_ratio"][0, 4])
    assert found["price_usual_ratio"][0, 4] == pytest.approx(np.log(100) - usual, rel=1e-5)


def test_a_price_set_after_the_snapshot_is_not_known_unless_it_was_paid():
    products = catalogue(2, product_type=["A", "A"], price_minor=[100, 700])
    later = products.with_columns(pl.lit(LONG_AFTER).cast(PRODUCTS["updated"]).alias("updated"))
    paid = log([("u", 1, MONDAY)]).with_columns(price_minor=pl.lit(400, pl.Int64))
    history = [(1, "purchase", MONDAY)]
    found = told("price_band", paid, later, [(history, LONG_AFTER)])
    assert np.isnan(found["price_usual_ratio"][0, 0])
    assert found["price_usual_ratio"][0, 1] == pytest.approx(0)


# Brands


def test_loyalty_to_a_brand_is_found_where_taste_for_the_category_is_blind():
    # Products of one category by two brands; half of the shoppers are loyal to each. The last two
    # products are of a category that nobody buys.
    kinds = ["Home"] * 20 + ["Garden"] * 2
    products = catalogue(22, product_type=kinds, brand=["North", "South"] * 11)
    chance = np.random.default_rng(0)
    asked, truth, rows = [], np.zeros((20, 20), bool), []
    for shopper in range(20):
        own = 2 * chance.choice(10, 4, replace=False) + shopper % 2
        asked.append(([(item, "purchase", MONDAY) for item in own], MONDAY + timedelta(days=1)))
        rows += [(f"u{shopper:02d}", item, MONDAY) for item in own]
        truth[shopper, shopper % 2 :: 2] = True
    found = told("brand", log(rows), products, asked)
    for column in ("brand_taste", "brand_kind_share", "brand_loyalty"):
        assert separates(truth, found[column][:, :20]) == 1
    usual = found["brand_kind_usual"][:, :20]
    assert separates(truth, usual) == pytest.approx(0.5, abs=0.02)
    taste = told("category", log(rows), products, asked)["category0_taste"]
    assert separates(truth, taste[:, :20]) == 0.5


def test_brands_as_by_hand_and_none_for_what_has_none():
    products = catalogue(
        4, product_type=["A", "A", "B", "A"], brand=["North", "South", "North", None]
    )
    rows = [("u", 0, MONDAY), ("u", 1, MONDAY), ("v", 1, MONDAY), ("v", 2, MONDAY)]
    now = MONDAY + timedelta(days=9)
    found = told("brand", log(rows), products, [([(2, "purchase", MONDAY)], now)], prior=1.0)
    assert found["brand_taste"][0, :3].tolist() == [1, 0, 1]
    assert found["brand_last_days"][0, 0] == 9
    assert np.isnan(found["brand_kind_share"][0, :2]).all()
    assert found["brand_kind_usual"][0, :3].tolist() == pytest.approx([1 / 3, 2 / 3, 1])
    assert found["brand_loyalty"][0, :3].tolist() == pytest.approx([0, 0, 0], abs=1e-6)
    assert all(np.isnan(found[column][0, 3]) for column in found)


def test_a_shop_without_brands_or_vectors_or_categories_gets_no_such_columns():
    for name in ("brand", "text_likeness", "crosses"):
        assert told(name, log([]), catalogue(3), [([], MONDAY)]) == {}


# Popularity


def test_a_short_window_sees_todays_hit_and_a_long_one_does_not():
    products = catalogue(3, product_type=["A", "A", "B"])
    now = MONDAY + timedelta(days=80)
    rows = [(f"u{n}", 0, MONDAY + timedelta(days=n)) for n in range(70)]
    rows += [(None, 1, now - timedelta(minutes=n)) for n in range(1, 31)]
    found = told("popularity", log(rows), products, [([], now)], now)
    assert found["popular1"][0].tolist() == pytest.approx([0, 1, 0])
    assert found["popular90"][0].tolist() == pytest.approx([0.7, 0.3, 0])
    assert found["popular28_kind"][0, :2].tolist() == pytest.approx([17 / 47, 30 / 47])
    assert np.isnan(found["popular90_kind"][0, 2])
    assert separates(np.array([0, 1, 0]), found["popular1"]) == 1
    assert separates(np.array([0, 1, 0]), found["popular90"]) == 0.5


# Crosses


def test_crosses_find_the_hour_of_a_category_and_no_weekday_that_was_not_planted():
    # Even kinds are bought at eight, odd ones at twenty; all on all weekdays alike.
    products = catalogue(10, product_type=[f"K{n}" for n in range(10)])
    rows = [
        (f"u{n % 13}", item, MONDAY + timedelta(days=n, hours=8 + 12 * (item % 2)))
        for n in range(140)
        for item in range(10)
    ]
    asked = [([], MONDAY + timedelta(days=200 + n, hours=8 + 12 * (n % 2))) for n in range(14)]
    truth = np.array([[item % 2 == n % 2 for item in range(10)] for n in range(14)])
    found = told("crosses", log(rows), products, asked)
    for column in ("cross_hour_share", "cross_hour_lift"):
        assert separates(truth, found[column]) == 1
    assert separates(truth, found["cross_weekday_lift"]) == pytest.approx(0.5, abs=0.05)
    moved = told("crosses", log(rows), products, asked, zone="Asia/Tokyo")
    np.testing.assert_allclose(moved["cross_hour_share"], found["cross_hour_share"], rtol=1e-6)


def test_crosses_find_what_newcomers_buy():
    # The first basket is of K0, all later ones are of K1.
    products = catalogue(2, product_type=["K0", "K1"])
    rows = [
        (f"u{n:02d}", int(visit > 0), MONDAY + timedelta(days=5 * visit, minutes=n))
        for n in range(60)
        for visit in range(4)
    ]
    day = MONDAY + timedelta(days=9)
    old = [(1, "purchase", MONDAY), (1, "purchase", MONDAY + timedelta(days=5))]
    found = told("crosses", log(rows), products, [([], day), (old, day)])
    lift = found["cross_segment_lift"]
    assert lift[0, 0] > 0 > lift[0, 1]
    assert lift[1, 1] > 0 > lift[1, 0]
    hours = found["cross_hour_lift"]
    assert hours[0].tolist() == pytest.approx(hours[1].tolist())
    # Nobody ever came back after so long: no category stands out.
    late = told("crosses", log(rows), products, [(old, day + timedelta(days=90))])
    assert late["cross_segment_lift"].tolist() == [[0, 0]]


def test_a_cross_is_a_share_of_the_log_mixed_with_the_shops_as_by_hand():
    products = catalogue(2, product_type=["K0", "K1"])
    rows = [("u", 0, MONDAY + timedelta(days=7 * n)) for n in range(3)]
    rows += [("u", 1, MONDAY + timedelta(days=7 * n + 1)) for n in range(3)]
    found = told("crosses", log(rows), products, [([], MONDAY)], prior=10.0)
    assert found["cross_weekday_share"][0].tolist() == pytest.approx([8 / 13, 5 / 13])
    imagined = 10 * (3 + 1) / (6 + 7)
    assert found["cross_weekday_lift"][0].tolist() == pytest.approx(
        [np.log((3 + imagined) / (1.5 + imagined)), np.log(imagined / (1.5 + imagined))]
    )


# Texts


def test_texts_tell_what_is_like_the_past_and_shuffled_vectors_cannot():
    chance = np.random.default_rng(0)
    angle = np.repeat([0, np.pi / 2, np.pi, -np.pi / 2], 10) + chance.normal(0, 0.1, 40)
    vectors = np.column_stack([np.cos(angle), np.sin(angle)])
    asked, truth = [], np.zeros((8, 40), bool)
    for shopper in range(8):
        theme = 10 * (shopper % 4)
        action = "purchase" if shopper < 4 else "view_item"
        past = [(theme + n, action, MONDAY) for n in range(3)]
        asked.append((past, MONDAY + timedelta(days=1)))
        truth[shopper, theme : theme + 10] = True
    found = told("text_likeness", log([]), catalogue(40, vector=vectors), asked)
    for column in ("like_bought_mean", "like_bought_best"):
        assert separates(truth[:4], found[column][:4]) == 1
        assert np.isnan(found[column][4:]).all()
    assert separates(truth[4:], found["like_looked_best"][4:]) == 1
    blind = catalogue(40, vector=chance.permutation(vectors))
    lost = told("text_likeness", log([]), blind, asked)["like_bought_mean"][:4]
    assert separates(truth[:4], lost) < 0.7


def test_likeness_leaves_the_product_itself_out_and_looks_at_the_newest_alone():
    vectors = [[3, 0], [0, 1], [0, -1], None]
    days = [MONDAY + timedelta(days=n) for n in range(4)]
    past = [(0, "purchase", days[0]), (1, "purchase", days[1]), (1, "purchase", days[2])]
    products = catalogue(4, vector=vectors)
    found = told("text_likeness", log([]), products, [(past, days[3])])
    assert found["like_bought_best"][0, :3].tolist() == [0, 0, 0]
    assert found["like_bought_mean"][0, :3].tolist() == [0, 0, -0.5]
    newest = told("text_likeness", log([]), products, [(past, days[3])], bought_max=1)
    assert newest["like_bought_best"][0].tolist()[:1] == [0]
    assert newest["like_bought_best"][0, 2] == -1
    assert np.isnan(newest["like_bought_best"][0, [1, 3]]).all()
    assert np.isnan(newest["like_looked_best"]).all()
