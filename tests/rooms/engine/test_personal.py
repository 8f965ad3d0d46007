"""The order of a search for who asks: small, explained, and off where it is not wanted."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from shopkeeper import Shop, schema
from shopkeeper.arrays import DAY_US
from shopkeeper.engine.answering import PERSONAL
from shopkeeper.engine.personal import BOUGHT, BRAND, PARTS, PRICED, Taste
from shopkeeper.search.filters import Attributes
from shopkeeper.streaming.state import Steps

NOW = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1e6)
TABLE = schema.conform(
    pl.DataFrame(
        {
            "id": [f"P{n}" for n in range(8)],
            "title": [f"mug {n}" for n in range(8)],
            "brand": ["Acme", "Acme", "Bolt", "Bolt", "Acme", "Bolt", None, None],
            "product_type": ["Home > Mugs"] * 6 + ["Garden", None],
            "price_minor": [100, 110, 100, 500, 450, 100, 100, None],
        }
    ),
    schema.PRODUCTS,
)
ATTRIBUTES = Attributes(TABLE)
EVERY = np.arange(8)


def taste(*deeds, days=1.0):
    items, events = zip(*deeds, strict=True)
    codes = [schema.EVENT_NAMES.index(name) for name in events]
    times = np.full(len(deeds), NOW - int(days * DAY_US))
    steps = Steps(np.zeros(len(deeds), np.int32), np.array(codes, np.int8), times)
    return Taste(ATTRIBUTES, list(items), steps, NOW)


def test_nothing_that_tells_of_taste_is_no_taste():
    assert taste(("P0", "dismiss"), ("P1", "remove_from_cart")).sure == 0


def test_a_brand_that_is_often_chosen_suits_and_every_part_is_bounded():
    found = taste(*[("P0", "purchase")] * 200, ("P2", "view_item"))
    lifts = found(EVERY)
    assert lifts[1] > lifts[2] > 0
    assert lifts.max() == lifts[0]
    parts = found.parts(EVERY)
    assert (parts <= np.array(PARTS) + 1e-6).all()
    assert (parts >= 0).all()
    assert lifts.max() <= 1


def test_little_and_old_evidence_counts_little():
    one_look, many = taste(("P0", "view_item")), taste(*[("P0", "purchase")] * 50)
    old = taste(*[("P0", "purchase")] * 50, days=900)
    first = [float(one(EVERY)[1]) for one in (one_look, old, many)]
    assert first[0] < 0.15 * first[2]
    assert first[1] < 0.5 * first[2]


def test_a_price_suits_who_usually_pays_such_prices_in_a_category():
    parts = taste(("P3", "purchase"), ("P4", "purchase")).parts(EVERY)
    assert parts[4, PRICED] > 3 * parts[0, PRICED]
    assert parts[7, PRICED] == 0


def test_the_strongest_reason_is_said():
    found = taste(*[("P0", "purchase")] * 30)
    assert found.why(np.array([0, 1, 7])) == [
        "you bought it before",
        "you often choose Acme",
        "",
    ]
    parts = found.parts(EVERY)
    assert parts[0, BOUGHT] > parts[0, BRAND] > 0


def test_products_that_left_the_shop_tell_nothing():
    assert taste(("gone", "purchase"))(EVERY).max() == 0


@pytest.fixture
def shop(trained):
    with Shop.open(trained) as opened:
        yield opened


def ids(answer):
    return [found.id for found in answer.results]


def bought(shop, item, times=4):
    for _ in range(times):
        shop.add_events([{"event_name": "purchase", "visitor_id": "v", "item_id": item}])


def test_what_was_bought_moves_up_and_the_answer_says_so(shop):
    before = shop.search("bunting")
    last = before.results[-1].id
    bought(shop, last)
    mine = shop.search("bunting", visitor_id="v")
    assert ids(mine).index(last) < ids(before).index(last)
    assert sorted(ids(mine)) == sorted(ids(before))
    assert PERSONAL in mine.notes
    (moved,) = (found for found in mine.results if found.id == last)
    assert moved.reason.endswith("; you bought it before")
    for impersonal in (
        shop.search("bunting"),
        shop.search("bunting", visitor_id="nobody"),
        shop.search("bunting", visitor_id="v", personal=False),
    ):
        assert ids(impersonal) == ids(before)
        assert PERSONAL not in impersonal.notes


def test_a_setting_switches_it_off(trained):
    settings = trained / "shop.toml"
    settings.write_text(settings.read_text().replace("[search]", "[search]\npersonal = 0.0"))
    with Shop.open(trained) as shop:
        before = ids(shop.search("bunting"))
        bought(shop, before[-1])
        assert ids(shop.search("bunting", visitor_id="v")) == before


def test_a_title_that_is_typed_whole_stays_first_whatever_was_bought(shop):
    title = shop.search("red tea light holder").results[0]
    for other in ids(shop.search("tea light holder")):
        if other != title.id:
            bought(shop, other, 2)
    assert shop.search("red tea light holder", visitor_id="v").results[0].id == title.id
