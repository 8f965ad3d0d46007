"""What else speaks for a product moves it a little, and never past what was asked for by name."""

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from shopkeeper import registry, schema
from shopkeeper.encoders.hashing import Hashing
from shopkeeper.search.catalogue import ProductSearch
from shopkeeper.search.text import product_text, spelled

ENCODER = Hashing(Hashing.Config(width=64))
WORDS = ("red", "blue", "kettle", "lamp", "steel", "XL")
TITLES = [f"{a} {b} {c}" for a in WORDS for b in WORDS for c in (*WORDS, "") if a != b]
PRODUCTS = schema.conform(
    pl.DataFrame({"id": [f"P{n:03}" for n in range(len(TITLES))], "title": TITLES}),
    schema.PRODUCTS,
)
VECTORS = ENCODER.encode(product_text(PRODUCTS).to_list())
WEIGHT = 0.1
SEARCH = ProductSearch(
    registry.build("search.indexes", "hybrid").build(PRODUCTS, VECTORS),
    ProductSearch.Config(lift_weight=WEIGHT),
)


def find(query, lift=None, **more):
    vector = ENCODER.encode([query], "query")[0]
    return SEARCH.search(query, vector, PRODUCTS, k=500, lift=lift, **more)


queries = st.sampled_from([*TITLES, "red", "steel lamp", "P007", "kettle, RED!", "blue  lamp"])


@settings(max_examples=60, deadline=None)
@given(queries, st.integers(0, 2**32 - 1), st.booleans())
def test_an_exact_title_or_id_keeps_its_place_and_nobody_passes_what_is_much_better(
    query, seed, sold
):
    sales = {"P001": 9.0, "P050": 99.0, "P100": 500.0} if sold else None
    lifts = np.random.default_rng(seed).random(len(TITLES)).astype(np.float32)
    plain = find(query, popularity=sales)
    mine = find(query, lambda rows: lifts[rows], popularity=sales)
    before = {item: (rank, score) for rank, (item, score) in enumerate(_scored(plain))}
    assert sorted(plain.ids) == sorted(mine.ids)
    places = {item: rank for rank, item in enumerate(mine.ids)}
    titles = dict(PRODUCTS.select("id", "title").iter_rows())
    named = {i for i in places if spelled(titles[i]) == spelled(query) or i == query}
    assert all(places[item] == before[item][0] for item in named)
    others = [before[item][1] for item in mine.ids if item not in named]
    worst_before = np.minimum.accumulate(others)
    assert (np.array(others) <= worst_before + WEIGHT + 1e-5).all()
    assert mine.raised == [places[item] < before[item][0] for item in mine.ids]


def _scored(page):
    return list(zip(page.ids, page.scores, strict=True))


def test_a_lift_decides_between_products_that_are_equal_but_for_it():
    titles = ["plain mug"] * 6
    products = schema.conform(
        pl.DataFrame({"id": [f"M{n}" for n in range(6)], "title": titles, "brand": [*"aabbcc"]}),
        schema.PRODUCTS,
    )
    vectors = ENCODER.encode(titles)
    search = ProductSearch(registry.build("search.indexes", "dense").build(products, vectors))
    found = search.search(
        "mug", vectors[0], products, lift=lambda rows: (rows == 4).astype(np.float32)
    )
    assert found.ids == ["M4", "M0", "M1", "M2", "M3", "M5"]
    assert found.raised == [True, False, False, False, False, False]


def test_an_order_by_price_is_nobodys_own():
    page = find("lamp", lambda rows: np.ones(len(rows), np.float32), sort="price_asc")
    assert page.ids
    assert not any(page.raised)
