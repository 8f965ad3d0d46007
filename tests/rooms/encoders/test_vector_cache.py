"""Vectors that outlive the run that made them."""

import signal
import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shopkeeper.encoders import VectorCache
from shopkeeper.encoders.hashing import Hashing

ENCODER = Hashing(Hashing.Config(width=16))
KILLED = """
import os, signal, sys
from pathlib import Path
from shopkeeper.encoders import VectorCache
from shopkeeper.encoders.hashing import Hashing
class Dies(Hashing):
    calls = 0
    def encode(self, texts, kind):
        Dies.calls += 1
        if Dies.calls == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(texts, kind)
VectorCache(Path(sys.argv[1]), texts_per_file=10).encode(
    Dies(Hashing.Config(width=16)), [f"text {n}" for n in range(100)])
"""


def test_each_text_is_encoded_once_and_known_vectors_equal_fresh_ones(tmp_path):
    first = VectorCache(tmp_path)
    fresh = first.encode(ENCODER, ["tea", "milk", "tea"])
    assert first.num_encoded == 2
    second = VectorCache(tmp_path)
    assert np.array_equal(second.encode(ENCODER, ["tea", "milk", "tea"]), fresh)
    assert second.num_encoded == 0
    second.encode(ENCODER, ["milk", "bread"])
    assert second.num_encoded == 1


@given(st.lists(st.text(max_size=5), max_size=20))
def test_a_cache_returns_what_the_encoder_would(tmp_path_factory, texts):
    cache = VectorCache(tmp_path_factory.mktemp("cache"), texts_per_file=3)
    assert np.allclose(cache.encode(ENCODER, texts), ENCODER.encode(texts), atol=1e-3)


def test_another_encoder_shares_no_vectors(tmp_path):
    VectorCache(tmp_path).encode(ENCODER, ["tea"])
    other = VectorCache(tmp_path)
    other.encode(Hashing(Hashing.Config(width=16, pieces_weight=2.0)), ["tea"])
    assert other.num_encoded == 1


def test_a_killed_run_is_resumed_where_it_stood(tmp_path):
    call = [sys.executable, "-c", KILLED, str(tmp_path)]
    assert subprocess.run(call, check=False, timeout=60).returncode == -signal.SIGKILL
    cache = VectorCache(tmp_path)
    texts = [f"text {n}" for n in range(100)]
    assert np.allclose(cache.encode(ENCODER, texts), ENCODER.encode(texts), atol=1e-3)
    assert cache.num_encoded == 80


def test_a_broken_file_is_encoded_again(tmp_path):
    VectorCache(tmp_path).encode(ENCODER, ["tea"])
    (file,) = tmp_path.rglob("*.npy")
    file.write_bytes(file.read_bytes()[:-5])
    (tmp_path / ENCODER.fingerprint / "1.npy").write_bytes(b"")
    cache = VectorCache(tmp_path)
    assert cache.encode(ENCODER, ["tea"]).shape == (1, 16)
    assert cache.num_encoded == 1
