"""What noise and fake shoppers cost, on walks whose next step is planted."""

import json

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from shopkeeper.cli.main import app
from shopkeeper.errors import BadConfig, BadData
from shopkeeper.evaluation.leave_one_out import read
from shopkeeper.evaluation.robustness import (
    ATTACKS,
    SHARES,
    benchmark_robustness,
    fake_shoppers,
    with_noise,
)

ITEMS = 60
KNN = {"shrinkage": 1.0, "buyers_min": 1}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Users who walk a circle of items from random places; a few items are wanted most."""
    draw = np.random.default_rng(3)
    lines = []
    for user in range(240):
        begin, size = int(ITEMS * draw.random() ** 2), draw.integers(4, 9)
        lines.append(f"{user} " + " ".join(str((begin + step) % ITEMS) for step in range(size)))
    path = tmp_path_factory.mktemp("walks") / "walks.txt"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def found(file):
    return benchmark_robustness("item_knn", file, settings=KNN)


def test_an_answer_is_one_object_that_json_can_say_and_the_same_again(file, found):
    assert json.loads(json.dumps(found)) == found
    again = benchmark_robustness("item_knn", file, settings=KNN)
    assert again["noise"] == found["noise"]
    assert again["attacks"] == found["attacks"]


def test_more_noise_costs_more_and_what_came_before_costs_nothing(found):
    assert [row["noise"] for row in found["noise"]] == list(SHARES)
    losses = [row["loss"] for row in found["noise"]]
    assert losses[-1] > losses[0]
    assert losses[-1] > 0
    for row in found["noise"]:
        assert row["ndcg@10"] + row["loss"] == pytest.approx(found["ndcg@10"])


def test_fake_shoppers_bring_their_product_to_those_who_read_neighbours(found):
    assert [row["attack"] for row in found["attacks"]] == list(ATTACKS)
    average = found["attacks"][1]
    assert average["hit_rate@10"] > 1.3 * average["clean_hit_rate@10"]


def test_a_list_that_is_the_same_for_all_takes_a_hundred_more_fakes_to_be_moved(file):
    found = benchmark_robustness("popular", file)
    for row in found["attacks"]:
        assert row["hit_rate@10"] < 0.05


def test_noise_leaves_what_is_to_be_found_and_adds_what_it_says(file):
    rows = read(file)
    mixed = with_noise(rows, 0.2, seed=0)
    last = pl.col("item").last()
    assert mixed.height == pytest.approx(rows.height * 1.2, rel=0.02)
    assert (
        mixed.group_by("user")
        .agg(last)
        .sort("user")
        .equals(rows.group_by("user").agg(last).sort("user"))
    )
    for user in ("0", "7"):
        own = rows.filter(pl.col("user") == user)["item"].to_list()
        found = mixed.filter(pl.col("user") == user)["item"].to_list()
        rest = iter(found)
        assert all(item in rest for item in own)
    assert with_noise(rows, 0.0, seed=0).equals(rows)


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_fake_shopper_wants_the_pushed_product_last_and_each_is_pushed_alike(file, attack):
    rows = read(file)
    fake = fake_shoppers(rows, attack, ["3", "50"], seed=0, share=0.5)
    last = fake.group_by("user").agg(pl.col("item").sort_by("pos").last())["item"]
    assert sorted(last.value_counts()["count"].to_list()) == [60, 60]
    assert fake["user"].is_in(rows["user"].implode()).sum() == 0
    wanted = rows["item"].value_counts()
    before = fake.filter(pl.col("pos") < pl.col("pos").max().over("user"))
    often = before.join(wanted, on="item")["count"].mean()
    usual = wanted["count"].mean()
    if attack == "random":
        assert often < 1.1 * usual
    else:
        assert often > 1.1 * usual


def test_what_means_nothing_is_refused(file, tmp_path):
    rows = read(file)
    with pytest.raises(BadConfig, match="attack must be one of random"):
        fake_shoppers(rows, "kind", ["3"], 0)
    with pytest.raises(BadConfig, match="must be at least 0"):
        with_noise(rows, -0.1, 0)
    with pytest.raises(BadConfig, match="sequantial"):
        benchmark_robustness("sequantial", file)
    with pytest.raises(BadData, match="There is no file"):
        benchmark_robustness("popular", tmp_path / "none.txt")


def test_the_command_tells_both_tables(file):
    run = CliRunner().invoke(app, ["benchmark", "popular", str(file), "--noise"])
    assert run.exit_code == 0, run.output
    assert "bandwagon" in run.output
    told = CliRunner().invoke(app, ["benchmark", "popular", str(file), "--noise", "--json"])
    assert json.loads(told.output)["benchmark"] == "robustness"
    wrong = CliRunner().invoke(app, ["benchmark", "popular", str(file), "--noise", "--seeds", "2"])
    assert isinstance(wrong.exception, BadConfig) or "one seed" in wrong.output
