"""The exported picture encoder: like the network, made once, and only of published weights."""

import json

import numpy as np
import published_weights
import pytest
from PIL import Image

from shopkeeper import registry
from shopkeeper.encoders.images import _export
from shopkeeper.encoders.images.efficientnet_lite import _framed
from shopkeeper.errors import BadData, Missing

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return str(published_weights.write(tmp_path_factory.mktemp("weights") / "random.pth"))


@pytest.fixture(scope="module")
def folder(weights, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    _export.export(weights, folder)
    return folder


def made(weights):
    return registry.build("encoders.images", "efficientnet_lite", weights=weights)


def test_the_exported_model_answers_as_the_network_does(weights, folder):
    from shopkeeper.training.networks.efficientnet_lite import EfficientNetLite

    network = EfficientNetLite().eval()
    network.load(torch.load(weights, weights_only=True))
    values = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    with torch.no_grad():
        wanted = network(torch.from_numpy(values)).numpy()
    found = made(weights).ensure(folder).encode([Image.fromarray(each) for each in values])
    assert np.abs(found - wanted).max() < 1e-4


def test_strided_convolutions_pad_more_at_the_end_as_the_weights_were_learned():
    from shopkeeper.training.networks.efficientnet_lite import EfficientNetLite

    layer = EfficientNetLite().eval().stem
    torch.nn.init.ones_(layer.convolution.weight)

    def seers(place):
        pixel = torch.zeros(1, 3, 8, 8)
        pixel[..., place, place] = 1.0
        with torch.no_grad():
            return (layer(pixel)[0, 0] > 0).nonzero().tolist()

    assert seers(0) == [[0, 0]]
    assert seers(1) == [[0, 0]]
    assert seers(2) == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert seers(7) == [[3, 3]]


def test_a_picture_is_shown_whole_on_the_colour_of_its_edge():
    tall = Image.new("RGB", (20, 40), (250, 250, 250))
    tall.paste((200, 0, 0), (5, 10, 15, 30))
    framed = _framed(tall, 224)
    assert framed.shape == (224, 224, 3)
    assert (framed[:, :50] == 250).all()
    assert (framed[112, 112] == (200, 0, 0)).all()


def test_an_export_is_made_once(weights, folder, monkeypatch):
    def refuse(*_):
        raise AssertionError("exported again")

    monkeypatch.setattr(_export, "export_apart", refuse)
    made(weights).ensure(folder)
    with pytest.raises(AssertionError, match="exported again"):
        made(weights + "2").ensure(folder)


def test_an_export_apart_tells_what_was_wrong(tmp_path):
    with pytest.raises(Missing, match=r"no file '.*none\.pth'"):
        _export.export_apart(str(tmp_path / "none.pth"), tmp_path / "out")
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(BadData, match=r"other\.pth.*no weights"):
        _export.export(str(tmp_path / "other.pth"), tmp_path / "out")
    (tmp_path / "text.pth").write_text("no weights at all")
    with pytest.raises(BadData, match=r"text\.pth"):
        _export.export(str(tmp_path / "text.pth"), tmp_path / "out")


def test_a_package_with_other_weights_is_refused(tmp_path, monkeypatch):
    package = tmp_path / _export.PACKAGE
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('never imported')")
    (tmp_path / _export.PACKAGE / _export.FILE).write_bytes(b"other")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BadData, match="sha256"):
        _export.export("", tmp_path / "out")


def test_a_folder_that_lost_a_file_or_broke_says_so(weights, tmp_path):
    encoder = made(weights)
    with pytest.raises(BadData, match=r"model\.onnx"):
        encoder.restore(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"torn")
    (tmp_path / "encoder.json").write_text(json.dumps({"sha256": "", "width": 1280, "side": 224}))
    with pytest.raises(BadData, match="broken"):
        encoder.restore(tmp_path)
