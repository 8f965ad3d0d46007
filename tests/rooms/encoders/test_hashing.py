"""Vectors of letters."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shopkeeper.encoders.hashing import Hashing

ENCODER = Hashing(Hashing.Config())
WORDS_ONLY = Hashing(Hashing.Config(pieces_weight=0))


def cosine(encoder, left, right):
    one, other = encoder.encode([left, right])
    return float(one @ other)


def test_shared_words_and_pieces_bring_texts_near():
    assert cosine(ENCODER, "blue kettle", "kettle, blue!") > 0.99
    assert cosine(ENCODER, "kettle", "kettles") > 0.4
    assert abs(cosine(ENCODER, "kettle", "garden hose")) < 0.3


def test_without_pieces_a_plural_is_another_word():
    assert cosine(WORDS_ONLY, "kettle", "kettles") < 0.3


def test_vectors_are_the_same_in_every_process():
    vector = Hashing(Hashing.Config(width=8)).encode(["tea"])[0]
    golden = [0.463, 0.000, 0.756, 0.463, 0.000, 0.000, 0.000, 0.000]
    assert np.allclose(vector, golden, atol=1e-3)


@given(st.lists(st.text(), max_size=5))
def test_any_text_has_a_vector_of_length_one(texts):
    vectors = ENCODER.encode(texts)
    assert vectors.shape == (len(texts), ENCODER.width)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
