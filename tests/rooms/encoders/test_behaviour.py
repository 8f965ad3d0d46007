"""Vectors of what products were wanted with, on a shop whose baskets follow planted kinds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopkeeper.encoders import behaviour_vectors, joined, shrunk

KINDS, EACH = 4, 6
NUM = KINDS * EACH


def baskets(seed=0, num=400, kinds=KINDS):
    """Baskets of three products of one kind, and one of any; early products are wanted most."""
    chance = np.random.default_rng(seed)
    actor, item = [], []
    often = np.linspace(3, 1, EACH) / np.linspace(3, 1, EACH).sum()
    for basket in range(num):
        kind = int(chance.integers(kinds))
        own = kind * EACH + chance.choice(EACH, 3, replace=False, p=often)
        for product in {*own.tolist(), int(chance.integers(NUM))}:
            actor.append(basket)
            item.append(product)
    return np.array(actor), np.array(item)


def one_table(actor, item):
    return [(actor, item, np.ones(len(actor), np.float32), 1.0)]


def same_kind_first(vectors):
    """Share of products whose nearest other product is of their own kind."""
    near = vectors @ vectors.T
    np.fill_diagonal(near, -9)
    return float(np.mean(near.argmax(axis=1) // EACH == np.arange(NUM) // EACH))


def test_products_of_the_same_baskets_are_near_and_in_shuffled_baskets_are_not():
    actor, item = baskets()
    found = behaviour_vectors(one_table(actor, item), NUM, 8)
    assert same_kind_first(found) > 0.95
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    shuffled = np.random.default_rng(1).permutation(item)
    pairs = np.unique(np.stack([actor, shuffled]), axis=1)
    assert same_kind_first(behaviour_vectors(one_table(*pairs), NUM, 8)) < 0.6


def test_how_often_a_product_is_wanted_is_not_what_it_is_like():
    actor, item = baskets(num=2000)
    found = behaviour_vectors(one_table(actor, item), NUM, 3)
    first = found[::EACH]
    assert np.triu(first @ first.T, 1).max() < 0.3


@pytest.mark.parametrize("tables", [[], one_table(np.empty(0, int), np.empty(0, int))])
def test_without_events_nothing_is_known(tables):
    assert not behaviour_vectors(tables, 5, 4).any()


def test_one_product_alone_and_more_numbers_than_products_are_no_errors():
    lonely = behaviour_vectors(one_table(np.array([0, 1]), np.array([2, 2])), 5, 4)
    assert not lonely.any()
    actor, item = baskets(num=40)
    wide = behaviour_vectors(one_table(actor, item), NUM, 500)
    assert wide.shape == (NUM, 500)
    assert np.isfinite(wide).all()


def content(seed=0):
    chance = np.random.default_rng(seed)
    middle = chance.standard_normal((KINDS, 16))
    told = middle[np.arange(NUM) // EACH] + 0.2 * chance.standard_normal((NUM, 16))
    return (told / np.linalg.norm(told, axis=1, keepdims=True)).astype(np.float32)


def test_a_product_without_events_lies_where_its_like_lie_and_is_less_sure():
    actor, item = baskets()
    kept = item % EACH != 5
    actor, item = actor[kept], item[kept]
    behaviour = behaviour_vectors(one_table(actor, item), NUM, 8)
    events = np.bincount(item, minlength=NUM).astype(np.float32)
    found = shrunk(behaviour, events, content(), few=5.0)
    new = np.arange(5, NUM, EACH)
    assert not behaviour[new].any()
    near = found[new] @ behaviour.T
    assert (near.argmax(axis=1) // EACH == new // EACH).all()
    assert (np.linalg.norm(found[new], axis=1) < 0.999).all()
    wrong = shrunk(behaviour, events, np.random.default_rng(0).permutation(content()), few=5.0)
    assert ((wrong[new] @ behaviour.T).argmax(axis=1) // EACH == new // EACH).mean() < 0.8


def test_the_more_events_the_more_a_product_is_itself():
    actor, item = baskets()
    behaviour = behaviour_vectors(one_table(actor, item), NUM, 8)
    own = []
    for times in (1.0, 10.0, 10_000.0):
        events = np.full(NUM, 1000.0, np.float32)
        events[3] = times
        found = shrunk(behaviour, events, content(), few=5.0)[3]
        own.append(float(found @ behaviour[3] / np.linalg.norm(found)))
    assert own[0] < own[1] < own[2]
    np.testing.assert_allclose(own[2], 1, atol=1e-5)


def test_no_content_leaves_behaviour_as_it_is():
    actor, item = baskets()
    behaviour = behaviour_vectors(one_table(actor, item), NUM, 8)
    for nothing in (np.zeros((NUM, 0), np.float32), np.zeros((NUM, 4), np.float32)):
        found = shrunk(behaviour, np.ones(NUM, np.float32), nothing, few=5.0)
        np.testing.assert_array_equal(found, behaviour)


@given(st.lists(st.floats(0.05, 4), min_size=2, max_size=3), st.integers(0, 99))
def test_inner_products_of_the_whole_are_the_weighed_mean_of_the_parts(weights, seed):
    chance = np.random.default_rng(seed)
    parts = [chance.standard_normal((5, size)) for size in (3, 4, 2)[: len(weights)]]
    parts = [(p / np.linalg.norm(p, axis=1, keepdims=True)).astype(np.float32) for p in parts]
    whole = joined(parts, weights)
    hoped = sum(w * (p @ p.T) for w, p in zip(weights, parts, strict=True)) / sum(weights)
    np.testing.assert_allclose(whole @ whole.T, hoped, atol=1e-5)


def test_a_part_that_knows_nothing_of_a_product_does_not_make_it_less_sure():
    text, picture = np.eye(3, dtype=np.float32), np.zeros((3, 2), np.float32)
    picture[0, 0] = 1
    whole = joined([text, picture], [1.0, 1.0])
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-6)
    assert not joined([np.zeros((2, 3), np.float32), np.zeros((2, 1), np.float32)], [1, 1]).any()


def test_kinds_that_few_want_are_told_apart_though_nearly_all_want_another():
    chance = np.random.default_rng(0)
    pairs = set()
    for basket in range(3000):
        kind = int(chance.choice(KINDS, p=(0.94, 0.02, 0.02, 0.02)))
        pairs |= {(basket, kind * EACH + int(one)) for one in chance.choice(EACH, 3, replace=False)}
    actor, item = np.array(sorted(pairs)).T
    found = behaviour_vectors(one_table(actor, item), NUM, KINDS)
    rare = np.arange(EACH, NUM)
    near = found[rare] @ found[rare].T
    np.fill_diagonal(near, -9)
    assert (rare[near.argmax(axis=1)] // EACH == rare // EACH).all()
    own = near[rare[:, None] // EACH == rare // EACH]
    assert own[own > -1].mean() > 0.7
