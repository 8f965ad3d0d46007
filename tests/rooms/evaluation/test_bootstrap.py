"""Intervals hold what they promise."""

import numpy as np
import pytest

from shopkeeper.evaluation.bootstrap import mean_interval, paired_difference


def test_the_interval_is_that_of_the_normal_where_there_are_many():
    values = np.random.default_rng(5).normal(3, 2, 4000)
    found = mean_interval(values, resamples=2000, seed=1)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert found.mean == pytest.approx(values.mean())
    assert found.high - found.mean == pytest.approx(half, rel=0.1)
    assert found.mean - found.low == pytest.approx(half, rel=0.1)


def test_nineteen_of_twenty_intervals_hold_the_truth():
    chance = np.random.default_rng(0)
    held = 0
    for seed in range(300):
        found = mean_interval(chance.random(60), resamples=300, seed=seed)
        held += found.low <= 0.5 <= found.high
    assert 0.90 <= held / 300 <= 0.99


def test_a_small_gain_for_everybody_is_seen_only_in_pairs():
    chance = np.random.default_rng(2)
    theirs = chance.random(200)
    ours = theirs + 0.01 + chance.normal(0, 0.01, 200)
    assert paired_difference(ours, theirs).above()
    # The control: the same scores, their pairs torn apart.
    assert not paired_difference(chance.permutation(ours), theirs).above()


def test_no_difference_is_not_called_one():
    scores = np.random.default_rng(3).random(100)
    found = paired_difference(scores, scores)
    assert (found.low, found.mean, found.high) == (0, 0, 0)
    assert not found.above()


def test_the_seed_decides_and_more_values_than_fit_at_once_are_fine():
    values = np.random.default_rng(4).random(2_000_000)
    first = mean_interval(values[:500], seed=7)
    assert first == mean_interval(values[:500], seed=7)
    assert first != mean_interval(values[:500], seed=8)
    assert mean_interval(values, resamples=5).mean == pytest.approx(0.5, abs=0.01)


def test_nothing_to_resample_is_not_a_number_and_nonsense_is_refused():
    assert np.isnan(mean_interval(np.array([])).low)
    with pytest.raises(ValueError, match="3 scores on one side and 2"):
        paired_difference(np.ones(3), np.ones(2))
    with pytest.raises(ValueError, match="resamples must be at least 1, got 0"):
        mean_interval(np.ones(3), resamples=0)
    with pytest.raises(ValueError, match="between 0 and 1, got 95"):
        mean_interval(np.ones(3), confidence=95)
