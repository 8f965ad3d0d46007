"""A user's own model folder: what it says of pooling and prefixes is what is done."""

import json

import numpy as np
import pytest

from shopkeeper import registry
from shopkeeper.encoders import _export, _layout
from shopkeeper.errors import BadConfig, BadData

TEXTS = ["a b c d", "e f", "g"]
PREFIXES = {"query": "q ", "passage": "p "}


def write(folder, pooling="mean", prompts=None, modules=True):
    """Write what sentence-transformers writes beside config, tokenizer and weights."""
    if modules:
        kinds = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
        told = [{"type": f"sentence_transformers.models.{kind}", "path": at} for kind, at in kinds]
        (folder / "modules.json").write_text(json.dumps(told))
        (folder / "1_Pooling").mkdir(exist_ok=True)
        (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": pooling}))
    if prompts:
        about = folder / "config_sentence_transformers.json"
        about.write_text(json.dumps({"prompts": prompts}))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A transformer of random weights whose words are letters."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    letters = ["[UNK]", *(chr(code) for code in range(97, 123)), "query", "passage"]
    vocabulary = {letter: at for at, letter in enumerate(letters)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    folder = tmp_path_factory.mktemp("plain")
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(1)
    config = transformers.BertConfig(
        vocab_size=len(letters),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
        initializer_range=0.5,
    )
    transformers.BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(plain, tmp_path):
    for file in plain.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def expected(folder, text, pooling):
    """Pool the states of torch's own model of one text, without batches or masks."""
    import torch
    from transformers import AutoModel

    ids = torch.tensor([[ord(letter) - 96 for letter in text.split()]])
    with torch.no_grad():
        states = AutoModel.from_pretrained(folder).eval()(input_ids=ids).last_hidden_state[0]
    pooled = {
        "mean": states.mean(0),
        "mean_sqrt_len_tokens": states.mean(0),
        "cls": states[0],
        "max": states.max(0).values,
        "lasttoken": states[-1],
    }[pooling].numpy()
    return pooled / np.linalg.norm(pooled)


@pytest.mark.parametrize("pooling", list(_layout.POOLINGS))
def test_tokens_are_pooled_as_the_folder_says_and_prefixed_by_kind(folder, pooling, monkeypatch):
    monkeypatch.setattr(_export, "COSINE_MIN", 2)  # keeps floats, to compare them exactly
    monkeypatch.setattr(_export, "ALIKE_MAX", 2)
    write(folder, pooling, {"query": "q ", "document": "p "})
    out = folder / "out"
    _export.export(str(folder), out, 16)
    encoder = registry.build("encoders", "minilm", model=str(folder), tokens_max=16).restore(out)
    for kind, prefix in PREFIXES.items():
        wanted = [expected(folder, prefix + text, pooling) for text in TEXTS]
        assert np.allclose(encoder.encode(TEXTS, kind), wanted, atol=1e-4)


def test_e5_puts_its_own_prefixes_where_a_folder_says_none(folder):
    made = registry.build("encoders", "e5", model=str(folder), tokens_max=16)
    made.ensure(folder / "out")
    told = json.loads((folder / "out" / "encoder.json").read_text())
    assert told["prefixes"] == {"query": "query: ", "passage": "passage: "}
    assert not np.allclose(made.encode(TEXTS, "query"), made.encode(TEXTS, "passage"))
    write(folder, prompts={"query": "ask ", "passage": "tell "})
    assert _layout.read(folder).prefixes == {"query": "ask ", "passage": "tell "}


def test_vectors_that_all_point_one_way_lose_that_direction(folder, monkeypatch):
    shares = {}
    for name, most in (("taken off", 0.0), ("left", 1.0)):
        monkeypatch.setattr(_export, "ALIKE_MAX", most)
        _export.export(str(folder), folder / name, 16)
        made = registry.build("encoders", "minilm", model=str(folder), tokens_max=16)
        vectors = made.restore(folder / name).encode(_export.ENGLISH + _export.CHINESE)
        shares[name] = float(np.linalg.norm(vectors.mean(axis=0)))
    assert shares["taken off"] < 0.2 < shares["left"]


def test_a_folder_without_modules_is_pooled_by_the_mean(folder):
    assert _layout.read(folder).pooling == "mean"
    assert _layout.read(folder).prefixes == {}


def test_the_transformer_may_lie_in_a_folder_of_its_own(folder):
    write(folder, "cls")
    inner = folder / "0_Transformer"
    inner.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).rename(inner / name)
    told = json.loads((folder / "modules.json").read_text())
    told[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(told))
    layout = _layout.read(folder)
    assert (layout.transformer, layout.tokenizer) == (inner, folder / "tokenizer.json")
    assert layout.pooling == "cls"


def test_older_folders_flag_their_pooling(folder):
    write(folder)
    flags = {"pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(flags))
    assert _layout.read(folder).pooling == "max"


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named_in_one_line(folder, name):
    (folder / name).unlink()
    with pytest.raises(BadData, match=f"has no {name}"):
        _export.export_apart(str(folder), folder / "out", 16)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("modules.json", "{", "modules.json"),
        ("modules.json", '{"a": 1}', "no list"),
        ("modules.json", '[{"type": "x.Transformer", "path": ""}, {"type": "x.Dense"}]', "Dense"),
        ("modules.json", '[{"type": "x.CLIPModel"}]', "CLIPModel"),
        ("1_Pooling/config.json", '{"pooling_mode": "weightedmean"}', "weightedmean"),
        ("1_Pooling/config.json", '{"pooling_mode": ["cls", "mean"]}', r"cls \+ mean"),
        ("1_Pooling/config.json", "{}", "pooling"),
        ("config.json", "[]", "no JSON object"),
    ],
)
def test_what_is_broken_or_foreign_is_named(folder, file, text, said):
    write(folder)
    (folder / file).write_text(text)
    with pytest.raises(BadData, match=said) as error:
        _layout.read(folder)
    assert "\n" not in str(error.value)


def test_a_model_is_not_asked_for_more_tokens_than_it_reads(folder):
    with pytest.raises(BadConfig, match="reads 40 tokens"):
        _export.export(str(folder), folder / "out", 41)
