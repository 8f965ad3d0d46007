"""The towers foretell from a sum of the past, and find what nobody wanted yet by its content."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from shopkeeper import registry
from shopkeeper.data.samples.planted import OPENED, requests
from shopkeeper.errors import BadConfig, NotFitted
from shopkeeper.schema import ITEM, LEARN, PRODUCT_ID, VECTOR

pytest.importorskip("torch")

LATER = OPENED + timedelta(days=20)
SMALL = {"width": 16, "heads": 2, "lr": 0.01, "epochs_max": 30, "dropout": 0.1}
SMALL |= {"weight_decay": 0.0, "repeats": False, "plain_share": 0.0, "half_life_days": 1e6}
KINDS, EACH = 6, 8


def name(kind, number):
    return f"k{kind}-{number}"


def shop(seed=0):
    """Shoppers want products of one kind; of each kind nobody has wanted number 0 yet."""
    draw = np.random.default_rng(seed)
    rows = []
    for user in range(120):
        for step, number in enumerate(draw.permutation(np.arange(1, EACH))[:5]):
            when = OPENED + timedelta(hours=int(step))
            rows.append((f"u{user}", name(user % KINDS, number), "purchase", when))
    return pl.DataFrame(rows, schema=LEARN, orient="row")


def catalogue(noise=0.3, seed=1):
    """Contents of one kind are alike."""
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(KINDS, 12))
    names = [name(kind, number) for kind in range(KINDS) for number in range(EACH)]
    vectors = [centres[n // EACH] + noise * draw.normal(size=12) for n in range(KINDS * EACH)]
    column = pl.Series(VECTOR, [v.tolist() for v in vectors], dtype=pl.List(pl.Float32))
    return pl.DataFrame({PRODUCT_ID: names}).with_columns(column)


ASKED = requests({f"s{kind}": [name(kind, 1), name(kind, 2)] for kind in range(KINDS)}, LATER)


def first_cold(part):
    """Which kind's new product stands first among the new ones, for each request."""
    found = part.recommend(ASKED, KINDS * EACH).filter(pl.col(ITEM).str.ends_with("-0"))
    first = found.group_by("request", maintain_order=True).first()
    return first[ITEM].str.slice(1, 1).cast(pl.Int64).to_list()


def test_new_products_are_found_by_their_content_and_only_with_it():
    part = registry.build("recommenders", "two_tower", **SMALL).fit(shop(), catalogue())
    assert first_cold(part) == list(range(KINDS))
    without = registry.build("recommenders", "two_tower", **SMALL).fit(shop())
    assert not without.recommend(ASKED, 99)[ITEM].str.ends_with("-0").any()
    blind = registry.build("recommenders", "two_tower", **SMALL, content_numbers=0)
    blind.fit(shop(), catalogue())
    assert not blind.recommend(ASKED, 99)[ITEM].str.ends_with("-0").any()


def test_a_session_or_one_product_looked_at_is_enough_and_the_order_hardly_matters():
    part = registry.build("recommenders", "two_tower", **SMALL).fit(shop(), catalogue())
    seeded = requests({"nobody": []}, LATER, seeds=[name(3, 5)])
    assert part.recommend(seeded, 4)[ITEM].str.starts_with("k3").all()
    found = part.recommend(ASKED, 4)
    kinds = found[ITEM].str.slice(1, 1).cast(pl.UInt32)
    assert (kinds == found["request"]).mean() > 0.9


def test_broken_and_missing_vectors_count_as_none():
    broken = catalogue().with_columns(
        pl.when(pl.col(PRODUCT_ID).str.ends_with("-3"))
        .then(pl.lit([float("nan")] * 12, pl.List(pl.Float32)))
        .when(pl.col(PRODUCT_ID).str.ends_with("-4"))
        .then(None)
        .otherwise(VECTOR)
        .alias(VECTOR)
    )
    part = registry.build("recommenders", "two_tower", **SMALL).fit(shop(), broken)
    found = part.recommend(ASKED, 5)
    assert found["score"].is_finite().all()
    assert first_cold(part) == list(range(KINDS))
    all_broken = broken.with_columns(pl.lit([float("inf")] * 12, pl.List(pl.Float32)).alias(VECTOR))
    quick = SMALL | {"epochs_max": 1}
    part = registry.build("recommenders", "two_tower", **quick).fit(shop(), all_broken)
    shown = part.recommend(ASKED, 99)[ITEM]
    assert len(shown)
    assert not shown.str.ends_with("-0").any()


def test_an_update_learns_what_is_new_and_needs_a_first_time():
    quick = SMALL | {"epochs_max": 3}
    part = registry.build("recommenders", "two_tower", **quick)
    with pytest.raises(NotFitted):
        part.update(shop(), catalogue())
    part.fit(shop())
    part.update(shop(), catalogue())
    assert part.recommend(ASKED, 99)[ITEM].str.ends_with("-0").any()
    with pytest.raises(BadConfig, match="id_dropout"):
        registry.build("recommenders", "two_tower", id_dropout=1.0)
