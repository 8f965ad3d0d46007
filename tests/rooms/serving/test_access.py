"""Who is let in: keys, scopes, limits, and the address of a shop without keys."""

import json
import logging
import stat

import pytest
from fastapi.testclient import TestClient

from shopkeeper.config.sections import ServingSection
from shopkeeper.errors import BadConfig, BadRequest, NotFound
from shopkeeper.operations import keys as keyring
from shopkeeper.operations.keys import FILE, SCOPES, Keys
from shopkeeper.serving.access import Access
from shopkeeper.serving.app import _allowed, create_app

PATHS = [
    ("read", "GET", "/v1/search?q=ivory", None),
    ("read", "GET", "/v1/suggest?q=iv", None),
    ("read", "GET", "/v1/products", None),
    ("read", "GET", "/v1/products/22000", None),
    ("read", "GET", "/v1/recommend/home", None),
    ("read", "POST", "/v1/recommend/home", {"k": 3}),
    (
        "events",
        "POST",
        "/v1/events",
        {"events": [{"event_name": "view_item", "visitor_id": "v", "item_id": "22000"}]},
    ),
    ("admin", "POST", "/v1/products", {"products": [{"id": "new", "title": "New"}]}),
    ("admin", "GET", "/v1/rules", None),
    ("admin", "GET", "/v1/rules/advent", None),
    ("admin", "POST", "/v1/rules", {"rules": []}),
    ("admin", "DELETE", "/v1/rules/advent", None),
    ("read", "GET", "/v1/explain/abc", None),
    ("admin", "GET", "/metrics", None),
]


@pytest.fixture
def said(shop):
    """A key for each scope, by its name."""
    held = Keys(shop.folder)
    return {scope: held.add(scope, (scope,)) for scope in SCOPES}


@pytest.fixture
def guarded(shop, said):  # noqa: ARG001
    with TestClient(create_app(shop), base_url="http://shop.test") as made:
        yield made


def ask(client, method, path, body, key=None):
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return client.request(method, path, json=body, headers=headers)


@pytest.mark.parametrize(("scope", "method", "path", "body"), PATHS)
def test_a_path_answers_its_scope_and_admin_and_nobody_else(
    guarded, said, scope, method, path, body
):
    assert ask(guarded, method, path, body).status_code == 401
    assert ask(guarded, method, path, body, "shk_guessed").status_code == 401
    got = {name: ask(guarded, method, path, body, key).status_code for name, key in said.items()}
    refused = {name for name, status in got.items() if status == 403}
    assert refused == {name for name in SCOPES if name not in (scope, "admin")}
    assert 401 not in got.values()


def test_every_path_of_the_api_asks_for_a_key(guarded):
    paths = guarded.get("/openapi.json").json()["paths"]
    open_to_all = {
        path
        for path, methods in paths.items()
        for told in methods.values()
        if not told.get("security")
    }
    assert open_to_all == {"/healthz", "/readyz"}


def test_a_shop_without_keys_answers_everybody(client):
    assert client.get("/v1/search?q=ivory").status_code == 200
    assert client.get("/metrics").status_code == 200


def test_pages_for_people_need_no_key_and_complete_what_is_typed(guarded):
    assert guarded.get("/").status_code == 200
    assert guarded.get("/suggest?q=ivory").json()["suggestions"]


def test_a_key_also_comes_by_the_other_header(guarded, said):
    answer = guarded.get("/v1/search?q=ivory", headers={"x-api-key": said["read"]})
    assert answer.status_code == 200


def test_a_refusal_names_what_to_do_and_never_the_key(guarded, said):
    answer = guarded.get("/v1/search?q=x")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "Authorization: Bearer" in answer.json()["detail"]
    wrong = ask(guarded, "POST", "/v1/products", {"products": []}, said["read"])
    assert "'read'" in wrong.json()["detail"]
    assert said["read"] not in wrong.text


def test_a_key_is_good_for_so_many_requests_a_second(shop, monkeypatch):
    held = Keys(shop.folder)
    key = held.add("slow", ("read",), per_second=2)
    other = held.add("quick", ("read",))
    clock = [100.0]
    monkeypatch.setattr("shopkeeper.serving.access.time.monotonic", lambda: clock[0])
    with TestClient(create_app(shop)) as client:
        got = [ask(client, "GET", "/v1/search?q=x", None, key) for _ in range(3)]
        assert [answer.status_code for answer in got] == [200, 200, 429]
        assert got[2].headers["retry-after"] == "1"
        assert ask(client, "GET", "/v1/search?q=x", None, other).status_code == 200
        clock[0] += 0.5
        assert ask(client, "GET", "/v1/search?q=x", None, key).status_code == 200
        assert ask(client, "GET", "/v1/search?q=x", None, key).status_code == 429


def test_a_running_shop_follows_keys_and_never_opens_again(shop, monkeypatch):
    monkeypatch.setattr(keyring, "LOOK_EVERY_S", 0.0)
    access = Access(Keys(shop.folder))
    access.check(None, "admin")
    elsewhere = Keys(shop.folder)
    said = elsewhere.add("till", ("events",))
    access.check(said, "events")
    elsewhere.remove("till")
    with pytest.raises(Exception, match="not valid") as refused:
        access.check(said, "events")
    assert refused.value.status_code == 401
    (shop.folder / FILE).unlink()
    with pytest.raises(Exception, match="Send a key"):
        access.check(None, "events")


def test_only_hashes_are_kept_and_only_for_the_owner(shop):
    said = Keys(shop.folder).add("website")
    file = shop.folder / FILE
    assert said not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert Keys(shop.folder).find(said).scopes == ("read",)
    assert Keys(shop.folder).find(said[:-1]) is None


def test_keys_are_refused_in_one_line(shop):
    held = Keys(shop.folder)
    held.add("a")
    for name, scopes, field in (("a", ("read",), "name"), ("a b", ("read",), "name"),
                                ("b", ("write",), "scope"), ("b", (), "scope")):  # fmt: skip
        with pytest.raises(BadRequest) as wrong:
            held.add(name, scopes)
        assert wrong.value.field == field
    with pytest.raises(NotFound, match="Known: a"):
        held.remove("b")


@pytest.mark.parametrize("text", ["", "[]", '{"keys": [{"name": "a"}]}', "\xff"])
def test_a_broken_file_of_keys_lets_nobody_in(shop, text):
    (shop.folder / FILE).write_bytes(text.encode("latin-1"))
    with pytest.raises(BadConfig, match="cannot be read as keys"):
        create_app(shop)


@pytest.mark.parametrize(
    ("host", "alone"),
    [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("shop.example", "127.0.0.1")],
)
def test_without_keys_only_this_machine_is_listened_to_and_that_is_said(host, alone, caplog):
    with caplog.at_level(logging.WARNING):
        assert _allowed(host, guarded=False) == alone
    assert "keys add" in caplog.text
    assert _allowed(host, guarded=True) == host
    for here in ("127.0.0.1", "localhost", "::1"):
        assert _allowed(here, guarded=False) == here


def test_keys_are_made_listed_and_taken_back_from_the_command_line(tmp_path, capsys):
    from shopkeeper.cli.main import app

    def run(*words):
        app([*words, "--shop", str(tmp_path)], standalone_mode=False)
        return capsys.readouterr().out

    (tmp_path / "shop.toml").write_text('[shop]\nname = "A"\ncurrency = "EUR"\n')
    assert "no keys" in run("keys", "list")
    said = run("keys", "add", "site", "--scope", "read", "--scope", "events", "--per-second", "5")
    assert Keys(tmp_path).find(said.strip()).may("events")
    (row,) = json.loads(run("keys", "list", "--json"))
    assert (row["name"], row["scopes"], row["per_second"]) == ("site", ["read", "events"], 5.0)
    assert "no longer valid" in run("keys", "remove", "site")
    assert json.loads(run("keys", "list", "--json")) == []


def test_only_the_sites_that_are_named_may_ask_from_a_browser(shop):
    shop.config.serving.origins = ("https://shop.example",)
    with TestClient(create_app(shop)) as client:
        ours = {"origin": "https://shop.example", "access-control-request-method": "POST"}
        asked = client.options("/v1/events", headers=ours)
        assert asked.headers["access-control-allow-origin"] == "https://shop.example"
        wrong = client.post("/v1/events", json={"events": []}, headers=ours)
        assert wrong.status_code == 422
        assert wrong.headers["access-control-allow-origin"] == "https://shop.example"
        other = client.options("/v1/events", headers=ours | {"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize("origin", ["*", "shop.example", "https://shop.example/", "https://a b"])
def test_a_site_that_is_none_is_refused_in_one_line(origin):
    with pytest.raises(ValueError, match="without a path"):
        ServingSection(origins=(origin,))
    assert ServingSection(origins=("http://localhost:3000",)).origins


def test_the_tag_is_a_script_that_every_site_may_load(client):
    tag = client.get("/tag.js")
    assert tag.headers["content-type"].startswith("text/javascript")
    assert "dataLayer" in tag.text
