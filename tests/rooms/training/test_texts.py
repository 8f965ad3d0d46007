"""Tuning a text encoder, on a tiny model that knows nothing yet."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoModel, BertConfig, BertModel, PreTrainedTokenizerFast

from shopkeeper.encoders._export import export
from shopkeeper.encoders._session import Session
from shopkeeper.errors import BadData
from shopkeeper.training.text_methods import PREFIX_FILE, learning, load
from shopkeeper.training.text_model import TextModel
from shopkeeper.training.texts import Reader, Tuning, _Lessons, tune

NUM = 24
PAIRS = [(f"q{n}", f"a{n}") for n in range(NUM)]
QUICK = Tuning(batch=8, epochs=12, rounds=1, lr=3e-3, tokens_max=8, minutes=5)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return _tiny(tmp_path_factory.mktemp("tiny"), 0.02)


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A model whose attention says something, unlike one of small random weights."""
    return _tiny(tmp_path_factory.mktemp("taught"), 0.1)


def _tiny(folder, spread):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(word for pair in PAIRS for word in pair)]
    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    shape = BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=16, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, initializer_range=spread,
    )  # fmt: skip
    BertModel(shape).save_pretrained(folder)
    return TextModel.of(folder)


BURIED = [
    (
        f"q{n} a{5 * n % NUM} a{(11 * n + 2) % NUM}",
        f"q{n} a{(7 * n + 3) % NUM} a{(13 * n + 8) % NUM}",
    )
    for n in range(NUM)
]
"""What belongs together shares one word that counts; the others mislead."""


def _found(encode, pairs=PAIRS):
    """Return the share of questions whose nearest answer is theirs."""
    asked = encode([question for question, _ in pairs])
    answers = encode([answer for _, answer in pairs])
    return float(((asked @ answers.T).argmax(1) == np.arange(NUM)).mean())


def _weights(folder):
    return {
        name: value.clone()
        for name, value in AutoModel.from_pretrained(folder).state_dict().items()
    }


def test_pairs_that_belong_together_come_near(source, tmp_path):
    assert _found(Reader(source, QUICK).encode) < 0.3
    tune(source, tmp_path / "tuned", PAIRS, QUICK, measure=_found)
    assert _found(Reader(TextModel.of(tmp_path / "tuned"), QUICK).encode) > 0.9


@pytest.mark.parametrize("method", ["top_layers", "lora", "adalora"])
def test_only_the_part_that_the_method_names_learns(source, tmp_path, method):
    settings = {"layers": 1, "rank": 4, "lr": 1e-2, "epochs": 4}
    tuning = Tuning(method=method, batch=8, rounds=1, tokens_max=8, **settings)
    tune(source, tmp_path / "tuned", PAIRS, tuning)
    before, after = _weights(source.transformer), _weights(tmp_path / "tuned")
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.allclose(before[name], after[name])}
    assert changed
    if method == "top_layers":
        assert all(name.startswith("encoder.layer.1.") for name in changed)
    else:
        assert all(name.endswith(".weight") and ".layer." in name for name in changed)


@pytest.mark.parametrize("method", ["adapter", "prefix"])
def test_what_is_added_beside_the_weights_learns_and_is_kept(taught, tmp_path, method):
    tuning = replace(QUICK, method=method, lr=0.1, epochs=25, rank=4)
    before = Reader(taught, tuning, 1)
    learned = sum(one.numel() for one in before.parameters() if one.requires_grad)
    assert 0 < learned < 0.35 * sum(one.numel() for one in before.parameters())
    texts = [text for pair in BURIED for text in pair]
    plain = Reader(taught, QUICK).encode(texts)
    # Learning begins at the model as it was.
    assert np.einsum("nd,nd->n", before.encode(texts), plain).min() > 0.99
    assert _found(before.encode, BURIED) < 0.65
    tune(taught, tmp_path / "tuned", BURIED, tuning)
    assert _found(Reader(TextModel.of(tmp_path / "tuned"), QUICK).encode, BURIED) > 0.85
    old, new = _weights(taught.transformer), _weights(tmp_path / "tuned")
    if method == "prefix":
        assert all(torch.equal(old[name], new[name]) for name in old)
        assert (tmp_path / "tuned" / PREFIX_FILE).is_file()
    else:
        assert new["encoder.layer.0.intermediate.dense.weight"].shape == (64 + 16, 32)
        assert torch.equal(new["encoder.layer.0.intermediate.dense.weight"][:64],
                           old["encoder.layer.0.intermediate.dense.weight"])  # fmt: skip


@pytest.mark.parametrize("method", ["adapter", "prefix"])
def test_an_export_of_what_was_added_says_the_same_as_torch(taught, tmp_path, method):
    tuning = replace(QUICK, method=method, rank=4)
    torch.manual_seed(0)
    network = Reader(taught, tuning, 1)
    with torch.no_grad():
        for one in network.parameters():
            one += 5 * one.requires_grad * torch.randn_like(one)
    texts = [f"{question} {answer}"[: 2 + at] for at, (question, answer) in enumerate(PAIRS)]
    wanted, plain = network.encode(texts), Reader(taught, QUICK).encode(texts)
    assert np.einsum("nd,nd->n", wanted, plain).mean() < 0.95
    network.save(tmp_path / "tuned")
    # More may be learned on top of it, by the same method or another.
    again = Reader(TextModel.of(tmp_path / "tuned"), replace(tuning, method="prefix"), 1)
    assert np.einsum("nd,nd->n", again.encode(texts), wanted).min() > 0.97
    assert np.allclose(
        Reader(TextModel.of(tmp_path / "tuned"), QUICK).encode(texts), wanted, atol=1e-5
    )
    about = export(str(tmp_path / "tuned"), tmp_path / "export", 8, precision="float32")
    assert about["precision"] == "float32"
    session = Session(tmp_path / "export/model.onnx", tmp_path / "export/tokenizer.json", 8)
    assert np.einsum("nd,nd->n", session.encode(texts), wanted).min() > 0.999


@pytest.mark.parametrize("method", ["adapter", "prefix"])
def test_other_kinds_of_models_are_refused(method):
    model = SimpleNamespace(config=SimpleNamespace(model_type="gpt2"))
    model.requires_grad_ = lambda _: model
    with pytest.raises(BadData, match="'gpt2' takes no adapters"):
        learning(model, Tuning(method=method), 1)


def test_hard_texts_are_asked_for_from_the_second_round_on(source, tmp_path):
    asked = []

    def hard(questions, encode):
        asked.append(len(questions))
        assert encode(questions).shape == (NUM, 32)
        return [[answer for _, answer in PAIRS] for _ in questions]

    tuning = Tuning(batch=8, epochs=1, rounds=3, hard=2, lr=3e-3, tokens_max=8)
    assert len(tune(source, tmp_path / "tuned", PAIRS, tuning, hard=hard)) == 3
    assert asked == [NUM, NUM]


@pytest.mark.parametrize("method", ["full", "adapter", "prefix"])
def test_a_run_that_was_stopped_ends_as_a_calm_one(source, tmp_path, method):
    tuning = Tuning(method=method, batch=8, epochs=2, rounds=2, hard=1, lr=1e-3, tokens_max=8)

    def hard(questions, _):
        return [[answer for _, answer in PAIRS] for _ in questions]

    calls = []

    def measure(encode):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return _found(encode)

    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    words = {"hard": hard, "measure": measure}
    with pytest.raises(KeyboardInterrupt):
        tune(source, tmp_path / "cut", PAIRS, tuning, checkpoints=checkpoints, **words)
    assert not (tmp_path / "cut").exists()
    tune(source, tmp_path / "cut", PAIRS, tuning, checkpoints=checkpoints, **words)
    tune(source, tmp_path / "calm", PAIRS, tuning, hard=hard, measure=_found)
    calm, cut = (load(tmp_path / name).state_dict() for name in ("calm", "cut"))
    assert all(torch.allclose(calm[name], cut[name], atol=1e-5) for name in calm)


def test_nested_widths_and_noise_learn_too(source, tmp_path):
    tuning = replace(QUICK, widths=(8,), noise=0.05, epochs=30)
    tune(source, tmp_path / "tuned", PAIRS, tuning)
    encode = Reader(TextModel.of(tmp_path / "tuned"), tuning).encode

    def narrow(texts):
        cut = encode(texts)[:, :8]
        return cut / np.linalg.norm(cut, axis=1, keepdims=True)

    assert _found(narrow) > 0.7


def test_several_right_answers_are_no_negatives_of_each_other():
    pairs = [("q0", "a0"), ("q0", "a1"), ("q1", "a1"), ("q2", "a2")]
    (batch,) = _Lessons(pairs, [], Tuning(batch=4)).batches(0)
    assert sorted(zip(batch.questions, batch.answers, strict=True)) == pairs
    for row, question in enumerate(batch.questions):
        right = {answer for one, answer in pairs if one == question}
        for column, answer in enumerate(batch.answers):
            also = batch.also_right_BP[row, column].item()
            assert also == (answer in right and column != row)


def test_too_few_pairs_and_wrong_settings_are_said(source, tmp_path):
    with pytest.raises(BadData, match=r"There are 24 pairs .* a batch needs 64"):
        tune(source, tmp_path / "tuned", PAIRS, Tuning())
    for wrong in ({"method": "magic"}, {"rank": 0}, {"temperature": 0.0}, {"minutes": 0.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Tuning(**wrong)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "last"])
def test_a_text_is_pooled_as_the_model_says_whatever_stands_behind_its_end(source, pooling):
    reader = Reader(replace(source, pooling=pooling), QUICK)
    alone = reader.encode(["q1 a1"])
    # Beside a longer text the shorter one is padded.
    beside = reader.encode(["q1 a1", "q2 a2 q3 a3"])
    np.testing.assert_allclose(alone[0], beside[0], atol=1e-5)
    states = reader.inner(*[reader.tokens(["q1 a1"])[0]]).last_hidden_state[0].detach().numpy()
    wanted = {"mean": states.mean(0), "cls": states[0], "max": states.max(0), "last": states[-1]}
    unit = wanted[pooling] / np.linalg.norm(wanted[pooling])
    np.testing.assert_allclose(alone[0], unit, atol=1e-5)
