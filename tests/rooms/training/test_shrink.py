"""A model with fewer layers that gives the vectors of the whole."""

import numpy as np
import pytest
import torch

from shopkeeper.errors import BadConfig, BadData
from shopkeeper.training.shrink import Distilling, count_layers, difference, distil, prune, spread
from shopkeeper.training.text_model import TextModel
from shopkeeper.training.texts import Reader, Tuning

WORDS = [f"w{n}" for n in range(30)]
TEXTS = [f"{WORDS[n % 30]} {WORDS[n * 7 % 30]} {WORDS[n * 11 % 30]}" for n in range(200)]
HOW = Distilling(batch=25, epochs=10, lr=3e-3, tokens_max=8, minutes=5)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("whole")
    known = {w: n for n, w in enumerate(["[PAD]", "[UNK]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(known, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]").save_pretrained(folder)
    torch.manual_seed(0)
    shape = BertConfig(
        vocab_size=len(known), hidden_size=32, num_hidden_layers=4, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=16, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, initializer_range=0.15,
    )  # fmt: skip
    BertModel(shape).save_pretrained(folder)
    return folder


def encode(folder, texts=TEXTS):
    return Reader(TextModel.of(folder), Tuning(tokens_max=8)).encode(texts)


def cosines(left, right):
    return np.einsum("nd,nd->n", left, right)


def test_layers_are_taken_from_the_whole_model(whole, tmp_path):
    prune(TextModel.of(whole), tmp_path / "half", spread(4, 2))
    small, big = (
        Reader(TextModel.of(folder), Tuning()).inner.state_dict()
        for folder in (tmp_path / "half", whole)
    )
    assert count_layers(TextModel.of(tmp_path / "half")) == 2
    for name in ("attention.self.query.weight", "output.dense.weight"):
        assert torch.equal(small[f"encoder.layer.0.{name}"], big[f"encoder.layer.0.{name}"])
        assert torch.equal(small[f"encoder.layer.1.{name}"], big[f"encoder.layer.3.{name}"])
    prune(TextModel.of(whole), tmp_path / "all", range(4))
    assert np.allclose(encode(tmp_path / "all"), encode(whole), atol=1e-6)
    with pytest.raises(BadConfig, match="5 layers cannot stay of 4"):
        spread(4, 5)


def test_a_small_model_learns_the_vectors_of_the_whole_and_an_untaught_one_has_not(whole, tmp_path):
    prune(TextModel.of(whole), tmp_path / "half", spread(4, 2))
    wanted = encode(whole)
    held, taught = wanted[150:], wanted[:150]
    before = cosines(encode(tmp_path / "half")[150:], held).mean()
    outcome = distil(TextModel.of(tmp_path / "half"), tmp_path / "out", TEXTS[:150], taught, HOW)
    after = cosines(encode(tmp_path / "out")[150:], held).mean()
    assert 1 - after < (1 - before) / 2
    assert outcome.losses[-1] < outcome.losses[0] / 2
    words = [
        Reader(TextModel.of(f), Tuning()).inner.get_input_embeddings().weight
        for f in (whole, tmp_path / "out")
    ]
    assert torch.equal(*words)


def test_a_run_that_was_cut_off_ends_as_a_calm_one(whole, tmp_path):
    prune(TextModel.of(whole), tmp_path / "half", [0, 3])
    wanted, calls = encode(whole), []

    def measure(_):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return float(len(calls))

    call = (TextModel.of(tmp_path / "half"), tmp_path / "out", TEXTS, wanted)
    file = tmp_path / "kept.safetensors"
    short = Distilling(batch=25, epochs=3, lr=1e-3, tokens_max=8)
    with pytest.raises(KeyboardInterrupt):
        distil(*call, short, measure=measure, checkpoint=file, about="x")
    assert file.is_file()
    assert not (tmp_path / "out").exists()
    outcome = distil(*call, short, measure=measure, checkpoint=file, about="x")
    assert outcome.epoch == 3
    assert len(calls) < 5
    distil(TextModel.of(tmp_path / "half"), tmp_path / "calm", TEXTS, wanted, short)
    assert np.allclose(encode(tmp_path / "out"), encode(tmp_path / "calm"), atol=1e-5)


def test_narrow_vectors_are_taught_to_be_as_near_as_whole_ones(whole, tmp_path):
    wanted = encode(whole)
    alike = wanted @ wanted.T

    def off(folder):
        narrow = encode(folder)[:, :8]
        narrow /= np.linalg.norm(narrow, axis=1, keepdims=True)
        return ((narrow @ narrow.T - alike) ** 2).mean()

    prune(TextModel.of(whole), tmp_path / "half", [0, 3])
    from dataclasses import replace

    distil(TextModel.of(tmp_path / "half"), tmp_path / "plain", TEXTS, wanted, HOW)
    distil(
        TextModel.of(tmp_path / "half"),
        tmp_path / "nested",
        TEXTS,
        wanted,
        replace(HOW, widths=(8,)),
    )
    assert off(tmp_path / "nested") < 0.6 * off(tmp_path / "plain")


def test_the_difference_is_none_for_equal_vectors_and_some_for_others():
    vectors = torch.nn.functional.normalize(torch.randn(6, 8), dim=-1)
    assert difference(vectors, vectors) == pytest.approx(0, abs=1e-5)
    assert difference(vectors, vectors.flip(0)) > 0.5
    assert difference(vectors, vectors, [4]) > 0.01


def test_too_few_texts_and_wrong_settings_are_said(whole, tmp_path):
    prune(TextModel.of(whole), tmp_path / "half", [0, 3])
    with pytest.raises(BadData, match=r"3 texts .* a batch needs 25"):
        distil(TextModel.of(tmp_path / "half"), tmp_path / "out", TEXTS[:3], encode(whole)[:3], HOW)
    for wrong in ({"batch": 1}, {"minutes": 0.0}, {"lr": -1.0}, {"epochs": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Distilling(**wrong)
