"""Queries as hurried shoppers type them, and what that costs a search."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopkeeper.evaluation.judged import Judged
from shopkeeper.evaluation.noise import kinds, noisy, robustness

QUERIES = {f"q{n}": f"bright{n} copper kettle with handle" for n in range(200)}
JUDGED = Judged(
    pl.DataFrame({"id": [f"p{n}" for n in range(200)]}),
    QUERIES,
    {f"q{n}": {f"p{n}": 1.0} for n in range(200)},
)
KINDS = kinds({"kettle": ["pot", "boiler"]})


def _exact(judged):
    """Find the product of a query that is written as it was, and nothing for any other."""
    return {
        one: [f"p{one[1:]}"] if text == QUERIES[one] else [] for one, text in judged.queries.items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_the_same_for_a_seed_and_leaves_what_is_right(kind):
    one, again, other = (noisy(JUDGED, KINDS[kind], seed) for seed in (0, 0, 1))
    assert one.queries == again.queries != JUDGED.queries
    assert one.grades == JUDGED.grades
    if kind != "other words":
        assert other.queries != one.queries
    # A query is changed by its place, not by those before it.
    assert list(noisy(JUDGED.part(["q0"]), KINDS[kind]).queries.values()) == [one.queries["q0"]]


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2])
def test_that_share_of_the_words_is_mistyped(share):
    turned = noisy(JUDGED, KINDS[f"typos in {share:.0%} of words"])
    pairs = [
        (left, right)
        for one, text in QUERIES.items()
        for left, right in zip(text.split(), turned.queries[one].split(), strict=True)
    ]
    wrong = [(left, right) for left, right in pairs if left != right]
    assert abs(len(wrong) / len(pairs) - share) < 0.03
    assert all(abs(len(left) - len(right)) <= 1 for left, right in wrong)


@given(st.lists(st.text("abcé ", min_size=1), min_size=1, max_size=5))
def test_no_query_is_emptied_and_an_order_keeps_the_words(texts):
    judged = Judged(JUDGED.products, {str(n): text for n, text in enumerate(texts)}, {})
    for kind, change in KINDS.items():
        turned = noisy(judged, change).queries
        assert all(turned[one].strip() or not text.strip() for one, text in judged.queries.items())
        if kind == "words in another order":
            assert all(sorted(turned[n]) == sorted(judged.queries[n]) for n in turned)


def test_other_words_stand_for_those_that_have_any():
    change = kinds({"gb": ["gigabyte"]})["other words"]
    changed = change("Phone 64GB red", np.random.default_rng(0))
    assert changed == "Phone 64gigabyte red"
    assert "other words" not in kinds()


def test_what_is_lost_is_what_was_changed():
    rows = robustness(JUDGED, _exact, KINDS)
    assert [row["noise"] for row in rows] == list(KINDS)
    for row in rows:
        assert row["loss"] == pytest.approx(row["changed"])
        assert row["ndcg@10"] == pytest.approx(1 - row["changed"])
        assert 0 < row["low"] <= row["loss"] <= row["high"] <= 1
    typos = [row["loss"] for row in rows[:3]]
    assert typos == sorted(typos)
    deaf = robustness(
        JUDGED, lambda judged: {one: [f"p{one[1:]}"] for one in judged.queries}, KINDS
    )
    assert all(row["loss"] == row["low"] == row["high"] == 0 for row in deaf)
