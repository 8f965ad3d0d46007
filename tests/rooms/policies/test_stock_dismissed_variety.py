"""Each policy does what its name says, seen on pages worked out by hand."""

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


def page_of(*lists):
    rows = [
        {REQUEST: number, ITEM: item, SCORE: 1.0 - place / 20, RANK: place + 1, "source": "test"}
        for number, products in enumerate(lists)
        for place, item in enumerate(products)
    ]
    return conform(pl.DataFrame(rows), RESULTS)


def shown(page, number=0):
    return page.filter(pl.col(REQUEST) == number)[ITEM].to_list()


def apply(name, page, asked, products=CATALOGUE, **settings):
    return decide(registry.build("policies", name, **settings), page, asked, products)


def test_stock_drops_what_is_sold_out_or_unknown():
    said = (
        pl.when(pl.col(PRODUCT_ID) == "p001").then(pl.lit("out_of_stock")).otherwise("availability")
    )
    unsaid = pl.when(pl.col(PRODUCT_ID) == "p002").then(None).otherwise("availability")
    products = CATALOGUE.with_columns(said.alias("availability")).with_columns(
        unsaid.alias("availability")
    )
    page = page_of(["p000", "p001", "p002", "gone"])
    asked = requests({"u": []}, NOW)
    assert shown(apply("stock", page, asked, products)) == ["p000", "p002"]
    assert shown(apply("stock", page, asked, products, unsaid=False)) == ["p000"]
    both = apply("stock", page, asked, products, sellable=("in_stock", "out_of_stock"))
    assert shown(both) == ["p000", "p001", "p002"]


def test_dismissed_products_stay_away_from_who_dismissed_them_and_from_nobody_else():
    page = page_of(["p000", "p001"], ["p000", "p001"])
    asked = pl.concat(
        [
            requests({"a": ["p001"]}, NOW, action="dismiss"),
            requests({"b": ["p001"]}, NOW, action="view_item"),
        ]
    ).with_columns(pl.Series(REQUEST, [0, 1], dtype=pl.UInt32))
    kept = apply("dismissed", page, asked)
    assert shown(kept, 0) == ["p000"]
    assert shown(kept, 1) == ["p000", "p001"]


def test_a_dismissal_does_not_hold_for_ever():
    asked = requests({"a": ["p001"]}, NOW, action="dismiss")
    assert shown(apply("dismissed", page_of(["p001"]), asked, days=0.5)) == ["p001"]
    assert shown(apply("dismissed", page_of(["p001"]), asked, days=1.5)) == []


def test_what_a_request_excludes_is_dropped():
    asked = requests({"a": []}, NOW, exclude=["p000"])
    assert shown(apply("dismissed", page_of(["p000", "p001"]), asked)) == ["p001"]


def test_variety_keeps_the_best_variant_of_a_product():
    # p000 and p001 are one group, p002 and p003 another.
    page = page_of(["p001", "p000", "p003", "p002", "p005"])
    asked = requests({"a": []}, NOW)
    assert shown(apply("variety", page, asked)) == ["p001", "p003", "p005"]
    assert shown(apply("variety", page, asked, per_group_max=0)) == shown(page)


def test_variety_counts_categories_on_each_page_apart():
    # p000 and p006 are lamps, and so is no other.
    page = page_of(["p000", "p006", "p002"], ["p006", "p000"])
    kept = apply("variety", page, requests({"a": [], "b": []}, NOW), per_category_max=1)
    assert shown(kept, 0) == ["p000", "p002"]
    assert shown(kept, 1) == ["p006"]
    assert kept[RANK].to_list() == [1, 2, 1]


def test_products_without_a_group_are_not_variants_of_each_other():
    products = CATALOGUE.with_columns(pl.lit(None, pl.String).alias("item_group_id"))
    page = page_of(["p000", "p001", "p002"])
    assert shown(apply("variety", page, requests({"a": []}, NOW), products)) == shown(page)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("stock", {"sellable": ()}, "sellable must name at least one availability"),
        ("dismissed", {"days": 0}, "days must be above 0, got 0"),
        ("variety", {"per_group_max": -1}, "per_group_max must be at least 0, got -1"),
    ],
)
def test_a_bad_setting_is_refused(name, settings, said):
    with pytest.raises(BadConfig, match=said):
        registry.build("policies", name, **settings)
