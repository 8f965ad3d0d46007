"""Every feature keeps the contract. A new file on the shelf is tested here unasked.

A moment is computed in a batch when a ranker learns, and alone when a page is asked for; both must
give the same numbers, from the same snapshot, which knows nothing of its own future.
"""

import dataclasses
from datetime import timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest

from shopkeeper import registry
from shopkeeper.arrays import Asked, Ids
from shopkeeper.data.samples.planted import OPENED, basket_shop, products_of
from shopkeeper.evaluation.splits import requests_at
from shopkeeper.features import moment
from shopkeeper.schema import EVENT_NAME, HISTORY, ITEM, NOW, PRODUCT_ID, REQUEST, TIME, USER

CLOSED = OPENED + timedelta(days=20, hours=3)
STRANGER = "nobody"


def events_of(products=10):
    """Purchases with prices, and looks at other products an hour before each."""
    bought = basket_shop(shoppers=18, products=products, baskets=9)
    number = pl.int_range(pl.len())
    bought = bought.with_columns(
        # Weekly and at odd hours, so that weekdays, hours and gaps differ.
        pl.col(TIME) + pl.duration(hours=7 * number % 53),
        price_minor=(100 + 37 * (number % 11)).cast(pl.Int64),
    ).sort(TIME, maintain_order=True)
    looks = bought.with_columns(
        pl.col(TIME) - timedelta(hours=1),
        pl.col(ITEM).shift(3).fill_null("p001"),
        pl.lit("view_item").alias(EVENT_NAME),
        pl.lit(None, pl.String).alias("transaction_id"),
        pl.lit(None, pl.Int64).alias("price_minor"),
    )
    return pl.concat([bought, looks]).sort(TIME, maintain_order=True)


def with_vectors(products, width=6):
    chance = np.random.default_rng(5)
    vectors = chance.normal(size=(products.height, width)).astype(np.float32)
    return products.with_columns(pl.Series("vector", vectors, dtype=pl.Array(pl.Float32, width)))


def holed(products):
    """Leave every other value of a product out, each in another product."""
    place = pl.int_range(pl.len())
    names = ("product_type", "brand", "price_minor", "updated", "vector", "title")
    return products.with_columns(
        pl.when(place % 3 != at % 3).then(pl.col(name)).alias(name) for at, name in enumerate(names)
    )


EVENTS = events_of()
PRODUCTS = with_vectors(products_of(EVENTS))
SHOPS = {
    "planted": (EVENTS, PRODUCTS),
    "tied": (EVENTS.with_columns(pl.lit(OPENED).cast(EVENTS.schema[TIME]).alias(TIME)), PRODUCTS),
    "holed": (
        EVENTS.with_columns(pl.when(pl.int_range(pl.len()) % 2 > 0).then("price_minor")),
        holed(PRODUCTS),
    ),
    "bare": (
        EVENTS.drop("price_minor", "transaction_id"),
        PRODUCTS.drop("vector").with_columns(
            pl.lit(None).cast(PRODUCTS.schema[name]).alias(name)
            for name in PRODUCTS.columns
            if name not in (PRODUCT_ID, "vector")
        ),
    ),
    "one product": (EVENTS.with_columns(pl.lit("p001").alias(ITEM)), PRODUCTS[1:2]),
    "free": (
        EVENTS.with_columns(pl.lit(0, pl.Int64).alias("price_minor")),
        PRODUCTS.with_columns(pl.lit(0, pl.Int64).alias("price_minor")),
    ),
    "not open yet": (EVENTS.clear(), PRODUCTS),
}
PARTS = [(name, other) for name in registry.names("features") for other in (False, True)]
SHOPPERS = EVENTS[USER].drop_nulls().unique().sort().to_list()[:5]


def changed(value):
    """Return another value that a setting of this kind can have."""
    if isinstance(value, tuple):
        return value[:1]
    if isinstance(value, str):
        return "Asia/Kathmandu" if value == "UTC" else value
    return value + 1 if isinstance(value, int) else value * 1.5


def made(name, other=False):
    settings = dataclasses.asdict(registry.find("features", name).Config())
    return registry.build(
        "features", name, **{key: changed(value) for key, value in settings.items() if other}
    )


@pytest.fixture(params=PARTS, ids=lambda part: part[0] + ("-other" if part[1] else ""))
def part(request):
    return request.param


@pytest.fixture(params=SHOPS)
def shop(request):
    return request.param


@cache
def asked_in(shop):
    return asked_of(SHOPS[shop][0])


@cache
def batch_in(shop):
    return at(asked_in(shop), SHOPS[shop][1])


def batch(shop):
    """Return the moment of all requests, in which nothing was worked out yet."""
    return dataclasses.replace(batch_in(shop), _memo={})


@cache
def alone_in(shop):
    """Return a moment for each request, and its rows in the batch; scores are the batch's."""
    size, found = SHOPS[shop][1].height, []
    for number in range(asked_in(shop).height):
        one = asked_in(shop).slice(number, 1).with_columns(pl.lit(0, pl.UInt32).alias(REQUEST))
        mine = np.s_[number * size : (number + 1) * size]
        scores = {name: said[mine] for name, said in batch_in(shop).scores.items()}
        found.append((mine, dataclasses.replace(at(one, SHOPS[shop][1]), scores=scores)))
    return found


@cache
def fitted_in(part, shop):
    return made(*part).fit(*SHOPS[shop], CLOSED)


def asked_of(events):
    """Ask for five shoppers at three moments each, and for one who never did anything."""
    tables = [
        requests_at(events, OPENED + timedelta(days=days, hours=days), [*SHOPPERS, STRANGER], 40)
        for days in (0, 5, 19)
    ]
    return pl.concat(tables).with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias(REQUEST))


def at(requests, products):
    """Return the moment in which every request has every product as a candidate."""
    ids = Ids(products[PRODUCT_ID])
    asked = Asked.of(requests, ids)
    owner, item = (rows.ravel() for rows in np.indices((asked.size, len(ids))).astype(np.int64))
    said = np.where((owner + item) % 3 == 0, np.nan, 1.0 + item).astype(np.float32)
    return moment(asked, owner, item, {"repeat": said, "item_knn": said})


def fitted(part, events, products, now=CLOSED):
    return made(*part).fit(events, products, now)


def test_non_default_settings_are_tested():
    differ = [
        name for name, other in PARTS if other and made(name, True).config != made(name).config
    ]
    assert {"shopper_product", "repurchase", "category", "sources"} <= set(differ)


def test_no_two_columns_of_the_shelf_share_a_name():
    names = [
        column
        for name in registry.names("features")
        for column in made(name).fit(EVENTS, PRODUCTS, CLOSED).names()
    ]
    assert len(names) > len(registry.names("features"))
    assert sorted(set(names)) == sorted(names)


def test_columns_are_as_many_as_the_names_and_never_infinite(part, shop):
    feature, here = fitted_in(part, shop), batch(shop)
    found = feature.compute(here)
    assert found.shape == (here.owner_N.size, len(feature.names()))
    assert found.dtype == np.float32
    assert not np.isinf(found).any()


def test_one_request_alone_gets_the_same_numbers_as_in_a_batch(part, shop):
    feature = fitted_in(part, shop)
    together = feature.compute(batch(shop))
    for mine, here in alone_in(shop):
        alone = feature.compute(dataclasses.replace(here, _memo={}))
        np.testing.assert_array_equal(alone, together[mine])


def test_saving_and_loading_changes_nothing(part, shop, tmp_path):
    feature = fitted_in(part, shop)
    registry.save(feature, tmp_path)
    again = registry.load(tmp_path)
    assert again.names() == feature.names()
    assert again.config == feature.config
    np.testing.assert_array_equal(again.compute(batch(shop)), feature.compute(batch(shop)))


def test_nothing_at_the_moment_of_the_snapshot_or_later_counts(part):
    now = OPENED + timedelta(days=4)
    past = EVENTS.filter(pl.col(TIME) < now)
    assert 0 < past.height < EVENTS.height
    rush = EVENTS.with_columns(
        pl.lit(now).cast(EVENTS.schema[TIME]).alias(TIME),
        pl.lit("p003").alias(ITEM),
        pl.lit("newcomer").alias(USER),
        pl.lit(1_000_000, pl.Int64).alias("price_minor"),
    )
    here = at(asked_of(past), PRODUCTS)
    plain = fitted(part, past, PRODUCTS, now)
    knowing = fitted(part, pl.concat([rush, EVENTS]), PRODUCTS, now)
    np.testing.assert_array_equal(knowing.compute(here), plain.compute(here))


def test_the_order_of_the_events_does_not_matter(part, shop):
    events, products = SHOPS[shop]
    shuffled = events.sample(fraction=1, shuffle=True, seed=3)
    again = fitted(part, shuffled, products)
    np.testing.assert_array_equal(
        again.compute(batch(shop)), fitted_in(part, shop).compute(batch(shop))
    )


def test_the_order_of_what_was_done_at_one_time_does_not_matter(part):
    requests, feature = asked_in("tied"), fitted_in(part, "tied")
    turned = requests.with_columns(pl.col(HISTORY).list.reverse())
    assert not turned.equals(requests)
    np.testing.assert_array_equal(
        feature.compute(at(turned, PRODUCTS)), feature.compute(batch("tied"))
    )


def test_products_that_nobody_knows_are_as_if_never_bought(part):
    feature = fitted_in(part, "planted")
    strange = EVENTS.with_columns(pl.lit("unheard of").alias(ITEM))
    both = pl.concat([EVENTS, strange]).sort(TIME, maintain_order=True)
    here = batch("planted")
    again = fitted(part, both, PRODUCTS)
    requests = requests_at(both, OPENED + timedelta(days=5), SHOPPERS, 1000)
    plain = requests_at(EVENTS, OPENED + timedelta(days=5), SHOPPERS, 1000)
    np.testing.assert_array_equal(again.compute(here), feature.compute(here))
    np.testing.assert_array_equal(
        feature.compute(at(requests, PRODUCTS)), feature.compute(at(plain, PRODUCTS))
    )


def test_a_second_fit_forgets_the_first_and_leaves_its_tables_as_they_were(part):
    events, products = EVENTS.clone(), PRODUCTS.clone()
    feature, here = fitted(part, *SHOPS["holed"]), batch("planted")
    feature.fit(events, products, CLOSED)
    fresh = fitted_in(part, "planted")
    assert feature.names() == fresh.names()
    np.testing.assert_array_equal(feature.compute(here), fresh.compute(here))
    assert events.equals(EVENTS)
    assert products.equals(PRODUCTS)


def test_computing_twice_gives_the_same_and_changes_no_moment(part):
    feature, here = fitted_in(part, "planted"), at(asked_of(EVENTS), PRODUCTS)
    first = feature.compute(here)
    np.testing.assert_array_equal(feature.compute(here), first)
    untouched = at(asked_of(EVENTS), PRODUCTS)
    for name in ("owner_H", "item_H", "age_H", "owner_N", "item_N", "owner_V", "item_V", "age_V"):
        np.testing.assert_array_equal(getattr(here, name), getattr(untouched, name))


def test_no_candidates_and_no_requests_give_no_rows(part):
    feature = fitted_in(part, "planted")
    width = len(feature.names())
    nothing = np.empty(0, np.int64)
    for requests in (asked_of(EVENTS), asked_of(EVENTS).clear()):
        asked = Asked.of(requests, Ids(PRODUCTS[PRODUCT_ID]))
        empty = moment(asked, nothing, nothing, {})
        assert feature.compute(empty).shape == (0, width)


def test_the_clock_of_a_request_is_its_own():
    requests = asked_of(EVENTS)
    assert requests[NOW].n_unique() == 3
    here = at(requests, PRODUCTS)
    assert here.owner_V.size > 0
    assert (here.age_V >= 0).all()
    assert (here.age_H >= 0).all()
