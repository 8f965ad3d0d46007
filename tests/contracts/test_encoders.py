"""What every encoder promises, ours and those of plugins."""

from pathlib import Path

import numpy as np
import pytest

from shopkeeper import registry
from shopkeeper.errors import BadConfig

ODD = ["", " ", "🎉🎉", "红茶杯 80ml", "a" * 10_000, "<b>'; drop table--", "\x00\ud800", "caffè"]
NAMES = registry.names("encoders")
SETTINGS = {
    "hashing": {"width": 64, "pieces_weight": 1.5},
    "minilm": {"tokens_max": 16},
    "e5": {"tokens_max": 24, "width": 16, "precision": "float32"},
}


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory):
    """A transformer of random weights, as a user's own model folder would be."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    letters = [chr(code) for code in range(97, 123)]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{letter}" for letter in letters)]
    tokenizer = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    folder = tmp_path_factory.mktemp("tiny")
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    transformers.BertModel(
        transformers.BertConfig(
            vocab_size=len(pieces),
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=64,
        )
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=NAMES)
def encoder(request, tmp_path_factory):
    settings = dict(SETTINGS.get(request.param, {}))
    if request.param in ("minilm", "e5"):
        settings["model"] = str(request.getfixturevalue("tiny_model"))
    made = registry.build("encoders", request.param, **settings)
    return made.ensure(tmp_path_factory.mktemp(request.param))


def test_every_text_gets_one_finite_vector_of_length_one(encoder):
    vectors = encoder.encode(ODD)
    assert vectors.shape == (len(ODD), encoder.width)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)


def test_no_texts_give_no_vectors(encoder):
    assert encoder.encode([]).shape == (0, encoder.width)
    assert encoder.encode([], "query").shape == (0, encoder.width)


def test_a_query_gets_a_vector_of_length_one_and_the_same_every_time(encoder):
    asked = encoder.encode(["blue kettle", ""], "query")
    assert np.allclose(np.linalg.norm(asked, axis=1), 1, atol=1e-4)
    assert np.array_equal(asked, encoder.encode(["blue kettle", ""], kind="query"))


def test_equal_texts_get_equal_vectors_and_others_do_not(encoder):
    same, again, other = encoder.encode(["blue kettle", "blue kettle", "garden hose"])
    assert np.array_equal(same, again)
    assert not np.allclose(same, other)


def test_the_order_of_texts_does_not_matter(encoder):
    texts = [
        f"{colour} mug {'long ' * n}" for n, colour in enumerate(["red", "blue", "green"] * 20)
    ]
    vectors, turned = encoder.encode(texts), encoder.encode(texts[::-1])[::-1]
    # In int8 a vector depends a little on its neighbours in the batch.
    assert np.einsum("nd,nd->n", vectors, turned).min() > 0.98


def test_a_saved_encoder_gives_the_same_vectors(encoder, tmp_path: Path):
    registry.save(encoder, tmp_path)
    restored = registry.load(tmp_path)
    assert np.array_equal(restored.encode(ODD), encoder.encode(ODD))
    assert restored.fingerprint == encoder.fingerprint


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("hashing", "width", 0),
        ("hashing", "pieces_weight", float("nan")),
        ("minilm", "tokens_max", 1),
        ("minilm", "threads", 0),
        ("minilm", "batch", 0),
        ("minilm", "width", -1),
        ("minilm", "width", 7),
        ("minilm", "precision", "int4"),
        ("e5", "tokens_max", 513),
        ("e5", "threads", 0),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(name, setting, value):
    with pytest.raises(BadConfig, match=setting):
        registry.build("encoders", name, **{setting: value})
