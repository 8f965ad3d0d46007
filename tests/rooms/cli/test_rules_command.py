"""`shopkeeper rules` and `explain`: a person decides, looks, and is told of slips in one line."""

import json

import pytest
from typer.testing import CliRunner

from shopkeeper import Shop
from shopkeeper.cli.main import app
from shopkeeper.errors import BadData, BadRequest, NotFound, ShopkeeperError


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def rules(shop, *words):
    return run("rules", *words, "--shop", shop)


def test_a_person_adds_looks_at_and_removes_rules(trained):
    assert "no rules yet" in rules(trained, "list").output
    done = rules(trained, "add", "top", "pin", "--item", "22029", "--place", 1, "--on", "home",
                 "--note", "for the window")  # fmt: skip
    assert done.output == "Added top.\n"
    (rule,) = json.loads(rules(trained, "list", "--json").output)
    assert rule["when"] == {"placements": ["home"]}
    assert (rule["does"], rule["active"], rule["warnings"]) == ("pin 22029 to place 1", True, [])
    assert "for the window" in rules(trained, "show", "top").output
    with Shop.open(trained) as shop:
        assert shop.recommend("home", user_id="12000").results[0].id == "22029"
        assert shop.recommend("trending").results[0].id != "22029"
    assert "All rules are sound." in rules(trained, "check").output
    assert "Removed 1" in rules(trained, "remove", "top").output
    assert json.loads(rules(trained, "list", "--json").output) == []


def test_contradictions_are_refused_forced_or_told(trained):
    rules(trained, "add", "top", "pin", "--item", "22003", "--place", 1)
    refused = rules(trained, "add", "gone", "hide", "--item", "22003")
    assert isinstance(refused.exception, BadRequest)
    assert "'top' and 'gone': one pins what the other hides" in str(refused.exception)
    assert len(json.loads(rules(trained, "list", "--json").output)) == 1
    told = rules(trained, "add", "gone", "hide", "--item", "22003", "--priority", 2)
    assert "Note: 'gone' and 'top'" in told.output
    checked = rules(trained, "check", "--json")
    assert isinstance(checked.exception, ShopkeeperError)
    assert {one["id"] for one in json.loads(checked.output)} == {"top", "gone"}
    assert rules(trained, "add", "gone", "hide", "--item", "22003", "--force").exit_code == 0


def test_a_list_of_rules_can_be_carried_to_another_shop(trained, tmp_path):
    rules(trained, "add", "top", "boost", "--brand", "Acme", "--by", 4, "--end", "2030-01-01")
    file = tmp_path / "rules.json"
    file.write_text(rules(trained, "list", "--json").output)
    rules(trained, "remove", "top")
    assert rules(trained, "load", file).exit_code == 0
    (rule,) = json.loads(rules(trained, "list", "--json").output)
    assert (rule["by"], rule["end"]) == (4, "2030-01-01T00:00:00+00:00")
    assert "no product is like that" in rule["warnings"]
    file.write_text("{")
    assert isinstance(rules(trained, "load", file).exception, BadData)
    file.write_text('[{"id": "a"}, 7]')
    assert isinstance(rules(trained, "load", file).exception, BadRequest)


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        (("add", "x", "pni", "--item", "1"), BadRequest, "Did you mean 'pin'"),
        (("add", "x", "hide"), BadRequest, "must name products"),
        (("add", "x", "hide", "--item", "1", "--on", "hom"), BadRequest, "no placement 'hom'"),
        (("add", "x", "hide", "--item", "1", "--end", "soon"), BadRequest, "a time like"),
        (("remove", "nothing"), NotFound, "no rule 'nothing'"),
        (("show", "nothing"), NotFound, "no rule 'nothing'"),
    ],
)
def test_slips_are_one_line(trained_once, words, kind, said):
    done = rules(trained_once, *words)
    assert isinstance(done.exception, kind)
    assert said in str(done.exception)


def test_a_page_and_a_search_are_explained(trained):
    page = json.loads(run("explain", "home", "--user", "12000", "-k", 4, "--rescore", "--json",
                          "--shop", trained).output)  # fmt: skip
    assert len(page["results"]) == 4
    first = page["results"][0]
    assert first["proposed_by"][0]["rank"] >= 1
    assert first["factors"][0]["contribution"]
    assert any(one.get("lowers") for row in page["results"] for one in row["evidence"])
    assert "Why home?" in run("explain", "home", "--user", "12000", "--shop", trained).output
    shown = {row["item_id"] for row in page["results"]}
    other = next(f"{22000 + n}" for n in range(30) if f"{22000 + n}" not in shown)
    told = run("explain", "home", "--user", "12000", "-k", 4, "--why-not", other, "--shop", trained)
    assert "shown" in told.output
    assert "stage" in told.output
    found = run("explain", "search", "--query", "red", "-k", 2, "--why-not", "22001", "--json",
                "--shop", trained)  # fmt: skip
    assert json.loads(found.output)["stage"] in ("page", "search")
