"""iALS solves its equations, short rows and long ones, and foretells what tastes share."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from shopkeeper import registry
from shopkeeper.data.samples.planted import OPENED, histories_of, requests
from shopkeeper.errors import BadConfig, BadData
from shopkeeper.recommenders import ials
from shopkeeper.schema import EVENT_NAME, ITEM, LEARN, TIME, USER, VECTOR

NOW = OPENED + timedelta(days=30)


def shop(groups=4, shoppers=40, products=12, wants=6, seed=0):
    """Each shopper has one of a few tastes, and wants some of its products."""
    draw = np.random.default_rng(seed)
    rows = []
    for shopper in range(shoppers):
        for item in draw.permutation(products)[:wants]:
            name = f"p{(shopper % groups) * products + item:03d}"
            when = OPENED + timedelta(hours=int(draw.integers(500)))
            rows.append((f"u{shopper:03d}", name, "purchase", when))
    return pl.DataFrame(rows, schema=LEARN, orient="row")


def dense(vectors, wants, value, unseen, held):
    """The least squares of one row, written out."""
    left = unseen * vectors.T @ vectors + held * np.eye(vectors.shape[1])
    left += (vectors[wants] * value[:, None]).T @ vectors[wants]
    return np.linalg.solve(left, vectors[wants].T @ value)


@pytest.mark.parametrize("few", [0, 99])
def test_rows_are_solved_as_written_out_whichever_way_is_cheaper(monkeypatch, few):
    monkeypatch.setattr(ials, "FEW", few)
    draw = np.random.default_rng(1)
    vectors, _ = ials._principal(draw.normal(size=(30, 5)).astype(np.float32))
    sizes = [1, 9, 3, 0, 9]
    row = np.repeat(np.arange(5), sizes)
    item = np.concatenate([draw.permutation(30)[:size] for size in sizes])
    value = draw.random(len(row)).astype(np.float32) + 0.1
    part = registry.build("recommenders", "ials", width=5, steps=5)
    wants = ials.Wants.of(row, item, value, 5)
    found = part._solved(wants, vectors, np.zeros((5, 5), np.float32))
    held = part._held(wants, 30)
    for place in range(5):
        mine = row == place
        expected = dense(vectors, item[mine], value[mine], 0.01, held[place])
        np.testing.assert_allclose(found[place], expected, rtol=2e-2, atol=2e-4)


def test_a_taste_is_found_again_and_the_order_of_shoppers_does_not_matter():
    events = shop()
    part = registry.build("recommenders", "ials", width=8, iterations=10).fit(events)
    people = histories_of(events)
    results = part.recommend(requests(people, NOW), 20)
    taste = {user: int(past[0][1:]) // 12 for user, past in people.items()}
    fresh = results.join(
        pl.DataFrame({"request": range(len(people)), "mine": list(taste.values())}).cast(
            {"request": pl.UInt32}
        ),
        on="request",
    ).filter(pl.col("rank") <= 8)
    right = fresh[ITEM].str.slice(1).cast(pl.Int64) // 12 == fresh["mine"]
    assert right.mean() > 0.95


def test_somebody_new_is_answered_from_the_request_alone():
    part = registry.build("recommenders", "ials", width=8).fit(shop())
    asked = requests({"nobody": ["p001"], "nothing": []}, NOW)
    found = part.recommend(asked, 5)
    assert found["request"].unique().to_list() == [0]
    assert (found[ITEM] < "p012").all()


@pytest.mark.parametrize(
    "events",
    [
        shop(shoppers=1, wants=1),
        shop(products=1, wants=1, groups=1),
        pl.concat([shop(groups=1, wants=12).with_columns(pl.lit(f"u{n}").alias(USER))
                   for n in range(3)]),
    ],
)  # fmt: skip
def test_one_event_one_product_and_all_shoppers_alike_are_learned_without_a_warning(events):
    part = registry.build("recommenders", "ials", width=4, iterations=3).fit(events)
    found = part.recommend(requests({"u": [events[ITEM][0]]}, NOW), 5)
    assert found.height >= 1
    assert found["score"].is_finite().all()


def test_a_shopper_with_very_many_events_is_one_row():
    many = shop(shoppers=8)
    bot = pl.concat([many.head(48)] * 500).with_columns(pl.lit("bot").alias(USER))
    part = registry.build("recommenders", "ials", width=4).fit(pl.concat([many, bot]))
    assert np.isfinite(part._vectors_VD).all()


def test_catalogues_with_broken_vectors_change_nothing():
    events = shop()
    products = pl.DataFrame({"id": events[ITEM].unique().sort()}).with_columns(
        pl.lit([float("nan")] * 3, pl.List(pl.Float32)).alias(VECTOR)
    )
    names = registry.build("recommenders", "ials", width=4).fit(events, products)
    assert names.recommend(requests({"u": ["p001"]}, NOW), 3).height == 3


def test_what_does_not_fit_into_memory_or_makes_no_sense_is_refused_before_work_begins():
    with pytest.raises(BadConfig, match=r"would take about [\d,.]+ GB; this machine can spare"):
        registry.build("recommenders", "ials", width=500_000_000).fit(shop())
    with pytest.raises(BadConfig, match="unseen_weight must be above 0"):
        registry.build("recommenders", "ials", unseen_weight=0)
    with pytest.raises(BadConfig, match="steps must be at least 1"):
        registry.build("recommenders", "ials", steps=0)
    empty = registry.build("recommenders", "ials").fit(shop().head(0))
    assert empty.recommend(requests({"u": ["p001"]}, NOW), 3).is_empty()
    with pytest.raises(BadData, match=f"no column '{TIME}'"):
        registry.build("recommenders", "ials").fit(shop().drop(TIME))
    searched = shop().with_columns(pl.lit("search").alias(EVENT_NAME))
    part = registry.build("recommenders", "ials").fit(searched)
    assert part.recommend(requests({"u": ["p001"]}, NOW), 3).is_empty()
