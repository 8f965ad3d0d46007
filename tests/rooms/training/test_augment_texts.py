"""Texts come back as hurried people type them: seeded, bounded, never emptied."""

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as some

from shopkeeper.errors import BadConfig
from shopkeeper.training.augment_texts import KEYBOARDS, Noise, neighbours, noisy_texts

NONE = {"neighbour": 0.0, "swap": 0.0, "drop": 0.0, "double": 0.0}
LONG = ["samsung galaxy unlocked smartphone with charger"] * 400


def only(**chance):
    return Noise(**NONE | chance)


@given(some.lists(some.text(max_size=40), max_size=8), some.integers(0, 2**32))
def test_any_texts_keep_their_number_and_none_is_emptied(texts, seed):
    worst = Noise(neighbour=0.2, swap=0.2, drop=0.3, double=0.2, word_drop=0.5, case=0.5)
    found = noisy_texts(texts, worst, seed)
    assert len(found) == len(texts)
    assert [bool(text.strip()) for text in found] == [bool(text.strip()) for text in texts]
    assert found == noisy_texts(texts, worst, seed)


@given(some.lists(some.text(max_size=40), max_size=8))
def test_without_noise_nothing_changes(texts):
    assert noisy_texts(texts, only()) == texts


def test_the_noise_of_a_text_does_not_hang_on_the_others():
    noise = Noise(neighbour=0.2)
    assert noisy_texts(["red kettle", LONG[0]], noise)[1] == noisy_texts(["", LONG[0]], noise)[1]
    assert len(set(noisy_texts(LONG[:20], noise))) > 10


def test_a_slip_hits_a_neighbouring_key_and_keeps_capitals():
    for before, after in zip(LONG, noisy_texts(LONG, only(neighbour=0.3)), strict=True):
        assert len(before) == len(after)
        for left, right in zip(before, after, strict=True):
            assert right == left or right in neighbours("qwerty")[left]
    assert noisy_texts(["KETTLE"], only(neighbour=1.0))[0].isupper()


@pytest.mark.parametrize("kind", ["neighbour", "drop", "double"])
def test_the_share_of_letters_that_change_is_near_the_setting(kind):
    letters = sum(len(word) for word in LONG[0].split()) * len(LONG)
    changed = 0
    for before, after in zip(LONG, noisy_texts(LONG, only(**{kind: 0.1})), strict=True):
        if kind == "neighbour":
            changed += sum(a != b for a, b in zip(before, after, strict=True))
        else:
            changed += abs(len(before) - len(after))
    assert abs(changed / letters - 0.1) < 0.02


def test_swaps_keep_the_letters_and_double_repeats_one():
    swapped = noisy_texts(LONG, only(swap=0.2))
    assert all(sorted(text) == sorted(LONG[0]) for text in swapped)
    assert sum(text != LONG[0] for text in swapped) > 390
    for text in noisy_texts(["kettle"] * 50, only(double=0.2)):
        steps = difflib.SequenceMatcher(None, "kettle", text).get_opcodes()
        assert all(kind in ("equal", "insert") for kind, *_ in steps)


def test_words_are_dropped_whole_and_one_always_stays():
    for text in noisy_texts(LONG, only(word_drop=0.5)):
        assert set(text.split()) <= set(LONG[0].split())
    assert noisy_texts(["red tea light"], only(word_drop=1.0))[0] in {"red", "tea", "light"}


def test_case_is_all_small_or_all_capitals():
    found = noisy_texts(["Red Tea Light"] * 40, only(case=1.0))
    assert set(found) == {"red tea light", "RED TEA LIGHT"}


@pytest.mark.parametrize("keyboard", sorted(KEYBOARDS))
def test_neighbours_are_mutual_and_next_to_each_other(keyboard):
    near = neighbours(keyboard)
    for letter, others in near.items():
        assert 2 <= len(others) <= 6
        assert all(letter in near[other] for other in others)
    assert set(neighbours("qwerty")["g"]) == set("fhtyvb")


def test_a_wrong_chance_or_keyboard_is_refused():
    with pytest.raises(ValueError, match="chances of noise"):
        Noise(drop=1.5)
    with pytest.raises(ValueError, match="chances of noise"):
        Noise(drop=0.6, swap=0.6)
    with pytest.raises(BadConfig, match="There is no keyboard 'qwerti'"):
        Noise(keyboard="qwerti")
