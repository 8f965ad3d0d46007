"""Ids say what products are like, no two are alike, and only what may be shown comes out."""

from copy import copy
from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopkeeper import registry
from shopkeeper.data.samples.planted import OPENED, requests
from shopkeeper.errors import BadConfig
from shopkeeper.recommenders._codes import SLACK, foretold, semantic_ids
from shopkeeper.schema import ITEM, LEARN, PRODUCT_ID, VECTOR

pytest.importorskip("torch")

LATER = OPENED + timedelta(days=20)
KINDS, EACH = 6, 8
SMALL = {"width": 16, "places": 3, "numbers": 8, "lr": 0.01, "epochs_max": 25, "dropout": 0.1}
SMALL |= {"weight_decay": 0.0, "repeats": False, "plain_share": 0.0, "start_nearby": 1.0}
SMALL |= {"half_life_days": 1e6, "popularity": False, "blocks": 1}


def name(kind, number):
    return f"k{kind}-{number}"


def shop():
    """Shoppers want products of one kind; of each kind nobody has wanted number 0 yet."""
    draw = np.random.default_rng(0)
    rows = []
    for user in range(120):
        for step, number in enumerate(draw.permutation(np.arange(1, EACH))[:5]):
            when = OPENED + timedelta(hours=int(step))
            rows.append((f"u{user}", name(user % KINDS, number), "purchase", when))
    return pl.DataFrame(rows, schema=LEARN, orient="row")


def catalogue():
    draw = np.random.default_rng(1)
    centres = draw.normal(size=(KINDS, 12))
    names = [name(kind, number) for kind in range(KINDS) for number in range(EACH)]
    vectors = [centres[n // EACH] + 0.2 * draw.normal(size=12) for n in range(KINDS * EACH)]
    column = pl.Series(VECTOR, [v.tolist() for v in vectors], dtype=pl.List(pl.Float32))
    return pl.DataFrame({PRODUCT_ID: names}).with_columns(column)


NAMES = catalogue()[PRODUCT_ID].to_list()


@pytest.fixture(scope="module")
def parts():
    """One that was learned, without and with the ordering by products' own vectors."""
    ordered = registry.build("recommenders", "generative", **SMALL, candidates=12)
    ordered.fit(shop(), catalogue())
    plain = copy(ordered)
    plain.config = replace(ordered.config, candidates=0)
    return {0: plain, 12: ordered}


@pytest.mark.parametrize("candidates", [0, 12])
def test_the_kind_is_foretold_and_new_products_of_it_among_the_first(parts, candidates):
    asked = requests({f"s{kind}": [name(kind, 1), name(kind, 2)] for kind in range(KINDS)}, LATER)
    found = parts[candidates].recommend(asked, EACH)
    kinds = found[ITEM].str.slice(1, 1).cast(pl.UInt32)
    assert (kinds == found["request"]).mean() > 0.7
    fresh = parts[candidates].recommend(asked, 99).filter(pl.col(ITEM).str.ends_with("-0"))
    first = fresh.group_by("request", maintain_order=True).first()
    right = first[ITEM].str.slice(1, 1).cast(pl.UInt32) == first["request"]
    assert right.sum() >= 4  # one would be right by chance


@settings(deadline=None, max_examples=40)
@given(
    past=st.lists(st.sampled_from([*NAMES, "never sold", "k9-9"]), max_size=6),
    hidden=st.sets(st.sampled_from(NAMES)),
    candidates=st.sampled_from([0, 12]),
    k=st.integers(1, 60),
)
def test_nothing_unknown_hidden_or_sold_out_is_ever_proposed(parts, past, hidden, candidates, k):
    asked = requests({"u": past}, LATER, exclude=sorted(hidden))
    shown = parts[candidates].recommend(asked, k)[ITEM].to_list()
    assert set(shown) <= set(NAMES) - hidden
    assert len(shown) == len(set(shown)) <= k
    known = [item for item in past if item in NAMES]
    if candidates == 0 and known:
        assert len(shown) == min(k, len(NAMES) - len(hidden))


def test_the_sum_over_numbers_is_the_inner_product_with_the_sum_of_their_vectors(parts):
    part = parts[0]
    asked = requests({"u": [name(2, 1)]}, LATER)
    found = part.recommend(asked, 5)
    rows = part.ids.rows(found[ITEM])
    summed = sum(part._numbers_PND[p][part.semantic_ids[:, p]] for p in range(3))
    from shopkeeper.arrays import Asked

    vector = part._read(Asked.of(asked, part.ids))[0]
    np.testing.assert_allclose(found["score"], (summed @ vector[0])[rows], rtol=1e-3, atol=1e-4)
    scored = part.score(asked, found.select("request", ITEM))
    np.testing.assert_allclose(scored, found["score"], rtol=1e-4, atol=1e-4)


@settings(deadline=None, max_examples=30)
@given(
    size=st.integers(0, 60),
    places=st.integers(1, 3),
    numbers=st.integers(2, 9),
    seed=st.integers(0, 5),
    alike=st.booleans(),
)
def test_ids_differ_wherever_there_are_enough_and_numbers_are_used_evenly(
    size, places, numbers, seed, alike
):
    draw = np.random.default_rng(seed)
    vectors = np.zeros((size, 3)) if alike else draw.normal(size=(size, 3))
    found = semantic_ids(vectors.astype(np.float32), places, numbers, seed)
    assert found.shape == (size, places)
    assert ((found >= 0) & (found < numbers)).all()
    if size <= numbers**places:
        assert len(np.unique(found, axis=0)) == size
    if places > 1 and size:
        most = np.bincount(found[:, 0], minlength=numbers).max()
        spread = 0 if size > numbers ** (places - 1) else most
        assert most <= np.ceil(SLACK * size / numbers) or spread == 0 or alike


def test_like_products_share_their_first_number():
    draw = np.random.default_rng(4)
    centres = 5 * draw.normal(size=(5, 6))
    vectors = np.repeat(centres, 20, axis=0) + 0.1 * draw.normal(size=(100, 6))
    first = semantic_ids(vectors.astype(np.float32), 2, 32, 0)[:, 0]
    owners = [set(np.repeat(np.arange(5), 20)[first == number]) for number in np.unique(first)]
    assert all(len(owner) == 1 for owner in owners)


def test_behaviour_nobody_knows_is_foretold_from_content_and_what_is_known_stays():
    draw = np.random.default_rng(2)
    content = draw.normal(size=(50, 4)).astype(np.float32)
    behaviour = content @ draw.normal(size=(4, 3)).astype(np.float32)
    hidden = behaviour.copy()
    hidden[40:] = 0
    found = foretold(hidden, content)
    np.testing.assert_array_equal(found[:40], behaviour[:40])
    np.testing.assert_allclose(found[40:], behaviour[40:], atol=0.3)
    nothing = np.zeros((5, 3), np.float32)
    assert not foretold(nothing, content[:5]).any()


def test_settings_that_cannot_be_are_refused():
    for wrong in ({"places": 0}, {"numbers": 1}, {"candidates": -1}, {"id_dropout": 1.0}):
        with pytest.raises(BadConfig, match=next(iter(wrong))):
            registry.build("recommenders", "generative", **wrong)
