"""Tuning finds what is better on the period that judges, goes on, and is quiet otherwise."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
from typer.testing import CliRunner

from shopkeeper import config as written
from shopkeeper.cli.main import app
from shopkeeper.config import Config, TrainSection
from shopkeeper.data.samples.planted import loop_shop
from shopkeeper.engine import settings
from shopkeeper.engine import tune as tuning
from shopkeeper.engine.learn import Known
from shopkeeper.engine.tune import tune
from shopkeeper.errors import BadConfig, BadData
from shopkeeper.training.tuning import Range, Study, ranges, search


def lesson(seed, requests=60, candidates=20):
    """A column of many codes says nothing, but a ranker that trusts rare ones believes it."""
    chance = np.random.default_rng(seed)
    size = requests * candidates
    features = chance.normal(size=(size, 12)).astype(np.float32)
    labels = (chance.random(size) < 1 / (1 + np.exp(2.5 - features[:, 0]))).astype(np.float32)
    owners = np.repeat(np.arange(requests), candidates)
    return features, labels, np.ones(size, np.float32), owners


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A shop whose lessons are planted; its trees learn far too timidly."""
    folder = tmp_path / "shop"
    timid = {"trees": 4, "learning_rate": 0.01, "models": 1, "threads": 1, "leaf_rows_min": 20}
    settings.init(folder, {"ranking.gbdt": timid})
    known = Known(loop_shop(), None)
    monkeypatch.setattr(tuning, "known_with_vectors", lambda *_: (known, loop_shop()["time"].max()))
    monkeypatch.setattr(tuning, "lessons_of", lambda *_: [lesson(1), lesson(2), lesson(3)])
    monkeypatch.setattr(tuning, "data_hash", lambda _: "planted")
    return folder


def test_better_settings_are_found_written_and_gone_on_from(shop):
    config = settings.read(shop)
    before = (shop / "shop.toml").read_text()
    found = tune(shop, config, "gbdt", trials=5)
    assert found["part"] == "ranking.gbdt"
    assert found["best"] > found["own"]
    assert found["written"]
    text = (shop / "shop.toml").read_text()
    assert f"# tuned: NDCG@10 {found['best']:.4f}, {found['own']:.4f} before" in text
    after = settings.read(shop).part("ranking", "gbdt")
    assert {name: after[name] for name in found["settings"]} == found["settings"]
    assert after["threads"] == 1
    assert "<svg" in (shop / "reports" / "tuning-gbdt.html").read_text()
    # The same data and settings go on; the trials of before are there.
    (shop / "shop.toml").write_text(before)
    more = tune(shop, config, "ranking.gbdt", trials=7, write=False)
    assert more["trials"][:5] == found["trials"]
    assert len(more["trials"]) == 7
    assert more["best"] >= found["best"]
    assert (shop / "shop.toml").read_text() == before
    assert tune(shop, config, "gbdt", trials=7, write=False)["trials"] == more["trials"]


def test_settings_that_are_not_better_are_not_written(shop, monkeypatch):
    before = (shop / "shop.toml").read_text()
    monkeypatch.setattr(tuning, "ndcg_of", lambda *_: np.array([0.5]))
    found = tune(shop, settings.read(shop), "gbdt", trials=3)
    assert (found["settings"], found["written"]) == ({}, False)
    assert (shop / "shop.toml").read_text() == before


def test_recommenders_are_judged_on_held_back_periods(shop, monkeypatch):
    events = loop_shop(steps=30)
    end = events["time"].max()
    monkeypatch.setattr(tuning, "known_with_vectors", lambda *_: (Known(events, None), end))
    config = Config(train=TrainSection(period_days=7, period_step_days=7, periods=2))
    found = tune(shop, config, "recommenders.item_knn", trials=2, write=False)
    assert 0.2 < found["own"] <= found["best"] <= 1


def test_mistakes_are_said(shop, tmp_path):
    config = settings.read(shop)
    with pytest.raises(BadConfig, match="Did you mean 'gbdt'"):
        tune(shop, config, "gbdtt")
    with pytest.raises(BadConfig, match="Only parts of ranking and recommenders"):
        tune(shop, config, "policies.stock")
    with pytest.raises(BadConfig, match="database of trials cannot be opened"):
        tune(shop, config, "gbdt", storage=f"sqlite:///{tmp_path}/no/such/folder.db")
    short = replace(config, train=replace(config.train, periods=1))
    with pytest.raises(BadData, match="periods of at least 2"):
        tune(shop, short, "gbdt")
    (shop / written.FILE).unlink()
    said = CliRunner().invoke(app, ["tune", "gbdt", "--shop", str(shop)])
    assert said.exit_code != 0


@dataclass(frozen=True)
class Settings:
    rate: float = 0.4
    width: int = 8
    half_share: float = 0.5
    on: bool = True
    seed: int = 3
    rows_max: int = 100
    kind: str = "a"
    off: float = 0.0


def test_only_matters_of_taste_are_tuned():
    assert ranges(Settings()) == {
        "rate": Range(0.1, 1.6),
        "width": Range(2, 32, whole=True),
        "half_share": Range(0.05, 1.0, logarithmic=False),
        "on": Range(0, 1, either=True),
    }


def test_trials_that_cannot_be_or_are_behind_are_given_up(tmp_path):
    asked = []

    def steps(given):
        asked.append(given["x"])
        if given["x"] > 3:
            raise BadConfig("too much")
        yield given["x"]
        asked.append("whole")
        yield given["x"]

    study = Study("s", f"sqlite:///{tmp_path}/t.db", trials=25)
    done = search(steps, {"x": Range(0.25, 4)}, {"x": 1.0}, study)
    assert len(done) == 25
    assert done[0].settings == {"x": 1.0}
    assert all(one.value is None for one in done if one.settings["x"] > 3)
    assert max(one.value for one in done if one.value is not None) > 2
    assert asked.count("whole") < sum(one != "whole" for one in asked)
    json.dumps([dict(one.settings) for one in done])
