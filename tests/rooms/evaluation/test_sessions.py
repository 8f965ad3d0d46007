"""Sessions of nobody: the planted loop is foretold, ids and labels give nothing away."""

import numpy as np
import polars as pl
import pytest

from shopkeeper.errors import BadConfig, BadData
from shopkeeper.evaluation.sessions import benchmark_sessions


def planted(folder, items=40, sessions=400, letter="p", shift=0):
    """Each product is mostly followed by the next one of a loop."""
    draw = np.random.default_rng(0)
    rows, asked = [], []
    for session in range(sessions):
        at, seen = int(draw.integers(items)), []
        for _ in range(6):
            seen.append(f"{letter}{(at * 7 + shift) % items:03d}")
            at = (at + 1) % items if draw.random() < 0.9 else int(draw.integers(items))
        if session % 4:
            rows += [(f"s{session}", place, item) for place, item in enumerate(seen)]
        else:
            asked.append((seen[:-1], seen[-1]))
    train = pl.DataFrame(rows, schema=["session", "pos", "item"], orient="row")
    test = pl.DataFrame(asked, schema=["history", "target"], orient="row")
    files = folder / f"train{letter}.parquet", folder / f"test{letter}.parquet"
    train.sample(fraction=1, shuffle=True, seed=1).write_parquet(files[0])
    test.write_parquet(files[1])
    return files


def by_name(found):
    return {row["recommender"]: row for row in found["rows"]}


def test_neighbours_foretell_the_loop_and_popular_cannot(tmp_path):
    found = benchmark_sessions(*planted(tmp_path), ["item_knn", "popular", "bought_together"])
    rows = by_name(found)
    assert rows["item_knn"]["precision@20"] > 0.9
    assert rows["item_knn"]["mrr@20"] > 2 * rows["popular"]["mrr@20"]
    assert rows["popular"]["answered"] == 1.0
    assert "cannot" in rows["bought_together"]
    assert (found["sessions"], found["requests"], found["items"]) == (300, 100, 40)


def test_figures_do_not_depend_on_labels(tmp_path):
    figures = []
    for letter, shift in (("p", 0), ("z", 13)):
        found = benchmark_sessions(*planted(tmp_path, letter=letter, shift=shift), ["item_knn"])
        figures.append(by_name(found)["item_knn"]["mrr@20"])
    assert figures[0] == pytest.approx(figures[1], abs=0.03)


def test_what_was_seen_before_may_come_again(tmp_path):
    rows = [(f"s{n}", place, item) for n in range(30) for place, item in enumerate("aba")]
    rows += [(f"t{n}", place, item) for n in range(30) for place, item in enumerate("cdc")]
    pl.DataFrame(rows, schema=["session", "pos", "item"], orient="row").write_parquet(
        tmp_path / "a.parquet"
    )
    pl.DataFrame({"history": [["a", "b"]], "target": ["a"]}).write_parquet(tmp_path / "b.parquet")
    found = benchmark_sessions(tmp_path / "a.parquet", tmp_path / "b.parquet", ["item_knn"])
    assert by_name(found)["item_knn"]["mrr@20"] == 1.0


def test_empty_histories_and_unknown_targets_are_misses_not_errors(tmp_path):
    train, test = planted(tmp_path)
    pl.DataFrame(
        {"history": [[], ["never seen"], ["p001"]], "target": ["p001", "p001", "never sold"]}
    ).write_parquet(test)
    found = benchmark_sessions(train, test, ["item_knn"])
    row = by_name(found)["item_knn"]
    assert row["precision@20"] == 0.0
    assert row["answered"] == pytest.approx(1 / 3)
    assert found["unknown_targets"] == pytest.approx(0.3333)


def test_files_that_cannot_be_read_are_one_clear_line(tmp_path):
    train, test = planted(tmp_path)
    with pytest.raises(BadData, match="There is no file"):
        benchmark_sessions(tmp_path / "none.parquet", test, ["popular"])
    with pytest.raises(BadData, match="lacks session, pos, item"):
        benchmark_sessions(test, test, ["popular"])
    pl.DataFrame({"history": ["a"], "target": ["b"]}).write_parquet(tmp_path / "flat.parquet")
    with pytest.raises(BadData, match="needs lists of items"):
        benchmark_sessions(train, tmp_path / "flat.parquet", ["popular"])
    (tmp_path / "broken.parquet").write_text("no")
    with pytest.raises(BadData, match="is not a Parquet file"):
        benchmark_sessions(tmp_path / "broken.parquet", test, ["popular"])
    with pytest.raises(BadConfig, match="no recommender 'populer'"):
        benchmark_sessions(train, test, ["populer"])
