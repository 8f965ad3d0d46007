"""A shop with a bot in its log: found, left out of learning, let go and held by a person."""

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta

import gift_file
import polars as pl
import pytest
from typer.testing import CliRunner

from shopkeeper import schema
from shopkeeper.cli.main import app
from shopkeeper.engine import anomalies, settings
from shopkeeper.engine.evaluate import split_of
from shopkeeper.engine.ingest import ingest
from shopkeeper.engine.known import decided_of, known_of, lake_of, records_of
from shopkeeper.errors import NotFound
from shopkeeper.evaluation.splits import next_basket

BOT, TESTER = "crawler-7", "test-user-1"


def acts_of_two():
    """A visitor that looks at a product every five seconds, and a tester who bought twice."""
    begin = datetime(2011, 11, 20, tzinfo=UTC)
    looks = [
        {"event_id": f"bot-{place}", "event_name": "view_item", "visitor_id": BOT,
         "item_id": f"{22000 + place % 30}", "time": begin + timedelta(seconds=5 * place)}
        for place in range(300)
    ]  # fmt: skip
    sale = {"event_id": "try-1", "event_name": "purchase", "user_id": TESTER, "item_id": "22001",
            "transaction_id": "try", "quantity": 1, "price_minor": 225, "currency": "GBP",
            "time": begin}  # fmt: skip
    early = sale | {"event_id": "try-0", "transaction_id": "early", "item_id": "22002",
                    "time": begin - timedelta(days=60)}  # fmt: skip
    return pl.DataFrame([*looks, early, sale], schema=schema.EVENTS)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    folder = gift_file.shop(tmp_path_factory.mktemp("odd") / "shop")
    config = settings.read(folder)
    ingest(folder, config)
    lake = lake_of(folder, config)
    lake.append_events(acts_of_two())
    anomalies.find(folder, config)
    return folder, config


@pytest.fixture
def shop(loaded):
    """The loaded shop, without what tests before said."""
    folder, config = loaded
    for kind, who in (("bots", BOT), ("test_orders", TESTER)):
        subject = "visitor_id" if who == BOT else "user_id"
        with closing(records_of(folder, config)) as records:
            records.override(kind, subject, who, "mask")
    return folder, config


def learners(folder, config):
    return set(known_of(folder, config).events["user_id"])


def test_a_load_looks_for_anomalies_by_itself(tmp_path):
    folder = gift_file.shop(tmp_path / "shop")
    file = gift_file.write(tmp_path / "again.parquet")
    rows = pl.read_parquet(file)
    tries = rows.head(1).with_columns(
        pl.lit(9.99e-3).alias("UnitPrice"), pl.lit("999999").alias("InvoiceNo")
    )
    pl.concat([rows, tries]).write_parquet(file)
    config = settings.read(folder)
    from shopkeeper.engine.ingest import Wanted

    ingest(folder, config, Wanted(file=file))
    found = lake_of(folder, config).table("anomalies").to_polars()
    assert ("test_orders", "transaction_id", "999999") in found.select(
        "kind", "subject", "id"
    ).rows()


def test_masked_events_stay_in_the_lake_and_models_do_not_learn_from_them(shop):
    folder, config = shop
    assert {BOT, TESTER} <= set(
        lake_of(folder, config).table("events").to_polars().select(
            pl.coalesce("user_id", "visitor_id")
        ).to_series()
    )  # fmt: skip
    assert not {BOT, TESTER} & learners(folder, config)


def test_what_evaluation_judges_by_is_untouched(shop):
    folder, config = shop
    known = known_of(folder, config)
    table = lake_of(folder, config).table("events").to_polars()
    wants = table.filter(pl.col("event_name").is_in(schema.WANTS))
    assert known.everything.height == wants.height == known.events.height + 302
    judged = next_basket(known.everything, split_of(config, known.everything))
    assert TESTER in set(judged["user_id"])
    assert TESTER not in set(next_basket(known.events, split_of(config, known.events))["user_id"])


def test_a_released_one_counts_again_and_a_held_one_does_not(shop):
    folder, config = shop
    anomalies.release(folder, config, "bots", BOT)
    assert BOT in learners(folder, config)
    assert TESTER not in learners(folder, config)
    anomalies.find(folder, config)
    assert BOT in learners(folder, config)
    anomalies.hold(folder, config, "bots", BOT)
    assert BOT not in learners(folder, config)


def test_what_a_person_held_stays_held_when_it_is_found_no_more(shop):
    folder, config = shop
    lake = lake_of(folder, config)
    found = lake.table("anomalies").to_polars()
    lake.replace("anomalies", found.clear())
    try:
        assert BOT not in learners(folder, config)
    finally:
        lake.replace("anomalies", found)


def test_finding_again_changes_nothing(shop):
    folder, config = shop
    before = decided_of(folder, config, lake_of(folder, config))
    anomalies.find(folder, config)
    assert decided_of(folder, config, lake_of(folder, config)).equals(before)


def test_an_unknown_anomaly_is_one_clear_line(shop):
    with pytest.raises(NotFound, match="There is no anomaly of kind 'bots' with the id 'nobody'"):
        anomalies.release(*shop, "bots", "nobody")


def command(*words):
    result = CliRunner().invoke(app, ["anomalies", *map(str, words)])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.output


def test_the_commands_find_list_show_release_and_hold(shop):
    folder, config = shop
    at = ("--shop", folder, "--json")
    kinds = json.loads(command("find", *at))["kinds"]
    assert {"kind": "bots", "action": "mask", "found": 1} in kinds
    (bot,) = json.loads(command("list", "--kind", "bots", *at))
    assert (bot["subject"], bot["id"], bot["action"]) == ("visitor_id", BOT, "mask")
    assert "300 steps" in bot["evidence"]
    assert BOT in command("list", "--kind", "bots", "--shop", folder)
    assert json.loads(command("show", "bots", BOT, *at)) == [bot]
    assert json.loads(command("release", "bots", BOT, *at))["action"] == "release"
    assert BOT in learners(folder, config)
    assert "held back" in command("hold", "bots", BOT, "--shop", folder)
    assert BOT not in learners(folder, config)


@pytest.mark.parametrize("name", ["find", "list", "show", "release", "hold"])
def test_help_shows_an_example(name):
    assert f"Example: shopkeeper anomalies {name}" in command(name, "--help")
