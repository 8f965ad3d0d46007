from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from shopkeeper import schema
from shopkeeper.data.samples.visits import LIST_ID, VisitSettings, visits
from shopkeeper.errors import BadData


def _purchases(num_baskets=4000, seed=5):
    rng = np.random.default_rng(seed)
    basket = np.arange(num_baskets).repeat(2)
    start = datetime(2024, 3, 1, tzinfo=UTC)
    rows = pl.DataFrame(
        {
            "event_id": [f"e{i:06}" for i in range(len(basket))],
            "event_name": "purchase",
            "time": [start + timedelta(minutes=int(b)) for b in basket],
            "user_id": [f"u{b % 300}" if b % 7 else None for b in basket],
            "transaction_id": [f"t{b}" for b in basket],
            "item_id": [f"i{i}" for i in rng.integers(0, 400, len(basket))],
        }
    )
    return schema.conform(rows, schema.EVENTS)


def _clicks_by_position(events):
    """Estimate looks by the clicks on products that were not what the visit was for."""
    key = ["request_id", "item_id"]
    wanted = events.filter(pl.col("event_name") == "add_to_cart").select(key)
    others = events.join(wanted, on=key, how="anti")
    shown = others.filter(pl.col("event_name") == "view_item_list")["index"].value_counts()
    clicked = others.filter(pl.col("event_name") == "select_item")["index"].value_counts()
    rates = shown.join(clicked, on="index", how="left", suffix="_clicked").sort("index")
    rate = (rates["count_clicked"].fill_null(0) / rates["count"]).to_numpy()
    return rate / rate[0]


def test_the_planted_position_bias_is_in_the_log_and_absent_without_it():
    events, truth = visits(_purchases(), settings=VisitSettings(seed=3, list_length=6))
    assert np.allclose(_clicks_by_position(events), truth.looks, atol=0.06)
    flat, _ = visits(_purchases(), settings=VisitSettings(seed=3, list_length=6, position_bias=0.0))
    assert not np.allclose(_clicks_by_position(flat), truth.looks, atol=0.06)


def test_the_bought_product_stands_where_looks_are():
    events, truth = visits(_purchases(), settings=VisitSettings(seed=4, list_length=6))
    added = events.filter(pl.col("event_name") == "add_to_cart")["index"].value_counts()
    share = added.sort("index")["count"].to_numpy() / added["count"].sum()
    assert np.allclose(share, truth.looks / truth.looks.sum(), atol=0.02)


def test_shoppers_click_what_they_were_planted_to_like():
    events, truth = visits(_purchases(), settings=VisitSettings(seed=3, position_bias=0.0))
    shown = events.filter(pl.col("user_id").is_not_null(), pl.col("item_id").is_not_null())
    liked = shown.join(truth.groups, on="item_id").join(
        truth.tastes.with_columns(liked=True), on=["user_id", "group"], how="left"
    )
    counts = liked.group_by(pl.col("liked").is_not_null(), "event_name").len()
    num = {(like, name): n for like, name, n in counts.rows()}
    rate = {like: num[like, "select_item"] / num[like, "view_item_list"] for like in (True, False)}
    assert rate[True] > 1.8 * rate[False]


def test_the_same_seed_makes_the_same_visits_and_another_does_not():
    purchases = _purchases(300)
    one, again = (visits(purchases, settings=VisitSettings(seed=1))[0] for _ in range(2))
    assert one.equals(again)
    shuffled = visits(
        purchases.sample(fraction=1.0, shuffle=True, seed=0), settings=VisitSettings(seed=1)
    )
    assert one.equals(shuffled[0])
    assert not one.equals(visits(purchases, settings=VisitSettings(seed=2))[0])


def test_visits_are_marked_simulated_sound_unique_and_before_the_purchase():
    purchases = _purchases(500)
    events, _ = visits(purchases)
    schema.check(events, schema.EVENTS, "events")
    assert set(events["item_list_id"]) == {LIST_ID}
    assert events["event_id"].is_unique().all()
    ends = events.join(
        purchases.select(session_id="transaction_id", bought="time").unique(), on="session_id"
    )
    assert ends.height == events.height
    assert (ends["time"] < ends["bought"]).all()
    steps = {"search", "view_item_list", "select_item", "view_item", "add_to_cart"}
    assert set(events["event_name"]) == steps


def test_searches_use_words_of_titles_and_baskets_are_bounded():
    purchases = _purchases(200)
    products = pl.DataFrame({"id": ["i1", "i2"], "title": ["Red <b>Tea</b> Light", "中文 茶"]})
    events, _ = visits(purchases, products, VisitSettings(baskets_max=50, searches_max=1))
    searched = events.filter(pl.col("event_name") == "search")
    assert searched.height == 50
    added = events.filter(pl.col("item_id") == "i1", pl.col("event_name") == "add_to_cart")
    assert set(added["search_term"]) <= {"red tea"}


def test_settings_and_input_without_sense_are_refused():
    with pytest.raises(ValueError, match="list_length"):
        VisitSettings(list_length=0)
    with pytest.raises(ValueError, match="liked"):
        VisitSettings(liked=0.1, other=0.2)
    with pytest.raises(BadData, match="no purchases"):
        visits(schema.empty(schema.EVENTS))
