"""Narrowing, counting, sorting and grouping."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopkeeper.errors import BadRequest
from shopkeeper.search.filters import Attributes, arrange, facets, narrow, one_per_group

PRODUCTS = pl.DataFrame(
    {
        "id": ["a", "b", "c", "d", "e"],
        "brand": ["Acme", "acme", "Bolt", None, "Bolt"],
        "product_type": [
            "Grocery > Bread > Rye",
            "Grocery > Milk",
            "Grocery Bags",
            None,
            "Toys",
        ],
        "price_minor": [100, 250, None, 50, 250],
        "item_group_id": ["g", None, "g", None, "h"],
        "organic": [True, False, None, True, False],
        "updated": pl.Series(
            ["2024-01-02", "2024-01-01", "2024-03-01", None, "2024-02-01"]
        ).str.to_datetime(time_zone="UTC"),
    }
)
ALL = np.arange(5)


@pytest.fixture
def attributes():
    return Attributes(PRODUCTS)


def names(attributes, rows):
    return "".join(attributes.ids(rows))


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        ({}, "abcde"),
        ({"brand": ["ACME"]}, "ab"),
        ({"brand": "Bolt"}, "ce"),
        ({"brand": ["Acme", "Bolt"]}, "abce"),
        ({"brand": ["nobody"]}, ""),
        ({"brand": []}, ""),
        ({"brand": [""]}, ""),
        ({"product_type": ["Grocery"]}, "ab"),
        ({"product_type": ["grocery > bread"]}, "a"),
        ({"product_type": ["Groc"]}, ""),
        ({"product_type": ["Toys", "Grocery > Milk"], "brand": ["Bolt"]}, "e"),
        ({"organic": ["true"]}, "ad"),
        ({"price_minor": ["250"]}, "be"),
    ],
)
def test_a_filter_keeps_what_it_names_and_nothing_else(attributes, filters, left):
    assert names(attributes, narrow(attributes, ALL, filters)) == left


@pytest.mark.parametrize(
    ("low", "high", "left"), [(100, None, "abe"), (None, 100, "ad"), (100, 100, "a"), (0, 0, "")]
)
def test_a_price_range_includes_its_ends_and_drops_products_without_price(
    attributes, low, high, left
):
    assert names(attributes, narrow(attributes, ALL, {}, low, high)) == left


def test_an_unknown_attribute_is_refused_with_the_nearest_name(attributes):
    with pytest.raises(BadRequest, match="'brand'") as caught:
        narrow(attributes, ALL, {"brnd": ["x"]})
    assert caught.value.field == "filters"


@pytest.mark.parametrize(
    ("low", "high", "field"),
    [(-1, None, "price_min"), (None, -5, "price_max"), (9, 3, "price_min")],
)
def test_an_impossible_price_range_is_refused(attributes, low, high, field):
    with pytest.raises(BadRequest) as caught:
        narrow(attributes, ALL, {}, low, high)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("relevance", "edcba"),
        ("price_asc", "daebc"),
        ("price_desc", "ebadc"),
        ("newest", "ceabd"),
    ],
)
def test_sorting_keeps_the_order_of_equal_products_and_puts_unknown_last(attributes, sort, order):
    assert names(attributes, arrange(attributes, ALL[::-1], sort)) == order


def test_an_unknown_order_is_refused_with_the_nearest_name(attributes):
    with pytest.raises(BadRequest, match="'price_asc'") as caught:
        arrange(attributes, ALL, "price_ascending")
    assert caught.value.field == "sort"


def test_facets_count_one_category_step_below_the_chosen_one(attributes):
    assert facets(attributes, ALL, {})["product_type"] == [
        ("Grocery", 2),
        ("Grocery Bags", 1),
        ("Toys", 1),
    ]
    chosen = facets(attributes, ALL, {"product_type": ["Grocery"]})
    assert chosen["product_type"] == [("Grocery > Bread", 1), ("Grocery > Milk", 1)]
    assert chosen["brand"] == [("Acme", 1), ("acme", 1)]


def test_the_counts_of_an_attribute_ignore_its_own_filter(attributes):
    counted = facets(attributes, ALL, {"brand": ["Bolt"], "organic": ["false"]})
    assert counted["brand"] == [("Bolt", 1), ("acme", 1)]
    assert counted["organic"] == [("false", 1)]


def test_variants_of_one_product_are_shown_once_best_first(attributes):
    rows = np.array([2, 3, 0, 4, 1])
    assert names(attributes, one_per_group(attributes, rows)) == "cdeb"


@given(
    st.lists(st.sampled_from(["red", "Blue", "", None]), min_size=1, max_size=30),
    st.lists(st.sampled_from(["RED", "blue", "pink"]), max_size=3),
    st.integers(0, 20),
)
def test_narrowing_agrees_with_a_plain_table_filter(colours, wanted, low):
    table = pl.DataFrame(
        {
            "id": [str(n) for n in range(len(colours))],
            "color": pl.Series(colours, dtype=pl.String),
            "price_minor": [n * 7 % 31 for n in range(len(colours))],
        }
    )
    attributes = Attributes(table)
    rows = narrow(attributes, np.arange(len(colours)), {"color": wanted}, low)
    small = [value.lower() for value in wanted]
    expected = table.filter(
        pl.col("color").str.to_lowercase().is_in(small) & (pl.col("price_minor") >= low)
    )
    assert attributes.ids(rows) == expected["id"].to_list()
