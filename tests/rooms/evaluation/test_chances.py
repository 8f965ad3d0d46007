"""Measures of chances, beside scikit-learn and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as theirs

from shopkeeper.errors import BadData
from shopkeeper.evaluation import chances, off_policy
from shopkeeper.evaluation.metrics import auc


def drawn(seed, num=400):
    chance = np.random.default_rng(seed)
    told = np.round(chance.random(num), 2)
    return (chance.random(num) < told).astype(float), told


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_areas_are_those_of_scikit_learn(seed):
    labels, told = drawn(seed)
    found = chances.judged(labels, told, resamples=1)
    assert found["auc"].mean == pytest.approx(theirs.roc_auc_score(labels, told))
    assert found["auc"].mean == pytest.approx(auc(labels, told))
    expected = theirs.average_precision_score(labels, told)
    assert found["average_precision"].mean == pytest.approx(expected)
    assert chances.average_precision(labels, told) == pytest.approx(expected)
    precision, recall = chances.precision_recall(labels, told)
    p, r, _ = theirs.precision_recall_curve(labels, told)
    np.testing.assert_allclose(precision, p[:-1][::-1])
    np.testing.assert_allclose(recall, r[:-1][::-1])


def test_the_calibration_error_by_hand():
    told = np.array([0.1, 0.1, 0.2, 0.2, 0.9, 0.9, 0.8, 0.8])
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 1.0])
    rows = chances.reliability(labels, told, 2)
    assert [row["rows"] for row in rows] == [4, 4]
    assert [row["foretold"] for row in rows] == pytest.approx([0.15, 0.85])
    assert [row["came"] for row in rows] == [0.25, 1]
    assert chances.calibration_error(labels, told, 2) == pytest.approx((0.1 + 0.15) / 2)
    # One chance for all makes one bin.
    assert chances.calibration_error(labels, np.full(8, 0.5)) == pytest.approx(labels.mean() - 0.5)


def test_rare_events_fill_more_than_one_bin():
    chance = np.random.default_rng(0)
    told = chance.random(20_000) * 0.01
    assert len(chances.reliability(np.zeros(20_000), told)) == 10


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    truth = auc(*drawn(99, 40_000))
    held = 0
    for seed in range(60):
        labels, told = drawn(seed, 200)
        found = chances.judged(labels, told, resamples=100)["auc"]
        held += found.low <= truth <= found.high
    assert held >= 50


def test_groups_are_drawn_whole():
    labels, told = drawn(1, 50)
    many = np.tile(labels, 20), np.tile(told, 20)
    groups = np.tile(np.arange(50), 20)
    wide = chances.judged(*many, groups=groups, resamples=200)["log_loss"]
    thin = chances.judged(*many, resamples=200)["log_loss"]
    assert wide.high - wide.low > 3 * (thin.high - thin.low)


def test_another_policy_is_judged_by_what_was_shown():
    chance = np.random.default_rng(3)
    rates = np.array([0.1, 0.3, 0.6])
    logged, wanted = np.array([0.7, 0.2, 0.1]), np.array([0.1, 0.2, 0.7])
    shown = chance.choice(3, 20_000, p=logged)
    clicks = (chance.random(20_000) < rates[shown]).astype(float)
    weights = off_policy.importance(logged[shown], wanted[shown])
    found = off_policy.snips(clicks, weights, resamples=200)
    assert found.low < rates @ wanted < found.high
    assert found.low > clicks.mean()
    assert found.high - found.low < 0.1
    assert 2_000 < off_policy.effective_rows(weights) < 10_000
    same = off_policy.snips(clicks, np.ones(20_000), resamples=50)
    assert same.mean == pytest.approx(clicks.mean())


def test_odd_propensities_are_refused():
    for odd in (0.0, -1.0, 1.5, np.nan):
        with pytest.raises(BadData, match="logged propensity"):
            off_policy.importance(np.array([0.5, odd]), np.array([0.5, 0.5]))
    with pytest.raises(BadData, match="judged policy"):
        off_policy.importance(np.array([0.5]), np.array([2.0]))
    nobody = off_policy.snips(np.ones(3), np.zeros(3), resamples=5)
    assert np.isnan(nobody.mean)
    assert off_policy.effective_rows(np.zeros(3)) == 0
