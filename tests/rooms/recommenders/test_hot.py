"""What is hot, sold most and new: found where it was planted, nothing where chance acts."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from shopkeeper import registry
from shopkeeper.contracts import Local
from shopkeeper.data.samples.planted import requests
from shopkeeper.schema import COUNTRY, EVENT_NAME, ITEM, TIME, USER

END = datetime(2026, 3, 1, tzinfo=UTC)
PRODUCTS, SHOPPERS = 300, 4000


def log(rise=(), seed=0, countries=("GB",)):
    """Five weeks of purchases at random; some products (a country, a factor) rise in the last."""
    chance = np.random.default_rng(seed)
    item = chance.integers(0, PRODUCTS, 15_000)
    days = chance.uniform(0, 35, len(item))
    country = chance.choice(countries, len(item))
    for product, where, more in rise:
        item = np.append(item, np.full(more, product))
        days = np.append(days, chance.uniform(0, 7, more))
        country = np.append(country, np.full(more, where))
    user = chance.integers(0, SHOPPERS, len(item))
    rows = {
        USER: [f"u{n}" for n in user],
        ITEM: [f"p{n:03}" for n in item],
        EVENT_NAME: ["purchase"] * len(item),
        TIME: [END - timedelta(days=float(day)) for day in days],
        COUNTRY: country.tolist(),
    }
    return pl.DataFrame(rows).with_columns(pl.col(TIME).dt.cast_time_unit("us"))


def fitted(name, events, **settings):
    return registry.build("recommenders", name, **settings).fit(events)


def shown(part, k=20):
    return part.recommend(requests({"u": []}, END), k)[ITEM].to_list()


def test_trending_finds_what_rose_first_and_little_else():
    found = shown(fitted("trending", log(rise=[(7, "GB", 60), (8, "GB", 25)])))
    assert found[:2] == ["p007", "p008"]
    assert len(found) <= 4


def test_where_nothing_rose_trending_shows_almost_nothing_and_counts_alone_would():
    logs = [log(seed=seed) for seed in range(3)]
    settings = {"other_days": ()}
    held = [len(shown(fitted("trending", one, **settings), 300)) for one in logs]
    alone = [len(shown(fitted("trending", one, false_share=1.0, **settings), 300)) for one in logs]
    # A share of false finds lets few logs show one; two standard deviations show some on each.
    assert sum(held) <= 2
    assert sum(alone) >= 9


def test_a_big_rise_of_few_comes_after_a_sure_one():
    found = shown(fitted("trending", log(rise=[(7, "GB", 100), (8, "GB", 30)]), buyers_min=3))
    assert found.index("p007") < found.index("p008")


def test_a_country_has_its_own_trends_and_one_without_a_list_those_of_all():
    events = log(rise=[(7, "GB", 50), (8, "DE", 50)], countries=("GB", "DE"))
    part = fitted("trending", events)
    assert isinstance(part, Local)
    assert shown(part.local("DE", 0), 1) == ["p008"]
    assert shown(part.local("GB", 0), 1) == ["p007"]
    assert shown(part.local("FR", 0)) == shown(part)


def test_windows_are_the_nearest_that_are_known():
    part = fitted("trending", log(rise=[(7, "GB", 60)]), other_days=(1.0, 30.0))
    assert part.local("", 8.0) is part
    assert part.local("", 1.5) is part.local("", 1.0) is not part
    assert part.local("", 60.0) is part.local("", 30.0)


@pytest.mark.parametrize("name", ["trending", "best_sellers"])
def test_lists_of_countries_survive_the_trip_to_disk(name, tmp_path):
    part = fitted(name, log(rise=[(8, "DE", 50)], countries=("GB", "DE")))
    registry.save(part, tmp_path / "part")
    again = registry.load(tmp_path / "part")
    for country, days in (("", 0), ("DE", 0), ("DE", 1), ("GB", 30)):
        assert shown(again.local(country, days)) == shown(part.local(country, days))


def test_best_sellers_counts_baskets_of_the_window():
    part = fitted("best_sellers", log(rise=[(8, "DE", 150), (7, "GB", 90)], countries=("GB", "DE")))
    assert shown(part, 2) == ["p008", "p007"]
    assert shown(part.local("GB", 0), 1) == ["p007"]


def test_new_arrivals_are_those_that_came_last_and_not_those_the_log_began_with():
    events = log()
    late = events.head(6).with_columns(
        pl.Series(ITEM, ["n1", "n1", "n2", "n2", "n2", "n3"]),
        pl.Series(TIME, [END - timedelta(days=d) for d in (3, 1, 3, 2, 1, 0)]).cast(
            events.schema[TIME]
        ),
    )
    part = fitted("new_arrivals", pl.concat([events, late]))
    assert shown(part) == ["n3", "n2", "n1"]
    assert shown(fitted("new_arrivals", pl.concat([events, late]), days=1.0)) == ["n3"]
