"""One shop from a dirty file to answers: what comes in is found, what happens counts at once."""

import json
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from shopkeeper import Shop
from shopkeeper.arrays import Asked
from shopkeeper.data.samples.planted import requests
from shopkeeper.engine.known import records_of
from shopkeeper.engine.settings import read
from shopkeeper.errors import BadData, BadRequest, NotFitted, NotFound, ShopkeeperError


@pytest.fixture
def shop(trained):
    with Shop.open(trained) as opened:
        yield opened


def view(item, **who):
    return {"event_name": "view_item", "items": [{"item_id": item}], **who}


def test_a_loaded_product_is_found_by_its_words(shop):
    found = shop.search("red tea light holder")
    assert found.results[0].product["title"].lower() == "red tea light holder"
    assert found.results[0].rank == 1
    assert found.request_id
    assert found.bundle == shop.bundles.current()


def test_home_shows_a_shopper_what_they_buy_again(shop):
    mine = {item for item, _, _ in shop.live.state.history("12000")}
    page = shop.recommend("home", user_id="12000", k=5)
    assert sum(result.id in mine for result in page.results) >= 3
    assert all(result.reason and result.source for result in page.results)
    assert [result.rank for result in page.results] == [1, 2, 3, 4, 5]


def test_two_shoppers_see_different_pages_and_strangers_the_popular(shop):
    pages = [
        [result.id for result in shop.recommend("home", user_id=user, k=6).results]
        for user in ("12000", "12007", "nobody")
    ]
    assert pages[0] != pages[1]
    assert len(pages[2]) == 6


def test_who_comes_in_by_a_category_sees_what_is_there(shop):
    kinds = {
        "22020": "Home > Clocks",
        "22021": "Home > Clocks > Wall",
        "22022": "Home > Clocksmith",
    }
    shop.put_products([{"id": item, "product_type": kind} for item, kind in kinds.items()])

    def ids(**asked):
        return [one.id for one in shop.recommend("home", k=6, **asked).results]

    assert set(ids(category="Home > Clocks")) == {"22020", "22021"}
    assert set(ids(user_id="12000", category="Home > Clocks")) == {"22020", "22021"}
    assert ids(category="Nowhere") == ids()


def test_a_look_changes_the_next_page_of_a_visitor(shop):
    before = [result.id for result in shop.recommend("home", visitor_id="v1", k=6).results]
    shop.add_events([view("22017", visitor_id="v1")])
    after = shop.recommend("home", visitor_id="v1", k=6)
    assert [result.id for result in after.results] != before
    assert shop.recommend("home", visitor_id="v2", k=6).results[0].id == before[0]


def test_a_dismissed_product_is_gone_from_the_next_page(shop):
    first = shop.recommend("home", user_id="12000").results[0].id
    shop.add_events([{"event_name": "dismiss", "user_id": "12000", "items": [{"item_id": first}]}])
    for placement in ("home", "buy_again", "trending"):
        assert first not in [r.id for r in shop.recommend(placement, user_id="12000").results]


def test_an_event_sent_twice_counts_once_even_after_a_restart(trained):
    event = view("22003", visitor_id="v9", event_id="e1")
    with Shop.open(trained) as shop:
        assert shop.add_events([event]).accepted == 1
        assert shop.add_events([event]).duplicates == 1
    with Shop.open(trained) as shop:
        assert len(shop.history(None, "v9")) == 1
        assert shop.add_events([event]).duplicates == 1
        assert len(shop.history(None, "v9")) == 1


def test_events_of_several_products_survive_the_trip_into_the_lake(trained):
    bought = [{"item_id": item, "quantity": 1, "price": "2.50"} for item in ("22001", "22002")]
    with Shop.open(trained) as shop:
        shop.add_events([{"event_name": "purchase", "user_id": "12001", "items": bought}])
    with Shop.open(trained) as shop:
        newest = shop.history("12001", k=2)
        assert {step["item_id"] for step in newest} == {"22001", "22002"}
        assert not list(shop.live.log.replay())


def test_a_sold_out_product_leaves_every_page_at_once(shop):
    first = shop.recommend("home", user_id="12000").results[0].id
    shop.put_products([{"id": first, "availability": "out_of_stock"}])
    assert first not in [r.id for r in shop.recommend("home", user_id="12000").results]
    assert shop.product(first)["availability"] == "out_of_stock"


def test_a_new_price_shows_at_once_and_survives_a_restart(trained):
    with Shop.open(trained) as shop:
        assert shop.put_products([{"id": "22001", "price": "9.99"}]) == 1
        assert shop.search("blue tea light holder").results[0].product["price"] == "9.99"
    with Shop.open(trained) as shop:
        assert shop.product("22001")["price"] == "9.99"


@pytest.mark.parametrize(
    ("product", "field"),
    [
        ({"id": ""}, "products[0].id"),
        ({"id": "new"}, "products[0].title"),
        ({"id": "22001", "price": "-1"}, "products[0].price"),
        ({"id": "22001", "price": "NaN"}, "products[0].price"),
        ({"id": "22001", "price": "x"}, "products[0].price"),
        ({"id": "22001", "availability": "maybe"}, "products[0].availability"),
        ({"id": "22001", "currency": "pounds"}, "products[0].currency"),
        ({"id": "22001", "title": "x" * 20_000}, "products[0].title"),
    ],
)
def test_a_wrong_product_names_its_field_and_changes_nothing(shop, product, field):
    with pytest.raises(BadRequest) as wrong:
        shop.put_products([product])
    assert wrong.value.field == field
    assert shop.product("22001")["availability"] == "in_stock"


@pytest.mark.parametrize("k", [0, -1, 1_000_000])
def test_an_impossible_size_names_k(shop, k):
    for ask in (lambda: shop.search("tea", k=k), lambda: shop.recommend("home", k=k)):
        with pytest.raises(BadRequest, match="k must be from 1 to 1000") as wrong:
            ask()
        assert wrong.value.field == "k"


def test_an_unknown_placement_gets_the_nearest_name(shop):
    with pytest.raises(NotFound, match="Did you mean 'home'"):
        shop.recommend("hoem")


def test_an_unknown_product_is_not_found(shop):
    for ask in (lambda: shop.product("nope"), lambda: shop.recommend("similar", items=["nope"])):
        with pytest.raises(NotFound, match="no product 'nope'"):
            ask()


@pytest.mark.parametrize(
    "query",
    ["", " ", "x" * 10_000, "🎁🎄", "茶 烛台", "'; DROP TABLE events; --", "<b>", "AND OR (", "*"],
)
def test_any_query_gets_an_answer(shop, query):
    answer = shop.search(query, k=3)
    assert len(answer.results) <= 3
    assert answer.results or answer.notes


def test_similar_and_bought_together_leave_the_product_itself_out(shop):
    for placement in ("similar", "bought_together"):
        page = shop.recommend(placement, items=["22000"])
        assert "22000" not in [result.id for result in page.results]
    assert shop.recommend("similar", items=["22000"]).results


def test_answers_are_the_same_for_the_same_state(shop):
    pages = [
        [(r.id, r.score) for r in shop.recommend("similar", items=["22004"]).results]
        for _ in range(3)
    ]
    assert pages[0] == pages[1] == pages[2]


def test_a_shop_that_was_never_trained_says_so(trained):
    (trained / "bundles" / "current").unlink()
    with pytest.raises(NotFitted, match="shopkeeper train"):
        Shop.open(trained).search("tea")


def test_a_running_shop_follows_a_new_bundle(trained):
    with Shop.open(trained) as shop:
        old = shop.search("tea").bundle
        shop.train()
        assert shop.search("tea").bundle != old


def test_the_replaying_clock_stands_at_the_end_of_the_log_and_runs(shop):
    now = shop.live.clock.now()
    assert datetime(2011, 11, 29, tzinfo=UTC) < now < datetime(2011, 12, 3, tzinfo=UTC)
    assert shop.live.clock.now() > now


def test_a_posted_product_is_found_after_training_and_survives_a_load_of_the_same_file(trained):
    with Shop.open(trained) as shop:
        shop.put_products([{"id": "new1", "title": "Purple Dragon Kite", "price": "3.00"}])
        shop.put_products([{"id": "22001", "price": "9.99"}])
        shop.train()
        shop.ingest()
    with Shop.open(trained) as shop:
        assert shop.search("purple dragon kite").results[0].id == "new1"
        assert shop.product("22001")["price"] == "9.99"


def test_a_dismissal_is_taken_back_by_a_like(shop):
    def acted(name):
        shop.add_events([{"event_name": name, "user_id": "12000", "item_id": first}])
        return [result.id for result in shop.recommend("buy_again", user_id="12000").results]

    first = shop.recommend("buy_again", user_id="12000").results[0].id
    assert first not in acted("dismiss")
    assert first in acted("like")


def test_histories_after_a_restart_are_those_before_it(trained):
    def look(item, **who):
        return {"event_name": "view_item", "item_id": item, **who}

    events = [
        look("22001", visitor_id="v"),
        {"event_name": "view_cart", "visitor_id": "v", "user_id": "a"},
        look("22002", visitor_id="v", user_id="a"),
        look("22003", visitor_id="v"),
        look("22004", visitor_id="v", user_id="b"),
        look("22005", visitor_id="v"),
    ]
    actors = (("a", None), ("b", None), (None, "v"))

    def histories(shop):
        return [[item for item, _, _ in shop.live.state.history(*who)] for who in actors]

    with Shop.open(trained) as shop:
        for event in events:
            shop.add_events([event])
        before = histories(shop)
    assert before == [
        ["22001", "22002", "22003"],
        ["22004", "22005"],
        ["22001", "22003", "22005"],
    ]
    with Shop.open(trained) as shop:
        assert histories(shop) == before


def test_a_second_process_may_ask_but_not_write(trained):
    with Shop.open(trained) as first, Shop.open(trained) as second:
        first.add_events([view("22003", visitor_id="v")])
        assert [step["item_id"] for step in second.history(None, "v")] == ["22003"]
        assert second.search("tea").results
        with pytest.raises(ShopkeeperError, match="Another process"):
            second.add_events([view("22004", visitor_id="v")])
        with pytest.raises(ShopkeeperError, match="serves this shop already"):
            second.warm()


def test_a_damaged_new_bundle_leaves_the_old_one_answering(trained, monkeypatch):
    monkeypatch.setattr("shopkeeper.engine.follower.REFRESH_S", 3_600.0)
    with Shop.open(trained) as shop:
        old = shop.search("tea").bundle
        new = Shop.open(trained).train()["version"]
        ranker = trained / "bundles" / new / "fusion" / "ranker" / "trees.onnx"
        ranker.write_text("broken")
        shop.follow()
        assert shop.search("tea").bundle == old


def test_models_of_another_version_are_refused_by_name(trained):
    with Shop.open(trained) as shop:
        version = shop.live.version
    manifest = trained / "bundles" / version / "manifest.json"
    about = json.loads(manifest.read_text())
    about["ranker_features"] = about["ranker_features"][1:]
    manifest.write_text(json.dumps(about))
    with Shop.open(trained) as shop, pytest.raises(BadData, match="Run `shopkeeper train`"):
        shop.recommend("home")


def test_products_of_a_load_that_was_killed_before_they_were_recorded_come_with_the_next(trained):
    with Shop.open(trained) as shop:
        kept = shop.live.catalogue.all().height
    (trained / "lake" / "in-records").unlink()
    with closing(records_of(trained, read(trained))) as records:
        records.upsert(records.all().head(1).with_columns(title=pl.lit("Of an old load")))
        assert "Of an old load" in records.all()["title"]
        with Shop.open(trained) as shop:
            assert not shop.ingest()["changed"]
        assert "Of an old load" not in records.all()["title"]
        assert records.all().height == kept


def test_what_lies_in_the_basket_may_still_be_recommended(shop):
    fusion, ids = shop.live.models.fusion, shop.live.models.fusion.ids
    now = shop.live.clock.now()
    history = [
        {"item_id": ids.names[0], "event_name": "purchase", "time": now - timedelta(days=3)},
        {"item_id": ids.names[1], "event_name": "add_to_cart", "time": now},
    ]
    table = requests({"a": []}, now)
    table = table.with_columns(pl.Series("history", [history], dtype=table.schema["history"]))
    found, _ = replace(fusion, pool=len(ids)).propose(Asked.of(table, ids))
    assert 1 in found.item_E


def test_nobody_walks_as_a_shopper_unless_the_shop_says_so(trained):
    settings = trained / "shop.toml"
    settings.write_text(settings.read_text().replace("walk = true", "walk = false"))
    with Shop.open(trained) as shop:
        assert shop.shoppers() == []


@pytest.mark.parametrize("field", ["id", "title"])
def test_half_a_surrogate_pair_is_refused(shop, field):
    with pytest.raises(BadRequest) as wrong:
        shop.put_products([{"id": "x", "title": "x", field: "\ud800"}])
    assert wrong.value.field == f"products[0].{field}"
