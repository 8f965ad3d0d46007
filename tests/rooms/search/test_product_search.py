"""A whole search: words, filters, facets, order, sales and notes."""

import numpy as np
import polars as pl
import pytest

from shopkeeper import registry, schema
from shopkeeper.encoders.hashing import Hashing
from shopkeeper.errors import BadRequest
from shopkeeper.search.catalogue import ProductSearch
from shopkeeper.search.found import PAGE
from shopkeeper.search.text import product_text

ENCODER = Hashing(Hashing.Config(width=128))
COLOURS = ("red", "blue", "green", "black")
THINGS = ("kettle", "lamp", "teapot", "chair", "napkin")
PRODUCTS = schema.conform(
    pl.DataFrame(
        [
            {
                "id": f"{thing}-{colour}",
                "title": f"{colour} {thing}",
                "brand": "Acme" if t % 2 else "Bolt",
                "product_type": f"Home > {thing.title()}",
                "color": colour,
                "item_group_id": "all-chairs" if thing == "chair" else None,
                "price_minor": 100 * (c + 1),
            }
            for t, thing in enumerate(THINGS)
            for c, colour in enumerate(COLOURS)
        ]
    ),
    schema.PRODUCTS,
)
SALES = {"kettle-green": 500.0, "lamp-blue": 900.0}
VECTORS = ENCODER.encode(product_text(PRODUCTS).to_list())


@pytest.fixture(scope="module")
def shop():
    return ProductSearch(registry.build("search.indexes", "hybrid").build(PRODUCTS, VECTORS))


def find(shop, query, **more):
    vector = ENCODER.encode([query])[0] if query.strip() else None
    return shop.search(query, vector, more.pop("products", PRODUCTS), **more)


def ids(page):
    return page.rows["item_id"].to_list()


def test_words_find_the_product_and_rows_have_their_shape(shop):
    page = find(shop, "green teapot")
    assert ids(page)[0] == "teapot-green"
    assert page.rows.schema == pl.Schema(PAGE)
    assert page.rows["rank"].to_list() == list(range(1, page.rows.height + 1))
    assert page.rows["source"][0] == "lexical+dense"
    assert page.notes == []


def test_among_equal_texts_the_better_seller_comes_first_unless_told_not_to(shop):
    assert ids(find(shop, "kettle"))[0] != "kettle-green"
    assert ids(find(shop, "kettle", popularity=SALES))[0] == "kettle-green"
    indifferent = ProductSearch(shop.index, ProductSearch.Config(popularity_weight=0))
    assert ids(find(indifferent, "kettle", popularity=SALES)) == ids(find(shop, "kettle"))


def test_sales_do_not_beat_words(shop):
    assert ids(find(shop, "red kettle", popularity=SALES))[0] == "kettle-red"


def test_an_empty_query_browses_by_sales(shop):
    page = find(shop, "  ", filters={"product_type": ["Home > Kettle"]}, popularity=SALES)
    assert ids(page) == ["kettle-green", "kettle-red", "kettle-blue", "kettle-black"]
    assert page.total == 4
    assert set(page.rows["source"]) == {"browse"}


def test_filters_prices_facets_and_order_work_together(shop):
    page = find(
        shop, "", filters={"brand": ["acme"]}, price_min=200, price_max=300, sort="price_desc"
    )
    assert ids(page)[0].endswith("green")
    assert page.total == 3
    assert dict(page.facets["brand"]) == {"Acme": 4, "Bolt": 6}


def test_variants_are_one_result_unless_told_not_to(shop):
    assert find(shop, "chair", filters={"product_type": ["Home > Chair"]}).total == 1
    apart = find(shop, "chair", filters={"product_type": ["Home > Chair"]}, group=False)
    assert apart.total == 4


def test_pages_join_to_the_whole_without_gap_or_repeat(shop):
    whole = find(shop, "red", k=100, popularity=SALES)
    pages = [find(shop, "red", k=3, offset=at, popularity=SALES) for at in range(0, whole.total, 3)]
    assert pl.concat([page.rows for page in pages]).equals(whole.rows)


def test_beyond_the_end_is_an_empty_page_with_the_total(shop):
    page = find(shop, "kettle", offset=10_000)
    assert page.rows.height == 0
    assert page.total == find(shop, "kettle").total > 0


def test_a_filter_deeper_than_the_looked_at_matches_still_finds(shop):
    narrow = ProductSearch(shop.index, ProductSearch.Config(matches_max=2))
    page = find(narrow, "red", filters={"product_type": ["Home > Napkin"]})
    assert ids(page)[0] == "napkin-red"


def test_a_typo_still_finds_and_is_noted(shop):
    page = find(shop, "ketlte")
    assert ids(page)[0].startswith("kettle")
    assert "'ketlte'" in page.notes[0]


def test_products_that_are_no_longer_sold_are_left_out(shop):
    left = PRODUCTS.filter(pl.col("id") != "kettle-red")
    assert "kettle-red" in ids(find(shop, "red kettle"))
    assert "kettle-red" not in ids(find(shop, "red kettle", products=left))


def test_prices_are_those_of_the_call_not_of_the_index(shop):
    cheaper = PRODUCTS.with_columns(price_minor=pl.lit(7, dtype=pl.Int64))
    assert find(shop, "kettle", price_max=10).total == 0
    assert find(shop, "kettle", products=cheaper, price_max=10).total > 0


def test_an_empty_page_says_why(shop):
    page = find(shop, "kettle", filters={"brand": ["nobody"]})
    assert page.rows.height == 0
    assert "with these filters" in page.notes[0]
    assert "no words" in find(shop, "?!*").notes[0]
    lexical = registry.build("search.indexes", "lexical").build(PRODUCTS, VECTORS)
    nothing = find(ProductSearch(lexical), "zzzzqqqq")
    assert nothing.rows.height == 0
    assert "'zzzzqqqq'" in nothing.notes[0]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"k": 0}, "k"),
        ({"k": 1_000_000}, "k"),
        ({"offset": -1}, "offset"),
        ({"sort": "cheapest"}, "sort"),
        ({"filters": {"colour": ["red"]}}, "filters"),
        ({"price_min": -1}, "price_min"),
        ({"price_min": 5, "price_max": 1}, "price_min"),
    ],
)
@pytest.mark.parametrize("query", ["kettle", "", "?!"])
def test_an_impossible_request_names_the_field(shop, arguments, field, query):
    with pytest.raises(BadRequest) as caught:
        find(shop, query, **arguments)
    assert caught.value.field == field


def test_an_unknown_attribute_is_answered_with_the_nearest_name(shop):
    with pytest.raises(BadRequest, match="Did you mean 'color'"):
        find(shop, "kettle", filters={"colour": ["red"]})


@pytest.mark.parametrize(
    "query",
    ["AND OR NOT : ( ~ *", "'; drop table x", "<script>", "🎉", "红茶", "x" * 10_000, "\x00\ud800"],
)
def test_no_query_breaks_a_page(shop, query):
    page = find(shop, query, popularity=SALES)
    assert np.isfinite(page.rows["score"].to_numpy()).all()
    assert all(len(note) < 300 for note in page.notes)


def test_a_shop_without_products_answers_an_empty_page():
    products = schema.empty(schema.PRODUCTS)
    index = registry.build("search.indexes", "hybrid").build(products, VECTORS[:0])
    for query in ("kettle", ""):
        page = ProductSearch(index).search(query, VECTORS[0], products)
        assert (page.total, page.rows.height) == (0, 0)
        assert page.notes
