"""Every ranker keeps the contract. A new file on the shelf is tested here unasked."""

import numpy as np
import pytest

from shopkeeper import registry
from shopkeeper.errors import NotFitted

CHANCE = np.random.default_rng(0)
FEATURES = CHANCE.normal(size=(2000, 4)).astype(np.float32)
FEATURES[::7, 2] = np.nan
LABELS = (CHANCE.random(2000) < 1 / (1 + np.exp(-3 * FEATURES[:, 0]))).astype(np.float32)
WEIGHTS = np.ones(2000, np.float32)
OWNERS = np.repeat(np.arange(40), 50)


@pytest.fixture(params=registry.names("ranking"))
def ranker(request):
    return registry.build("ranking", request.param)


def auc(scores):
    order = np.argsort(np.argsort(scores))
    positive = LABELS > 0
    rank_sum = order[positive].sum() - positive.sum() * (positive.sum() - 1) / 2
    return rank_sum / (positive.sum() * (~positive).sum())


def test_a_planted_signal_is_found_and_noise_is_not(ranker):
    assert auc(ranker.fit(FEATURES, LABELS, WEIGHTS, OWNERS).score(FEATURES)) > 0.85
    shuffled = np.random.default_rng(1).permutation(LABELS)
    assert auc(ranker.fit(FEATURES, shuffled, WEIGHTS, OWNERS).score(FEATURES)) < 0.75


def test_weights_count(ranker):
    upside_down = np.where(np.arange(2000) % 2 == 0, LABELS, 1 - LABELS).astype(np.float32)
    weights = np.where(np.arange(2000) % 2 == 0, 1.0, 0.01).astype(np.float32)
    assert auc(ranker.fit(FEATURES, upside_down, weights, OWNERS).score(FEATURES)) > 0.8


def test_same_seed_same_scores_and_saving_changes_nothing(ranker, tmp_path):
    before = ranker.fit(FEATURES, LABELS, WEIGHTS, OWNERS).score(FEATURES)
    np.testing.assert_array_equal(
        ranker.fit(FEATURES, LABELS, WEIGHTS, OWNERS).score(FEATURES), before
    )
    registry.save(ranker, tmp_path)
    np.testing.assert_array_equal(registry.load(tmp_path).score(FEATURES), before)


def test_no_rows_get_no_scores(ranker):
    assert ranker.fit(FEATURES, LABELS, WEIGHTS, OWNERS).score(FEATURES[:0]).shape == (0,)


def test_asking_before_learning_says_what_to_do(ranker):
    with pytest.raises(NotFitted, match="Call `fit`"):
        ranker.score(FEATURES)
