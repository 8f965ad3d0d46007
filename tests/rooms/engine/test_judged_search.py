"""Search measured on judged queries, on a catalogue where the words alone say what is right."""

import json

import polars as pl
import pytest
from typer.testing import CliRunner

from shopkeeper import registry
from shopkeeper.cli.main import app
from shopkeeper.engine.judged_search import benchmark_search, other_words
from shopkeeper.engine.search_lessons import Course
from shopkeeper.engine.search_tuning import choose_boosts, choose_weight, shown
from shopkeeper.errors import BadConfig, BadData
from shopkeeper.evaluation.judged import Judged, quality, read_judged
from shopkeeper.training.texts import Tuning

KINDS = ("mug", "lamp", "rug", "vase", "clock", "tray")
COLOURS = ("red", "blue", "green", "white", "black", "amber", "pink", "teal", "grey", "gold")


@pytest.fixture
def files(tmp_path):
    products, queries, judged = ["id,title,description"], ["query_id,query"], ["query_id,id,grade"]
    for kind in KINDS:
        for colour in COLOURS:
            name = f"{colour}-{kind}"
            # Descriptions mislead: they name another kind.
            other = KINDS[(KINDS.index(kind) + 1) % len(KINDS)]
            products.append(
                f"{name},A {kind} for the house,{colour} and goes with {colour} {other}"
            )
            queries.append(f"q-{name},{colour} {kind}")
            judged.append(f"q-{name},{name},2")
    for name, lines in (("products", products), ("queries", queries), ("judged", judged)):
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return [tmp_path / f"{name}.csv" for name in ("products", "queries", "judged")]


def test_every_way_to_search_is_measured_on_the_queries_that_tuned_nothing(files, tmp_path):
    judged = read_judged(*files)
    found = benchmark_search(judged, encoder="hashing", tune_share=0.5, cache=tmp_path / "cache")
    rows = {row["search"]: row for row in found["table"]}
    assert list(rows) == [
        "bm25s, all words (peer)", "words", "meaning", "both", "words, tuned", "both, tuned",
        "both, learned order (not better: left as it was)",
    ]  # fmt: skip
    assert (found["queries"], found["tuning_queries"], found["products"]) == (30, 30, 60)
    assert all(0 <= row["low"] <= row["ndcg@10"] <= row["high"] <= 1 for row in rows.values())
    assert rows["words, tuned"]["ndcg@10"] >= rows["words"]["ndcg@10"]
    assert found["chosen"]["lexical_weight"] > 0.5
    assert found["lift"] is None


def test_every_way_is_also_asked_noisy_queries(files, tmp_path):
    listed = tmp_path / "synonyms.csv"
    listed.write_text("word,synonym,approved,sureness,evidence\nmug,cup,true,0,\nrug,mat,,0.2,\n")
    assert other_words(listed) == {"mug": ["cup"], "cup": ["mug"]}
    judged = read_judged(*files)
    found = benchmark_search(judged, encoder="hashing", noise=True, other=other_words(listed))
    rows = {(row["search"], row["noise"]): row for row in found["noise"]}
    clean = {row["search"]: row["ndcg@10"] for row in found["table"]}
    assert {search for search, _ in rows} == set(clean)
    for (search, _), row in rows.items():
        assert row["ndcg@10"] == pytest.approx(clean[search] - row["loss"])
    assert rows["words", "words in another order"]["loss"] == 0
    assert rows["bm25s, all words (peer)", "typos in 20% of words"]["low"] > 0
    assert rows["words", "other words"]["changed"] == pytest.approx(1 / 6)
    with pytest.raises(BadData, match="no file"):
        other_words(tmp_path / "none.csv")


def test_boosts_move_to_where_the_right_words_stand(files, tmp_path):
    judged = read_judged(*files)
    names = [name.split("-") for name in judged.products["id"]]
    others = [KINDS[(KINDS.index(kind) + 1) % len(KINDS)] for _, kind in names]
    products = judged.products.with_columns(
        pl.Series(
            "title", [f"{colour} {other}" for (colour, _), other in zip(names, others, strict=True)]
        ),
        pl.Series("description", [kind for _, kind in names]),
    )
    misleading = Judged(products, judged.queries, judged.grades)
    index = registry.build("search.indexes", "lexical").build(products, None)
    (tmp_path / "index").mkdir()
    index.save(tmp_path / "index")
    chosen = choose_boosts(tmp_path / "index", misleading)
    before, after = (
        quality(misleading, shown(index, misleading))["ndcg@10"].mean()
        for index in (
            index, registry.build("search.indexes", "lexical", **chosen).restore(tmp_path / "index")
        )
    )  # fmt: skip
    assert chosen
    assert after > before + 0.1


def test_the_weight_goes_to_the_part_that_is_right(files):
    judged = read_judged(*files)
    encoder = registry.build("encoders", "hashing")
    vectors = encoder.encode(judged.products["id"].to_list())
    asked = encoder.encode([one.removeprefix("q-") for one in judged.queries])
    hybrid = registry.build("search.indexes", "hybrid", cosine_min=-1.0)
    hybrid.build(judged.products, vectors)
    # What is asked in words is another product than the one that is meant.
    texts = list(judged.queries.values())
    mistold = dict(zip(judged.queries, [*texts[13:], *texts[:13]], strict=True))
    weight, ndcg = choose_weight(hybrid, Judged(judged.products, mistold, judged.grades), asked)
    assert weight < 0.5
    assert ndcg > 0.9


def test_the_command_prints_the_table_or_json(files):
    call = ["benchmark", "search", *map(str, files), "--encoder", "hashing", "--method", "none"]
    shown = CliRunner().invoke(app, call)
    assert shown.exit_code == 0, shown.output
    assert "60 products; 60 queries reported, 0 spent on tuning" in shown.output
    told = CliRunner().invoke(app, [*call, "--json"])
    assert json.loads(told.output)["queries"] == 60


def test_what_cannot_be_tuned_is_said(files):
    judged = read_judged(*files)
    with pytest.raises(BadConfig, match="tune_share"):
        benchmark_search(judged, encoder="hashing", tune_share=1.0)
    with pytest.raises(BadConfig, match="'hashing' learns nothing"):
        benchmark_search(judged, encoder="hashing", tune_share=0.5, course=Course(Tuning()))
