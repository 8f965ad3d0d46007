"""Chinese and English in one index of words."""

import numpy as np
import polars as pl
import pytest
from chinese_titles import QUERIES, TITLES

from shopkeeper import registry
from shopkeeper.search import text

PRODUCTS = pl.DataFrame({"id": list(TITLES), "title": list(TITLES.values())})


def build():
    vectors = np.zeros((PRODUCTS.height, 4), dtype=np.float32)
    return registry.build("search.indexes", "lexical").build(PRODUCTS, vectors)


@pytest.fixture(scope="module")
def index():
    return build()


def found(index, query):
    return index.search(query, None, 10)["item_id"].to_list()


def wrong(index):
    """Count what is found beside what should be, over all queries."""
    return sum(len(set(found(index, query)) - wanted) for query, wanted in QUERIES.items())


@pytest.mark.parametrize(("query", "wanted"), QUERIES.items())
def test_what_a_query_means_comes_first(index, query, wanted):
    assert set(found(index, query)[: len(wanted)]) == wanted


def test_words_keep_out_what_characters_alone_would_find(index, monkeypatch):
    with_words = wrong(index)
    monkeypatch.setattr(text.rjieba, "cut_for_search", lambda run: [run])
    assert with_words < 0.8 * wrong(build())


def test_a_mixed_title_is_found_by_either_part(index):
    assert found(index, "nike")[0] == found(index, "跑步鞋")[0] == "shoe-m"
    assert found(index, "sony")[0] == found(index, "蓝牙耳机")[0] == "earbuds"


def test_notes_name_words_not_pairs_and_no_other_chinese_word_is_tried(index):
    assert index.notes("红线 中华人民共和国") == [
        "No product has '红线', '中华人民共和国'; searched without."
    ]
    assert index.notes("羽绒服") == []


def test_english_words_are_stemmed_as_before():
    products = pl.DataFrame({"id": ["1", "2"], "title": ["running shoes 男", "cake stand"]})
    english = registry.build("search.indexes", "lexical")
    english.build(products, np.zeros((2, 4), dtype=np.float32))
    assert found(english, "shoe run") == ["1"]
