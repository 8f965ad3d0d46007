"""Pictures and words in one space, on planted classes that plain vectors do not tell apart."""

import numpy as np
import pytest

from shopkeeper.errors import BadData, NotFitted
from shopkeeper.search.picture_space import PictureSpace
from shopkeeper.search.pictures import PictureIndex

CLASSES, EACH, WIDTH, WORDS = ["hat", "shoe", "skirt"], 40, 24, 8


SHARP = PictureSpace.Config(shrinkage=0.3)
"""Noise this loud has to be told from the classes by its shape."""


def units(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def planted(seed):
    """Return vectors whose classes hide below noise in other directions, and their words."""
    rng = np.random.default_rng(seed)
    loud = np.concatenate([np.full(WIDTH - 4, 3.0), np.full(4, 0.3)])
    kinds = np.repeat(np.arange(len(CLASSES)), EACH)
    rows = rng.normal(size=(len(kinds), WIDTH)) * loud
    rows[np.arange(len(kinds)), WIDTH - 4 + kinds] += 2.0
    words = units(np.random.default_rng(99).normal(size=(len(CLASSES), WORDS)))
    return units(rows), [CLASSES[kind] for kind in kinds], words[kinds], words


def precision(places, others, kinds, others_kinds, k=5):
    order = np.argsort(-(others @ places.T), axis=1)[:, :k]
    return (np.array(kinds)[order] == np.array(others_kinds)[:, None]).mean()


def test_tuning_brings_like_products_together_and_without_classes_nothing_is_tuned():
    pictures, kinds, texts, _ = planted(1)
    fresh, fresh_kinds, _, _ = planted(2)
    untuned = precision(pictures, fresh, kinds, fresh_kinds)
    space = PictureSpace(SHARP).fit(pictures, kinds, texts)
    assert space.num_axes == 2
    tuned = precision(space.place(pictures), space.place(fresh), kinds, fresh_kinds)
    assert untuned < 0.55
    assert tuned > 0.85
    for nothing in ([None] * len(kinds), ["all"] * len(kinds), [f"{n}" for n in range(len(kinds))]):
        plain = PictureSpace().fit(pictures, nothing, texts)
        assert plain.num_axes == 0
        away = units(fresh - pictures.mean(0))
        assert np.allclose(plain.place(fresh), away, atol=1e-5)


def test_mixed_up_classes_teach_nothing():
    pictures, kinds, texts, _ = planted(1)
    fresh, fresh_kinds, _, _ = planted(2)
    mixed = np.random.default_rng(3).permutation(kinds).tolist()
    space = PictureSpace().fit(pictures, mixed, texts)
    assert precision(space.place(pictures), space.place(fresh), kinds, fresh_kinds) < 0.6


def test_words_find_pictures_that_nobody_named():
    pictures, kinds, texts, words = planted(1)
    fresh, fresh_kinds, _, _ = planted(2)
    space = PictureSpace(SHARP).fit(pictures, kinds, texts)
    for word, kind in zip(space.place_words(words), CLASSES, strict=True):
        best = np.argsort(-(space.place(fresh) @ word))[:10]
        assert np.mean([fresh_kinds[row] == kind for row in best]) >= 0.8


def test_places_have_length_one_and_within_a_class_the_same_picture_comes_first():
    pictures, kinds, texts, words = planted(1)
    index = PictureIndex().build([f"p{n}" for n in range(len(kinds))], pictures, kinds, texts)
    placed = index.space.place(pictures)
    assert np.allclose(np.linalg.norm(placed, axis=1), 1, atol=1e-5)
    assert np.allclose(np.linalg.norm(index.space.place_words(words), axis=1), 1, atol=1e-5)
    for row in (0, 50, 119):
        found = index.like(pictures[row], 3)
        assert found["item_id"][0] == f"p{row}"
        assert found["score"].is_sorted(descending=True)
    assert index.named(words[0], 500).height == len(kinds)


def test_a_saved_index_answers_the_same(tmp_path):
    pictures, kinds, texts, words = planted(1)
    index = PictureIndex().build([f"p{n}" for n in range(len(kinds))], pictures, kinds, texts)
    index.save(tmp_path)
    again = PictureIndex().restore(tmp_path)
    assert again.like(pictures[7], 9).equals(index.like(pictures[7], 9))
    assert again.named(words[1], 9).equals(index.named(words[1], 9))
    (tmp_path / "space.npz").write_bytes(b"torn")
    with pytest.raises(BadData, match="Train the shop again"):
        PictureIndex().restore(tmp_path)


def test_one_picture_alone_and_equal_texts_are_no_trouble():
    pictures, _, texts, words = planted(1)
    one = PictureIndex().build(["only"], pictures[:1], ["hat"], texts[:1])
    assert one.like(pictures[1], 5)["item_id"].to_list() == ["only"]
    assert one.named(words[0], 5)["item_id"].to_list() == ["only"]
    same = PictureSpace().fit(pictures, [None] * len(pictures), texts[[0] * len(pictures)])
    assert np.isfinite(same.place_words(words)).all()


def test_what_cannot_be_learned_from_is_refused():
    pictures, kinds, texts, _ = planted(1)
    with pytest.raises(BadData, match="Give one of each"):
        PictureSpace().fit(pictures, kinds[1:], texts)
    with pytest.raises(BadData, match="NaN"):
        PictureSpace().fit(np.full_like(pictures, np.nan), kinds, texts)
    with pytest.raises(NotFitted):
        PictureIndex().like(pictures[0], 3)


@pytest.mark.parametrize(
    "wrong", [{"shrinkage": 0}, {"detail": 1.5}, {"ridge": 0}, {"class_pictures_min": 1}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PictureSpace.Config(**wrong)
