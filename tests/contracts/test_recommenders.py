"""Every recommender keeps the contract. A new file on the shelf is tested here unasked."""

import dataclasses
from datetime import timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from shopkeeper import registry
from shopkeeper.contracts import Updatable
from shopkeeper.data.samples.planted import (
    basket_shop,
    histories_of,
    loop_shop,
    products_of,
    requests,
)
from shopkeeper.errors import BadData, BadRequest, NotFitted
from shopkeeper.schema import (
    EVENT_NAME,
    EXCLUDE,
    HISTORY,
    ITEM,
    LEARN,
    NOW,
    PRODUCT_ID,
    RANK,
    REQUEST,
    REQUESTS,
    RESULTS,
    SCORE,
    SEEDS,
    SOURCE,
    TIME,
    TRANSACTION,
    USER,
    VECTOR,
    empty,
)

NAMES = registry.names("recommenders")

NETWORK = {"width": 16, "blocks": 1, "epochs_max": 2, "history_max": 9}
LEARNED_WITH_TORCH = ("sequential", "hstu", "gru", "two_tower", "generative")

SETTINGS = {
    "trending": {
        "recent_days": 3.0,
        "base_days": 9.0,
        "buyers_min": 1,
        "significance": 0.0,
        "false_share": 1.0,
    },
    "best_sellers": {"window_days": 5.0, "other_days": (2.0,)},
    "new_arrivals": {"days": 60.0, "settled_days": 0.0},
    "bought_together": {"baskets_min": 1, "shrinkage": 1.5, "complements": 7, "basket_max": 90},
    "ials": {"width": 5, "iterations": 4, "unseen_weight": 0.3, "seed": 2, "steps": 2},
    "sequential": {**NETWORK, "heads": 1, "negatives": 5, "start_nearby": 0.5},
    "hstu": {**NETWORK, "heads": 1, "temperature": 0.1, "average": 0.9},
    "gru": {**NETWORK, "repeats": False},
    "generative": {**NETWORK, "places": 2, "numbers": 4, "candidates": 8, "start_nearby": 0.5},
    "two_tower": {**NETWORK, "heads": 2, "negatives": 6, "content_numbers": 3},
}
"""Settings that are not the defaults and let a shop of twelve products answer."""


def other_settings(name):
    """Settings that are not the defaults, so that losing one on the way to disk shows."""
    if name in SETTINGS:
        return SETTINGS[name]
    defaults = dataclasses.asdict(registry.find("recommenders", name).Config())
    return {
        key: not value if isinstance(value, bool) else value * 2 or 0.3
        for key, value in defaults.items()
        if isinstance(value, bool | int | float)
    }


def with_vectors(products):
    chance = np.random.default_rng(1)
    vectors = chance.normal(size=(products.height, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    column = pl.Series(VECTOR, vectors, dtype=pl.Array(pl.Float32, 4))
    # One product is so new that nobody has written of it yet.
    last = products[PRODUCT_ID] == products[PRODUCT_ID].max()
    return products.with_columns(pl.when(last).then(None).otherwise(column).alias(VECTOR))


LOOP = loop_shop(shoppers=30, products=12, steps=8)
NOW_THEN = LOOP[TIME].max() + timedelta(hours=3)
TIED = LOOP.with_columns(pl.lit(LOOP[TIME][0]).alias(TIME))
BASKETS = basket_shop(shoppers=30)
NULLS = pl.concat(
    [
        BASKETS.with_columns(
            pl.when(pl.int_range(pl.len()) % 5 == 0)
            .then(None)
            .otherwise(pl.col(TRANSACTION))
            .alias(TRANSACTION)
        ),
        BASKETS.head(20).with_columns(pl.lit(None, pl.String).alias(ITEM)),
        BASKETS.head(20).with_columns(pl.lit("view_item").alias(EVENT_NAME)),
        BASKETS.head(20).with_columns(pl.lit("search").alias(EVENT_NAME)),
        BASKETS.head(20).with_columns(pl.lit("dismiss").alias(EVENT_NAME)),
    ]
)
SHOPS = {"loop": LOOP, "all tied": TIED, "nulls": NULLS}
PEOPLE = dict(list(histories_of(LOOP).items())[:20])
ASKED = pl.concat(
    [
        requests(PEOPLE, NOW_THEN),
        requests(PEOPLE, NOW_THEN, seeds=["p002"], exclude=["p005", "p006"]),
        requests(PEOPLE, NOW_THEN, seeds=["p004", "p009", "p000"], action="view_item"),
        requests({"somebody new": []}, NOW_THEN),
    ]
).with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias(REQUEST))


def build(name):
    if name in LEARNED_WITH_TORCH:
        pytest.importorskip("torch")
    return registry.build("recommenders", name, **other_settings(name))


@cache
def fitted(name, shop="loop", *, catalogue=True):
    """Return a recommender that has learned; tests only ask it."""
    events = SHOPS[shop]
    return build(name).fit(events, with_vectors(products_of(events)) if catalogue else None)


each = pytest.mark.parametrize("name", NAMES)
UPDATABLE = [name for name in NAMES if issubclass(registry.find("recommenders", name), Updatable)]
each_that_learns_on = pytest.mark.parametrize("name", UPDATABLE)
LATER = [
    (f"v{n:02}", item, "purchase", NOW_THEN + timedelta(hours=n + step))
    for n in range(20)
    for step, item in enumerate(("p003", "a new product"))
]
# By its name the new product comes first, so every other gets another number.
NEWER = pl.concat([LOOP, pl.DataFrame(LATER, LOOP.schema, orient="row")])
everywhere = pytest.mark.parametrize("shop", SHOPS)


@each
def test_it_answers_somebody_in_the_loop_shop_or_among_the_baskets(name):
    answers = [fitted(name, shop).recommend(ASKED, 3).height for shop in ("loop", "nulls")]
    assert max(answers) > 0


@each
@everywhere
def test_results_have_the_schema_and_known_products_once_and_at_most_k(name, shop):
    results = fitted(name, shop).recommend(ASKED, 3)
    assert dict(results.schema) == RESULTS
    assert set(results[ITEM]) <= set(SHOPS[shop][ITEM].drop_nulls())
    assert results.select(REQUEST, ITEM).is_duplicated().sum() == 0
    assert results.group_by(REQUEST).len()["len"].max() in (None, 1, 2, 3)
    assert set(results[SOURCE]) <= {name}
    assert results[SCORE].is_finite().all()


@each
@everywhere
def test_best_comes_first_and_ranks_count_from_one(name, shop):
    results = fitted(name, shop).recommend(ASKED, 7)
    assert results[REQUEST].is_sorted()
    for _, rows in results.group_by(REQUEST, maintain_order=True):
        assert rows[SCORE].is_sorted(descending=True)
        assert rows[RANK].to_list() == list(range(1, rows.height + 1))


@each
@everywhere
def test_equal_scores_are_in_the_order_of_the_ids(name, shop):
    results = fitted(name, shop).recommend(ASKED, 12)
    for _, rows in results.group_by(REQUEST, SCORE, maintain_order=True):
        assert rows[ITEM].is_sorted()


@each
@everywhere
def test_a_shorter_list_is_the_head_of_a_longer_one(name, shop):
    longer = fitted(name, shop).recommend(ASKED, 9).filter(pl.col(RANK) <= 4)
    assert_frame_equal(fitted(name, shop).recommend(ASKED, 4), longer)


@each
def test_what_a_request_excludes_is_not_shown(name):
    model = fitted(name)
    shown = model.recommend(ASKED, 12).group_by(REQUEST, maintain_order=True).agg(ITEM)
    exclude = shown.rename({ITEM: "out"}).with_columns(pl.col("out").list.head(2))
    asked = ASKED.join(exclude, on=REQUEST, how="left", maintain_order="left").with_columns(
        pl.concat_list(EXCLUDE, pl.col("out").fill_null([])).alias(EXCLUDE)
    )
    again = model.recommend(asked.drop("out"), 12)
    pairs = asked.select(REQUEST, pl.col(EXCLUDE).alias(ITEM)).explode(ITEM)
    assert again.join(pairs, on=[REQUEST, ITEM]).is_empty()


@each
def test_products_outside_the_catalogue_are_not_shown(name):
    some = with_vectors(products_of(LOOP)).filter(pl.col(PRODUCT_ID) < "p006")
    results = build(name).fit(LOOP, some).recommend(ASKED, 12)
    assert set(results[ITEM]) <= set(some[PRODUCT_ID])


@each
@pytest.mark.parametrize("k", [0, -1])
def test_asking_for_no_product_names_the_field(name, k):
    with pytest.raises(BadRequest, match=f"k must be at least 1, got {k}") as caught:
        fitted(name).recommend(ASKED, k)
    assert caught.value.field == "k"


@each
def test_asking_for_a_million_gives_what_there_is(name):
    results = fitted(name).recommend(ASKED, 1_000_000)
    assert (results.group_by(REQUEST).len()["len"] <= LOOP[ITEM].n_unique()).all()


@each
@everywhere
def test_the_order_of_event_rows_does_not_matter(name, shop):
    events = SHOPS[shop]
    before = fitted(name, shop, catalogue=False).recommend(ASKED, 5)
    shuffled = events.sample(fraction=1, shuffle=True, seed=3)
    assert_frame_equal(build(name).fit(shuffled).recommend(ASKED, 5), before, check_exact=True)


@each
def test_a_second_fit_forgets_the_first(name):
    other = LOOP.with_columns((pl.lit("x") + pl.col(ITEM)).alias(ITEM))
    again = build(name).fit(other, products_of(other)).fit(LOOP).recommend(ASKED, 3)
    assert_frame_equal(again, fitted(name, catalogue=False).recommend(ASKED, 3))


@each
@pytest.mark.parametrize("catalogue", [True, False])
def test_saving_and_loading_changes_nothing(name, catalogue, tmp_path):
    model = fitted(name, "nulls", catalogue=catalogue)
    registry.save(model, tmp_path)
    again = registry.load(tmp_path)
    assert again.config == model.config
    before = model.recommend(ASKED, 12)
    assert_frame_equal(again.recommend(ASKED, 12), before)
    pairs = before.select(REQUEST, ITEM)
    np.testing.assert_array_equal(again.score(ASKED, pairs), model.score(ASKED, pairs))
    assert not [file for file in tmp_path.rglob("*") if file.suffix in (".pkl", ".pickle")]


@each
def test_asking_before_learning_says_what_to_do(name, tmp_path):
    with pytest.raises(NotFitted, match=rf"'{name}' has learned nothing yet\. Call `fit` first"):
        build(name).recommend(ASKED, 3)
    with pytest.raises(NotFitted, match="Call `fit`"):
        build(name).score(ASKED, ASKED.select(REQUEST).with_columns(pl.lit("p000").alias(ITEM)))
    with pytest.raises(NotFitted, match="Call `fit`"):
        build(name).save(tmp_path)


@each
def test_a_missing_column_is_named(name):
    with pytest.raises(BadData, match=f"no column '{TIME}'"):
        build(name).fit(LOOP.drop(TIME))


@each
def test_unknown_products_in_a_request_change_nothing(name):
    model, clean = fitted(name), requests({"u": ["p001", "p002"]}, NOW_THEN, seeds=["p003"])
    strange = requests(
        {"u": ["never sold", "p001", "p002"]},
        NOW_THEN,
        seeds=["p003", "<b>", "茶"],
        exclude=["'; drop table products"],
    )
    assert_frame_equal(model.recommend(strange, 5), model.recommend(clean, 5))


@each
def test_a_request_with_nothing_in_it_is_answered(name):
    nothing = requests({"somebody new": []}, NOW_THEN)
    unsaid = nothing.with_columns(
        pl.lit(None, REQUESTS[column]).alias(column) for column in (USER, HISTORY, SEEDS, EXCLUDE)
    )
    model = fitted(name)
    assert_frame_equal(model.recommend(unsaid, 5), model.recommend(nothing, 5))


@each
def test_no_requests_get_an_empty_table(name):
    results = fitted(name).recommend(empty(REQUESTS), 5)
    assert results.is_empty()
    assert dict(results.schema) == RESULTS


@each
def test_a_shop_without_events_has_nothing_to_show_or_only_its_catalogue(name):
    if name in LEARNED_WITH_TORCH:
        with pytest.raises(BadData):
            build(name).fit(empty(LEARN))
        return
    results = build(name).fit(empty(LEARN)).recommend(ASKED, 5)
    assert results.is_empty()
    assert dict(results.schema) == RESULTS


@each
@everywhere
def test_scores_of_candidates_agree_with_the_list(name, shop):
    model = fitted(name, shop)
    results = model.recommend(ASKED, 12)
    shuffled = results.select(REQUEST, ITEM).sample(fraction=1, shuffle=True, seed=1)
    scores = model.score(ASKED, shuffled)
    assert scores.dtype == np.float32
    assert not np.isnan(scores).any()
    both = results.join(shuffled.with_columns(again=pl.Series(scores)), on=[REQUEST, ITEM])
    np.testing.assert_allclose(both["again"], both[SCORE], rtol=1e-5, atol=1e-6)


@each
def test_unknown_candidates_score_nan(name):
    asked = pl.DataFrame({REQUEST: [0, 0, 3], ITEM: ["never sold", None, "茶"]}).cast(
        {REQUEST: pl.UInt32, ITEM: pl.String}
    )
    scores = fitted(name).score(ASKED, asked)
    assert np.isnan(scores).tolist() == [True, True, True]


@each
def test_each_request_is_answered_as_if_it_were_alone(name):
    model = fitted(name, "nulls")
    together = model.recommend(ASKED, 5)
    for number in (0, 25, ASKED.height - 1):
        alone = model.recommend(ASKED.filter(pl.col(REQUEST) == number), 5)
        expected = together.filter(pl.col(REQUEST) == number)
        assert_frame_equal(alone, expected, rel_tol=1e-5, abs_tol=1e-6)


@each
def test_the_clock_of_the_machine_is_not_looked_at(name):
    later = timedelta(days=4000)
    events = LOOP.with_columns(pl.col(TIME) + later)
    asked = requests(PEOPLE, NOW_THEN + later)
    assert asked[NOW][0] == NOW_THEN + later
    moved = build(name).fit(events).recommend(asked, 5)
    before = fitted(name, catalogue=False).recommend(requests(PEOPLE, NOW_THEN), 5)
    assert_frame_equal(moved, before, rel_tol=1e-4, abs_tol=1e-5)


def saved(model, folder):
    registry.save(model, folder)
    return registry.load(folder)


@each_that_learns_on
def test_an_update_without_news_changes_no_answer(name, tmp_path):
    model = fitted(name)
    again = saved(model, tmp_path).update(LOOP, with_vectors(products_of(LOOP)))
    asked = model.recommend(ASKED, 12)
    assert_frame_equal(again.recommend(ASKED, 12), asked, rel_tol=1e-4, abs_tol=1e-5)


@each_that_learns_on
def test_an_update_takes_in_new_products_and_knows_old_ones_by_their_ids(name, tmp_path):
    model = saved(fitted(name), tmp_path).update(NEWER, with_vectors(products_of(NEWER)))
    assert model.ids.names[0] == "a new product"
    shown = model.recommend(requests({"v": ["p003"]}, NOW_THEN + timedelta(days=3)), 13)
    assert "a new product" in shown[ITEM]
    assert set(shown[ITEM]) <= set(NEWER[ITEM])
    # What had no news is scored much as before.
    pairs = ASKED.select(REQUEST).join(LOOP.select(ITEM).unique().sort(ITEM), how="cross")
    before, after = (one.score(ASKED, pairs) for one in (fitted(name), model))
    rows = np.isfinite(before) & np.isfinite(after)
    assert rows.mean() > 0.7
    assert np.corrcoef(before[rows], after[rows])[0, 1] > 0.5


@each_that_learns_on
def test_products_that_left_the_catalogue_leave_with_an_update(name, tmp_path):
    some = with_vectors(products_of(LOOP)).filter(pl.col(PRODUCT_ID) > "p004")
    model = saved(fitted(name), tmp_path).update(NEWER, some)
    assert set(model.recommend(ASKED, 12)[ITEM]) == set(some[PRODUCT_ID])


@each_that_learns_on
def test_an_update_is_the_same_in_any_order_of_events_and_after_a_kill(name, tmp_path):
    shuffled = NEWER.sample(fraction=1, shuffle=True, seed=5)
    models = [saved(fitted(name), tmp_path / str(n)) for n in range(3)]
    whole = models[0].update(NEWER, checkpoint=tmp_path / "one.safetensors")
    other = models[1].update(shuffled)
    # The state that a killed run leaves is taken up, here at its end.
    again = models[2].update(NEWER, checkpoint=tmp_path / "one.safetensors")
    for one in (other, again):
        assert_frame_equal(one.recommend(ASKED, 9), whole.recommend(ASKED, 9))


@each_that_learns_on
def test_an_update_before_the_first_time_says_what_to_do(name):
    with pytest.raises(NotFitted, match="Call `fit` first"):
        build(name).update(LOOP)
