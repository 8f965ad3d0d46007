"""What trees say of their own scores adds up, and points at what was planted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopkeeper import registry
from shopkeeper.errors import BadData
from shopkeeper.explain.left_out import left_out
from shopkeeper.explain.trees import Trees

pytest.importorskip("lightgbm")
NUM = 400


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """Trees for which column 2 decides, column 0 a little, and the others not at all."""
    chance = np.random.default_rng(3)
    features = chance.normal(size=(NUM, 5)).astype(np.float32)
    features[chance.random(features.shape) < 0.1] = np.nan
    known = np.nan_to_num(features)
    labels = (2 * known[:, 2] + 0.5 * known[:, 0] > 0.5).astype(np.float32)
    settings = {"trees": 15, "leaf_rows_min": 5, "leaves": 8, "negatives_share": 1.0, "threads": 1}
    ranker = registry.build("ranking", "gbdt", **settings)
    owners = np.repeat(np.arange(NUM // 20), 20)
    ranker.fit(features, labels, np.ones(NUM, np.float32), owners)
    folder = tmp_path_factory.mktemp("trees")
    ranker.save(folder)
    return ranker, Trees.read((folder / "trees.onnx").read_bytes()), features


numbers = st.one_of(st.floats(-4, 4, width=32), st.just(float("nan")))


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.lists(numbers, min_size=5, max_size=5), min_size=1, max_size=9))
def test_contributions_add_up_to_what_the_ranker_itself_says(learned, rows):
    ranker, trees, _ = learned
    features = np.array(rows, np.float32)
    mean, parts = trees.contributions(features)
    np.testing.assert_allclose(mean + parts.sum(axis=1), ranker.score(features), atol=1e-4)
    np.testing.assert_allclose(mean, ranker.score(features).mean(), atol=1e-4)


def test_what_decides_weighs_most_and_what_does_not_weighs_little(learned):
    ranker, trees, features = learned
    by_trees = np.abs(trees.contributions(features)[1]).mean(axis=0)
    by_leaving_out = np.abs(left_out(ranker.score, features, np.arange(50))).mean(axis=0)
    for weight in (by_trees, by_leaving_out):
        assert np.argsort(-weight)[:2].tolist() == [2, 0]
        assert weight[2] > 3 * weight[[1, 3, 4]].max()


def test_leaving_out_gives_nothing_to_what_stands_in_the_middle():
    features = np.array([[1, 5], [3, 5], [2, 5]], np.float32)
    parts = left_out(lambda x: 2 * x[:, 0] + x[:, 1], features, np.array([0, 1, 2]))
    assert parts.tolist() == [[-2, 0], [2, 0], [0, 0]]


@pytest.mark.parametrize("network", [b"", b"nonsense", b"\x3a\x04\x0a\x02\x22\x00", b"\xff" * 40])
def test_what_is_not_made_of_trees_is_refused(network):
    with pytest.raises(BadData, match="cannot be read as trees"):
        Trees.read(network)
