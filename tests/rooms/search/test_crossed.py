"""The best products are read beside the query; the others stay where they are."""

import numpy as np
import polars as pl
import pytest

from shopkeeper import registry, schema
from shopkeeper.contracts import Numbered, Revisable
from shopkeeper.encoders.hashing import Hashing
from shopkeeper.search.catalogue import ProductSearch
from shopkeeper.search.crossed import DEPTH, Crossed
from shopkeeper.search.text import product_text

ENCODER = Hashing(Hashing.Config(width=64))
ROWS = [{"id": f"p{n}", "title": f"mug number {n}"} for n in range(80)]
PRODUCTS = schema.conform(pl.DataFrame(ROWS), schema.PRODUCTS)


class Likes:
    """Scores texts by whether they hold a word, and notes what it was asked."""

    def __init__(self, word):
        self.word, self.asked = word, []

    def score(self, query, texts):
        self.asked.append((query, list(texts)))
        return np.array([1.0 if self.word in text else 0.0 for text in texts], np.float32)


def crossed(cross, weight=1.0):
    vectors = ENCODER.encode(product_text(PRODUCTS).to_list())
    index = registry.build("search.indexes", "hybrid").build(PRODUCTS, vectors)
    texts = dict(zip(PRODUCTS["id"], product_text(PRODUCTS), strict=True))
    return Crossed(index, cross, texts, weight)


def ask(index, query, k=80):
    return index.search(query, ENCODER.encode([query])[0], k)


def test_the_best_are_read_and_ordered_and_the_others_stay():
    cross = Likes("number 37")
    index = crossed(cross)
    plain, found = ask(index.index, "mug"), ask(index, "mug")
    assert "p37" in plain["item_id"][1:DEPTH]
    assert found["item_id"][0] == "p37"
    assert found["item_id"][DEPTH:].to_list() == plain["item_id"][DEPTH:].to_list()
    assert found["score"].to_list() == plain["score"].to_list()
    (asked,) = cross.asked
    assert asked[0] == "mug"
    assert asked[1] == [f"mug number {name[1:]}" for name in plain["item_id"][:DEPTH]]
    # A short page is the head of a long one.
    assert ask(index, "mug", 3)["item_id"].to_list() == found["item_id"][:3].to_list()


def test_without_weight_the_order_stays_and_with_some_it_leans():
    plain = ask(crossed(Likes("x")).index, "mug number 3")["item_id"].to_list()
    assert ask(crossed(Likes("number 37"), 0.0), "mug number 3")["item_id"].to_list() == plain
    leaning = ask(crossed(Likes("number 37"), 0.3), "mug number 3")["item_id"].to_list()
    assert leaning.index("p37") < plain.index("p37")
    assert leaning[0] == plain[0] == "p3"


def test_changes_and_the_search_of_a_shop_go_through_it():
    index = crossed(Likes("golden"))
    assert isinstance(index, Numbered)
    assert isinstance(index, Revisable)
    fresh = schema.conform(pl.DataFrame([{"id": "p5", "title": "golden mug"}]), schema.PRODUCTS)
    later = index.revised(fresh, ENCODER.encode(["golden mug"]))
    assert ask(later, "mug")["item_id"][0] == "p5"
    assert (
        ask(index, "golden")["item_id"].to_list() == ask(index.index, "golden")["item_id"].to_list()
    )
    table = pl.concat([PRODUCTS.filter(pl.col("id") != "p5"), fresh])
    page = ProductSearch(later).search("mug", ENCODER.encode(["mug"])[0], table, k=5)
    assert page.rows["item_id"][0] == "p5"


@pytest.mark.parametrize("query", ["", "   "])
def test_nothing_is_read_for_no_words(query):
    cross = Likes("x")
    ask(crossed(cross), query)
    assert cross.asked == []
