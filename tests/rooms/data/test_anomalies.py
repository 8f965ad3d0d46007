"""Planted anomalies are found and decoys are not; masks leave out what they name and no more."""

from datetime import UTC, datetime, timedelta

import ibis
import numpy as np
import polars as pl
import pytest

from shopkeeper import registry, schema
from shopkeeper.data import anomalies
from shopkeeper.data.samples.anomalies import PlantSettings, plant
from shopkeeper.errors import BadData

pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")

START = datetime(2024, 1, 1, tzinfo=UTC)
KINDS = ("bots", "click_fraud", "price_mistakes", "test_orders", "wholesale")


def shop_log(shoppers=200, seed=0):
    """Households that buy a few pieces of a few products at about the same prices."""
    chance = np.random.default_rng(seed)
    rows = []
    for order in range(shoppers * 5):
        at = START + timedelta(days=int(chance.integers(90)), seconds=int(chance.integers(86_400)))
        for line in range(int(chance.integers(1, 6))):
            item = int(chance.integers(300))
            price = round((200 + 7 * item) * float(chance.choice([1, 1, 1, 0.8])))
            rows.append({
                "event_id": f"e{order}-{line}", "event_name": "purchase", "time": at,
                "user_id": f"u{order % shoppers}", "transaction_id": f"o{order}",
                "item_id": f"i{item}", "quantity": int(chance.integers(1, 5)),
                "price_minor": price, "currency": "EUR",
            })  # fmt: skip
    return pl.DataFrame(rows, schema=schema.EVENTS)


LOG = shop_log()
PRODUCTS = schema.conform(
    LOG.select(pl.col("item_id").unique().sort().alias("id")), schema.PRODUCTS
)


def found_in(name, events, products=PRODUCTS, **settings):
    detector = registry.build("data.detectors", name, **settings)
    return detector.find(ibis.memtable(events), ibis.memtable(products))


@pytest.fixture(scope="module", params=[(0, True), (1, False), (2, False)])
def planted(request):
    seed, easy = request.param
    return plant(LOG, PlantSettings(seed=seed, easy=easy, each=12, decoys=24))


@pytest.mark.parametrize("kind", KINDS)
def test_planted_anomalies_are_found_and_decoys_are_not(kind, planted):
    found = found_in(kind, planted.events).select("subject", "id")
    of_kind = planted.truth.filter(pl.col("kind") == kind, ~pl.col("decoy"))
    hit = of_kind.join(found, on=["subject", "id"], how="semi")
    assert hit.height >= 0.9 * of_kind.height
    decoys = planted.truth.filter("decoy").join(found, on=["subject", "id"], how="semi")
    assert decoys.height <= 0.05 * of_kind.height


@pytest.mark.parametrize("kind", KINDS)
def test_the_log_without_plants_has_none(kind):
    assert found_in(kind, LOG).is_empty()


def test_the_same_seed_plants_the_same_and_another_does_not():
    one, same, other = (
        plant(LOG, PlantSettings(seed=seed, each=4, decoys=4)) for seed in (5, 5, 6)
    )
    assert one.events.equals(same.events)
    assert one.truth.equals(same.truth)
    assert not one.events.equals(other.events)


def test_planting_needs_priced_purchases():
    with pytest.raises(BadData, match="no priced purchases"):
        plant(LOG.with_columns(pl.lit(0).cast(pl.Int64).alias("price_minor")))


def test_a_price_sold_at_on_many_days_is_a_price_of_its_own():
    sales = LOG.filter(pl.col("item_id") == LOG["item_id"][0])
    days = [START + timedelta(days=place) for place in range(6)]
    extra = pl.concat([sales.head(1)] * 6).with_columns(
        pl.Series("time", days, schema.UTC_TIME),
        pl.Series("event_id", [f"x{place}" for place in range(6)]),
        price_minor=pl.lit(10 * sales["price_minor"].median()).cast(pl.Int64),
    )
    usual = pl.concat([sales] * 6)
    rare = found_in("price_mistakes", pl.concat([usual, extra.head(2)]))
    assert sorted(rare["id"]) == ["x0", "x1"]
    assert "10.0 times above" in rare["evidence"][0]
    assert found_in("price_mistakes", pl.concat([usual, extra])).is_empty()


def test_a_list_price_off_its_sales_is_found_by_product():
    item = LOG["item_id"].value_counts(sort=True)["item_id"][0]
    usual = LOG.filter(pl.col("item_id") == item)["price_minor"].median()
    product = PRODUCTS.filter(pl.col("id") == item).with_columns(
        pl.lit(round(usual / 100)).cast(pl.Int64).alias("price_minor"),
        pl.lit("EUR").alias("currency"),
    )
    found = found_in("price_mistakes", LOG, product)
    assert found.select("subject", "id").rows() == [("item_id", item)]
    sound = product.with_columns(pl.lit(round(usual)).cast(pl.Int64).alias("price_minor"))
    assert found_in("price_mistakes", LOG, sound).is_empty()


def looks_of(steps_a_day, hours, days=1):
    """One visitor who looks without any rhythm, at a few products, for some hours of each day."""
    chance = np.random.default_rng(1)
    times = [
        START + timedelta(days=day, hours=float(hour))
        for day in range(days)
        for hour in np.sort(chance.uniform(0, hours, steps_a_day))
    ]
    return pl.DataFrame(
        [
            {"event_id": f"l{place}", "event_name": "view_item", "visitor_id": "v",
             "item_id": f"i{place % 9}", "time": at}
            for place, at in enumerate(times)
        ],
        schema=schema.EVENTS,
    )  # fmt: skip


def test_weak_signs_add_up_where_each_alone_is_no_bot():
    many_steps, long_hours = looks_of(400, 3), looks_of(80, 14)
    assert found_in("bots", many_steps).is_empty()
    assert found_in("bots", long_hours).is_empty()
    assert found_in("bots", looks_of(400, 14))["id"].to_list() == ["v"]


def test_clicks_that_end_in_a_cart_are_interest():
    clicks = [
        {"event_id": f"c{place}", "event_name": "select_item", "visitor_id": "v", "item_id": "i1",
         "time": START + timedelta(seconds=20 * place)}
        for place in range(40)
    ]  # fmt: skip
    cart = {**clicks[-1], "event_id": "cart", "event_name": "add_to_cart"}
    rows = pl.DataFrame(clicks, schema=schema.EVENTS)
    assert found_in("click_fraud", rows)["id"].to_list() == ["v"]
    assert found_in(
        "click_fraud", pl.concat([rows, pl.DataFrame([cart], schema=schema.EVENTS)])
    ).is_empty()


def decided(*rows):
    shape = {name: anomalies.DECIDED[name] for name in ("subject", "id", "action", "keep_share")}
    return schema.conform(pl.DataFrame(rows, schema=shape, orient="row"), anomalies.DECIDED)


def learned(events, table):
    return anomalies.learned(ibis.memtable(events), table).to_polars().sort("event_id")


def test_a_mask_leaves_out_its_subject_and_rows_without_one_stay():
    guests = LOG.head(3).with_columns(
        user_id=pl.lit(None, pl.String), event_id=pl.format("guest-{}", pl.int_range(3))
    )
    events = pl.concat([LOG, guests])
    held = decided(("user_id", "u3", "mask", 1.0), ("transaction_id", "o7", "mask", 1.0),
                   ("user_id", "u4", "watch", 0.0), ("user_id", "u5", "release", 0.0))  # fmt: skip
    stay = events.filter(pl.col("user_id").ne_missing("u3"), pl.col("transaction_id") != "o7")
    kept = learned(events, held)
    assert kept.equals(stay.sort("event_id"))
    assert stay.height < events.height


def test_down_weighting_keeps_about_its_share_the_same_ones_and_more_with_a_larger_share():
    user = LOG.with_columns(user_id=pl.lit("u1"))
    few = learned(user, decided(("user_id", "u1", "down_weight", 0.2)))
    many = learned(user, decided(("user_id", "u1", "down_weight", 0.6)))
    assert 0.15 < few.height / user.height < 0.25
    assert 0.55 < many.height / user.height < 0.65
    assert set(few["event_id"]) < set(many["event_id"])
    assert learned(user, decided(("user_id", "u1", "down_weight", 1.0))).height == user.height
    assert learned(user, decided(("user_id", "u1", "down_weight", 0.0))).is_empty()
    other = learned(LOG, decided(("user_id", "u1", "down_weight", 0.0)))
    assert other.height == LOG.filter(pl.col("user_id") != "u1").height
    assert other.columns == LOG.columns


def anomaly(kind, id):
    row = {"kind": kind, "subject": "user_id", "id": id, "score": 0.9, "evidence": "It is odd."}
    return schema.conform(pl.DataFrame([row]), schema.ANOMALIES)


def said(*rows):
    return pl.DataFrame(
        rows,
        schema=["kind", "subject", "id", "action"],
        orient="row",
        schema_overrides=dict.fromkeys(["kind", "subject", "id", "action"], pl.String),
    )


def actions(table):
    return dict(table.select("id", "action").iter_rows())


def test_settings_decide_and_a_person_stands_above_them():
    found = pl.concat([anomaly("bots", "a"), anomaly("wholesale", "b"), anomaly("gone", "c")])
    assert actions(anomalies.decide(found, said(), {})) == {"a": "mask", "b": "watch", "c": "watch"}
    loud = {"wholesale": {"action": "down_weight", "keep_share": 0.5}}
    assert actions(anomalies.decide(found, said(), loud))["b"] == "down_weight"
    words = said(("bots", "user_id", "a", "release"), ("wholesale", "user_id", "b", "mask"),
                 ("bots", "user_id", "z", "mask"))  # fmt: skip
    table = anomalies.decide(found, words, loud)
    assert actions(table) == {"a": "release", "b": "mask", "c": "watch", "z": "mask"}
    assert anomalies.acts(table)
    assert not anomalies.acts(table.filter(pl.col("id") == "a"))
