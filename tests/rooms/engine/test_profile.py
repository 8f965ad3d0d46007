"""A profile says what a shopper leans to beyond what everybody does, and rests it on evidence."""

import json
from datetime import UTC, datetime, timedelta

import gift_file
import numpy as np
import polars as pl
import pytest
from sklearn.metrics import silhouette_score
from typer.testing import CliRunner

from shopkeeper import Shop
from shopkeeper.cli.main import app
from shopkeeper.engine import shoppers as reading
from shopkeeper.engine.known import lake_of
from shopkeeper.engine.leanings import ACTOR, KIND, SHARE, VALUE, facets, leanings
from shopkeeper.engine.profile import Averages, profiles
from shopkeeper.engine.segments import (
    Rhythm,
    clustered,
    rhythm,
    ruled,
    silhouette,
    staged,
    sums,
)
from shopkeeper.engine.shoppers import Shoppers, write_profiles
from shopkeeper.errors import NotFound
from shopkeeper.schema import EVENTS, PRODUCTS, conform

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
GOODS = [
    ("milk", "Food > Dairy > Milk", "Farm", 100, None, None),
    ("bread", "Food > Bakery > Bread", "Mill", 150, None, None),
    *[(f"toy{n}", "Toys > Dolls", "Dolly", 900 + 20 * n, None, "pink") for n in range(6)],
    *[(f"car{n}", "Toys > Cars", "Vroom", 900 + 20 * n, None, "red") for n in range(6)],
    *[(f"shoe{n}", "Shoes > Boots", "Walk", 2000 * (n + 1), "42", "brown") for n in range(6)],
]


def catalogue():
    names = ["id", "product_type", "brand", "price_minor", "size", "color"]
    return conform(pl.DataFrame(GOODS, schema=names, orient="row"), PRODUCTS)


def bought(user, items, days_ago, **more):
    return [
        {
            "event_id": f"{user}-{days}-{place}", "event_name": "purchase", "user_id": user,
            "item_id": item, "time": NOW - timedelta(days=days), "transaction_id": f"{user}-{days}",
            "quantity": 1, "price_minor": next(row[3] for row in GOODS if row[0] == item),
        } | more
        for days in days_ago
        for place, item in enumerate(items)
    ]  # fmt: skip


def planted():
    """Forty shoppers who all buy milk and bread each week, and five whose tastes we know."""
    rows = []
    for number in range(40):
        rows += bought(f"plain{number:02d}", ["milk", "bread"], range(number % 7, 80, 7))
    for days in (1, 8, 15, 22, 29, 36):
        rows += bought("doll", ["milk", "bread", f"toy{days % 6}", f"toy{(days + 1) % 6}"], [days])
        rows += bought("boots", ["milk", "shoe5"], [days])
    rows += bought("once", ["milk", "car1"], [3])
    rows += bought("gone", ["milk", "bread"], range(300, 380, 7))
    rows += bought("fading", ["milk", "bread"], range(30, 110, 7))
    return conform(pl.DataFrame(rows), EVENTS).with_columns(actor="user_id")


@pytest.fixture(scope="module")
def found():
    events, about = planted(), facets(catalogue())
    table = leanings(events, about, NOW)
    summed = table.group_by(KIND, VALUE).agg(pl.col(SHARE).sum()).rows()
    people = dict(table.group_by(KIND).agg(pl.col(ACTOR).n_unique()).rows())
    known: dict = {}
    for kind, value, share in summed:
        known.setdefault(kind, {})[value] = share / people[kind]
    counted = sums(events)
    averages = Averages(counted.height, known, rhythm(counted), clustered(counted, NOW))
    averages = Averages.from_json(json.loads(json.dumps(averages.to_json())))
    told = profiles(events, about, {"milk": "Milk"}, averages, NOW)
    return {profile["user_id"]: profile for profile in told}


def interests(profile, kind):
    return [line["value"] for line in profile["interests"] if line["kind"] == kind]


def test_a_planted_taste_is_found_and_everybodys_milk_is_no_interest(found):
    assert interests(found["doll"], "category") == ["Toys > Dolls"]
    assert interests(found["doll"], "brand") == ["Dolly"]
    assert interests(found["boots"], "category") == ["Shoes > Boots"]
    for number in range(40):
        assert found[f"plain{number:02d}"]["interests"] == []


def test_one_basket_is_no_interest_yet(found):
    assert found["once"]["interests"] == []
    assert found["once"]["preferences"] == []


def test_every_line_says_what_it_rests_on(found):
    profile = found["doll"]
    (dolls,) = [line for line in profile["interests"] if line["kind"] == "category"]
    assert dolls["num_events"] == 12
    assert dolls["share"] == pytest.approx(0.5, abs=0.01)
    assert dolls["shop_share"] < 0.05
    many = ("interests", "segments", "usual_times", "preferences", "products")
    lines = [line for kind in many for line in profile[kind]] + [profile["price"], profile["stage"]]
    assert all(line["num_events"] >= 1 for line in lines)
    assert profile["evidence"] | {"num_events": 24, "num_visits": 6} == profile["evidence"]
    assert json.loads(json.dumps(found)) == found


def test_the_stage_compares_the_silence_with_the_own_rhythm(found):
    stages = {user: profile["stage"]["name"] for user, profile in found.items()}
    assert stages["once"] == "new"
    assert stages["gone"] == "lapsed"
    assert stages["fading"] == "at risk"
    assert stages["doll"] in ("active", "loyal")
    assert {stages[f"plain{number:02d}"] for number in range(40)} <= {"active", "loyal"}


def test_a_shopper_who_comes_twice_a_year_is_not_lapsed_after_two_months():
    rows = bought("weekly", ["milk"], range(60, 200, 7))
    rows += bought("yearly", ["milk"], range(60, 1500, 180))
    table = sums(conform(pl.DataFrame(rows), EVENTS).with_columns(actor="user_id"))
    stages = staged(table, Rhythm(7.0, 100.0, 0.0), NOW)
    told = dict(stages.select(ACTOR, "stage").rows())
    assert told == {"weekly": "lapsed", "yearly": "active"}


def test_the_price_band_is_relative_to_the_category(found):
    assert found["boots"]["price"]["band"] == "premium"
    rows = bought("rich", ["shoe5", "shoe4"], [1, 2]) + bought("poor", ["shoe0", "shoe1"], [1, 2])
    events = conform(pl.DataFrame(rows), EVENTS).with_columns(actor="user_id")
    table = leanings(events, facets(catalogue()), NOW).filter(pl.col(KIND) == "price")
    bands = {(row[ACTOR], row[VALUE]): row[SHARE] for row in table.iter_rows(named=True)}
    assert bands == {("rich", "premium"): 1.0, ("poor", "budget"): 1.0}


def test_shares_of_a_kind_sum_to_one_and_newer_events_count_more():
    events = planted()
    table = leanings(events, facets(catalogue()), NOW)
    roots = table.filter(~pl.col(VALUE).str.contains(" > "))
    totals = roots.group_by(ACTOR, KIND).agg(pl.col(SHARE).sum())[SHARE]
    np.testing.assert_allclose(totals, 1.0)
    assert (table["lower"] <= table[SHARE]).all()
    rows = bought("moved", ["toy1"], [400]) + bought("moved", ["car1"], [1])
    events = conform(pl.DataFrame(rows), EVENTS).with_columns(actor="user_id")
    kept = dict(
        leanings(events, facets(catalogue()), NOW)
        .filter(pl.col(KIND) == "brand").select(VALUE, SHARE).rows()
    )  # fmt: skip
    assert kept["Vroom"] > 0.85


def test_size_colour_and_time_are_told_where_they_are_steady(found):
    told = {line["kind"]: line["value"] for line in found["boots"]["preferences"]}
    assert told == {"size": "42", "color": "brown"}
    times = {line["kind"]: line["value"] for line in found["plain00"]["usual_times"]}
    assert times == {"weekday": "Sunday", "time_of_day": "afternoon"}


def test_what_is_bought_most_comes_first_with_its_title(found):
    assert found["doll"]["products"][0]["num_purchases"] == 6
    counts = [line["num_purchases"] for line in found["doll"]["products"]]
    assert counts == sorted(counts, reverse=True)
    assert any(line["title"] == "Milk" for line in found["doll"]["products"])


def test_rules_name_groups_with_their_reason():
    rows = bought("bargain", ["milk", "bread"], range(0, 70, 7), discount_minor=20)
    table = sums(conform(pl.DataFrame(rows), EVENTS).with_columns(actor="user_id"))
    usual = rhythm(table)
    names = {line["name"]: line["because"] for line in ruled(table.row(0, named=True), usual)}
    assert names["bargain hunter"] == "100% bought at a discount"
    assert "weekend shopper" in names
    assert "creature of habit" in names


def test_clusters_find_planted_groups_and_name_them_apart():
    chance = np.random.default_rng(0)
    rows = []
    for number in range(60):
        often = number % 2 == 0
        gap, start = (
            (3, int(chance.integers(0, 3))) if often else (45, int(chance.integers(60, 80)))
        )
        rows += bought(f"s{number:02d}", ["shoe5"] if often else ["milk"], range(start, 200, gap))
    table = sums(conform(pl.DataFrame(rows), EVENTS).with_columns(actor="user_id"))
    clusters = clustered(table, NOW)
    assert clusters is not None
    assert set(clusters.names) == {
        "recently here, often, spends much", "long silent, seldom, spends little",
    }  # fmt: skip
    assert clusters == clustered(table, NOW)
    assert clustered(table.head(10), NOW) is None


def test_silhouette_agrees_with_an_independent_one():
    chance = np.random.default_rng(1)
    points, labels = chance.normal(size=(80, 3)), chance.integers(0, 4, 80)
    assert silhouette(points, labels) == pytest.approx(silhouette_score(points, labels))
    assert silhouette(points, np.zeros(80, int)) == -1


@pytest.fixture(scope="module")
def gifts(tmp_path_factory):
    folder = gift_file.shop(tmp_path_factory.mktemp("profiles") / "shop")
    Shop.open(folder).ingest()
    return folder


def test_a_shop_profiles_one_shopper_as_it_does_all(gifts, tmp_path, monkeypatch):
    shop = Shop.open(gifts)
    shoppers = Shoppers(gifts, shop.config)
    many = write_profiles(shoppers, tmp_path / "all.parquet")
    table = pl.read_parquet(tmp_path / "all.parquet")
    assert many == table.height == 60
    one = shop.profile("12003")
    told = dict(table.select("user_id", "profile").rows())
    assert json.loads(told["12003"]) == one
    monkeypatch.setattr(reading, "EVENTS_AT_ONCE", 200)
    assert write_profiles(Shoppers(gifts, shop.config), tmp_path / "parts.parquet") == 60
    parts = pl.read_parquet(tmp_path / "parts.parquet")
    assert parts.sort("user_id").equals(table.sort("user_id"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.parquet", "parts.parquet"]


def test_averages_counted_in_parts_are_those_counted_at_once(gifts, monkeypatch):
    shoppers = Shoppers(gifts, Shop.open(gifts).config)
    whole = shoppers._count()
    monkeypatch.setattr(reading, "EVENTS_AT_ONCE", 150)
    parts = shoppers._count()
    assert parts.rhythm == whole.rhythm
    assert parts.clusters == whole.clusters
    for kind, known in whole.shares.items():
        assert parts.shares[kind] == pytest.approx(known)


def test_an_unknown_shopper_is_not_named_in_the_error(gifts):
    with pytest.raises(NotFound) as error:
        Shop.open(gifts).profile("secret-person@example.com")
    assert "secret" not in str(error.value)


def test_what_shoppers_say_of_themselves_changes_nothing(gifts):
    shop = Shop.open(gifts)
    before = shop.profile("12005")
    lake = lake_of(gifts, shop.config)
    said = pl.DataFrame(
        {"user_id": ["12005"] * 2, "attribute": ["age", "income"], "value": ["60", "high"]}
    )
    lake.publish("shoppers-said", {"shoppers": said}, {"rows": {}})
    assert Shop.open(gifts).profile("12005") == before
    assert "high" not in json.dumps(before)


def test_a_posted_event_counts_in_the_next_profile(trained):
    with Shop.open(trained) as shop:
        before = shop.profile("12001")["evidence"]["num_events"]
        item = shop.products(k=1).results[0].id
        shop.add_events(
            [
                {"event_name": "view_item", "visitor_id": "v9", "user_id": "12001",
                 "items": [{"item_id": item}]},
                {"event_name": "view_item", "visitor_id": "v9", "items": [{"item_id": item}]},
            ]
        )  # fmt: skip
        assert shop.profile("12001")["evidence"]["num_events"] == before + 2


def run(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.output


def test_the_command_prints_a_table_json_or_writes_all(gifts, tmp_path):
    assert "Example: shopkeeper profile" in run("profile", "--help")
    said = run("profile", "12003", "--shop", gifts)
    assert "12003" in said
    assert "price band" in said
    assert json.loads(run("profile", "12003", "--shop", gifts, "--json"))["user_id"] == "12003"
    file = tmp_path / "out" / "profiles.parquet"
    assert "Wrote 60 profiles" in run("profile", "--all", "--out", file, "--shop", gifts)
    assert pl.read_parquet(file)["user_id"].n_unique() == 60
    for words in ((), ("--all",), ("12003", "--all", "--out", "x"), ("12003", "--out", "x")):
        result = CliRunner().invoke(app, ["profile", *words, "--shop", str(gifts)])
        assert "Give a user_id" in str(result.exception)
