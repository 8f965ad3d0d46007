"""An export is made once a machine, and never taken on trust."""

import hashlib
import json

import pytest

from shopkeeper.encoders import _kept


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Return what fills folders, and how often an export was made."""
    monkeypatch.setenv("SHOPKEEPER_CACHE", str(tmp_path / "cache"))
    calls = []

    def fill(name, identity="a"):
        folder = tmp_path / name

        def make():
            calls.append(name)
            folder.mkdir(exist_ok=True)
            (folder / "model.onnx").write_bytes(b"weights")
            told = {"sha256": hashlib.sha256(b"weights").hexdigest()}
            (folder / "encoder.json").write_text(json.dumps(told))

        _kept.fill(folder, [identity], make)
        return (folder / "model.onnx").read_bytes()

    return fill, calls, tmp_path / "cache"


def test_the_second_shop_takes_what_the_first_made(made):
    fill, calls, _ = made
    assert fill("one") == fill("two") == b"weights"
    assert calls == ["one"]
    fill("three", identity="b")
    assert calls == ["one", "three"]


@pytest.mark.parametrize("spoil", ["model.onnx", "encoder.json"])
@pytest.mark.parametrize("content", [b"", b"{}", None])
def test_what_is_broken_there_is_made_anew(made, spoil, content):
    fill, calls, cache = made
    fill("one")
    (file,) = cache.glob(f"exports/*/{spoil}")
    file.unlink() if content is None else file.write_bytes(content)
    assert fill("two") == b"weights"
    assert fill("three") == b"weights"
    assert calls == ["one", "two"]


def test_a_cache_that_cannot_be_written_keeps_nobody(made):
    fill, calls, cache = made
    cache.write_text("a file in its place")
    assert fill("one") == fill("two") == b"weights"
    assert calls == ["one", "two"]


def test_the_cache_lies_where_users_keep_caches(monkeypatch, tmp_path):
    monkeypatch.delenv("SHOPKEEPER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert _kept.home() == tmp_path / "shopkeeper"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _kept.home() == tmp_path / ".cache" / "shopkeeper"
