"""The selection report finds the column that was planted, and wants none that tells nothing."""

import json
from dataclasses import replace

import gift_file
import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from shopkeeper import Shop, registry
from shopkeeper.cli.main import app
from shopkeeper.config import Config, TrainSection
from shopkeeper.engine import selection
from shopkeeper.engine.selection import _importance, ndcg_of, select
from shopkeeper.engine.worth import advise, columns_table, features_table, steadiness
from shopkeeper.errors import BadData, NotFitted
from shopkeeper.evaluation.columns import rank_correlation, stability_index, varies
from shopkeeper.evaluation.metrics import ndcg

CONFIG = Config(
    train=TrainSection(periods=2),
    parts={"ranking.gbdt": {"trees": 20, "leaf_rows_min": 5, "threads": 1}},
)
SAID = ("signal", "echo", "noise", "holes", "constant")


class Named:
    """A feature of which only the columns are asked."""

    def __init__(self, *columns):
        self.columns = columns

    def names(self):
        return self.columns


PARTS = {"told": Named("signal", "echo"), "rest": Named("noise", "holes", "constant")}


def lesson(seed, requests=80, candidates=20, planted=True):
    """Of each request, the two candidates with the most signal are bought, or any two."""
    chance = np.random.default_rng(seed)
    size = requests * candidates
    signal, noise, holes = chance.normal(size=(3, size)).astype(np.float32)
    holes[chance.random(size) < 0.5] = np.nan
    owners = np.repeat(np.arange(requests), candidates)
    decides = signal if planted else chance.normal(size=size)
    place = np.argsort(np.argsort(-decides.reshape(requests, -1), axis=1), axis=1).ravel()
    features = np.column_stack([signal, np.exp(signal), noise, holes, np.ones(size)])
    labels = (place < 2).astype(np.float32)
    return features.astype(np.float32), labels, np.ones(size, np.float32), owners


def judged(planted=True, seeds=(0,)):
    lessons = [lesson(1, planted=planted), lesson(2, planted=planted)]
    held = lesson(3, planted=planted)
    gains, drops, hits = _importance(CONFIG, lessons, held, PARTS, seeds)
    assert hits == 80
    facts = {
        "gains": gains, "drops": drops, "ranks": None, "first": lessons[0][0], "held": held[0],
        "resamples": 200, "cost_us": {"told": 10.0, "rest": 400.0}, "candidates": 20,
        "used": ("told",),
    }  # fmt: skip
    columns = {name: part.names() for name, part in PARTS.items()}
    rows = {row["column"]: row for row in columns_table(columns, facts)}
    return rows, {row["feature"]: row for row in features_table(columns, facts)}


def test_the_planted_column_is_missed_and_noise_is_not():
    columns, features = judged(seeds=(0, 1))
    both = {name: columns[name]["drop"] for name in ("signal", "echo")}
    assert features["told"]["low"] > 0.3
    assert max(both.values()) > 10 * abs(columns["noise"]["drop"])
    assert features["told"]["advice"] == "keep"
    assert features["rest"]["advice"] == "drop"
    assert columns["constant"]["why"] == "never varies"
    assert columns["constant"]["drop"] == 0
    assert columns["holes"]["missing"] == pytest.approx(0.5, abs=0.05)
    assert columns["signal"]["alike"] == "echo"
    assert columns["signal"]["likeness"] == pytest.approx(1)
    assert features["rest"]["candidate_us"] == 20


def test_where_nothing_is_planted_nothing_is_missed():
    columns, features = judged(planted=False)
    assert columns["signal"]["low"] < 0.1
    assert features["told"]["drop"] < 0.15


def test_the_same_seed_gives_the_same_drops_and_another_does_not():
    lessons, held = [lesson(1)], lesson(3)
    first, again, other = (
        _importance(CONFIG, lessons, held, PARTS, [seed])[1]["signal"] for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_requests_without_a_hit_are_left_out_and_none_at_all_is_an_error():
    features, labels, weights, owners = lesson(3)
    labels[owners < 60] = 0
    assert (
        _importance(CONFIG, [lesson(1)], (features, labels, weights, owners), PARTS, [0])[2] == 20
    )
    with pytest.raises(BadData, match="nothing to judge"):
        _importance(CONFIG, [lesson(1)], (features, 0 * labels, weights, owners), PARTS, [0])


def test_ndcg_of_candidates_is_that_of_the_metrics():
    chance = np.random.default_rng(0)
    scores, labels = chance.normal(size=(30, 9)), (chance.random((30, 9)) < 0.3).astype(float)
    labels[:, 0] = 1
    order = np.argsort(-scores, axis=1)
    shown = np.take_along_axis(labels, order, axis=1)
    owners = np.repeat(np.arange(30), 9)
    found = ndcg_of(scores.ravel(), labels.ravel().astype(np.float32), owners, 5)
    np.testing.assert_allclose(found, ndcg(shown, 5))


def test_the_stability_index_sees_what_moved_and_what_went_missing():
    chance = np.random.default_rng(0)
    values = chance.normal(size=5000)
    again, moved = chance.normal(size=5000), chance.normal(1, 1, 5000)
    holed = np.where(chance.random(5000) < 0.4, np.nan, again)
    assert stability_index(values, again) < 0.02
    assert stability_index(values, moved) > 0.5
    assert stability_index(values, holed) > 0.25
    assert stability_index(np.ones(50), np.ones(90)) == pytest.approx(0, abs=0.02)
    assert stability_index(np.full(50, np.nan), np.full(50, np.nan)) == pytest.approx(0)
    assert np.isnan(stability_index(np.empty(0), values))


def test_rank_correlation_agrees_with_scipy():
    chance = np.random.default_rng(1)
    ours = chance.integers(0, 9, 200).astype(float)
    theirs = ours + chance.normal(0, 3, 200)
    assert rank_correlation(ours, theirs) == pytest.approx(stats.spearmanr(ours, theirs)[0])
    assert np.isnan(rank_correlation(ours, np.ones(200)))


def test_a_column_that_is_partly_missing_varies_and_one_that_is_wholly_does_not():
    nan = np.nan
    columns = np.array([[1, nan, nan, 2], [1, nan, 3, 2], [1, nan, nan, 4]], np.float32)
    assert varies(columns).tolist() == [False, False, True, True]


def test_periods_that_agree_have_a_rank_correlation_of_one():
    gains = np.array([[0.5, 0.3, 0.2], [0.6, 0.3, 0.1]])
    places, agreement = steadiness(gains)
    assert places.tolist() == [[1, 2, 3], [1, 2, 3]]
    assert agreement == pytest.approx(1)
    assert steadiness(np.array([[0.5, 0.3, 0.2], [0.1, 0.3, 0.6]]))[1] == pytest.approx(-1)
    assert steadiness(gains[:1])[1] is None


ROW = {"gain": 0.1, "low": -0.1, "high": 0.1, "shift": 0.0, "alike": "other", "likeness": 0.5}


@pytest.mark.parametrize(
    ("change", "does_vary", "word", "why"),
    [
        ({}, False, "drop", "never varies"),
        ({"gain": 0.0}, True, "drop", "no tree asks it"),
        ({"high": -0.01}, True, "drop", "lists are better when it is shuffled"),
        ({"low": 0.01}, True, "keep", "missed when shuffled"),
        ({"low": 0.01, "shift": 0.3}, True, "keep", "missed when shuffled; its values moved"),
        ({"likeness": 0.99}, True, "drop", "says what other says"),
        ({"likeness": 0.99, "gain": 0.3}, True, "keep", "asked"),
        ({"gain": 0.001}, True, "drop", "hardly asked"),
        ({"gain": None}, True, "keep", "asked"),
    ],
)
def test_advice_follows_its_rules(change, does_vary, word, why):
    found = advise(ROW | change, does_vary, 0.2)
    assert found[0] == word
    assert found[1].startswith(why)


def test_a_trained_shop_gets_its_report_as_a_page_a_file_and_a_command(trained):
    done = CliRunner().invoke(app, ["features", "--shop", str(trained), "--all", "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout.splitlines()[-1])
    kept = json.loads((trained / "reports" / "features.json").read_text())
    assert report["columns"] == kept["columns"]
    assert {row["feature"] for row in kept["features"]} == set(registry.names("features"))
    assert {row["advice"] for row in kept["columns"]} <= {"keep", "drop"}
    assert sum(row["gain"] for row in kept["columns"]) == pytest.approx(1)
    assert all(row["low"] <= row["drop"] <= row["high"] for row in kept["columns"])
    # Everybody buys own favourites again: what tells of own purchases is missed most.
    assert kept["features"][0]["feature"] in ("shopper_product", "repurchase", "sources")
    assert kept["features"][0]["low"] > 0
    page = (trained / "reports" / "features.html").read_text()
    assert page.count("<svg") == 5
    assert "<script" not in page
    assert not (trained / "cache" / "selection").exists()


def test_the_shops_own_features_are_judged_unless_all_are_asked_for(trained):
    shop = Shop.open(trained)
    found = select(shop.folder, shop.config, requests=20)
    assert [row["feature"] for row in found["features"]] != []
    assert {row["feature"] for row in found["features"]} == set(shop.config.train.features)


def test_a_run_that_was_cut_off_goes_on_with_the_periods_it_has(trained, monkeypatch):
    shop = Shop.open(trained)
    whole = select(shop.folder, shop.config, requests=30)
    with monkeypatch.context() as cut:
        cut.setattr(selection, "_importance", _fail)
        with pytest.raises(RuntimeError):
            select(shop.folder, shop.config, requests=30)
    with monkeypatch.context() as idle:
        idle.setattr(selection, "lesson_at", _fail)
        again = select(shop.folder, shop.config, requests=30)
        with pytest.raises(RuntimeError):
            select(shop.folder, shop.config, requests=29)
    timeless = [{k: v for k, v in row.items() if k != "cost_us"} for row in whole["columns"]]
    assert again["columns"] == timeless


def _fail(*_, **__):
    raise RuntimeError


def test_a_shop_that_was_never_trained_says_so(tmp_path):
    shop = Shop.open(gift_file.shop(tmp_path / "shop"))
    with pytest.raises(NotFitted):
        select(shop.folder, shop.config)


def test_a_split_after_which_nobody_buys_again_is_named(trained):
    shop = Shop.open(trained)
    late = replace(shop.config, evaluation=replace(shop.config.evaluation, split="2012-06-01"))
    with pytest.raises(BadData, match="2012-06-01"):
        select(shop.folder, late)
