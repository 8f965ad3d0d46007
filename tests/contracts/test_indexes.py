"""What every search index promises, ours and those of plugins."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from shopkeeper import registry, schema
from shopkeeper.encoders.hashing import Hashing
from shopkeeper.errors import BadConfig, BadData, NotFitted
from shopkeeper.search.text import product_text

NAMES = registry.names("search.indexes")
NONDEFAULT = {
    "lexical": {"title_boost": 2.0, "piece_boost": 0.5, "typos": False, "keep_share": 0.1},
    "dense": {"cosine_min": -1.0, "exact_max": 4},
    "hybrid": {
        "exact_max": 4,
        "lexical_weight": 0.6,
        "cosine_min": 0.1,
        "pool": 50,
        "piece_boost": 0.5,
    },
    "learned": {"lexical_weight": 0.6, "depth": 20, "exact_max": 4},
}
ENCODER = Hashing(Hashing.Config(width=128))
HOSTILE = [
    "AND OR NOT",
    "title:kettle AND (",
    "~ * : ( ) [ ] { } ^ \" ' \\ / + - ! ? &&  ||",
    "'; drop table products; --",
    "<script>alert(1)</script>",
    "🎉",
    "红茶杯",
    "\x00\x1b\ud800",
    "x" * 10_000,
    "kettle " * 2_000,
    "   ",
    "",
]


def shop(rows):
    frame = pl.DataFrame(rows, infer_schema_length=None)
    return schema.conform(frame, schema.PRODUCTS)


def planted():
    colours = ["red", "blue", "green", "black", "white"]
    things = ["kettle", "lamp", "napkin set", "garden hose", "bicycle pump", "notebook"]
    return shop(
        [
            {"id": f"P{len(things) * c + t}", "title": f"{colour} {thing}", "brand": "Acme"}
            for c, colour in enumerate(colours)
            for t, thing in enumerate(things)
        ]
    )


def tied():
    return shop([{"id": f"P{n}", "title": "plain kettle"} for n in range(40)])


def full_of_nulls():
    return shop([{"id": f"P{n}", "title": None if n % 2 else f"kettle {n}"} for n in range(20)])


def vectors_of(products):
    return ENCODER.encode(product_text(products).to_list())


def ask(index, query, k=10):
    return index.search(query, ENCODER.encode([query])[0], k)


@pytest.fixture(params=[(name, which) for name in NAMES for which in ("default", "other")])
def empty_index(request):
    name, which = request.param
    return registry.build("search.indexes", name, **(NONDEFAULT[name] if which == "other" else {}))


@pytest.fixture
def index(empty_index):
    products = planted()
    return empty_index.build(products, vectors_of(products))


def test_the_planted_product_comes_first_and_another_query_finds_another(index):
    title = dict(planted().select("id", "title").iter_rows())
    assert title[ask(index, "blue kettle")["item_id"][0]] == "blue kettle"
    assert title[ask(index, "green garden hose")["item_id"][0]] == "green garden hose"


def test_results_are_distinct_and_best_first(index):
    found = ask(index, "red lamp", 30)
    assert found["item_id"].is_unique().all()
    assert found["score"].is_sorted(descending=True)
    assert np.isfinite(found["score"].to_numpy()).all()
    assert found.schema["item_id"] == pl.String
    assert found.schema["score"] == pl.Float32


@pytest.mark.parametrize("k", [1, 3, 1_000_000])
def test_k_is_a_bound_and_a_smaller_k_is_a_prefix(index, k):
    everything = ask(index, "red lamp", 30)
    found = ask(index, "red lamp", k)
    assert found.height == min(k, everything.height)
    assert found["item_id"].to_list() == everything["item_id"].head(k).to_list()


@pytest.mark.parametrize("query", HOSTILE)
def test_no_text_breaks_a_search(index, query):
    found = ask(index, query, 1_000)
    assert found.height <= 30
    assert np.isfinite(found["score"].to_numpy()).all()


def test_equal_products_keep_the_order_of_the_catalogue(empty_index):
    products = tied()
    empty_index.build(products, vectors_of(products))
    found = ask(empty_index, "kettle", 7)
    assert found["item_id"].to_list() == [f"P{n}" for n in range(7)]


def test_products_without_text_hurt_nobody(empty_index):
    products = full_of_nulls()
    empty_index.build(products, vectors_of(products))
    assert ask(empty_index, "kettle 4")["item_id"][0] == "P4"


def test_a_shop_without_products_finds_nothing(empty_index):
    products = schema.empty(schema.PRODUCTS)
    empty_index.build(products, np.zeros((0, ENCODER.width), dtype=np.float32))
    assert ask(empty_index, "kettle").height == 0


def test_a_restored_index_answers_the_same(index, tmp_path):
    registry.save(index, tmp_path)
    restored = registry.load(tmp_path)
    for query in ("blue kettle", "napkn", "P3", "notebook black"):
        assert ask(restored, query).equals(ask(index, query))


def test_a_second_build_forgets_the_first(index):
    products = shop([{"id": "new", "title": "wooden chair"}])
    index.build(products, vectors_of(products))
    assert set(ask(index, "blue kettle wooden chair")["item_id"]) == {"new"}


def test_an_index_that_learned_nothing_says_so(empty_index):
    with pytest.raises(NotFitted, match="build"):
        ask(empty_index, "kettle")


def renamed():
    changed = (
        planted()
        .filter(pl.col("id").is_in(["P0", "P7"]))
        .with_columns(title=pl.Series(["purple dragon kite", "wooden chair"]))
    )
    fresh = shop([{"id": "new", "title": "silver spoon", "brand": "Acme"}])
    return pl.concat([changed, fresh])


def test_a_revised_index_finds_what_changed_as_one_built_anew_does(index, empty_index):
    revised = index.revised(renamed(), vectors_of(renamed()))
    left = planted().filter(~pl.col("id").is_in(renamed()["id"]))
    table = pl.concat([left, renamed()])
    anew = registry.build(*empty_index.address, **dataclasses.asdict(empty_index.config))
    anew.build(table, vectors_of(table))
    for query in ("purple dragon kite", "wooden chair", "silver spoon", "green garden hose"):
        assert ask(revised, query)["item_id"][0] == ask(anew, query)["item_id"][0]
        found = ask(revised, query, 100)["item_id"].to_list()
        assert sorted(found) == sorted(ask(anew, query, 100)["item_id"].to_list())
    assert "P0" not in ask(revised, "red kettle", 1)["item_id"]


def test_an_index_stays_as_it_is_when_it_is_revised_and_can_be_revised_again(index):
    before = ask(index, "red kettle")
    once = index.revised(renamed(), vectors_of(renamed()))
    again = shop([{"id": "P0", "title": "velvet curtain"}])
    twice = once.revised(again, vectors_of(again))
    assert ask(index, "red kettle").equals(before)
    assert ask(once, "purple dragon kite")["item_id"][0] == "P0"
    assert ask(twice, "velvet curtain")["item_id"][0] == "P0"
    assert ask(twice, "silver spoon")["item_id"][0] == "new"
    everything = ask(twice, "velvet curtain purple dragon kite silver spoon", 100)["item_id"]
    assert everything.is_unique().all()


def test_an_index_without_products_can_be_revised(empty_index):
    products = schema.empty(schema.PRODUCTS)
    empty_index.build(products, np.zeros((0, ENCODER.width), dtype=np.float32))
    revised = empty_index.revised(planted(), vectors_of(planted()))
    assert ask(revised, "blue kettle")["item_id"].to_list()[0] == "P6"


@pytest.mark.parametrize("name", ["dense", "hybrid", "learned"])
def test_vectors_must_fit_the_products(name):
    products = planted()
    vectors = vectors_of(products)
    with pytest.raises(BadData, match="30 products but 29 vectors"):
        registry.build("search.indexes", name).build(products, vectors[1:])
    vectors[3, 2] = np.nan
    with pytest.raises(BadData, match="NaN"):
        registry.build("search.indexes", name).build(products, vectors)


@pytest.mark.parametrize("name", ["dense", "hybrid", "learned"])
def test_a_query_vector_of_another_encoder_is_refused(name):
    products = planted()
    made = registry.build("search.indexes", name).build(products, vectors_of(products))
    with pytest.raises(BadData, match="encoder"):
        made.search("kettle", np.ones(7, dtype=np.float32), 5)


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("lexical", "title_boost", -1),
        ("lexical", "piece_boost", float("nan")),
        ("lexical", "keep_share", 2),
        ("dense", "cosine_min", 3),
        ("hybrid", "lexical_weight", 1.5),
        ("hybrid", "pool", 0),
        ("hybrid", "cosine_min", float("nan")),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(name, setting, value):
    with pytest.raises(BadConfig, match=setting):
        registry.build("search.indexes", name, **{setting: value})
