"""Rules and explanations over HTTP: decided, in force in the next answer, explained, taken back."""

import pytest
from fastapi.testclient import TestClient

from shopkeeper import Shop
from shopkeeper.serving.app import create_app

PIN = {"id": "top", "action": "pin", "place": 1, "target": {"items": ["22003"]}}


@pytest.fixture
def real(trained):
    with TestClient(create_app(Shop.open(trained)), base_url="http://shop.test") as client:
        client.headers["origin"] = "http://shop.test"
        yield client


def put(client, *rules, **more):
    return client.post("/v1/rules", json={"rules": rules, **more})


def home(client, **asked):
    return client.get("/v1/recommend/home", params={"user_id": "12000", "k": 4, **asked}).json()


def test_a_rule_holds_in_the_next_answer_until_it_is_deleted(real):
    assert put(real, PIN).json()["accepted"] == 1
    answer = home(real)
    assert answer["results"][0]["id"] == "22003"
    assert real.post("/v1/recommend/home", json={"k": 2}).json()["results"][0]["id"] == "22003"
    (rule,) = real.get("/v1/rules/top").json()["rules"]
    assert (rule["does"], rule["active"], rule["warnings"]) == ("pin 22003 to place 1", True, [])
    told = real.get(f"/v1/explain/{answer['request_id']}?item_id=22003").json()
    assert told["moved_by"][0]["rule"] == "top"
    assert real.delete("/v1/rules/top").json()["removed"] == 1
    assert home(real)["results"][0]["id"] != "22003"
    assert real.get("/v1/rules").json()["rules"] == []


def test_a_refused_batch_leaves_no_rule_behind(real):
    put(real, PIN)
    hide = {"id": "gone", "action": "hide", "target": {"items": ["22003"]}}
    other = {"id": "fine", "action": "hide", "target": {"items": ["22004"]}}
    problem = put(real, other, hide).json()
    assert (problem["status"], problem["field"]) == (422, "rules")
    assert "which is meant?" in problem["detail"]
    assert [rule["id"] for rule in real.get("/v1/rules").json()["rules"]] == ["top"]
    assert len(put(real, other, hide, force=True).json()["conflicts"]) == 1
    assert "22003" not in [one["id"] for one in home(real)["results"]]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "rules"),
        ({"rules": []}, "rules"),
        ({"rules": "all"}, "rules"),
        ({"rules": [7]}, "rules[0]"),
        ({"rules": [PIN, {"id": "x", "action": "hide"}]}, "rules[1].target"),
        ({"rules": [PIN, PIN]}, "rules[1].id"),
        ({"rules": [PIN | {"when": {"placements": ["hom"]}}]}, "rules[0].when.placements"),
        ({"rules": [PIN | {"palce": 2}]}, "rules[0].palce"),
        ({"rules": [PIN | {"id": "a/b"}]}, "rules[0].id"),
        ({"rules": [PIN | {"note": "x" * 201}]}, "rules[0].note"),
        ({"rules": [PIN | {"place": True}]}, "rules[0].place"),
    ],
)
def test_a_wrong_rule_is_refused_by_its_field(real, body, field):
    answer = real.post("/v1/rules", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


@pytest.mark.parametrize(
    "path", ["/v1/rules/nothing", "/v1/explain/nothing", "/v1/explain/nothing?item_id=22000"]
)
def test_what_is_not_there_is_404(real, path):
    assert real.get(path).status_code == 404


def test_an_answer_is_explained_and_its_time_is_told_when_asked(real):
    plain, timed = home(real), home(real, debug="timing")
    assert "timings" not in plain
    assert timed["timings"]["ranker"] > 0
    assert "timings" in real.get("/v1/search?q=red&debug=timing").json()
    assert real.get("/v1/search?q=red&debug=all").status_code == 422
    whole = real.get(f"/v1/explain/{plain['request_id']}?rescore=true").json()
    assert [one["item_id"] for one in whole["results"]] == [one["id"] for one in plain["results"]]
    assert any(e.get("lowers") for one in whole["results"] for e in one["evidence"])
    shown = {one["id"] for one in plain["results"]}
    other = next(f"{22000 + n}" for n in range(30) if f"{22000 + n}" not in shown)
    told = real.get(f"/v1/explain/{plain['request_id']}?item_id={other}").json()
    assert told["shown"] is False
    assert told["stage"]
    assert told["why"]


def test_a_page_of_a_category_that_has_nothing_says_what_it_gave_up(real):
    answer = home(real, category="Garden > Gnomes")
    assert answer["fallback"] == "filters"
    assert answer["results"]
    assert "fallback" not in home(real)
