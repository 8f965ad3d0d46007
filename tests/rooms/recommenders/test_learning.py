"""Methods find the truth planted in a made-up shop; a method that cannot, does not."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from shopkeeper import registry
from shopkeeper.data.samples.planted import (
    OPENED,
    basket_shop,
    histories_of,
    loop_shop,
    name_of,
    products_of,
    requests,
)
from shopkeeper.errors import BadConfig
from shopkeeper.schema import BECAUSE, EVENT_NAME, ITEM, LEARN, RANK, SCORE, TIME, USER, VECTOR

NOW = OPENED + timedelta(days=40)


def rows(*wants):
    """Rows of shopper, product, days after the shop opened, event name."""
    return pl.DataFrame(
        [(user, item, name, OPENED + timedelta(days=day)) for user, item, day, name in wants],
        schema=LEARN,
        orient="row",
    )


def bought(item, day, shoppers):
    return [(f"u{number}", item, day, "purchase") for number in range(shoppers)]


def first(results):
    return results.filter(pl.col(RANK) == 1)[ITEM].to_list()


def fit(name, events, products=None, **settings):
    return registry.build("recommenders", name, **settings).fit(events, products)


def near_in_the_loop(name):
    """Share of shoppers who bought one product and are shown its neighbours in the loop first."""
    events = loop_shop(shoppers=120, products=24, steps=3)
    asked = requests({f"new{at}": [name_of(at)] for at in range(24)}, NOW)
    results = fit(name, events).recommend(asked.with_columns(), 5)
    hit = [
        {name_of((at + 1) % 24), name_of((at - 1) % 24)}
        <= set(results.filter(pl.col("request") == at)[ITEM].head(3))
        for at in range(24)
    ]
    return float(np.mean(hit))


def test_item_knn_and_ease_learn_what_is_next_to_what_and_popular_cannot():
    assert near_in_the_loop("item_knn") > 0.9
    assert near_in_the_loop("ease") > 0.9
    assert near_in_the_loop("popular") < 0.3


def complements(name):
    """Share of products whose planted partner is shown first."""
    events = basket_shop(shoppers=80)
    model = fit(name, events)
    pairs = [(name_of(at), name_of(at + 1 if at % 2 == 0 else at - 1)) for at in range(2, 12)]
    shown = [first(model.recommend(requests({"u": []}, NOW, seeds=[a]), 3)) for a, _ in pairs]
    return float(np.mean([found == [b] for found, (_, b) in zip(shown, pairs, strict=True)]))


def test_bought_together_finds_the_pairs_and_is_not_fooled_by_the_favourite():
    assert complements("bought_together") == 1.0
    assert complements("popular") < 0.2


def test_bought_together_names_the_seed_and_does_not_show_the_cart_again():
    model = fit("bought_together", basket_shop(shoppers=80))
    cart = requests({"u": ["p008"]}, NOW, seeds=["p002", "p003", "p006"])
    results = model.recommend(cart, 5)
    assert results[ITEM][0] == "p007"
    assert results[BECAUSE][0] == "p006"
    assert not {"p002", "p003", "p006"} & set(results[ITEM])


def test_bought_together_believes_few_baskets_less_than_many():
    pair = [(f"m{n}", item, n, "purchase") for n in range(40) for item in ("a", "often")]
    rare = [(f"r{n}", item, n, "purchase") for n in range(3) for item in ("a", "seldom")]
    rest = [(f"x{n}", f"other{n % 9}", n, "purchase") for n in range(300)]
    asked = requests({"u": []}, NOW, seeds=["a"])
    results = fit("bought_together", rows(*pair, *rare, *rest)).recommend(asked, 5)
    assert results[ITEM].to_list() == ["often", "seldom"]
    strict = fit("bought_together", rows(*pair, *rare, *rest), baskets_min=4)
    assert strict.recommend(asked, 5)[ITEM].to_list() == ["often"]


def test_popular_prefers_today_to_last_month_and_shoppers_to_rows():
    old, new = bought("old", 0, 30), bought("new", 35, 5)
    greedy = [("u1", "greedy", 35, "purchase")] * 50
    model = fit("popular", rows(*old, *new, *greedy), window_days=30.0)
    results = model.recommend(requests({"u": []}, NOW), 5)
    assert results[ITEM].to_list() == ["new", "greedy", "old"]
    assert results[SCORE][1] == pytest.approx(1.0)
    # The control: a window that reaches back as far as all sales.
    wide = fit("popular", rows(*old, *new, *greedy), window_days=90.0, half_life_days=900.0)
    assert first(wide.recommend(requests({"u": []}, NOW), 5)) == ["old"]


def test_popular_counts_nameless_baskets_and_weighs_actions():
    nameless = [(None, "a", day, "purchase") for day in range(3)]
    views = [(f"v{n}", "b", 2, "view_item") for n in range(4)]
    results = fit("popular", rows(*nameless, *views), half_life_days=1e6).recommend(
        requests({"u": []}, NOW), 5
    )
    assert results[ITEM].to_list() == ["a", "b"]
    assert results[SCORE].to_list() == pytest.approx([3.0, 4 * 0.2], rel=1e-4)


def test_trending_finds_what_rises_and_popular_shows_the_steady_favourite():
    steady = [row for day in range(35) for row in bought("steady", day, 20)]
    rising = [(f"r{day}-{n}", "rising", day, "purchase") for day in range(28, 35) for n in range(3)]
    handful = [(f"h{n}", "handful", 34, "purchase") for n in range(2)]
    events = rows(*steady, *rising, *handful).with_columns(
        pl.concat_str(USER, pl.col(TIME).cast(pl.String)).alias(USER)
    )
    asked = requests({"u": []}, NOW)
    assert fit("trending", events).recommend(asked, 5)[ITEM].to_list() == ["rising"]
    assert first(fit("popular", events).recommend(asked, 5)) == ["steady"]


def test_trending_is_not_fooled_by_a_busy_week_or_by_chance():
    chance = np.random.default_rng(0)
    weeks = [
        (f"{day}-{product}-{n}", name_of(product), day, "purchase")
        for day in range(35)
        for product in range(40)
        for n in range(chance.poisson(6 if day >= 28 else 2))
    ]
    shown = fit("trending", rows(*weeks)).recommend(requests({"u": []}, NOW), 40)
    assert shown.height <= 3


def test_repeat_prefers_the_newer_and_the_oftener_and_is_its_own_reason():
    model = fit("repeat", loop_shop())
    results = model.recommend(requests({"u": ["p001", "p002", "p001", "p003"]}, NOW), 5)
    assert results[ITEM].to_list() == ["p001", "p003", "p002"]
    assert results[BECAUSE].to_list() == results[ITEM].to_list()
    halves = np.exp2(-np.array([4, 2]) / 60).sum()
    assert results[SCORE][0] == pytest.approx(halves, rel=1e-5)
    views = requests({"u": ["p001"]}, NOW, action="view_item")
    assert model.recommend(views, 5).is_empty()


def test_the_reason_is_the_strongest_of_the_history_and_seeds_come_before_it():
    model = fit("item_knn", loop_shop(shoppers=120, products=24, steps=3))
    far = model.recommend(requests({"u": ["p012", "p003"]}, NOW), 4)
    # A product is up to two steps away from what led to it, and far from the other.
    led = [(int(item[1:]), int(because[1:])) for item, because in far.select(ITEM, BECAUSE).rows()]
    assert all(abs(item - because) <= 2 for item, because in led)
    assert {because for _, because in led} == {3, 12}
    seeded = model.recommend(requests({"u": ["p012"]}, NOW, seeds=["p003"]), 2)
    assert seeded[BECAUSE].to_list() == ["p003", "p003"]


def test_ease_agrees_with_the_formula_written_out():
    events = basket_shop(shoppers=60, baskets=3)
    model = fit("ease", events, regularisation=7.0, learn_half_life_days=1e9)
    known = events.drop_nulls(USER).select(USER, ITEM).unique()
    nameless = events.filter(pl.col(USER).is_null()).select(
        pl.col("transaction_id").alias(USER), ITEM
    )
    wide = (
        pl.concat([known, nameless])
        .with_columns(one=pl.lit(1.0))
        .pivot(ITEM, index=USER, values="one")
    )
    names = sorted(set(events[ITEM]))
    matrix = wide.select(names).fill_null(0).to_numpy()
    inverse = np.linalg.inv(matrix.T @ matrix + 7.0 * np.eye(len(names)))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    asked = requests({"u": []}, NOW, seeds=["p004"])
    every = pl.DataFrame({ITEM: names}).with_columns(request=pl.lit(0, pl.UInt32))
    found = np.nan_to_num(model.score(asked, every))
    np.testing.assert_allclose(found, weights[names.index("p004")], atol=1e-4)


def catalogue(vectors):
    products = products_of(loop_shop())
    column = pl.Series(VECTOR, vectors, dtype=pl.List(pl.Float32))
    return products.with_columns(column)


def test_content_shows_what_is_near_one_of_each_group_and_never_without_a_vector():
    # The angle of each product; variants p000 and p001, p002 and p003 and so on are one group.
    angles = [0.0, 0.1, 0.2, 0.25, 1.0, 1.1, 2.0, 2.1, None, 0.01, 3.0, 3.1]
    vectors = [a if a is None else [float(np.cos(a)), float(np.sin(a))] for a in angles]
    model = fit("content", loop_shop().head(0), catalogue(vectors))
    results = model.recommend(requests({"u": []}, NOW, seeds=["p000"]), 4)
    assert results[ITEM].to_list() == ["p009", "p001", "p002", "p004"]
    assert set(results[BECAUSE]) == {"p000"}
    assert results[SCORE].to_list() == pytest.approx(np.cos([0.01, 0.1, 0.2, 1.0]).tolist())
    all_of_it = model.recommend(requests({"u": []}, NOW, seeds=["p000"]), 100)
    assert all_of_it.height == 6
    assert "p008" not in all_of_it[ITEM]


def test_content_without_vectors_shows_the_same_kind_and_then_the_most_wanted():
    events = rows(*bought("p001", 1, 9), *bought("p006", 1, 2), *bought("p000", 1, 1))
    model = fit("content", events, products_of(loop_shop()))
    results = model.recommend(requests({"u": []}, NOW, seeds=["p000"]), 3)
    assert results[ITEM].to_list()[:2] == ["p006", "p001"]


def test_histories_of_the_planted_shops_are_those_of_known_shoppers():
    assert None not in histories_of(basket_shop())
    assert basket_shop()[USER].null_count() > 0
    assert set(loop_shop()[EVENT_NAME]) == {"purchase"}


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("popular", {"window_days": 0}, r"\[recommenders.popular\] window_days must be above 0"),
        ("popular", {"view_weight": -1}, "view_weight must be at least 0, got -1"),
        ("trending", {"buyers_min": 0}, "buyers_min must be at least 1, got 0"),
        ("repeat", {"half_life_days": float("nan")}, "half_life_days must be above 0, got nan"),
        ("item_knn", {"neighbours": 0}, "neighbours must be at least 1, got 0"),
        ("ease", {"regularisation": 0}, "regularisation must be above 0, got 0"),
        ("bought_together", {"basket_max": 1}, "basket_max must be at least 2, got 1"),
        ("content", {"history_max": 0}, "history_max must be at least 1, got 0"),
    ],
)
def test_a_bad_setting_is_refused(name, settings, said):
    with pytest.raises(BadConfig, match=said):
        registry.build("recommenders", name, **settings)


def test_ease_solved_by_shopper_and_by_product_is_the_same():
    chance = np.random.default_rng(0)
    actor, item = np.divmod(np.flatnonzero(chance.random(6 * 9) < 0.5), 9)
    value = chance.random(len(actor)).astype(np.float32)
    part = registry.build("recommenders", "ease", regularisation=0.7)
    few = dict(part._by_shopper(actor, item, value, 9))
    many = dict(part._by_product(actor, item, value, 9))
    for row in range(9):
        few[row][row] = many[row][row] = 0
        np.testing.assert_allclose(few[row], many[row], atol=1e-5)
