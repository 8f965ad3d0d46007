"""Completions while typing."""

import time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopkeeper.errors import NotFitted
from shopkeeper.search.suggest import ENTRIES_MAX, Suggest

PRODUCTS = pl.DataFrame(
    {
        "id": [f"P{n}" for n in range(9)],
        "title": [
            "Red wine glass",
            "White wine glass",
            "Wine glass holder",
            "Garden hose 10 m",
            "Garden chair",
            "Garden chair cover",
            "Whole milk",
            None,
            "Skimmed milk",
        ],
        "product_type": ["Kitchen > Glasses"] * 3
        + ["Garden"] * 3
        + ["Grocery > Dairy", None, None],
    }
)
SUGGEST = Suggest().build(PRODUCTS, {"P8": 1_000.0}, {"wine rack": 5, "milk shake": 1})


def texts(typed, k=8):
    return [text for text, _ in SUGGEST.complete(typed, k)]


def test_any_word_of_a_phrase_can_be_begun():
    assert "wine glass" in texts("gla")
    assert "wine glass" in texts("win")
    assert "wine glass" not in texts("hos")


def test_categories_and_past_queries_are_completed_with_their_kind():
    assert ("Garden", "category") in SUGGEST.complete("gard")
    assert ("wine rack", "query") in SUGGEST.complete("wine r")


def test_the_better_seller_comes_first():
    found = texts("milk", 20)
    assert found.index("skimmed milk") < found.index("whole milk")


def test_one_wrong_letter_is_forgiven_and_two_are_not():
    assert "wine glass" in texts("galss")
    assert "wine glass" in texts("glasz")
    assert "skimmed milk" in texts("skimed")
    assert texts("glxyss") == []


@pytest.mark.parametrize("typed", ["", "   ", "🎉", "红", "' or 1=1 --", "\x00", "(", "x" * 10_000])
def test_odd_typing_breaks_nothing(typed):
    assert SUGGEST.complete(typed) == []


@given(st.text(max_size=12), st.integers(-1, 5))
def test_completions_are_distinct_and_bounded(typed, k):
    found = SUGGEST.complete(typed, k)
    assert len(found) <= max(k, 0)
    assert len({text.casefold() for text, _ in found}) == len(found)


def test_a_restored_suggest_answers_the_same(tmp_path):
    SUGGEST.save(tmp_path)
    restored = Suggest().restore(tmp_path)
    for typed in ("g", "wine", "mlik", "gar ch"):
        assert restored.complete(typed) == SUGGEST.complete(typed)


def test_a_large_shop_stays_within_its_bounds_and_fast():
    titles = [f"item{n % 997} kind{n % 31} make{n}" for n in range(31_000)]
    products = pl.DataFrame({"id": titles, "title": titles})
    suggest = Suggest().build(products)
    assert len(suggest) == ENTRIES_MAX
    began = time.process_time()
    for typed in ("i", "m", "k", "item1 k", "makee12", "mkae99 itm"):
        suggest.complete(typed)
    assert time.process_time() - began < 0.3


def test_suggest_without_a_build_says_so():
    with pytest.raises(NotFitted, match="build"):
        Suggest().complete("a")
