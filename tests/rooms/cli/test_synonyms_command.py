"""`shopkeeper synonyms`: list, approve, reject; mistakes are one line."""

import json

import pytest
from typer.testing import CliRunner

from shopkeeper.cli.main import app
from shopkeeper.errors import BadData, NotFound


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_person_approves_rejects_and_lists(trained):
    assert "no synonyms yet" in run("synonyms", "list", "--shop", trained).output
    done = run("synonyms", "approve", "bunting", "pennant flags", "--shop", trained)
    assert "shopkeeper train" in done.output
    (pair,) = json.loads(run("synonyms", "list", "--json", "--shop", trained).output)
    assert (pair["word"], pair["synonym"], pair["used"]) == ("bunting", "pennant flags", True)
    assert run("synonyms", "reject", "pennant flags", "bunting", "--shop", trained).exit_code == 0
    assert "rejected" in run("synonyms", "list", "--shop", trained).output
    assert "no synonyms yet" in run("synonyms", "list", "--waiting", "--shop", trained).output


def test_mining_a_log_without_searches_finds_none_and_keeps_the_list(trained):
    run("synonyms", "approve", "bunting", "flags", "--shop", trained)
    assert run("synonyms", "mine", "--no-vectors", "--shop", trained).exit_code == 0
    assert "flags" in (trained / "synonyms.csv").read_text()


def test_vectors_propose_words_of_the_catalogue_for_a_person_to_decide(trained):
    done = run("synonyms", "mine", "--json", "--shop", trained)
    assert done.exit_code == 0
    assert not any(pair["used"] for pair in json.loads(done.output.splitlines()[-1]))


def test_mistakes_are_said(trained):
    assert isinstance(run("synonyms", "reject", "a", "b", "--shop", trained).exception, NotFound)
    assert isinstance(run("synonyms", "approve", "a", "a", "--shop", trained).exception, BadData)


@pytest.mark.parametrize("command", ["mine", "list", "approve", "reject"])
def test_help_shows_an_example(command):
    assert "Example: shopkeeper synonyms" in run("synonyms", command, "--help").output
