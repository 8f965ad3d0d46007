"""What every picture encoder promises, ours and those of plugins."""

import numpy as np
import published_weights
import pytest
from PIL import Image

from shopkeeper import registry
from shopkeeper.errors import BadConfig, NotFitted

SHELF = "encoders.images"
NAMES = registry.names(SHELF)
ODD = [
    Image.new("RGB", (1, 1), "red"),
    Image.new("RGB", (3, 400), "green"),
    Image.new("RGB", (500, 20), "blue"),
    Image.new("RGB", (64, 64), "black"),
]


def noise(seed):
    values = np.random.default_rng(seed).integers(0, 256, (48, 36, 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.fixture(scope="module", params=NAMES)
def encoder(request, tmp_path_factory):
    settings = {}
    if request.param == "efficientnet_lite":
        pytest.importorskip("torch")
        folder = tmp_path_factory.mktemp("weights")
        settings = {"weights": str(published_weights.write(folder / "random.pth")), "batch": 3}
    made = registry.build(SHELF, request.param, **settings)
    return made.ensure(tmp_path_factory.mktemp(request.param))


def test_a_shelf_within_a_shelf_is_no_part_of_it():
    assert NAMES == ["efficientnet_lite"]
    for shelf in registry.SHELVES:
        assert not {f"{shelf}.{name}" for name in registry.names(shelf)} & set(registry.SHELVES)
    assert {"hashing", "minilm"} <= set(registry.names("encoders"))
    with pytest.raises(BadConfig, match="images"):
        registry.find("encoders", "images")


def test_every_picture_gets_one_finite_vector_of_length_one(encoder):
    vectors = encoder.encode(ODD)
    assert vectors.shape == (len(ODD), encoder.width)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)


def test_no_pictures_give_no_vectors(encoder):
    assert encoder.encode([]).shape == (0, encoder.width)


def test_equal_pictures_get_equal_vectors_and_others_do_not(encoder):
    same, again, other = encoder.encode([noise(1), noise(1), ODD[3]])
    assert np.allclose(same, again, atol=1e-5)
    assert not np.allclose(same, other, atol=1e-3)


def test_the_order_of_pictures_does_not_matter(encoder):
    pictures = [noise(seed) for seed in range(5)]
    turned = encoder.encode(pictures[::-1])[::-1]
    assert np.allclose(encoder.encode(pictures), turned, atol=1e-5)


def test_a_saved_encoder_gives_the_same_vectors(encoder, tmp_path):
    registry.save(encoder, tmp_path)
    restored = registry.load(tmp_path)
    assert np.array_equal(restored.encode(ODD), encoder.encode(ODD))
    assert restored.fingerprint == encoder.fingerprint


@pytest.mark.parametrize("name", NAMES)
def test_without_a_model_it_says_so(name):
    with pytest.raises(NotFitted):
        registry.build(SHELF, name).encode(ODD)


def test_a_setting_out_of_range_is_refused_by_name():
    with pytest.raises(BadConfig, match="batch"):
        registry.build(SHELF, "efficientnet_lite", batch=0)
