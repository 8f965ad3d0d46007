"""Leave-one-out ranks all items, fears ties, and does not care what things are called."""

import json

import numpy as np
import polars as pl
import pytest

from shopkeeper.errors import BadConfig, BadData
from shopkeeper.evaluation.leave_one_out import DEPTH, benchmark, ranks, read


@pytest.fixture
def shop(tmp_path):
    """Forty users who walk a circle of twelve items from random places."""
    draw = np.random.default_rng(3)
    lines = []
    for user in range(40):
        begin, size = draw.integers(0, 12), draw.integers(3, 9)
        walk = " ".join(str(100 + (begin + step) % 12) for step in range(size))
        lines.append(f"{user} {walk}")
    file = tmp_path / "walks.txt"
    file.write_text("\n".join(lines))
    return file


def figures(answer):
    return {**answer["mean"], **answer["spread"]}


def test_an_answer_is_one_object_that_json_can_say(shop):
    answer = benchmark("popular", shop, seeds=[1, 2])
    assert json.loads(json.dumps(answer)) == answer
    assert answer["seeds"] == [run["seed"] for run in answer["runs"]] == [1, 2]
    assert answer["users"] == 40
    assert answer["items"] == 12
    assert len(answer["sha256"]) == 64
    assert answer["peak_memory_mb"] > 10
    recalls = [answer["mean"][f"recall@{k}"] for k in (5, 10, 20)]
    assert recalls == sorted(recalls)
    assert recalls[0] < recalls[2]


def test_figures_do_not_depend_on_labels(shop, tmp_path):
    draw = np.random.default_rng(0)
    items = {str(100 + row): name for row, name in enumerate(draw.permutation(12).tolist())}
    other = tmp_path / "renamed.txt"
    other.write_text(
        "\n".join(
            " ".join([f"u{user}", *(f"z{items[item]}" for item in walk)])
            for user, *walk in (line.split() for line in shop.read_text().splitlines())
        )
    )
    settings = {"shrinkage": 1.0, "buyers_min": 1}
    plain = benchmark("item_knn", shop, settings=settings)
    renamed = benchmark("item_knn", other, settings=settings)
    assert figures(plain) == pytest.approx(figures(renamed), abs=1e-12)
    assert plain["mean"]["ndcg@10"] > 0


def test_parquet_with_pos_or_time_gives_what_lines_give(shop, tmp_path):
    rows = read(shop).sample(fraction=1.0, shuffle=True, seed=0)
    by_pos, by_time = tmp_path / "pos.parquet", tmp_path / "time.parquet"
    rows.write_parquet(by_pos)
    rows.with_columns(time=pl.col("pos") * 2.5).drop("pos").write_parquet(by_time)
    answers = [figures(benchmark("popular", file)) for file in (shop, by_pos, by_time)]
    assert answers[0] == answers[1] == answers[2]


def test_users_with_fewer_than_three_items_are_dropped_and_counted(tmp_path):
    file = tmp_path / "short.txt"
    file.write_text("a 1 2\nb 1 2 3\nc 3 1 2\nd 2\n\n")
    answer = benchmark("popular", file)
    assert answer["dropped_users"] == 2
    assert answer["users"] == 2
    assert answer["events"] == 6


def listed(*scores):
    return pl.DataFrame(
        {
            "request": pl.Series([0] * len(scores), dtype=pl.UInt32),
            "item_id": [f"i{place}" for place in range(len(scores))],
            "score": pl.Series(scores, dtype=pl.Float32),
        }
    )


@pytest.mark.parametrize(
    ("scores", "wanted", "rank"),
    [
        ((3, 2, 1), "i0", 1),
        ((3, 2, 1), "i2", 3),
        ((3, 3, 1), "i0", 2),
        ((3, 2, 1), "unknown", DEPTH + 1),
        (tuple([9] + [1] * (DEPTH - 1)), "i1", DEPTH + 1),
        (tuple([9] + [1] * (DEPTH - 1)), "i0", 1),
        (tuple([1] * 4), "i0", 4),
    ],
)
def test_ties_count_against_us(scores, wanted, rank):
    found = ranks(listed(*scores), np.array([wanted], dtype=object))
    assert found.tolist() == [rank]


def test_an_unanswered_request_is_a_miss():
    found = ranks(listed(1.0), np.array(["i0", "i0"], dtype=object))
    assert found.tolist() == [1, DEPTH + 1]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "no file"),
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("a\nb\n", "has an item"),
        ("a 1 2\nb 1\n", "3 items"),
        (b"\xff\xfe\x00\x01", "no text"),
    ],
)
def test_bad_lines_say_what_is_wrong(tmp_path, content, word):
    file = tmp_path / "bad.txt"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadData, match=word) as caught:
        benchmark("popular", file)
    assert "\n" not in str(caught.value)


def test_bad_parquet_says_what_is_wrong(tmp_path):
    file = tmp_path / "bad.parquet"
    file.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(BadData, match="not a Parquet file"):
        read(file)
    pl.DataFrame({"user": [1], "thing": [2]}).write_parquet(file)
    with pytest.raises(BadData, match=r"lacks item, pos or time\. It has: user, thing"):
        read(file)
    pl.DataFrame({"user": [1], "item": [2], "pos": [0]}).clear().write_parquet(file)
    with pytest.raises(BadData, match="is empty"):
        read(file)


def test_unknown_recommenders_settings_and_minutes_are_refused(shop):
    with pytest.raises(BadConfig, match="Did you mean 'popular'"):
        benchmark("populer", shop)
    with pytest.raises(BadConfig, match="half_life_days"):
        benchmark("popular", shop, settings={"half_life_day": 3})
    with pytest.raises(BadConfig, match="seeds"):
        benchmark("popular", shop, seeds=[])
    with pytest.raises(BadConfig, match="minutes"):
        benchmark("sequential", shop, minutes=0)


def test_what_products_are_is_told_under_the_random_ids(tmp_path):
    """Users stay with one of four kinds; only vectors tell which products are of a kind."""
    draw = np.random.default_rng(5)
    lines, kinds = [], np.arange(40) % 4
    for user in range(60):
        own = draw.permutation(np.flatnonzero(kinds == user % 4))[:4]
        lines.append(f"{user} " + " ".join(str(item) for item in own))
    file, about = tmp_path / "kinds.txt", tmp_path / "vectors.parquet"
    file.write_text("\n".join(lines))
    vectors = [np.eye(4)[kind].tolist() for kind in kinds]
    rows = pl.DataFrame({"item": range(40), "vector": vectors})
    rows.sample(fraction=1, shuffle=True, seed=1).write_parquet(about)
    told = benchmark("content", file, products=about)["mean"]["recall@10"]
    assert told > 0.9
    assert benchmark("content", file)["mean"]["recall@10"] < 0.6
    rows.rename({"vector": "other"}).write_parquet(about)
    with pytest.raises(BadData, match="It needs item and vector"):
        benchmark("content", file, products=about)
