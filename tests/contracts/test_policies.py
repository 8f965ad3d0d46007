"""Every policy keeps the contract: rows go or move, none comes."""

from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from shopkeeper import registry
from shopkeeper.data.samples.planted import OPENED, loop_shop, name_of, products_of, requests
from shopkeeper.schema import ITEM, PRODUCT_ID, RANK, REQUEST, RESULTS, SCORE, conform, empty
from tests.policy_tables import decide

NOW = OPENED + timedelta(days=30)
CATALOGUE = products_of(loop_shop())
ASKED = requests({"u0": ["p001"], "u1": [], "u2": ["p002"]}, NOW, exclude=["p003"])
AVAILABILITY = ("in_stock", "out_of_stock", "preorder", None)
each = pytest.mark.parametrize("name", registry.names("policies"))

items = st.integers(0, 14).map(name_of)
pages = st.lists(st.lists(items, max_size=12, unique=True), min_size=3, max_size=3)


@st.composite
def catalogues(draw):
    """Some of the products, some of them out of stock, without a group, or without a kind."""
    rows = draw(st.lists(st.integers(0, 11), unique=True))
    said = draw(st.lists(st.sampled_from(AVAILABILITY), min_size=12, max_size=12))
    groups = draw(st.lists(st.sampled_from(["a", "b", None]), min_size=12, max_size=12))
    return CATALOGUE.with_columns(
        pl.Series("availability", said, dtype=pl.String),
        pl.Series("item_group_id", groups, dtype=pl.String),
    )[sorted(rows)]


def page_of(lists):
    rows = [
        {REQUEST: number, ITEM: item, SCORE: 1.0 - place / 20, RANK: place + 1, "source": "test"}
        for number, products in enumerate(lists)
        for place, item in enumerate(products)
    ]
    return conform(pl.DataFrame(rows), RESULTS) if rows else empty(RESULTS)


@each
@settings(max_examples=60, deadline=None)
@given(lists=pages, products=catalogues())
def test_no_row_is_added_and_what_is_left_is_numbered_from_one(name, lists, products):
    page = page_of(lists)
    kept = decide(registry.build("policies", name), page, ASKED, products)
    assert dict(kept.schema) == RESULTS
    assert kept.height <= page.height
    rest = [column for column in RESULTS if column != RANK]
    assert kept.select(rest).join(page, on=[REQUEST, ITEM], how="anti").is_empty()
    assert kept.select(REQUEST, ITEM).is_duplicated().sum() == 0
    for _, rows in kept.group_by(REQUEST, maintain_order=True):
        assert rows[RANK].to_list() == list(range(1, rows.height + 1))


@each
@settings(max_examples=30, deadline=None)
@given(lists=pages, products=catalogues())
def test_applying_a_policy_again_changes_nothing_and_the_page_given_is_untouched(
    name, lists, products
):
    page = page_of(lists)
    before = page.clone()
    policy = registry.build("policies", name)
    once = decide(policy, page, ASKED, products)
    assert_frame_equal(page, before)
    assert_frame_equal(decide(policy, page, ASKED, products), once)
    assert_frame_equal(decide(policy, once, ASKED, products), once)


@each
def test_an_empty_page_stays_empty(name):
    kept = decide(registry.build("policies", name), empty(RESULTS), ASKED, CATALOGUE)
    assert kept.is_empty()
    assert dict(kept.schema) == RESULTS


@each
def test_one_request_is_decided_without_the_others(name):
    policy = registry.build("policies", name)
    page = page_of([["p000", "p001", "p003"], ["p003", "p002"], ["p001", "p000", "p005"]])
    together = decide(policy, page, ASKED, CATALOGUE)
    for number in range(3):
        mine = pl.col(REQUEST) == number
        alone = decide(policy, page.filter(mine), ASKED.filter(mine), CATALOGUE)
        assert_frame_equal(alone, together.filter(mine))


@each
def test_products_may_come_in_any_order(name):
    policy = registry.build("policies", name)
    page = page_of([["p000", "p001", "p003"], ["p003", "p002"], []])
    shuffled = CATALOGUE.sample(fraction=1, shuffle=True, seed=2)
    assert shuffled[PRODUCT_ID].to_list() != CATALOGUE[PRODUCT_ID].to_list()
    assert_frame_equal(
        decide(policy, page, ASKED, shuffled), decide(policy, page, ASKED, CATALOGUE)
    )
