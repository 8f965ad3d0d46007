"""`benchmark clicks` on planted impressions: what is there is found, what is not is not."""

import json

import numpy as np
import polars as pl
import pytest

from shopkeeper.errors import BadConfig, BadData
from shopkeeper.evaluation.clicks import benchmark_clicks
from shopkeeper.evaluation.clicks_table import Roles, read_impressions


def planted(num=1500, seed=0):
    chance = np.random.default_rng(seed)
    shade = chance.integers(0, 4, num)
    price = chance.normal(size=num)
    odds = np.array([-3, -1, 0, 1])[shade] + price
    return pl.DataFrame({
        "row": np.arange(num).astype(str),
        "shade": np.array(["red", "green", "blue", "grey"])[shade],
        "price": price,
        "noise": chance.normal(size=num),
        "always": np.ones(num),
        "shopper": chance.integers(0, 200, num),
        "when": np.sort(chance.integers(0, 10**6, num)),
        "strip": np.where(chance.random(num) < 0.5, "home", "cart"),
        "click": chance.random(num) < 1 / (1 + np.exp(-odds)),
    })  # fmt: skip


@pytest.fixture
def file(tmp_path):
    planted().write_parquet(tmp_path / "log.parquet")
    return tmp_path / "log.parquet"


QUICK = {"names": ["logistic"], "folds": 3, "resamples": 50}


def test_a_planted_chance_is_found_and_the_rate_knows_nothing(file):
    roles = Roles(label="click", group="shopper", drop=["row", "when", "strip"])
    found = benchmark_clicks(
        file, None, roles, seeds=(0, 1), settings={"penalties": (10.0,)}, **QUICK
    )
    rate, ranker = found["rows"]
    assert ranker["auc"]["low"] > 0.75 > 0.55 > rate["auc"]["high"]
    assert ranker["calibration_error"]["mean"] < 0.05
    assert ranker["beside_rate"]["high"] < 0 == rate["beside_rate"]["mean"]
    assert ranker["auc"]["spread"] > 0
    assert ranker["auc"]["low"] < ranker["auc"]["mean"] < ranker["auc"]["high"]
    assert found["codes"] == ["shade"]
    assert found["left_out"] == ["always"]
    assert found["suspects"] == []
    assert sum(row["rows"] for row in ranker["reliability"]) == 1500 == found["judged_rows"]
    falling = [row["precision"] for row in ranker["precision_recall"]]
    assert falling == sorted(falling, reverse=True)
    json.dumps(found)


def test_noise_is_not_better_than_the_rate(file):
    roles = Roles(label="click", drop=["row", "when", "strip", "shade", "price"])
    _, ranker = benchmark_clicks(file, None, roles, **QUICK)["rows"]
    assert ranker["beside_rate"]["high"] > -0.002
    assert ranker["auc"]["low"] < 0.55


def test_no_shopper_is_on_both_sides_of_a_fold(file):
    # A shopper's own habit can be read off the shopper's other rows, but only if they are seen.
    table = planted().with_columns(habit=pl.col("shopper"))
    chance = np.random.default_rng(3).random(200) < 0.5
    table = table.with_columns(click=pl.col("shopper").replace_strict(dict(enumerate(chance))))
    table.write_parquet(file)
    seen = Roles("click", ["habit"], drop=["row", "when", "strip", "shopper"])
    apart = Roles("click", ["habit"], group="shopper", drop=["row", "when", "strip"])
    quick = QUICK | {"settings": {"penalties": (1.0,)}}
    assert benchmark_clicks(file, None, seen, **quick)["rows"][1]["auc"]["mean"] > 0.95
    assert benchmark_clicks(file, None, apart, **quick)["rows"][1]["auc"]["mean"] < 0.65


def test_time_is_never_learned_from_its_future(file):
    # The rule turns around half way: who learns from the past alone is wrong about the last part.
    table = planted().with_columns(turned=pl.int_range(pl.len()) >= 750)
    late = pl.when("turned").then(~pl.col("click")).otherwise(pl.col("click"))
    table.with_columns(click=late).drop("turned").write_parquet(file)
    timed = Roles("click", time="when", drop=["row", "strip", "shopper"])
    found = benchmark_clicks(file, None, timed, names=["logistic"], folds=2, resamples=50)
    assert found["judged_rows"] == 1000
    assert found["rows"][1]["auc"]["mean"] < 0.5
    assert "order of time" in found["cut"]


def test_a_second_file_is_judged_and_may_hold_what_is_new(file, tmp_path):
    later = planted(800, seed=1).with_columns(
        shade=pl.when(pl.int_range(pl.len()) % 5 == 0).then(pl.lit("pink")).otherwise("shade"),
        price=pl.when(pl.int_range(pl.len()) % 7 == 0).then(None).otherwise("price"),
    )
    later.write_csv(tmp_path / "later.csv")
    roles = Roles("click", placement="strip", drop=["row", "when", "shopper"])
    found = benchmark_clicks(file, tmp_path / "later.csv", roles, **QUICK)
    assert found["judged_rows"] == 800
    assert found["rows"][1]["auc"]["mean"] > 0.7
    assert len(found["sha256"]) == 2


def test_a_column_written_after_the_fact_is_named(file):
    chance = np.random.default_rng(4)
    table = planted()
    told = table["click"].to_numpy() * chance.exponential(5, 1500)
    code = np.where(
        chance.random(1500) < 0.95, table["click"].to_numpy(), chance.random(1500) < 0.5
    )
    table.with_columns(pages_value=told, state=np.where(code, "paid", "open")).write_parquet(file)
    roles = Roles("click", drop=["row", "when", "strip", "shopper"])
    found = benchmark_clicks(file, None, roles, **QUICK)
    assert [one["feature"] for one in found["suspects"]] == ["pages_value", "state"]
    assert "AUC of" in found["suspects"][0]["why"]


def test_places_count_from_0_or_1_and_are_no_amounts(tmp_path):
    table = planted(100).with_columns(at=pl.int_range(1, 101) % 4 + 1)
    table.write_parquet(tmp_path / "log.parquet")
    roles = Roles("click", place="at", drop=["row"])
    read = read_impressions(tmp_path / "log.parquet", roles)
    assert read.columns.place == read.names.index("at")
    assert sorted(set(read.features[:, read.columns.place])) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("change", "roles", "said"),
    [
        ({}, {"label": "bought"}, "no column 'bought'. It has: row, shade"),
        ({}, {"label": "click", "group": "click"}, "'click' is named for two things"),
        ({"click": pl.lit("maybe")}, {}, "also says: maybe"),
        ({"click": pl.lit(1)}, {}, "A fold has 1,000 rows to learn from, of which 1,000"),
        ({"when": pl.lit(None)}, {"time": "when"}, "is no time, or is empty"),
        ({"at": pl.lit(4)}, {"place": "at"}, "must count places from 0 or 1; its least is 4"),
        ({"day": pl.date(2024, 1, 1) + pl.duration(days=pl.col("row").cast(pl.Int64))}, {},
         "'day' of .* is a time. Name it with --time"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_said_in_one_line(file, change, roles, said):
    planted().with_columns(**change).write_parquet(file)
    with pytest.raises((BadConfig, BadData), match=said) as caught:
        benchmark_clicks(file, None, Roles(**{"label": "click", **roles}), **QUICK)
    assert "\n" not in str(caught.value)


def test_odd_files_and_settings_are_refused(file, tmp_path):
    (tmp_path / "broken.parquet").write_bytes(b"nothing of the kind")
    for odd, said in (("broken.parquet", "cannot be read"), ("gone.csv", "no file"),
                      ("log.xlsx", "ends in")):  # fmt: skip
        if odd == "log.xlsx":
            (tmp_path / odd).write_bytes(b"x")
        with pytest.raises(BadData, match=said):
            benchmark_clicks(tmp_path / odd, None, Roles("click"), **QUICK)
    with pytest.raises(BadConfig, match=r"no ranking 'gdbt'\. Did you mean 'gbdt'"):
        benchmark_clicks(file, None, Roles("click"), names=["gdbt"])
    with pytest.raises(BadConfig, match="--set needs exactly one"):
        benchmark_clicks(file, None, Roles("click"), settings={"seed": 1})
    ids = planted(6000).with_columns(text=pl.col("row") + "x")
    ids.write_parquet(file)
    with pytest.raises(BadData, match="text with 6,000 different values"):
        benchmark_clicks(file, None, Roles("click", drop=["row"]), **QUICK)
