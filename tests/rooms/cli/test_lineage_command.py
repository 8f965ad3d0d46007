"""`shopkeeper lineage` as a person types it."""

import json
import subprocess
import sys
from pathlib import Path

import gift_file
import pytest
from typer.testing import CliRunner

from shopkeeper.cli.main import app

pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")
SHOPKEEPER = Path(sys.executable).parent / "shopkeeper"


def run(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.output


def mistake(*words):
    done = subprocess.run([SHOPKEEPER, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("shopkeeper: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """A shop with one load and no models."""
    folder = gift_file.shop(tmp_path_factory.mktemp("lineage") / "shop", shoppers=5)
    run("ingest", "--shop", folder)
    return folder


def test_a_tree_names_the_file_the_code_and_the_counts_of_a_table(loaded):
    drawn = run("lineage", "events", "--shop", loaded)
    found = json.loads(run("lineage", "events", "--json", "--shop", loaded))
    (load,) = [node for node in found["nodes"] if node["kind"] == "load"]
    (file,) = [node for node in found["nodes"] if node["kind"] == "file"]
    said = " ".join(drawn.split())
    assert "invoices.csv" in said
    assert file["sha256"][:12] in said
    assert load["code"][:12] in said
    assert f"{load['refused']:,} refused" in said
    assert load["refused"] > 0
    assert "products" not in drawn.split("·")[0]


def test_without_a_table_all_are_drawn_and_a_page_is_written(loaded, tmp_path):
    drawn = run("lineage", "--shop", loaded, "--html", tmp_path / "lineage.html")
    for table in ("events", "products", "quarantine"):
        assert f"{table} · " in drawn
    page = (tmp_path / "lineage.html").read_text()
    assert page.count("<rect") == 5
    assert [path.name for path in tmp_path.iterdir()] == ["lineage.html"]


def test_a_bundle_is_linked_to_the_loads_it_learned_from(trained_once):
    found = json.loads(run("lineage", "--json", "--shop", trained_once))
    (bundle,) = [node for node in found["nodes"] if node["kind"] == "bundle"]
    assert bundle["in_use"]
    assert bundle["loads_known"] == bundle["loads_now"] >= 1
    assert "learned from every load" in " ".join(run("lineage", "-s", trained_once).split())


def test_a_mistake_is_one_line_that_says_what_to_do(loaded, tmp_path):
    assert "Did you mean 'events'" in mistake("lineage", "event", "--shop", loaded)
    assert "There is no shop.toml" in mistake("lineage", "--shop", tmp_path / "nowhere")
    assert "shopkeeper: " in mistake("lineage", "-s", loaded, "--html", tmp_path / "no" / "x.html")
    empty = gift_file.shop(tmp_path / "empty", shoppers=2)
    assert "Run `shopkeeper ingest` first" in mistake("lineage", "--shop", empty)


def test_help_shows_an_example():
    assert "Example: shopkeeper lineage" in run("lineage", "--help")
