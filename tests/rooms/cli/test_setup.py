"""`init`, `ingest` and `ingest --guess` as a person types them."""

import json
import shutil
from pathlib import Path

import gift_file
import pytest
from typer.testing import CliRunner

from shopkeeper.cli.main import app
from shopkeeper.engine import settings
from shopkeeper.engine.shop import Shop
from shopkeeper.errors import ShopkeeperError

SAMPLES = Path(__file__).parents[2] / "samples"
ORDERS = (
    "Bestellnr;Kundennr;Datum;Artikelnr;Menge;Einzelpreis\n"
    "1;7;31.12.2023 10:00;A1;2;3,50\n"
    "1;7;31.12.2023 10:00;A2;1;1.299,00\n"
    "2;8;01.01.2024 11:00;A1;1;umsonst\n"
)


def run(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.output


def mistake(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert isinstance(result.exception, ShopkeeperError), result.output + repr(result.exception)
    assert "\n" not in str(result.exception)
    return str(result.exception)


@pytest.fixture
def shop(tmp_path):
    run("init", tmp_path / "shop", "--currency", "EUR")
    return tmp_path / "shop"


@pytest.fixture
def orders(tmp_path):
    (tmp_path / "Meine Bestellungen.csv").write_text(ORDERS)
    return tmp_path / "Meine Bestellungen.csv"


def events(shop):
    rows = Shop.open(shop).lake.table("events") if hasattr(Shop, "lake") else None
    if rows is None:
        from shopkeeper.store.lake import Lake

        rows = Lake(shop / "lake").table("events")
    return rows.to_polars().sort("time", "item_id")


def test_a_new_shop_has_no_inputs_and_says_how_to_get_one(tmp_path):
    said = run("init", tmp_path / "shop", "--currency", "EUR")
    assert "ingest FILE --guess" in said
    config = settings.read(tmp_path / "shop")
    assert config.inputs == {}
    assert config.shop.currency == "EUR"
    assert "no [inputs] yet" in mistake("ingest", "--shop", tmp_path / "shop")
    assert "Nobody is named who reads x.csv" in mistake("init", "other", "--file", "x.csv")


def test_a_guess_shows_columns_words_block_and_command_and_loads_nothing(shop, orders):
    before = (shop / "shop.toml").read_text()
    said = run("ingest", orders, "--guess", "--shop", shop)
    for word in ("Bestellnr", "transaction_id", "31.12.2023 10:00", "its name and values"):
        assert word in said
    assert "[inputs.meine_bestellungen]" in said
    assert "shopkeeper ingest --input meine_bestellungen --shop" in said
    assert (shop / "shop.toml").read_text() == before
    assert not (shop / "lake").exists()


def test_the_block_of_a_guess_is_saved_behind_the_rest_and_loads(shop, orders):
    before = (shop / "shop.toml").read_text()
    said = run("ingest", orders, "--guess", "--save", "--input", "tills", "--shop", shop)
    assert "Next: shopkeeper ingest --input tills" in said
    text = (shop / "shop.toml").read_text()
    assert text.startswith(before.rstrip("\n"))
    given = settings.read(shop).inputs["tills"]
    assert (given.source, given.settings["table"]) == ("mapped", "events")
    assert Path(given.file) == orders
    assert "There is an input 'tills'" in mistake(
        "ingest", orders, "--guess", "--save", "--input", "tills", "--shop", shop
    )
    assert (shop / "shop.toml").read_text() == text
    done = json.loads(run("ingest", "--input", "tills", "--json", "--shop", shop))
    assert done["changed"]
    assert [row["reason"] for row in done["refused"]] == ["the price is missing or not a number"]
    rows = events(shop)
    assert rows["price_minor"].to_list() == [350, 129_900]
    assert rows["currency"].to_list() == ["EUR", "EUR"]
    assert not json.loads(run("ingest", "--json", "--shop", shop))["changed"]


def test_the_command_of_a_guess_loads_the_same_without_the_block(shop, orders):
    found = json.loads(run("ingest", orders, "--guess", "--json", "--shop", shop))
    import shlex

    assert found["guess"]["source"] == "mapped"
    assert not found["saved"]
    run(*shlex.split(found["command"])[1:])
    assert events(shop)["price_minor"].to_list() == [350, 129_900]


def test_a_known_format_needs_no_source_and_another_is_never_loaded_unasked(shop, orders):
    run("ingest", SAMPLES / "merchant_center" / "feed.csv", "--shop", shop)
    said = mistake("ingest", orders, "--shop", shop)
    assert "is not sure" in said
    assert "--guess" in said
    assert "--save" in said


def test_a_mapping_on_the_command_line_is_enough(shop, tmp_path):
    (tmp_path / "p.csv").write_text("sku,name,prix\nA1,Tea,3.50\nA2,Cup,4\n")
    done = json.loads(
        run("ingest", tmp_path / "p.csv", "--table", "products", "--map", "sku=id", "--map",
            "name=title", "--map", "prix=price", "--json", "--shop", shop)
    )  # fmt: skip
    assert {"table": "products", "rows": 2} in done["tables"]


def test_settings_of_a_source_may_be_given_in_words_numbers_and_lists(shop, tmp_path):
    (tmp_path / "e.csv").write_text("when,item_id,what\n1/2/2024 10:00,A1,gesehen\n")
    run("ingest", tmp_path / "e.csv", "--map", "when=time", "--map", "what=event_name", "--set",
        "day_first=true", "--set", 'events=["gesehen=view_item"]', "--set",
        "time_zone=Europe/Berlin", "--shop", shop)  # fmt: skip
    (row,) = events(shop).to_dicts()
    assert row["time"].isoformat() == "2024-02-01T09:00:00+00:00"
    assert row["event_name"] == "view_item"


def test_a_guess_needs_no_shop_unless_it_is_saved(orders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "[inputs.meine_bestellungen]" in run("ingest", orders.name, "--guess")
    assert "There is no shop.toml" in mistake("ingest", orders.name, "--guess", "--save")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--guess",), "none was given"),
        (("nowhere.csv", "--guess"), "There is no file"),
        (("nowhere.csv",), "There is no file"),
        (("{orders}", "--save"), "Give both"),
        (("{orders}", "--guess", "--input", "a b"), "named by letters"),
        (("{orders}", "--source", "maped"), "Did you mean 'mapped'"),
        (("{orders}", "--input", "tills"), "There is no input 'tills'"),
        (("{orders}", "--table", "event"), "table must be one of"),
        (("{orders}", "--map", "Datum"), "takes theirs=ours"),
        (("{orders}", "--map", "Datum=tme"), "Did you mean 'time'"),
        (("{orders}", "--source", "mapped", "--set", "x"), "--set takes name=value"),
        (("{orders}", "--source", "mapped", "--set", "currncy=EUR"), "Did you mean 'currency'"),
        (("{orders}", "--source", "mapped", "--set", "map=3"), "map must be a list"),
    ],
)
def test_a_mistake_is_one_line(shop, orders, words, says):
    given = [word.replace("{orders}", str(orders)) for word in words]
    assert says in mistake("ingest", *given, "--shop", shop)


def test_a_file_for_the_only_input_is_read_by_its_source(tmp_path):
    folder = gift_file.shop(tmp_path / "shop", shoppers=3)
    shutil.copy(folder / "invoices.csv", tmp_path / "again.csv")
    done = json.loads(run("ingest", tmp_path / "again.csv", "--json", "--shop", folder))
    assert done["changed"]
