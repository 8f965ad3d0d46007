"""Chances come true: planted distortions are undone, and the order of scores is kept."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from shopkeeper import registry
from shopkeeper.evaluation.chances import calibration_error
from shopkeeper.evaluation.metrics import log_loss
from shopkeeper.ranking import Calibration, calibrate, calibrated


def planted(seed, num=8000):
    chance = np.random.default_rng(seed)
    odds = chance.normal(-1.5, 1.2, num)
    return odds, (chance.random(num) < expit(odds)).astype(float)


DISTORTED = {
    "stretched": lambda odds: 3 * odds + 2,
    "bent": lambda odds: np.where(odds > -1.5, odds * 4 + 6, (odds + 1.5) / 4),
    "stairs": lambda odds: np.floor(odds * 2),
}


@pytest.mark.parametrize("how", DISTORTED)
def test_distorted_scores_come_true_again(how):
    odds, labels = planted(0)
    learned = calibrate(DISTORTED[how](odds), labels)
    odds, labels = planted(1)
    scores = DISTORTED[how](odds)
    told = learned.chances(scores)
    assert calibration_error(labels, expit(scores)) > 0.05
    assert calibration_error(labels, told) < 0.02
    # A step or a line, never a turn: the order of products stays.
    assert (np.diff(told[np.argsort(scores)]) >= -1e-12).all()


def test_a_bend_needs_more_than_a_line():
    chance = np.random.default_rng(2)
    score = chance.random(8000)
    labels = (chance.random(8000) < np.where(score > 0.5, 0.9, 0.05)).astype(float)
    assert calibrate(score, labels).method == "isotonic"
    odds, labels = planted(0)
    assert calibrate(odds, labels).method in ("platt", "beta")


def test_scores_without_a_meaning_become_the_rate():
    chance = np.random.default_rng(3)
    labels = (chance.random(5000) < 0.01).astype(float)
    told = calibrate(chance.random(5000), labels).chances(chance.random(5000))
    assert np.abs(told - labels.mean()).max() < 0.02
    flat = calibrate(np.full(5000, 7.0), labels).chances(np.full(3, 7.0))
    np.testing.assert_allclose(flat, labels.mean(), atol=0.002)


def test_a_placement_has_its_own_line_where_it_differs():
    odds, _ = planted(4)
    chance = np.random.default_rng(5)
    place = np.where(chance.random(len(odds)) < 0.5, "home", "cart")
    shifted = odds + np.where(place == "cart", 1.5, 0)
    labels = (chance.random(len(odds)) < expit(shifted)).astype(float)
    learned = calibrate(odds, labels, placements=place)
    apart, together = learned.chances(odds, place), learned.chances(odds)
    for name in ("home", "cart"):
        here = place == name
        assert calibration_error(labels[here], apart[here]) < 0.03
        assert calibration_error(labels[here], together[here]) > 0.08
    np.testing.assert_array_equal(learned.chances(odds, np.full(len(odds), "new")), together)
    # Names that mean nothing get no lines.
    assert not calibrate(*planted(6), placements=chance.choice(["a", "b"], 8000)).placements


def test_it_can_be_written_down():
    odds, labels = planted(7, 2000)
    for how in DISTORTED.values():
        learned = calibrate(how(odds), labels)
        again = Calibration.heard(json.loads(json.dumps(learned.said())))
        np.testing.assert_array_equal(again.chances(how(odds)), learned.chances(how(odds)))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(4, 40))
def test_chances_are_chances_whatever_is_given(seed, num):
    chance = np.random.default_rng(seed)
    labels = np.arange(num) % 2
    scores = chance.choice([0.0, 1.0, 1e6, -1e6, 0.5], num)
    told = calibrate(scores, labels, weights=chance.random(num)).chances(scores * 10)
    assert ((told > 0) & (told < 1)).all()


def test_a_ranker_is_calibrated_on_what_it_did_not_learn():
    chance = np.random.default_rng(8)
    x = chance.normal(size=(3000, 12)).astype(np.float32)
    labels = (chance.random(3000) < expit(x[:, 0] - 2)).astype(np.float32)
    lessons = x[:1500], labels[:1500], np.ones(1500, np.float32), np.arange(1500)
    made = lambda: registry.build(  # noqa: E731
        "ranking", "gbdt", models=1, threads=1, trees=80, leaf_rows_min=5, order_share=0.0,
        negatives_share=1.0,
    )  # fmt: skip
    ranker, learned = calibrated(made, lessons)
    told = learned.chances(ranker.score(x[1500:]))
    # What it says of its own lessons is far too sure.
    sure = calibrate(ranker.score(x[:1500]), labels[:1500]).chances(ranker.score(x[1500:]))
    later = labels[1500:]
    assert log_loss(later, told) < log_loss(later, sure) - 0.1
    assert calibration_error(later, told) < 0.04 < calibration_error(later, sure)
