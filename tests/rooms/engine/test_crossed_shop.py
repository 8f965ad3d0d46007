"""A shop whose cross-encoder reads the best products: from `shop.toml` to the next answer."""

import polars as pl
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from shopkeeper import Shop, registry
from shopkeeper.engine import encoding, settings
from shopkeeper.errors import BadConfig

SETTINGS = """
[shop]
name = "Mugs"
currency = "GBP"
languages = ["en"]

[inputs.feed]
source = "merchant_center"
file = "{file}"

[search]
encoder = "hashing"
pictures = ""
cross = "cross_encoder"

[encoders.cross.cross_encoder]
model = "reader"
tokens_max = 16
weight = 1.0
"""
COLOURS = ("red", "blue", "green", "black", "white", "pink")


def _reader(folder):
    """Write a small model that reads pairs, with chance weights: whose order is like no other."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "mug", "acme", *COLOURS]
    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )  # fmt: skip
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    torch.manual_seed(3)
    shape = BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=16, num_labels=1, initializer_range=0.6,
    )  # fmt: skip
    BertForSequenceClassification(shape).save_pretrained(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mugs") / "shop"
    folder.mkdir()
    _reader(folder / "reader")
    rows = [
        {"id": colour, "title": f"{colour} mug", "brand": "Acme", "price": "5.00 GBP",
         "availability": "in_stock", "product_type": "Mugs", "link": "https://shop.example/p"}
        for colour in COLOURS
    ]  # fmt: skip
    file = folder / "feed.tsv"
    pl.DataFrame(rows).write_csv(file, separator="\t")
    (folder / "shop.toml").write_text(SETTINGS.format(file=file))
    with Shop.open(folder) as shop:
        shop.ingest()
        shop.train()
    return folder


def test_the_reader_of_the_bundle_orders_the_answer(folder):
    with Shop.open(folder) as shop:
        part = registry.load(shop.bundles.open(shop.bundles.current()) / "search" / "cross")
        texts = [f"{colour} mug, Acme, Mugs" for colour in COLOURS]
        scores = dict(zip(COLOURS, part.score("mug", texts), strict=True))
        assert len({round(float(score), 4) for score in scores.values()}) > 1
        wanted = sorted(COLOURS, key=lambda colour: -scores[colour])
        found = [one.product["id"] for one in shop.search("mug", understand=False).results]
        assert found == wanted


def test_a_shop_without_one_has_none_and_one_without_a_model_is_said(folder):
    text = (folder / "shop.toml").read_text()
    other = folder.parent / "other"
    other.mkdir()
    (other / "shop.toml").write_text(text.replace('cross = "cross_encoder"', 'cross = ""'))
    assert encoding.cross(other, settings.read(other)) is None
    (other / "shop.toml").write_text(text.replace('model = "reader"', ""))
    with pytest.raises(BadConfig, match=r"names none.*teacher-minutes"):
        encoding.cross(other, settings.read(other))
    (other / "shop.toml").write_text(text.replace('cross = "cross_encoder"', 'cross = "x"'))
    with pytest.raises(BadConfig, match="cross_encoder"):
        settings.read(other)
