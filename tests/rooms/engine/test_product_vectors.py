"""One vector out of text and behaviour, on a shop whose baskets follow what texts do not say."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from shopkeeper.arrays import Asked
from shopkeeper.config import Config, TrainSection, VectorsSection
from shopkeeper.engine.learn import Known, Learner
from shopkeeper.engine.product_vectors import USUAL, ProductVectors, described
from shopkeeper.evaluation.splits import next_basket, requests_at
from shopkeeper.recommenders.content import Content
from shopkeeper.schema import LEARN, PRODUCT_ID, TIME, USER, VECTOR

OPENED = datetime(2024, 1, 1, tzinfo=UTC)
KINDS, EACH = 5, 24
NUM = KINDS * EACH
READER = Content(Content.Config())


def shop(seed=0, shoppers=80, visits=12):
    """Each shopper buys of one kind, two new products a visit; ids say the kind, texts do not."""
    chance = np.random.default_rng(seed)
    rows = []
    for shopper in range(shoppers):
        kind = shopper % KINDS
        for visit in range(visits):
            then = OPENED + timedelta(days=7 * visit, minutes=shopper)
            rows += [
                (f"u{shopper:03}", f"p{kind * EACH + item:03}", "purchase", then)
                for item in chance.choice(EACH, 2, replace=False)
            ]
    return pl.DataFrame(rows, schema=LEARN, orient="row")


def catalogue(texts):
    return pl.DataFrame(
        {PRODUCT_ID: [f"p{row:03}" for row in range(NUM)], "product_type": "all"}
    ).with_columns(
        pl.lit(None, pl.String).alias("item_group_id"),
        pl.Series(VECTOR, texts, dtype=pl.Array(pl.Float32, texts.shape[1])),
    )


def told(noise, seed=1):
    chance = np.random.default_rng(seed)
    kinds = np.eye(KINDS)[np.arange(NUM) // EACH]
    table = kinds + noise * chance.standard_normal(kinds.shape)
    return (table / np.linalg.norm(table, axis=1, keepdims=True)).astype(np.float32)


EVENTS = shop()
SPLIT = OPENED + timedelta(days=70)
SETTINGS = Config(train=TrainSection(recommenders=("content",), fused=("content",)))


def hits(products, past):
    """Share of the next basket that is among the first products, as many as a kind has."""
    targets = next_basket(EVENTS, SPLIT)
    model = Content(Content.Config()).fit(past.events, products)
    requests = requests_at(EVENTS, SPLIT, targets[USER].to_list(), 100)
    found = model.recommend(requests, EACH).group_by("request", maintain_order=True).agg("item_id")
    pairs = zip(found["item_id"].to_list(), targets["targets"].to_list(), strict=True)
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in pairs]))


def test_behaviour_finds_what_texts_do_not_tell():
    past = Known(EVENTS, catalogue(told(noise=2.0))).before(SPLIT)
    made = ProductVectors(SETTINGS)
    whole = made.products(past, [READER])
    assert made.weights[2] == 1.0
    assert hits(whole, past) > 0.75
    assert hits(past.products, past) < 0.6


def test_texts_alone_are_chosen_where_baskets_are_chance():
    chance = np.random.default_rng(0)
    noise = EVENTS.with_columns(
        pl.Series("item_id", [f"p{row:03}" for row in chance.integers(0, NUM, EVENTS.height)])
    )
    # What is bought last, in the judged weeks, follows the texts; what came before is chance.
    cut = EVENTS[TIME].max() - timedelta(days=28)
    mixed = pl.concat([noise.filter(pl.col(TIME) < cut), EVENTS.filter(pl.col(TIME) >= cut)])
    kind = pl.col(USER).str.slice(1).cast(pl.Int64) % KINDS * EACH
    few = noise.filter(pl.col(TIME) < cut).with_columns(
        pl.format("p{}", kind.cast(pl.String).str.zfill(3)).alias("item_id")
    )
    known = Known(pl.concat([mixed, few]), catalogue(told(noise=0.05)))
    made = ProductVectors(SETTINGS)
    made.products(known, [READER])
    assert made.weights[0] >= 1.0


def test_a_moment_knows_nothing_of_what_comes_after():
    products = catalogue(told(noise=2.0))
    other = EVENTS.with_columns(
        pl.when(pl.col(TIME) >= SPLIT).then(pl.lit("p000")).otherwise("item_id").alias("item_id")
    )
    found = [
        ProductVectors(SETTINGS).products(Known(events, products).before(SPLIT), [READER])
        for events in (EVENTS, other)
    ]
    assert found[0].equals(found[1])


def test_weights_are_chosen_at_the_first_moment_and_kept():
    made = ProductVectors(SETTINGS)
    known = Known(EVENTS, catalogue(told(noise=2.0)))
    made.products(known.before(SPLIT), [READER])
    chosen = made.weights
    made._chosen = lambda _: pytest.fail("chosen again")
    made.products(known, [READER])
    assert made.weights == chosen


def test_a_product_nobody_wanted_is_shown_to_those_who_want_its_like():
    products = catalogue(told(noise=0.3))
    past = Known(EVENTS.filter(pl.col("item_id") != "p007"), products).before(SPLIT)
    whole = ProductVectors(SETTINGS).products(past, [READER])
    model = Content(Content.Config()).fit(past.events, whole)
    users = [f"u{shopper:03}" for shopper in range(2 * KINDS)]
    asked = Asked.of(requests_at(past.events, SPLIT, users, 100), model.ids)
    new = np.full(len(users), model.ids.rows(["p007"])[0])
    liked = model.judge(asked, np.arange(len(users)), new)
    assert set(np.argsort(-liked)[:2]) == {0, KINDS}


def test_only_recommenders_that_compare_products_are_told(monkeypatch):
    seen = {}
    names = ("content", "popular")
    config = replace(SETTINGS, train=TrainSection(recommenders=names, fused=names))
    learner = Learner.of(config)
    known = Known(EVENTS, catalogue(told(noise=2.0))).before(SPLIT)
    for name, part in learner.recommenders.items():
        monkeypatch.setattr(
            part, "fit", lambda _, products, name=name: seen.update({name: products})
        )
    learner.fit(known, names)
    assert seen["popular"] is known.products
    width = len(seen["content"][VECTOR][0])
    assert width > KINDS


@pytest.mark.parametrize("why", ["off", "no texts", "no readers"])
def test_a_shop_without_a_part_does_without_it(why):
    products = catalogue(told(noise=2.0))
    config = replace(SETTINGS, vectors=VectorsSection(behaviour=0)) if why == "off" else SETTINGS
    if why == "no texts":
        products = products.drop(VECTOR)
    readers = [] if why == "no readers" else [READER]
    assert ProductVectors(config).products(Known(EVENTS, products), readers) is None


def test_few_shoppers_get_the_usual_weights_and_given_weights_hold():
    few = EVENTS.filter(pl.col(USER) < "u010")
    made = ProductVectors(SETTINGS)
    made.products(Known(few, catalogue(told(noise=2.0))), [READER])
    assert made.weights == USUAL
    given = ProductVectors(replace(SETTINGS, vectors=VectorsSection(weights=(1.0, 0.0, 0.0))))
    products = catalogue(told(noise=2.0))
    whole = given.products(Known(few, products), [READER])
    np.testing.assert_allclose(whole[VECTOR].to_numpy(), products[VECTOR].to_numpy(), atol=1e-6)


def test_pictures_count_for_the_products_that_have_one():
    texts, seen = np.ones((NUM, 1), np.float32), told(noise=0.01)[::2]
    pictures = pl.DataFrame({PRODUCT_ID: [f"p{row:03}" for row in range(0, NUM, 2)]}).with_columns(
        pl.Series("picture_vector", seen, dtype=pl.Array(pl.Float32, KINDS))
    )
    known = described(Known(EVENTS, catalogue(texts).drop(VECTOR)), texts, pictures)
    given = ProductVectors(replace(SETTINGS, vectors=VectorsSection(weights=(0.5, 1.0, 0.0))))
    whole = given.products(known, [READER])[VECTOR].to_numpy()
    alike = whole[::2] @ whole[::2].T
    assert alike[0, 1] > 0.9 > alike[0, -1]
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("weights", [(1.0,), (0.0, 0.0, 0.0), (1.0, -1.0, 1.0)])
def test_weights_that_mean_nothing_are_refused(weights):
    with pytest.raises(ValueError, match="three numbers of at least 0"):
        VectorsSection(weights=weights)


def test_other_settings_that_mean_nothing_are_refused():
    with pytest.raises(ValueError, match="behaviour must be at least 0"):
        VectorsSection(behaviour=-1)
    with pytest.raises(ValueError, match="few_events must be above 0"):
        VectorsSection(few_events=0.0)


def test_weights_are_judged_by_baskets_that_their_vectors_have_not_seen(monkeypatch):
    known = Known(EVENTS, catalogue(told(noise=2.0))).before(SPLIT)
    seen = []
    learn = ProductVectors._parts

    def watched(self, known):
        seen.append(known.events[TIME].max())
        return learn(self, known)

    monkeypatch.setattr(ProductVectors, "_parts", watched)
    ProductVectors(SETTINGS).products(known, [READER])
    last = known.events[TIME].max()
    assert seen[0] < last - timedelta(days=SETTINGS.train.period_days)
    assert seen[1] == last


def test_a_product_that_is_less_sure_comes_after_one_as_near():
    products = catalogue(np.eye(3, dtype=np.float32)[[0, 0, 0, *[1] * (NUM - 3)]])
    shorter = products[VECTOR].to_numpy().copy()
    shorter[1] *= 0.5
    products = products.with_columns(pl.Series(VECTOR, shorter, dtype=pl.Array(pl.Float32, 3)))
    model = Content(Content.Config()).fit(EVENTS, products)
    asked = requests_at(EVENTS, SPLIT, ["u000"], 1).with_columns(pl.lit(["p000"]).alias("seeds"))
    found = model.recommend(asked, 2)
    assert found["item_id"].to_list() == ["p002", "p001"]
    np.testing.assert_allclose(found["score"].to_numpy(), [1.0, 0.5], atol=1e-6)
