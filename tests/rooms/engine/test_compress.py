"""A text encoder made smaller, on a tiny model whose shop knows what is near."""

import json
from dataclasses import replace

import polars as pl
import pytest
from typer.testing import CliRunner

from shopkeeper import Shop, registry
from shopkeeper.cli.main import app
from shopkeeper.encoders import _export
from shopkeeper.engine import compress_shop as shops
from shopkeeper.engine import settings
from shopkeeper.engine.compress import Candidate, Wish, candidates, chosen, compress
from shopkeeper.engine.compress_ground import ground
from shopkeeper.errors import BadConfig
from shopkeeper.evaluation.judged import Judged

KINDS = ("mug", "lamp", "rug", "vase")
COLOURS = ("red", "blue", "green", "white", "black", "amber", "pink", "teal", "grey", "gold")
PRODUCTS = pl.DataFrame(
    [
        {"id": f"{colour}-{kind}-{n}", "title": f"{colour} {kind} {n}", "product_type": kind,
         "description": f"this {kind} is {colour} number {n}"}
        for kind in KINDS for colour in COLOURS for n in range(3)
    ]
)  # fmt: skip


def titles(*columns):
    return PRODUCTS.select("id", "title", *columns)


@pytest.fixture(autouse=True)
def _exported_here(monkeypatch):
    """Leave out what a process of its own costs; `test_minilm` starts one."""

    def export(model, folder, tokens_max, prefixes=None, precision="auto"):
        _export.export(model, folder, tokens_max, prefixes, precision)

    monkeypatch.setattr(_export, "export_apart", export)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    pytest.importorskip("torch")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("model")
    known = sorted({word for text in PRODUCTS["description"] for word in text.split()})
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *known, ","]
    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]"})
    )
    import torch

    torch.manual_seed(0)
    shape = BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=4, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    BertModel(shape).save_pretrained(folder)
    return folder


def test_searches_judge_best_then_descriptions_then_categories_then_neighbours():
    visits = [
        (str(n), row["title"].upper(), row["id"])
        for n, row in enumerate(PRODUCTS.iter_rows(named=True))
    ]
    searched = ground(PRODUCTS, None, [*visits, ("x", "gone", "no-such-product")])
    assert searched.by == "searches that ended at a product"
    assert searched.judged.grades["red mug 0"] == {"red-mug-0": 1.0}
    assert "gone" not in searched.judged.queries
    described, sorted_ones, plain = (
        ground(titles(*columns)) for columns in (("description",), ("product_type",), ())
    )
    assert described.by == "titles that look for their own description"
    assert described.judged.grades["red-mug-0"] == {"red-mug-0": 1.0}
    assert sorted_ones.by == "titles that look for products of their category"
    for one, grades in sorted_ones.judged.grades.items():
        assert one not in set(sorted_ones.judged.products["id"])
        assert {name.split("-")[1] for name in grades} == {one.split("-")[1]}
    assert plain.by == "titles that keep their nearest titles"
    assert not plain.judged.grades
    # Too few searches, or ones that end nowhere, judge nothing.
    assert ground(titles(), None, visits[:5]).by == plain.by


def test_what_is_judged_teaches_nothing():
    found = ground(PRODUCTS, None, [("1", f"query {n}", "red-mug-0") for n in range(40)])
    assert not set(found.judged.queries.values()) & {*found.queries, *found.passages}
    assert set(found.passages) == {f"{row[1]}, {row[2]}" for row in PRODUCTS.iter_rows()}


def test_candidates_are_fewer_layers_other_precisions_and_narrower_vectors():
    now = Candidate(0, "auto", 0)
    found = candidates(now, 6, 384, "int8", Wish())
    assert found[0] == now
    assert Candidate(0, "float32", 0) in found
    assert Candidate(0, "int8", 0) not in found
    assert [one.width for one in found if not one.layers and one.precision == "auto"] == [
        0, 256, 192, 128,
    ]  # fmt: skip
    assert {one.layers for one in found} == {0, 4, 3, 2}
    assert {(one.layers, one.width) for one in found if one.layers} == {
        (layers, width) for layers in (2, 3, 4) for width in (0, 192)
    }
    assert [one.layers for one in candidates(now, 0, 32, "float32", Wish())] == [0, 0]
    with pytest.raises(BadConfig, match="6 is not fewer"):
        candidates(now, 6, 384, "int8", Wish(layers=(6,)))
    for wrong in ({"loss": 1.0}, {"loss": -0.1}, {"minutes": 0.0}):
        with pytest.raises(BadConfig, match=next(iter(wrong))):
            Wish(**wrong)


def test_the_fastest_within_the_loss_wins_and_of_equals_the_narrowest():
    rows = [
        {"loss_feared": loss, "texts_per_s": speed, "vector_bytes": size, "onnx_mb": 1.0}
        for loss, speed, size in (
            (0.0, 100, 400), (0.02, 200, 400), (0.005, 150, 400), (0.009, 148, 200), (0.5, 900, 9),
        )
    ]  # fmt: skip
    assert chosen(rows, 0.01) == 3
    assert chosen(rows, 0.03) == 1
    assert chosen(rows, 0.0) == 0
    # That of now is always allowed, whatever chance says of it.
    assert chosen([rows[0] | {"loss_feared": 0.3}, rows[4]], 0.01) == 0


def test_candidates_are_made_measured_and_go_on_after_a_kill(model, tmp_path, monkeypatch):
    from shopkeeper.training import shrink

    encoder = registry.build("encoders", "minilm", model=str(model)).ensure(tmp_path / "now")
    told, wish = ground(titles("description")), Wish(minutes=0.02, layers=(2, 1))
    real, runs = shrink.distil, []

    def killed(source, target, *words, **named):
        if len(runs) == 1:
            raise KeyboardInterrupt
        runs.append(target.name)
        return real(source, target, *words, **named)

    monkeypatch.setattr(shrink, "distil", killed)
    with pytest.raises(KeyboardInterrupt):
        compress(encoder, told, wish, tmp_path / "work")
    monkeypatch.setattr(shrink, "distil", lambda *w, **n: runs.append(w[1].name) or real(*w, **n))
    found = compress(encoder, told, wish, tmp_path / "work")
    assert runs == ["2-layers", "1-layers"]
    by_layers = {row["layers"]: row for row in found.rows if row["precision"] != "float32"}
    assert set(by_layers) == {4, 2, 1}
    assert by_layers[1]["onnx_mb"] < by_layers[2]["onnx_mb"] < by_layers[4]["onnx_mb"]
    assert by_layers[1]["texts_per_s"] > by_layers[4]["texts_per_s"]
    now = found.rows[0]
    assert (now["loss"], now["low"], now["high"], now["same_nearest"]) == (0, 0, 0, 1)
    assert all(row["low"] <= row["loss"] <= row["high"] for row in found.rows)
    assert sum(row["chosen"] for row in found.rows) == 1
    # Other data begin anew, and leave nothing of the old.
    before = {file.name for file in (tmp_path / "work").iterdir()}
    runs[:] = runs[:1]
    monkeypatch.setattr(shrink, "distil", killed)
    with pytest.raises(KeyboardInterrupt):
        compress(encoder, replace(told, passages=told.passages[:-1]), wish, tmp_path / "work")
    assert not before & {file.name for file in (tmp_path / "work").iterdir()}


def test_neighbours_judge_where_nothing_else_does(model, tmp_path):
    encoder = registry.build("encoders", "minilm", model=str(model)).ensure(tmp_path / "now")
    found = compress(encoder, ground(titles()), Wish(minutes=0.02, layers=(1,)), tmp_path / "work")
    now, small = found.rows[0], found.rows[-1]
    assert now["ndcg@10"] == now["same_nearest"] == 1
    assert 0 < small["same_nearest"] < 1
    assert small["recall@10"] == pytest.approx(small["same_nearest"], abs=1e-6)


def test_a_shop_gets_the_smaller_model_and_trains_with_it(model, tmp_path, monkeypatch):
    folder = tmp_path / "shop"
    settings.init(folder, {"encoders.minilm": {"model": str(model), "tokens_max": 16}},
                  {"goods": {"source": "mapped", "file": "goods.csv",
                             "settings": {"table": "products"}}},
                  search={"encoder": "minilm"}, data={"categories": "off"})  # fmt: skip
    PRODUCTS.with_columns(price=pl.lit("1.00")).write_csv(folder / "goods.csv")
    monkeypatch.chdir(folder)
    Shop.open(folder).ingest()
    call = ["compress", "--loss", ".9", "--minutes", ".02", "--layers", "1", "--json"]
    told = json.loads(CliRunner().invoke(app, call).stdout.splitlines()[-1])
    assert told["chosen"] == {"model": "models/minilm-1-layers"}
    assert told["written"]
    assert told["by"] == "titles that look for their own description"
    assert settings.read(folder).part("encoders", "minilm")["model"] == "models/minilm-1-layers"
    assert not (folder / "cache" / "compress").exists()
    opened = Shop.open(folder)
    opened.train()
    assert json.loads((folder / "models/minilm-1-layers/config.json").read_text())[
        "num_hidden_layers"
    ] == 1  # fmt: skip
    assert opened.search("red mug").results
    opened.close()


def test_a_model_without_a_shop_and_wrong_words_on_the_command_line(model, tmp_path):
    PRODUCTS.write_csv(tmp_path / "goods.csv")
    words = {"texts": tmp_path / "goods.csv", "target": tmp_path / "small"}
    wish = Wish(loss=0.9, minutes=0.02, layers=(1,))
    call = ["compress", "--model", str(model), "--texts", str(words["texts"]), "--loss", ".9",
            "--minutes", ".02", "--layers", "1", "--out", str(words["target"])]  # fmt: skip
    dry = CliRunner().invoke(app, [*call, "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert "Candidates for minilm" in dry.output
    assert f"For shop.toml: [encoders.minilm] model = '{words['target']}'" in dry.output
    assert not words["target"].exists()
    found = shops.compress_model(str(model), wish=wish, **words)
    assert found["chosen"] == {"model": str(tmp_path / "small")}
    made = registry.build("encoders", "minilm", model=str(tmp_path / "small"))
    assert made.ensure(tmp_path / "export").encode(["red mug"]).shape == (1, 32)
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(BadConfig, match="there already"):
        shops.compress_model(str(model), wish=wish, **words)
    for call, said in (
        (["--model", "x"], "--model and --texts"),
        (["--queries", "x"], "--queries and --judgements"),
        (["--loss", "2"], "loss is a share"),
    ):
        done = CliRunner().invoke(app, ["compress", *call])
        assert isinstance(done.exception, BadConfig)
        assert said in str(done.exception)
    hashing = registry.build("encoders", "hashing")
    told = ground(titles())
    with pytest.raises(BadConfig, match="'hashing' has no model"):
        compress(hashing, told, wish, tmp_path / "work")


def test_a_judged_query_that_lost_its_products_is_left_out():
    judged = Judged(PRODUCTS, {"q": "mug"}, {"q": {"red-mug-0": 1.0}})
    assert ground(PRODUCTS, judged).by != "judged queries"
    many = {f"q{n}": f"mug {n}" for n in range(50)}
    judged = Judged(PRODUCTS, many, {one: {"red-mug-0": 1.0} for one in many})
    assert ground(PRODUCTS, judged).by == "judged queries"
