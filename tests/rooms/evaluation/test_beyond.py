"""Coverage, novelty, diversity and evenness of lists worked out by hand."""

import numpy as np
import polars as pl
import pytest

from shopkeeper.evaluation.beyond import coverage, distance, diversity, gini, novelty
from shopkeeper.schema import ITEM, REQUEST, RESULTS, conform, empty


def lists(*products):
    rows = [(number, item) for number, items in enumerate(products) for item in items]
    return conform(pl.DataFrame(rows, schema=[REQUEST, ITEM], orient="row"), RESULTS)


SHOWN = lists("ab", "ac", "a")


def test_coverage_is_the_share_of_the_catalogue_shown():
    assert coverage(SHOWN, 12) == pytest.approx(3 / 12)
    assert coverage(empty(RESULTS), 12) == 0
    assert coverage(empty(RESULTS), 0) == 0


def test_novelty_is_the_mean_surprise_in_bits():
    # a: 2 of 4 buyers, 1 bit, thrice; b: 1 of 4, 2 bits; c is unknown and counts as one buyer.
    bought = {"a": 2, "b": 1, "d": 1}
    assert novelty(SHOWN, bought) == pytest.approx((3 * 1 + 2 + 2) / 5)
    assert np.isnan(novelty(empty(RESULTS), bought))


def test_diversity_counts_pairs_of_different_kinds():
    kinds = {"a": "lamp", "b": "lamp", "c": "mug", "d": None, "e": None}
    assert diversity(SHOWN, kinds) == pytest.approx((0 + 1) / 2)
    assert diversity(lists("abc"), kinds) == pytest.approx(2 / 3)
    assert diversity(lists("de"), kinds) == 1
    assert np.isnan(diversity(lists("a"), kinds))


def test_distance_agrees_with_all_pairs_written_out():
    chance = np.random.default_rng(0)
    vectors = {
        name: v / np.linalg.norm(v)
        for name, v in zip("abcd", chance.normal(size=(4, 3)), strict=True)
    }
    pairs = [1 - vectors[x] @ vectors[y] for x, y in ("ab", "ac", "ad", "bc", "bd", "cd")]
    assert distance(lists("abcdz"), vectors) == pytest.approx(np.mean(pairs))
    assert np.isnan(distance(lists("az"), vectors))


def test_gini_is_zero_for_all_alike_and_near_one_for_one_alone():
    assert gini(lists("ab", "cd"), 4) == pytest.approx(0)
    assert gini(lists("a", "a", "a"), 10) == pytest.approx(0.9)
    # 1, 1, 2 of 3 products: mean absolute difference of all 9 pairs (4/9) over twice the mean.
    assert gini(lists("abc", "c"), 3) == pytest.approx((4 / 9) / (2 * 4 / 3))
    assert np.isnan(gini(empty(RESULTS), 3))
