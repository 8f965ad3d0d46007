"""Seen, diversity, caps, prices, margins and freshness, on pages worked out by hand."""

from datetime import timedelta

import polars as pl
import pytest

from shopkeeper import registry
from shopkeeper.data.samples.planted import OPENED, loop_shop, products_of, requests
from shopkeeper.errors import BadConfig
from shopkeeper.schema import ITEM, PRODUCT_ID, RANK, REQUEST, RESULTS, SCORE, conform
from tests.policy_tables import decide

NOW = OPENED + timedelta(days=30)
CATALOGUE = products_of(loop_shop())
NOBODY = requests({"u": []}, NOW)
FOUR = ["p000", "p001", "p002", "p003"]


def page_of(*items, step=0.05):
    rows = [
        {REQUEST: 0, ITEM: item, SCORE: 1.0 - place * step, RANK: place + 1, "source": "test"}
        for place, item in enumerate(items)
    ]
    return conform(pl.DataFrame(rows), RESULTS)


def shown(name, page=None, asked=NOBODY, products=CATALOGUE, **settings):
    page = page_of(*FOUR) if page is None else page
    return decide(registry.build("policies", name, **settings), page, asked, products)[
        ITEM
    ].to_list()


def with_values(**columns):
    """Give p000, p001... values in some columns."""
    known = CATALOGUE.filter(pl.col(PRODUCT_ID).is_in(FOUR)).sort(PRODUCT_ID)
    made = [
        pl.Series(name, values).cast(CATALOGUE.schema[name]) for name, values in columns.items()
    ]
    return known.with_columns(made)


def test_seen_drops_what_was_bought_lately_and_not_what_was_bought_long_ago():
    asked = requests({"u": ["p001"]}, NOW, action="purchase")
    assert shown("seen", asked=asked, bought_days=5.0) == ["p000", "p002", "p003"]
    assert shown("seen", asked=asked, bought_days=0.5) == FOUR
    assert shown("seen", asked=asked, bought_days=0.0) == FOUR
    looked = requests({"u": ["p001"]}, NOW, action="view_item")
    assert shown("seen", asked=looked, bought_days=5.0) == FOUR
    assert shown("seen", asked=looked, looked_days=5.0) == ["p000", "p002", "p003"]


def test_seen_drops_what_was_shown_in_vain_and_forgives_after_a_look():
    thrice = requests({"u": ["p001", "p001", "p001", "p002"]}, NOW, action="view_item_list")
    settings = {"shown_max": 3, "shown_days": 20.0}
    assert shown("seen", asked=thrice, **settings) == ["p000", "p002", "p003"]
    assert shown("seen", asked=thrice, shown_max=4, shown_days=20.0) == FOUR
    history = thrice["history"].list.concat(
        requests({"u": ["p001"]}, NOW, action="view_item")["history"]
    )
    assert shown("seen", asked=thrice.with_columns(history), **settings) == FOUR


def test_diversity_moves_down_what_is_like_what_stands_above():
    products = with_values(
        title=["red tea mug", "red tea mug two", "garden chair", "blue tea mug"],
        product_type=["Mugs", "Mugs", "Chairs", "Mugs"],
        brand=[None] * 4,
        item_group_id=[None] * 4,
    )
    near = page_of(*FOUR, step=0.01)
    assert shown("diversity", near, products=products, weight=0.6)[:2] == ["p000", "p002"]
    assert shown("diversity", near, products=products, weight=0.0) == FOUR
    assert shown("diversity", near, products=products, weight=0.6, depth=2) == FOUR
    groups = products.with_columns(pl.Series("item_group_id", ["g", None, "g", None]))
    assert shown("diversity", near, products=groups, weight=1.0)[-1] == "p002"


def test_caps_hold_for_departments_and_for_single_branches():
    products = with_values(product_type=["Home > Mugs", "Home > Mugs", "Home > Vases", None])
    assert shown("category_caps", products=products, most=2) == ["p000", "p001", "p003"]
    assert shown("category_caps", products=products, most=1) == ["p000", "p003"]
    assert shown("category_caps", products=products, level=2, most=1) == ["p000", "p002", "p003"]
    capped = shown("category_caps", products=products, most=0, caps=("Home > Mugs = 1",))
    assert capped == ["p000", "p002", "p003"]
    assert shown("category_caps", products=products, caps=("Home=0",)) == ["p003"]


def test_prices_are_those_that_shoppers_see():
    products = with_values(
        price_minor=[500, 2000, 2000, None], sale_price_minor=[None, 900, None, None],
        currency=["GBP"] * 4,
    )  # fmt: skip
    assert shown("price_range", products=products, highest=10.0) == ["p000", "p001", "p003"]
    assert shown("price_range", products=products, lowest=8.0) == ["p001", "p002", "p003"]
    bounded = shown("price_range", products=products, lowest=8.0, highest=10.0, unsaid=False)
    assert bounded == ["p001"]
    yen = products.with_columns(pl.lit("JPY").alias("currency"))
    assert shown("price_range", products=yen, highest=1000.0) == ["p000", "p001", "p003"]


def test_margins_are_what_is_left_at_the_price_of_now():
    products = with_values(
        price_minor=[1000, 1000, 1000, 0], sale_price_minor=[None, 600, None, None],
        cost_of_goods_sold_minor=[500, 500, None, 10],
    )  # fmt: skip
    assert shown("margin", products=products, least=0.3) == ["p000", "p002"]
    assert shown("margin", products=products, least=0.1, unsaid=False) == ["p000", "p001"]


def test_freshness_goes_by_the_time_of_the_request():
    times = [NOW - timedelta(days=n) for n in (1, 10, 100)] + [None]
    products = with_values(updated=times)
    assert shown("freshness", products=products, days=30.0) == ["p000", "p001", "p003"]
    assert shown("freshness", products=products, days=5.0, unsaid=False) == ["p000"]


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("seen", {"bought_days": -1.0}, "bought_days must be at least 0"),
        ("diversity", {"weight": 1.5}, "weight must be from 0 to 1"),
        ("diversity", {"depth": 0}, "depth must be at least 1"),
        ("category_caps", {"level": 0}, "level must be at least 1"),
        ("category_caps", {"caps": ("Home",)}, "caps must be like"),
        ("price_range", {"lowest": 5.0, "highest": 2.0}, "above highest"),
        ("price_range", {"lowest": -1.0}, "at least 0"),
        ("margin", {"least": 1.5}, "up to 1"),
        ("freshness", {"days": 0.0}, "days must be above 0"),
    ],
)
def test_a_bad_setting_is_refused(name, settings, said):
    with pytest.raises(BadConfig, match=said):
        registry.build("policies", name, **settings)
