"""Histories are changed as the settings say, and nothing after a target leaks into its past."""

import itertools
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from shopkeeper import registry
from shopkeeper.data.samples.planted import histories_of, loop_shop, requests
from shopkeeper.errors import BadConfig
from shopkeeper.schema import HISTORY, ITEM, PRODUCT_ID, TIME, VECTOR
from shopkeeper.training.augment_sequences import (
    AUGMENTERS,
    Sequences,
    augmenter,
    crop,
    mask,
    reorder,
    substitute,
)

PRODUCTS = 20


def laid(histories, asked=None):
    """Histories as lists of moments as lists of products; asked from a place on, or everywhere."""
    moments = [moment for history in histories for moment in history]
    events = [item for moment in moments for item in moment]
    sizes = [len(history) for history in histories]
    begins = [0] * len(sizes) if asked is None else asked
    return Sequences(
        item_E=np.array(events, np.int64),
        event_E=np.arange(len(events)),
        moment_E=np.repeat(np.arange(len(moments)), [len(moment) for moment in moments]),
        moment_N=np.arange(len(moments)),
        asked_N=np.array(
            [at >= first for size, first in zip(sizes, begins, strict=True) for at in range(size)],
            bool,
        ),
        start_B1=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
    )


def told(past):
    """The reverse: products by moment by history."""
    moments = [past.item_E[past.moment_E == place].tolist() for place in range(len(past.moment_N))]
    edges = past.start_B1.tolist()
    return [moments[begin:end] for begin, end in itertools.pairwise(edges)]


products = some.integers(0, PRODUCTS - 1)
histories = some.lists(
    some.lists(some.lists(products, min_size=1, max_size=3), max_size=9), max_size=6
)
shares = some.floats(0, 0.95)
seeds = some.integers(0, 2**32)
names = some.lists(some.sampled_from(sorted(AUGMENTERS)), max_size=5)


def similar(items):
    """Product p may be replaced by p + 100 and p + 200, but an odd one by nothing."""
    options = np.stack([items + 100, items + 200], axis=1)
    return np.where(items[:, None] % 2 == 0, options, -1)


@given(histories, shares, seeds)
def test_crop_keeps_one_run_in_its_order_and_no_history_is_emptied(past, share, seed):
    cropped = told(crop(laid(past), np.random.default_rng(seed), share))
    assert len(cropped) == len(past)
    for before, after in zip(past, cropped, strict=True):
        runs = [before[at : at + len(after)] for at in range(len(before) - len(after) + 1)]
        assert after in runs
        assert len(after) >= len(before) - np.floor(share * len(before))
        assert bool(after) == bool(before)


def test_a_history_asked_only_at_its_newest_place_is_cropped_all_the_same():
    past = laid([[[at] for at in range(10)]] * 200, asked=[9] * 200)
    cropped = told(crop(past, np.random.default_rng(0), 0.5))
    assert all(history[-1] == [9] for history in cropped)
    assert np.mean([len(history) < 10 for history in cropped]) > 0.6


@given(histories, shares, seeds)
def test_reorder_keeps_every_event_and_moves_moments_as_a_whole(past, share, seed):
    moved = reorder(laid(past), np.random.default_rng(seed), share)
    for before, after in zip(past, told(moved), strict=True):
        assert sorted(map(sorted, before)) == sorted(map(sorted, after))
    assert (np.diff(moved.moment_E) >= 0).all()


def test_reorder_does_change_the_order_and_only_inside_a_run_of_its_length():
    past = [[[at] for at in range(20)]] * 30
    moved = told(reorder(laid(past), np.random.default_rng(0), 0.3))
    changed = 0
    for history in moved:
        away = [at for at, moment in enumerate(history) if moment != [at]]
        assert not away or max(away) - min(away) < 6
        changed += bool(away)
    assert changed > 25


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_the_share_masked_is_near_the_setting(share):
    past = laid([[[1, 2], [3]]] * 2000)
    left = len(mask(past, np.random.default_rng(1), share).item_E)
    assert abs(1 - left / 6000 - share) < 0.03


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_substitution_puts_only_what_was_given_and_as_often_as_asked(share):
    past = laid([[[at % PRODUCTS] for at in range(50)]] * 100)
    after = substitute(past, np.random.default_rng(2), share, similar)
    changed = after.item_E != past.item_E
    assert (past.item_E[changed] % 2 == 0).all()
    assert set((after.item_E - past.item_E)[changed].tolist()) <= {100, 200}
    assert abs(changed.mean() - share / 2) < 0.03


@settings(max_examples=200)
@given(histories, names, shares, seeds, some.data())
def test_nothing_after_a_target_leaks_and_something_is_still_asked(past, chosen, share, seed, data):
    asked = [data.draw(some.integers(0, max(len(history) - 1, 0))) for history in past]
    before = laid(past, asked)
    after = augmenter(chosen, share, similar)(before, np.random.default_rng(seed))
    owner = after.owner_N
    for place in np.flatnonzero(after.asked_N):
        seen = after.event_E[(owner[after.moment_E] == owner[place]) & (after.moment_E <= place)]
        assert (before.moment_E[seen] <= after.moment_N[place]).all()
        assert before.asked_N[after.moment_N[place]]
    for history, moments in enumerate(past):
        places = slice(*after.start_B1[history : history + 2])
        assert after.asked_N[places].any() == bool(moments)


def test_the_same_seed_makes_the_same_histories_and_another_seed_others():
    past = laid([[[at % PRODUCTS, (at + 1) % PRODUCTS] for at in range(12)]] * 20)
    run = augmenter(("crop", "mask", "reorder", "substitute"), 0.4, similar)
    first, again, other = (run(past, np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.item_E, again.item_E)
    np.testing.assert_array_equal(first.moment_N, again.moment_N)
    assert told(first) != told(other)


def test_no_histories_at_all_and_only_empty_ones_stay_what_they_are():
    run = augmenter(tuple(AUGMENTERS), 0.5, similar)
    for past in ([], [[], []]):
        assert told(run(laid(past), np.random.default_rng(0))) == past


def test_an_unknown_augmentation_is_named_with_the_nearest():
    with pytest.raises(BadConfig, match="Did you mean 'reorder'"):
        augmenter(("reordr",), 0.1)
    with pytest.raises(BadConfig, match="augment 'shuffle' is none of crop"):
        registry.build("recommenders", "sequential", augment=("shuffle",))
    with pytest.raises(BadConfig, match="augment_share"):
        registry.build("recommenders", "sequential", augment_share=1.0)


SMALL = {"width": 16, "blocks": 1, "heads": 2, "lr": 0.01, "epochs_max": 45, "repeats": False}
SMALL |= {"dropout": 0.1, "weight_decay": 0.0}


def test_the_transformer_still_learns_the_loop_from_changed_histories():
    pytest.importorskip("torch")
    loop = loop_shop(shoppers=60, products=12, steps=6)
    changed = registry.build(
        "recommenders", "sequential", **SMALL, augment=("crop", "mask", "reorder")
    ).fit(loop)
    asked = requests(histories_of(loop), loop[TIME].max() + timedelta(hours=1))
    ids = sorted(loop[ITEM].unique())
    newest = asked[HISTORY].list.last().struct.field(ITEM).to_list()
    truth = [ids[(ids.index(item) + 1) % len(ids)] for item in newest]
    first = changed.recommend(asked, 1)[ITEM].to_list()
    assert np.mean([a == b for a, b in zip(first, truth, strict=True)]) > 0.8


def test_each_augmentation_changes_what_is_learned_and_a_run_repeats_itself():
    pytest.importorskip("torch")
    loop = loop_shop(shoppers=20, products=6, steps=4)

    def losses(*names):
        part = registry.build(
            "recommenders", "sequential", **SMALL | {"epochs_max": 2}, augment=names
        )
        return tuple(part.fit(loop).learned["losses"])

    told = [losses(*names) for names in ((), ("crop",), ("mask",), ("reorder",))]
    assert len(set(told)) == 4
    assert losses("mask") == told[2]


def test_substitutes_come_from_the_vectors_of_the_catalogue_and_are_asked_for_without():
    pytest.importorskip("torch")
    from shopkeeper.arrays import Ids
    from shopkeeper.recommenders._sequences.substitutes import similar_products

    loop = loop_shop(shoppers=20, products=6, steps=4)
    ids = Ids(loop[ITEM])
    angles = np.array([0.0, 0.1, 0.2, 2.0, 2.1, 4.0])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    catalogue = pl.DataFrame({PRODUCT_ID: ids.names}).with_columns(
        pl.Series(VECTOR, vectors, dtype=pl.Array(pl.Float32, 2))
    )
    table = similar_products(ids, catalogue)(np.arange(6))
    assert [set(row[row >= 0].tolist()) for row in table] == [
        {1, 2}, {0, 2}, {0, 1}, {4}, {3}, set(),
    ]  # fmt: skip
    part = registry.build("recommenders", "sequential", **SMALL | {"epochs_max": 1},
                          augment=("substitute",))  # fmt: skip
    part.fit(loop, catalogue)
    with pytest.raises(BadConfig, match="came without vectors"):
        part.fit(loop)
