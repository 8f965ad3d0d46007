"""Metrics against tables worked out by hand, against scikit-learn, and against their own laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as theirs

from shopkeeper.evaluation.metrics import (
    auc,
    hit_rate,
    hits,
    log_loss,
    mrr,
    ndcg,
    ndcg_at,
    precision_at,
    recall_at,
)

# Shown a b c d, none of a list's last two; wanted: b and x; nothing; d.
SHOWN = [["a", "b", "c", "d"], ["a", "b"], ["a", "b", "c", "d"]]
TARGETS = [["b", "x"], [], ["d"]]
WANTED = np.array([2, 0, 1])
log2 = np.log2
SECOND_OF_TWO = 1 / log2(3) / (1 + 1 / log2(3))


def test_hits_mark_the_wanted_products_and_leave_unfilled_ranks_zero():
    expected = [[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert hits(SHOWN, TARGETS, 4).tolist() == expected
    assert hits(SHOWN, TARGETS, 6)[1].tolist() == [0] * 6


@pytest.mark.parametrize(
    ("k", "recall", "precision", "hit", "reciprocal", "gain"),
    [
        (1, [0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]),
        (2, [0.5, 0, 0], [0.5, 0, 0], [1, 0, 0], [0.5, 0, 0], [SECOND_OF_TWO, 0, 0]),
        (4, [0.5, 0, 1], [0.25, 0, 0.25], [1, 0, 1], [0.5, 0, 0.25],
         [SECOND_OF_TWO, 0, 1 / log2(5)]),
    ],
)  # fmt: skip
def test_a_hand_worked_table(k, recall, precision, hit, reciprocal, gain):
    relevance = hits(SHOWN, TARGETS, k)
    assert recall_at(relevance, WANTED, k) == pytest.approx(recall)
    assert precision_at(relevance, k) == pytest.approx(precision)
    assert hit_rate(relevance, k) == pytest.approx(hit)
    assert mrr(relevance, k) == pytest.approx(reciprocal)
    assert ndcg_at(relevance, WANTED, k) == pytest.approx(gain)


def test_recall_is_divided_by_what_the_list_could_hold():
    relevance = hits([["a", "b"]], [["a", "b", "c", "d", "e"]], 2)
    assert recall_at(relevance, np.array([5]), 2) == pytest.approx([1.0])
    assert recall_at(relevance, np.array([5]), 5) == pytest.approx([2 / 5])


def test_ndcg_of_a_hand_worked_list_with_graded_gains():
    # Gains 0, 3, 1 at ranks 1, 2, 3: DCG = 3/log2(3) + 1/log2(4); best = 3/1 + 1/log2(3).
    expected = (3 / log2(3) + 1 / 2) / (3 + 1 / log2(3))
    assert ndcg(np.array([[0.0, 3.0, 1.0]]), k=3) == pytest.approx([expected])
    # A target of gain 2 that was never shown: best = 3 + 2/log2(3) + 1/log2(4).
    ideal = np.array([[1.0, 2.0, 3.0]])
    unseen = (3 / log2(3) + 1 / 2) / (3 + 2 / log2(3) + 1 / 2)
    assert ndcg(np.array([[0.0, 3.0, 1.0]]), k=3, ideal=ideal) == pytest.approx([unseen])


@settings(deadline=None)
@given(arrays(float, (4, 6), elements=st.floats(0, 5)), st.integers(1, 8))
def test_ndcg_stays_in_range_and_the_best_order_scores_one(gains, k):
    gains = np.round(gains, 3)
    scores, best = ndcg(gains, k), ndcg(-np.sort(-gains, axis=1), k)
    assert ((scores >= 0) & (scores <= 1 + 1e-12)).all()
    assert np.allclose(best, (gains.max(axis=1) > 0).astype(float))


@settings(deadline=None)
@given(st.lists(st.permutations(range(8)), min_size=1, max_size=4), st.integers(1, 8), st.data())
def test_ndcg_agrees_with_scikit_learn(orders, k, data):
    gains = [data.draw(st.lists(st.integers(0, 3), min_size=8, max_size=8)) for _ in orders]
    shown = np.array(
        [[g[at] for at in order] for g, order in zip(gains, orders, strict=True)], float
    )
    scores = -np.arange(8, dtype=float)[None].repeat(len(orders), 0)
    expected = [
        theirs.ndcg_score(line[None], score[None], k=k)
        for line, score in zip(shown, scores, strict=True)
    ]
    assert ndcg(shown, k) == pytest.approx(expected)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 9), unique=True), st.sets(st.integers(0, 14))),
        min_size=1,
        max_size=5,
    ),
    st.integers(1, 12),
)
def test_all_of_them_agree_with_definitions_written_out(lists, k):
    shown = [[str(item) for item in products] for products, _ in lists]
    targets = [[str(item) for item in sorted(wanted)] for _, wanted in lists]
    relevance, wanted = hits(shown, targets, k), np.array([len(t) for t in targets])
    for row, (products, goal) in enumerate(zip(shown, targets, strict=True)):
        ranks = [rank for rank, item in enumerate(products[:k], 1) if item in goal]
        most = min(k, len(goal))
        assert recall_at(relevance, wanted, k)[row] == pytest.approx(len(ranks) / max(most, 1))
        assert precision_at(relevance, k)[row] == pytest.approx(len(ranks) / k)
        assert hit_rate(relevance, k)[row] == bool(ranks)
        assert mrr(relevance, k)[row] == pytest.approx(1 / ranks[0] if ranks else 0)
        best = sum(1 / log2(rank + 1) for rank in range(1, most + 1))
        gained = sum(1 / log2(rank + 1) for rank in ranks)
        assert ndcg_at(relevance, wanted, k)[row] == pytest.approx(gained / best if best else 0)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=30))
def test_auc_agrees_with_scikit_learn_ties_included(rows):
    labels, scores = (np.array(column, float) for column in zip(*rows, strict=True))
    if len(set(labels)) < 2:
        assert np.isnan(auc(labels, scores))
    else:
        assert auc(labels, scores) == pytest.approx(theirs.roc_auc_score(labels, scores))


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0.001, 0.999)), min_size=1, max_size=30))
def test_log_loss_agrees_with_scikit_learn(rows):
    labels, chances = (np.array(column, float) for column in zip(*rows, strict=True))
    expected = theirs.log_loss(labels, chances, labels=[0, 1])
    assert log_loss(labels, chances) == pytest.approx(expected)


def test_a_certain_mistake_costs_much_but_not_everything():
    assert 30 < log_loss(np.array([1]), np.array([0.0])) < 40


@pytest.mark.parametrize("metric", [precision_at, hit_rate, mrr, ndcg])
def test_a_k_below_one_is_refused(metric):
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        metric(np.zeros((1, 3)), k=0)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        recall_at(np.zeros((1, 3)), np.array([1]), 0)
    with pytest.raises(ValueError, match="more targets than there are"):
        recall_at(np.ones((1, 3)), np.array([2]), 3)
    with pytest.raises(ValueError, match="at least 0, got -1"):
        ndcg(np.array([[-1.0]]), 1)
    with pytest.raises(ValueError, match="2 lists but 1 lists of targets"):
        hits([["a"], ["b"]], [["a"]], 1)
    with pytest.raises(ValueError, match=r"in \[0, 1\], got -1 to 0.5"):
        log_loss(np.array([1, 0]), np.array([-1.0, 0.5]))
    with pytest.raises(ValueError, match="no predictions"):
        log_loss(np.array([]), np.array([]))
