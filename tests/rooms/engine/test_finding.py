"""A search is understood, gives way where nothing is found, says so, and can be undone."""

import pytest

from shopkeeper import Shop
from shopkeeper.engine import understanding
from shopkeeper.errors import BadData, NotFound


@pytest.fixture(scope="module")
def shop(trained_once):
    with Shop.open(trained_once) as opened:
        yield opened


def titles(answer):
    return [found.product["title"].lower() for found in answer.results]


def test_an_error_is_mended_said_and_can_be_taken_back(shop):
    answer = shop.search("lunhc bag")
    assert "lunch bag" in titles(answer)[0]
    assert answer.understood.text == "lunch bag"
    (chip,) = answer.understood.chips
    assert chip.key == "spelling:lunhc"
    plain = shop.search("lunhc bag", ignore=[chip.key])
    assert plain.understood.text == "lunhc bag"
    assert plain.understood.chips == ()


def test_understanding_can_be_switched_off(shop):
    assert shop.search("lunhc bag", understand=False).understood is None
    assert shop.search("").understood is None


def test_a_price_in_the_words_bounds_the_page(shop):
    answer = shop.search("party bunting under 3")
    prices = [float(found.product["price"]) for found in answer.results]
    assert prices
    assert max(prices) <= 3
    assert answer.understood.price_max == 3
    free = shop.search("party bunting under 3", ignore=["price"])
    assert free.understood.price_max is None


def test_a_price_that_leaves_nothing_is_dropped_and_said(shop):
    answer = shop.search("lunch bag under 0.01")
    assert "lunch bag" in titles(answer)[0]
    assert any("at any price" in note for note in answer.notes)
    assert answer.understood.price_max is None
    assert answer.understood.chips == ()


def test_what_was_chosen_by_hand_holds(shop):
    by_hand = shop.search("lunch bag under 100", price_max=0.01)
    assert by_hand.results == []
    assert by_hand.understood.price_max is None


def test_an_exact_title_comes_first_and_is_not_changed(shop):
    title = shop.search("").results[0].product["title"]
    answer = shop.search(title)
    assert answer.results[0].product["title"] == title
    assert answer.understood.chips == ()


def test_an_intent_is_told_with_its_chance(shop):
    found = shop.search("where is my order").understood
    assert found.intent
    assert 0 <= found.intent_chance <= 1


def test_a_price_alone_browses(shop):
    answer = shop.search("under 3")
    assert answer.results
    assert all(float(found.product["price"]) <= 3 for found in answer.results)


def test_decided_synonyms_are_searched_after_training_and_a_broken_list_is_said(trained):
    with Shop.open(trained) as shop:
        understanding.decide(trained, "timepiece", "wall clock", True)
        assert understanding.listed(trained)[0].used
        with pytest.raises(NotFound, match="to reject"):
            understanding.decide(trained, "cup", "mug", False)
        shop.train()
        answer = shop.search("timepiece")
        assert "wall clock" in titles(answer)[0]
        assert answer.understood.chips[0].kind == "synonym"
        (trained / "synonyms.csv").write_text("word,synonym,approved\na,b,perhaps\n")
        with pytest.raises(BadData, match="Line 2"):
            shop.train()


def test_synonyms_are_mined_from_visits_that_end_in_one_product(trained):
    with Shop.open(trained) as shop:
        for number in range(12):
            who = {"visitor_id": f"v{number}"}
            shop.add_events(
                [
                    who | {"event_name": "search", "search_term": "red lunch bag"},
                    who | {"event_name": "search", "search_term": "red bento bag"},
                    who | {"event_name": "view_item", "items": [{"item_id": "22012", "price": 1}]},
                ]
            )
        shop.train()
        pairs = understanding.mine(trained, shop.config, vectors=False)
    assert [(pair.key, pair.used) for pair in pairs] == [(("bento", "lunch"), True)]


def test_only_sound_searches_of_several_visits_are_suggested_to_others(trained):
    def searched(term, visitor):
        return {"event_name": "search", "visitor_id": visitor, "search_term": term}

    with Shop.open(trained) as shop:
        for visitor in ("a", "b", "c"):
            shop.add_events([searched("Party  Bunting", visitor), searched("bnutnig", visitor)])
        shop.add_events([searched("pink cake", "a")] * 1)
        shop.add_events([searched("pink cake stand", "b") for _ in range(5)])
    with Shop.open(trained) as shop:
        reading = shop.live.models.understanding
        found = understanding.asked_often(trained, shop.config, reading)
    assert found == {"party bunting": 3}
