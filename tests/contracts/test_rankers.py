"""Every ranker keeps the contract. A new file on the shelf is tested here unasked."""

import numpy as np
import pytest

from shopkeeper import registry
from shopkeeper.contracts import Columns
from shopkeeper.errors import BadData, NotFitted

CHANCE = np.random.default_rng(0)
FEATURES = CHANCE.normal(size=(2000, 4)).astype(np.float32)
FEATURES[::7, 2] = np.nan
LABELS = (CHANCE.random(2000) < 1 / (1 + np.exp(-3 * FEATURES[:, 0]))).astype(np.float32)
WEIGHTS = np.ones(2000, np.float32)
OWNERS = np.repeat(np.arange(40), 50)
QUICK = {
    "gbdt": {"models": 1, "threads": 1, "trees": 50},
    "deep": {"epochs_max": 12, "batch": 128, "models": 1},
    "multitask": {"epochs_max": 12, "batch": 128, "models": 1},
}
"""Settings beside the defaults, so that a suite takes seconds."""


@pytest.fixture(params=registry.names("ranking"))
def ranker(request):
    return registry.build("ranking", request.param, **QUICK.get(request.param, {}))


def auc(scores, labels=LABELS):
    order = np.argsort(np.argsort(scores))
    positive = labels > 0
    rank_sum = order[positive].sum() - positive.sum() * (positive.sum() - 1) / 2
    return rank_sum / (positive.sum() * (~positive).sum())


def coded():
    """A code decides, two amounts say nothing; the code 7 is known to nobody."""
    chance = np.random.default_rng(2)
    code = chance.integers(0, 6, 2000)
    labels = (chance.random(2000) < np.array([0.05, 0.9, 0.2, 0.7, 0.1, 0.8])[code]).astype("f4")
    features = np.column_stack([chance.normal(size=2000), code, chance.normal(size=2000)])
    return features.astype(np.float32), labels


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


def test_codes_are_names_and_a_new_or_missing_one_is_nothing_known(ranker, tmp_path):
    features, labels = coded()
    ranker.fit(features, labels, WEIGHTS, OWNERS, Columns(codes=(1,)))
    assert auc(ranker.score(features), labels) > 0.8
    asked = np.zeros((5, 3), np.float32)
    asked[:, 1] = [0, 1, 7, np.nan, -3]
    asked[4, 0] = np.nan
    scores = ranker.score(asked)
    assert np.isfinite(scores).all()
    assert scores[0] < scores[2] < scores[1]
    assert scores[0] < scores[3] < scores[1]
    registry.save(ranker, tmp_path)
    np.testing.assert_array_equal(registry.load(tmp_path).score(asked), scores)


def test_the_place_on_the_page_is_learned_from_and_then_left_out(ranker):
    chance = np.random.default_rng(3)
    good = chance.random(2000)
    # What is good stood further down, so that clicks alone say the opposite.
    place = np.clip((good + chance.normal(0, 0.3, 2000)) * 5, 0, 4).astype(np.int64)
    labels = (chance.random(2000) < good / (1 + place) ** 2.5).astype(np.float32)
    features = np.column_stack([good, place]).astype(np.float32)
    blind = ranker.fit(features[:, :1], labels, WEIGHTS, OWNERS).score(features[:, :1])
    assert auc(blind, (good > 0.5).astype("f4")) < 0.5
    ranker.fit(features, labels, WEIGHTS, OWNERS, Columns(place=1))
    here = ranker.score(features)
    assert auc(here, (good > 0.5).astype("f4")) > 0.75
    moved = np.column_stack([good, chance.permutation(place)]).astype(np.float32)
    np.testing.assert_array_equal(ranker.score(moved), here)


def test_what_was_wanted_before_is_wanted_again(ranker):
    chance = np.random.default_rng(4)
    past = chance.integers(0, 30, (2000, 3)).astype(np.float32)
    again = chance.random(2000) < 0.4
    code = np.where(again, past[np.arange(2000), chance.integers(0, 3, 2000)],
                    chance.integers(0, 30, 2000))  # fmt: skip
    same = (past == code[:, None]).any(1)
    past[::5, 2] = np.nan
    labels = (chance.random(2000) < np.where(same, 0.8, 0.1)).astype(np.float32)
    features = np.column_stack([code, past]).astype(np.float32)
    columns = Columns(codes=(0,), histories={0: (1, 2, 3)})
    ranker.fit(features[:1500], labels[:1500], WEIGHTS[:1500], OWNERS[:1500], columns)
    assert auc(ranker.score(features[1500:]), labels[1500:]) > 0.75


def test_no_rows_get_no_scores(ranker):
    assert ranker.fit(FEATURES, LABELS, WEIGHTS, OWNERS).score(FEATURES[:0]).shape == (0,)


def test_asking_before_learning_says_what_to_do(ranker):
    with pytest.raises(NotFitted, match="Call `fit`"):
        ranker.score(FEATURES)


def test_labels_that_are_all_alike_are_refused(ranker):
    for value in (0, 1):
        with pytest.raises(BadData, match=f"all 2,000 labels are {value}"):
            ranker.fit(FEATURES, np.full(2000, value, np.float32), WEIGHTS, OWNERS)
    with pytest.raises(BadData, match=r"labels 0 and 1, but got 0\.5"):
        ranker.fit(FEATURES, LABELS / 2, WEIGHTS, OWNERS)
    with pytest.raises(BadData, match="2000 labels but 10 weights"):
        ranker.fit(FEATURES, LABELS, WEIGHTS[:10], OWNERS)
    with pytest.raises(BadData, match=r"told of columns \[9\]"):
        ranker.fit(FEATURES, LABELS, WEIGHTS, OWNERS, Columns(codes=(9,)))


def test_a_broken_file_is_named(ranker, tmp_path):
    features, labels = coded()
    ranker.fit(features, labels, WEIGHTS, OWNERS, Columns(codes=(1,)))
    registry.save(ranker, tmp_path)
    for file in sorted(tmp_path.iterdir()):
        if file.name == "part.json":
            continue
        whole = file.read_bytes()
        for broken in (b"", whole[: len(whole) // 2], b"nothing of the kind"):
            file.write_bytes(broken)
            with pytest.raises(BadData, match=file.name):
                registry.load(tmp_path)
        file.write_bytes(whole)
    assert registry.load(tmp_path).score(features).shape == (2000,)
