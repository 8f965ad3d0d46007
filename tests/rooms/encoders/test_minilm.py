"""The small transformer: finding its weights, exporting it, running without torch."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from shopkeeper import registry
from shopkeeper.encoders import _export, _weights
from shopkeeper.errors import BadConfig, BadData, Missing, NotFitted, ShopkeeperError

TEXTS = ["running shoes", "sneakers", "garden hose"]
BLOCKED = """
import sys
import polars  # which serving has, and which asks whether altair is there
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "transformers", "onnx", "ibis", "altair"}:
            raise ImportError(name)
sys.meta_path.insert(0, Block())
from pathlib import Path
import numpy as np
from shopkeeper.encoders.minilm import MiniLM
made = MiniLM(MiniLM.Config()).restore(Path(sys.argv[1]))
np.save(sys.argv[2], np.concatenate([made.encode([text]) for text in sys.argv[3:]]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    if _weights.installed(_weights.MINILM) is None:
        pytest.skip("the weights are not installed")
    made = tmp_path_factory.mktemp("exported")
    registry.build("encoders", "minilm").ensure(made)
    return made


@pytest.fixture(scope="module")
def encoder(folder):
    return registry.build("encoders", "minilm").restore(folder)


def test_int8_is_kept_because_it_means_the_same_and_the_file_says_so(folder):
    about = json.loads((folder / "encoder.json").read_text())
    assert about["precision"] == "int8"
    assert about["cosine_int8"] >= 0.985
    assert (folder / "model.onnx").stat().st_size < 25_000_000
    assert sorted(file.name for file in folder.iterdir()) == [
        "encoder.json",
        "model.onnx",
        "tokenizer.json",
    ]


def test_meaning_is_nearer_than_letters_and_hashing_cannot_see_it(encoder):
    shoes, sneakers, hose = encoder.encode(TEXTS)
    assert shoes @ sneakers > shoes @ hose + 0.2
    shoes, sneakers, hose = registry.build("encoders", "hashing").encode(TEXTS)
    assert not shoes @ sneakers > shoes @ hose + 0.2


def test_a_width_keeps_the_first_numbers_at_length_one(folder, encoder, tmp_path):
    narrow = registry.build("encoders", "minilm", width=96).restore(folder)
    whole, cut = encoder.encode(TEXTS, "query"), narrow.encode(TEXTS, "query")
    assert (encoder.width, narrow.width, cut.shape) == (384, 96, (3, 96))
    assert np.allclose(np.linalg.norm(cut, axis=1), 1, atol=1e-5)
    wanted = whole[:, :96] / np.linalg.norm(whole[:, :96], axis=1, keepdims=True)
    assert np.allclose(cut, wanted, atol=1e-6)
    assert narrow.fingerprint != encoder.fingerprint
    registry.save(narrow, tmp_path)
    assert np.array_equal(registry.load(tmp_path).encode(TEXTS, "query"), cut)
    with pytest.raises(BadConfig, match=r"width is 512, but vectors .* have 384"):
        registry.build("encoders", "minilm", width=512).restore(folder)


def test_a_precision_can_be_asked_for(folder, encoder, tmp_path):
    exact = registry.build("encoders", "minilm", precision="float32").ensure(tmp_path)
    about = json.loads((tmp_path / "encoder.json").read_text())
    assert (about["asked"], about["precision"]) == ("float32", "float32")
    assert (tmp_path / "model.onnx").stat().st_size > 80_000_000
    assert _export.mean_cosine(exact.encode(TEXTS), encoder.encode(TEXTS)) > 0.97
    assert exact.fingerprint != encoder.fingerprint
    # What was exported as it comes is no answer to who asks for floats, nor the other way round.
    assert not registry.build("encoders", "minilm", precision="float32")._is_exported(folder)
    assert not registry.build("encoders", "minilm")._is_exported(tmp_path)


def test_several_threads_give_the_vectors_of_one(folder, encoder):
    texts = [f"{text} {n}" for n in range(20) for text in TEXTS]
    both = registry.build("encoders", "minilm", threads=2).restore(folder)
    assert np.allclose(both.encode(texts), encoder.encode(texts), atol=1e-6)


def test_encoding_needs_no_training_library(folder, encoder, tmp_path):
    out = tmp_path / "vectors.npy"
    call = [sys.executable, "-c", BLOCKED, str(folder), str(out), *TEXTS]
    subprocess.run(call, check=True, capture_output=True, timeout=60)
    expected = np.concatenate([encoder.encode([text]) for text in TEXTS])
    assert np.allclose(np.load(out), expected, atol=1e-6)


def test_an_export_is_made_once(folder, monkeypatch):
    def refuse(*_):
        raise AssertionError("exported again")

    monkeypatch.setattr(_export, "export_apart", refuse)
    registry.build("encoders", "minilm").ensure(folder)
    with pytest.raises(AssertionError, match="exported again"):
        registry.build("encoders", "minilm", tokens_max=32).ensure(folder)


@pytest.mark.parametrize(
    ("sound", "precision", "kept"),
    [
        (("", "spared"), "int8", b"small "),
        (("spared",), "mixed", b"small spared"),
        ((), "float32", b"exact"),
    ],
)
def test_int8_is_kept_as_far_as_it_means_the_same(monkeypatch, tmp_path, sound, precision, kept):
    exact = np.eye(len(_export.ENGLISH + _export.CHINESE), dtype=np.float32)

    def fake(model, *_):
        same = model.name == "exact.onnx" or model.read_text().removeprefix("small ") in sound
        return SimpleNamespace(encode=lambda _: exact if same else np.roll(exact, 1, axis=0))

    (tmp_path / "source").mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / "source" / name).write_text("{}")
    monkeypatch.setattr(_export, "SPARED", {"int8": "", "mixed": "spared"})
    monkeypatch.setattr(_export, "Session", fake)
    monkeypatch.setattr(_export, "_trace", lambda _, file: file.write_bytes(b"exact"))
    monkeypatch.setattr(
        _export, "quantise", lambda _, file, spared: file.write_text(f"small {spared}")
    )
    about = _export.export(str(tmp_path / "source"), tmp_path / "out", 64)
    assert about["precision"] == precision
    assert (tmp_path / "out" / "model.onnx").read_bytes() == kept


def test_encoding_before_there_is_a_model_says_what_to_do():
    with pytest.raises(NotFitted, match="ensure"):
        registry.build("encoders", "minilm").encode(["x"])


def test_a_folder_without_or_with_broken_files_is_refused(folder, tmp_path):
    with pytest.raises(BadData, match=r"model\.onnx"):
        registry.build("encoders", "minilm").restore(tmp_path)
    for name in ("encoder.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:1000])
    with pytest.raises(BadData, match="broken"):
        registry.build("encoders", "minilm").restore(tmp_path)


def test_a_model_that_nobody_has_is_named_in_the_error(monkeypatch, tmp_path):
    hub = pytest.importorskip("huggingface_hub")

    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(hub, "snapshot_download", offline)
    with pytest.raises(Missing, match=r"'acme/none'.*local folder"):
        _weights.fetch("acme/none", tmp_path)


def test_other_weights_than_were_published_are_refused(monkeypatch, tmp_path):
    package = tmp_path / "planted_weights"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    (package / "model" / "model.safetensors").write_bytes(b"something else")
    monkeypatch.syspath_prepend(str(tmp_path))
    wanted = _weights.Package("planted_weights", "model", "0" * 64)
    with pytest.raises(BadData, match="sha256"):
        _weights.installed(wanted)
    sound = _weights.Package(
        "planted_weights", "model", _weights.digest(package / "model" / "model.safetensors")
    )
    assert _weights.installed(sound) == package / "model"
    assert _weights.installed(_weights.Package("no_such_package", "model", "")) is None


def test_what_keeps_an_export_from_starting_is_said_in_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ShopkeeperError) as error:
        _export.export_apart(str(tmp_path / "empty"), tmp_path / "out", 64)
    assert "\n" not in str(error.value)
    assert str(tmp_path / "empty") in str(error.value)


def test_an_export_leaves_no_torch_behind(tmp_path):
    code = (
        "import sys; from pathlib import Path; from shopkeeper import registry; "
        "registry.build('encoders', 'minilm').ensure(Path(sys.argv[1])); "
        "assert 'torch' not in sys.modules"
    )
    out = tmp_path / "encoder"
    done = subprocess.run([sys.executable, "-c", code, str(out)], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
