"""The trees that serve are the trees that were learned: LightGBM itself is the judge."""

import lightgbm
import numpy as np
import pytest

from shopkeeper import registry
from shopkeeper.contracts import Columns
from shopkeeper.ranking._trees import _below

CHANCE = np.random.default_rng(3)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_onnx_scores_are_those_of_lightgbm(missing, monkeypatch):
    features = CHANCE.normal(size=(3000, 6)).astype(np.float32)
    features[:, 1] = np.round(features[:, 1])
    features[CHANCE.random(features.shape) < missing] = np.nan
    labels = (np.nan_to_num(features[:, 0] * features[:, 1]) > 0).astype(np.float32)
    learned = []
    train = lightgbm.train
    monkeypatch.setattr(lightgbm, "train", lambda *a: learned.append(train(*a)) or learned[-1])
    ranker = registry.build(
        "ranking", "gbdt", models=1, trees=20, leaf_rows_min=5, negatives_share=1.0
    )
    owners = np.repeat(np.arange(60), 50)
    ranker.fit(features, labels, np.ones(len(labels), np.float32), owners)
    # Exactly on the thresholds, and with holes that learning never saw.
    asked = np.concatenate([features, np.full((1, 6), np.nan, np.float32)])
    asked[:200, 2] = np.nan
    assert len(learned) == 2
    chances, orders = (trees.predict(asked, raw_score=True) for trees in learned)
    expected = 0.6 * chances + 0.4 * orders
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(ranker.score(asked), expected, atol=1e-5)


def test_a_threshold_becomes_the_float32_at_or_below_it():
    for threshold in (0.1, 1.0, -0.1, 16777217.0, 1e300, 0.30000001192092896):
        near = np.float32(_below(threshold))
        assert float(near) <= threshold
        with np.errstate(over="ignore"):
            assert float(np.nextafter(near, np.float32(np.inf))) > threshold


def test_a_code_does_not_tell_trees_their_own_label():
    # Each code is seen four times and says nothing; read with its own label it would say all.
    code = CHANCE.permutation(np.repeat(np.arange(500), 4))
    amount = CHANCE.normal(size=2000)
    labels = (CHANCE.random(2000) < 1 / (1 + np.exp(-amount))).astype(np.float32)
    features = np.column_stack([amount, code]).astype(np.float32)
    ranker = registry.build(
        "ranking", "gbdt", models=1, threads=1, trees=20, order_share=0.0, codes_prior=1.0
    )
    rows = np.ones(2000, np.float32), np.arange(2000)
    gain = ranker.fit(features, labels, *rows, Columns(codes=(1,))).gains()
    assert gain.shape == (2,)
    assert gain[0] > 0.6
