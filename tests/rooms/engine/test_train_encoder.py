"""A shop whose shoppers call things by words of their own: the encoder learns those words."""

import json
import tomllib

import polars as pl
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast
from typer.testing import CliRunner

from shopkeeper.cli.main import app
from shopkeeper.engine import encoding, past_searches, settings, shop_lessons
from shopkeeper.engine.ingest import Wanted, ingest
from shopkeeper.engine.known import products_of
from shopkeeper.errors import BadConfig, BadData
from shopkeeper.schema import ITEM

KINDS = ("mug", "lamp", "rug", "vase", "clock", "tray", "bowl", "jug", "fork", "cup", "pan", "box")
COLOURS = (
    "red", "blue", "green", "white", "black", "amber", "pink", "teal", "grey", "gold", "plum",
    "lime", "navy", "rose", "sand", "jade",
)  # fmt: skip
SLANG = {word: f"my{word}" for word in (*KINDS, *COLOURS)}
"""What shoppers say in place of the words of the titles."""


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _tiny(folder):
    """Write a small model that knows all the words and none of their meanings."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *SLANG, *SLANG.values(), ",", "nice"]
    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    torch.manual_seed(0)
    BertModel(
        BertConfig(
            vocab_size=len(words), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=64, max_position_embeddings=16, hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    ).save_pretrained(folder)  # fmt: skip
    return folder


def _shop(folder):
    model = _tiny(folder / "tiny")
    settings.init(
        folder / "shop",
        parts_given={"encoders.minilm": {"model": str(model), "tokens_max": 8}},
        shop={"languages": ("en",)},
        data={"categories": "off"},
    )
    both = [(kind, colour) for kind in KINDS for colour in COLOURS]
    products = {
        "id": [f"{c}-{k}" for k, c in both],
        "title": [f"{c} {k}" for k, c in both],
        "price": ["3.00 GBP"] * len(both),
    }
    pl.DataFrame(products).write_csv(folder / "products.csv")
    rows = []
    for n, (kind, colour) in enumerate(both):
        at = f"2026-03-{1 + n % 28:02}T{n % 20:02}"
        term = f"{SLANG[colour]} {SLANG[kind]}".upper()
        rows.append((f"s{n}", "search", f"{at}:10:00", term, None))
        rows.append((f"s{n}", "select_item", f"{at}:11:00", None, f"{colour}-{kind}"))
        # Far later, so it has nothing to do with the search.
        rows.append((f"s{n}", "view_item", f"{at}:59:00", None, "red-mug"))
    columns = ["session_id", "event_name", "time", "search_term", "item_id"]
    events = pl.DataFrame(rows, schema=columns, orient="row")
    events = events.with_columns(user_id="session_id")
    events.write_csv(folder / "events.csv")
    config = settings.read(folder / "shop")
    for table in ("products", "events"):
        wanted = Wanted(file=folder / f"{table}.csv", source="mapped", settings={"table": table})
        ingest(folder / "shop", config, wanted)
    return folder / "shop"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return _shop(tmp_path_factory.mktemp("slang"))


QUICK = ("--set", "batch=16", "--set", "lr=0.01", "--set", "epochs=15", "--set", "rounds=1")


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_what_was_wanted_soon_after_a_search_came_of_it(shop):
    rows = past_searches.followed(shop, settings.read(shop))
    assert rows.height == len(KINDS) * len(COLOURS)
    said = {row["search_term"]: row[ITEM] for row in rows.iter_rows(named=True)}
    assert said["MYBLUE MYVASE"] == "blue-vase"


def test_a_question_that_judges_teaches_nothing(shop):
    config = settings.read(shop)
    products = products_of(shop, config)
    learned = shop_lessons.learn_from(shop, config, products, pl.DataFrame(), ["search"])
    asked = {query for query, _ in learned.lessons.asked}
    held = set(learned.held.queries.values())
    assert not asked & held
    assert len(held) == round(0.2 * len(KINDS) * len(COLOURS))
    assert ("myblue myvase", "blue vase") in [*learned.lessons.asked] + [
        (query, grades.popitem()[0].replace("-", " "))
        for query, grades in learned.held.grades.items()
    ]


def test_an_encoder_that_learned_nothing_is_not_let_in(shop):
    before = (shop / "shop.toml").read_text()
    slow = (*QUICK, "--set", "lr=1e-9", "--set", "epochs=1", "--method", "top_layers")
    done = run("train", "encoder", *slow, "--shop", shop)
    assert done.exit_code == 0, done.output
    assert "unseen questions (search)" in done.output
    assert "keeps what it had" in done.output
    assert (shop / "shop.toml").read_text() == before
    assert not (shop / "models").exists()


def test_a_shop_without_searches_is_judged_by_its_texts(shop):
    config = settings.read(shop)
    products = products_of(shop, config)
    kinds = ["search", "description", "category"]

    def judged_on(*more):
        told = products.with_columns(*more)
        few = past_searches.followed(shop, config).head(0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(past_searches, "followed", lambda *_: few)
            return shop_lessons.learn_from(shop, config, told, pl.DataFrame(), kinds)

    described = pl.concat_str(pl.lit("a long story of "), "title").alias("description")
    path = pl.concat_str(pl.lit("Home > "), "title").alias("product_type")
    by_story = judged_on(described)
    assert by_story.judged_on == "description"
    assert by_story.counts == {"search": 0, "description": 154, "category": 0}
    by_path = judged_on(path)
    assert by_path.judged_on == "category"
    # What judges by categories must not show them.
    assert by_path.held.products["product_type"].null_count() == products.height
    assert "blue vase Home" in {*by_path.held.queries} | {q for q, _ in by_path.lessons.asked}


def test_a_better_encoder_is_named_in_shop_toml_and_used(shop):
    done = run("train", "encoder", "--minutes", "1", *QUICK, "--shop", shop, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.output.splitlines()[-1])
    assert found["judged_on"] == "search"
    assert found["kept"]
    assert found["low"] > 0
    assert found["after"] > found["before"]
    text = (shop / "shop.toml").read_text()
    assert tomllib.loads(text)["encoders"]["minilm"]["model"] == found["model"]
    assert "# tuned on this shop" in text
    assert "# Texts are cut to this many tokens" in text
    assert (shop / "reports" / "encoder.html").is_file()
    assert not (shop / "cache" / "tuning").exists()
    config = settings.read(shop)
    encoder = encoding.ready(shop, config, [])
    asked, right, wrong = encoder.encode(["myteal mybowl", "teal bowl", "pink fork"])
    assert asked @ right > asked @ wrong + 0.2
    # Tuning again starts from the model that was there at first.
    assert json.loads((shop / found["model"] / "tuned.json").read_text())["from"].endswith("tiny")


def test_the_shop_may_be_named_before_the_word_encoder(shop, tmp_path):
    for words in (("train", "--shop", shop, "encoder"), ("train", "encoder", "--shop", shop)):
        assert "serach" in str(run(*words, "--learn", "serach").exception)
    done = run("train", "--shop", tmp_path / "none", "encoder")
    assert "There is no shop.toml" in str(done.exception)


def test_what_cannot_be_is_one_clear_line(shop):
    assert isinstance(run("train", "encoder", "--method", "x", "--shop", shop).exception, BadConfig)
    done = run("train", "encoder", "--learn", "serach", "--shop", shop)
    assert "search" in str(done.exception)
    config = settings.read(shop)
    few = products_of(shop, config).head(20)
    with pytest.raises(BadData, match=r"at least 150 questions"):
        shop_lessons.learn_from(shop, config, few, pl.DataFrame(), ["search"])


def test_products_of_one_basket_belong_together_beyond_chance(shop):
    config = settings.read(shop)
    rows = []
    for n in range(30):
        rows += [(f"b{n}", f"{COLOURS[n % 3]}-mug"), (f"b{n}", f"{COLOURS[n % 3]}-tray")]
    events = pl.DataFrame(rows, schema=["transaction_id", ITEM], orient="row").with_columns(
        event_name=pl.lit("purchase"), user_id=pl.lit("u"), time=pl.lit(None, pl.Datetime("us"))
    )
    products = products_of(shop, config)
    learned = shop_lessons.learn_from(shop, config, products, events, ["search", "basket"])
    assert {frozenset(pair) for pair in learned.lessons.beside} == {
        frozenset((f"{colour} mug", f"{colour} tray")) for colour in COLOURS[:3]
    }
    assert learned.counts["basket"] == 3
