"""What programs get over HTTP: answers, limits, and problems that name their field."""

import logging
import subprocess
import sys

import pytest


def post(client, *events):
    return client.post("/v1/events", json={"events": list(events)})


def view(item, **more):
    return {"event_name": "view_item", "visitor_id": "v1", "items": [{"item_id": item}]} | more


def test_every_answer_carries_its_number_bundle_time_and_results_with_reason(client):
    for path in ("/v1/search?q=tea", "/v1/recommend/home", "/v1/products?k=3"):
        answer = client.get(path)
        body = answer.json()
        assert answer.headers["x-request-id"] == body["request_id"]
        assert body["bundle"] == "7"
        assert body["took_ms"] > 0
        assert body["results"][0].keys() >= {"id", "score", "rank", "source", "reason"}
        assert body["results"][0].keys() >= {"title", "price", "currency", "availability"}
        assert [result["rank"] for result in body["results"]][:3] == [1, 2, 3]


def test_a_posted_event_changes_the_next_answer_of_that_visitor_and_of_no_other(client):
    before = client.get("/v1/recommend/home?visitor_id=v1").json()["results"][0]["id"]
    assert post(client, view("22070")).json()["accepted"] == 1
    after = client.get("/v1/recommend/home?visitor_id=v1").json()["results"]
    assert after[0]["id"] != before
    assert after[0]["product_type"] == "Toys > Wooden"
    assert client.get("/v1/recommend/home?visitor_id=v2").json()["results"][0]["id"] == before


def test_an_event_twice_with_one_id_counts_once(client, shop):
    event = view("22001", event_id="once")
    assert post(client, event).json()["duplicates"] == 0
    body = post(client, event, view("22002", event_id="twice")).json()
    assert (body["accepted"], body["duplicates"]) == (1, 1)
    assert [row["event_id"] for row in shop.log.replay()] == ["once", "twice"]


def test_times_are_told_in_iso_8601(client):
    for body in (client.get("/v1/products/22000"), client.get("/v1/search?q=white&k=1")):
        assert '"updated":"2026-01-01T00:00:00+00:00"' in body.text


def test_where_somebody_came_in_reaches_the_shop_by_get_and_by_post(client, shop):
    client.get("/v1/recommend/home?category=Home%20%3E%20Lamps")
    assert shop.category == "Home > Lamps"
    client.post("/v1/recommend/home", json={"category": "Garden"})
    assert shop.category == "Garden"
    problem = client.get(f"/v1/recommend/home?category={'x' * 501}")
    assert (problem.status_code, problem.json()["field"]) == (422, "category")


def test_recommend_may_be_asked_by_post_which_keeps_names_out_of_addresses(client):
    asked = {"k": 3, "items": ["22000"], "exclude": ["22001"], "user_id": "u"}
    found = [
        result["id"]
        for result in client.post("/v1/recommend/similar", json=asked).json()["results"]
    ]
    assert len(found) == 3
    assert not {"22000", "22001"} & set(found)


def test_filters_prices_and_facets_travel_through(client):
    body = client.get("/v1/search?q=candle&filter=brand:Maker&price_max=20").json()
    assert body["total"] > 0
    assert all(result["brand"] == "Maker" for result in body["results"])
    assert all(float(result["price"]) <= 20 for result in body["results"])
    assert body["facets"]["brand"] == [{"value": "Maker", "count": body["total"]}]


def test_what_was_understood_travels_and_can_be_taken_back_or_switched_off(client):
    understood = client.get("/v1/search?q=whit").json()["understood"]
    assert understood["text"] == "white"
    assert [chip["key"] for chip in understood["chips"]] == ["spelling:whit"]
    assert client.get("/v1/search?q=whit&ignore=spelling:whit").json()["understood"] is None
    assert client.get("/v1/search?q=whit&understand=false").json()["understood"] is None


def by_voice(client, said, **page):
    return client.post("/v1/search/voice", params=page, files={"audio": ("said.webm", said)})


def test_a_recording_is_answered_like_the_words_that_were_heard(client):
    said = by_voice(client, b"said pillar candle", k=2, filter="brand:Maker")
    typed = client.get("/v1/search?q=pillar candle&k=2&filter=brand:Maker").json()
    body = said.json()
    assert [found["id"] for found in body["results"]] == [found["id"] for found in typed["results"]]
    assert body["heard"] == {"text": "pillar candle", "language": "en", "seconds": 1.5}
    assert "heard" not in typed
    assert 'place="search_by_voice"' in client.get("/metrics").text


def test_a_recording_that_cannot_be_is_a_problem_that_names_it(client):
    for answer, status, field in (
        (by_voice(client, b"noise"), 422, "audio"),
        (by_voice(client, b""), 422, "audio"),
        (by_voice(client, b"said tea", k=0), 422, "k"),
        (by_voice(client, b"said tea", filter="nonsense:1"), 422, "filter"),
        (by_voice(client, b"x" * 300_000), 413, "body"),
        (client.post("/v1/search/voice"), 422, "audio"),
        (client.post("/v1/search/voice", json={"audio": "x"}), 422, "audio"),
        (client.post("/v1/search/voice", data={"audio": "words"}), 422, "audio"),
    ):
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["field"] == field


BAD = [
    ("/v1/search?q=tea&k=0", "k"),
    ("/v1/search?q=tea&k=1000000", "k"),
    ("/v1/search?q=tea&k=many", "k"),
    ("/v1/search?q=tea&offset=-1", "offset"),
    ("/v1/search?q=tea&offset=99999999", "offset"),
    ("/v1/search", "q"),
    ("/v1/search?q=tea&filter=brand", "filter"),
    ("/v1/search?q=tea&filter=nonsense:1", "filter"),
    ("/v1/search?q=tea" + "&filter=brand:x" * 31, "filter"),
    ("/v1/search?q=tea&understand=perhaps", "understand"),
    ("/v1/search?q=tea" + "&ignore=x" * 31, "ignore"),
    ("/v1/search?q=tea&ignore=" + "x" * 301, "ignore[0]"),
    ("/v1/search?q=tea&price_min=NaN", "price_min"),
    ("/v1/search?q=tea&price_min=cheap", "price_min"),
    ("/v1/search?q=tea&price_max=-1", "price_max"),
    ("/v1/search?q=tea&price_max=inf", "price_max"),
    ("/v1/search?q=tea&sort=luck", "sort"),
    ("/v1/search?q=tea&user_id=" + "x" * 201, "user_id"),
    ("/v1/suggest?q=tea&k=0", "k"),
    ("/v1/suggest", "q"),
    ("/v1/recommend/home?k=0", "k"),
    ("/v1/recommend/home?k=1000000", "k"),
    ("/v1/products?k=0", "k"),
    ("/v1/products?offset=-5", "offset"),
]


@pytest.mark.parametrize(("path", "field"), BAD, ids=[path[:60] for path, _ in BAD])
def test_an_impossible_question_is_422_and_names_its_field(client, path, field):
    answer = client.get(path)
    problem = answer.json()
    assert answer.status_code == problem["status"] == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["field"] == field
    assert problem["detail"]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/recommend/nowhere", "placement"),
        ("/v1/products/nothing", "item_id"),
        ("/v1/products/" + "x" * 150, "item_id"),
        ("/v1/nothing", None),
    ],
)
def test_what_is_not_there_is_404(client, path, field):
    problem = client.get(path).json()
    assert (problem["status"], problem.get("field")) == (404, field)


def test_an_unknown_product_to_recommend_from_is_refused_by_its_field(client):
    problem = client.get("/v1/recommend/similar?items=22000&items=gone").json()
    assert (problem["status"], problem["field"]) == (422, "items")


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"", "body"),
        (b"not json", "body"),
        (b"\xff\xfe", "body"),
        (b"[]", "body"),
        (b"[" * 100_000, "body"),
        (b"{}", "events"),
        (b'{"events": "all"}', "events"),
        (b'{"events": []}', "events"),
        (b'{"events": [7]}', "events[0]"),
        (b'{"events": [{"event_name": "view_itme", "visitor_id": "v"}]}', "events[0].event_name"),
        (b'{"events": [{"event_name": "search", "search_term": "x"}]}', "events[0].visitor_id"),
    ],
)
def test_a_broken_body_is_refused_with_its_field(client, content, field):
    answer = client.post(
        "/v1/events", content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code in (400, 422)
    assert answer.json()["field"] == field


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ('{"item_id": "gone"}', "item_id"),
        ('{"item_id": "22000", "quantity": -1}', "quantity"),
        ('{"item_id": "22000", "quantity": 0}', "quantity"),
        ('{"item_id": "22000", "price": NaN}', "price"),
        ('{"item_id": "22000", "price": Infinity}', "price"),
        ('{"item_id": "22000", "price": 1e999}', "price"),
    ],
)
def test_one_bad_event_refuses_its_whole_batch_and_nothing_is_kept(client, shop, item, field):
    good = '{"event_name": "view_item", "visitor_id": "v", "item_id": "22000"}'
    bad = f'{{"event_name": "purchase", "visitor_id": "v", "items": [{item}]}}'
    answer = client.post(
        "/v1/events",
        content=f'{{"events": [{good}, {bad}]}}',
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 422
    assert answer.json()["field"] == f"events[1].items[0].{field}"
    assert list(shop.log.replay()) == []


def test_an_event_from_the_future_is_refused(client):
    problem = post(client, view("22000", time="2999-01-01T00:00:00Z")).json()
    assert (problem["status"], problem["field"]) == (422, "events[0].time")


@pytest.mark.parametrize(
    "words",
    ["💡🎄", "茶杯", "'; DROP TABLE products; --", "<script>alert(1)</script>", "\x00", " "],
)
def test_any_words_are_only_words(client, words):
    answer = client.get("/v1/search", params={"q": words})
    assert answer.status_code == 200
    assert client.get("/v1/suggest", params={"q": words}).status_code == 200
    page = client.get("/search", params={"q": words})
    assert page.status_code == 200
    assert "<script>alert" not in page.text


def test_ten_thousand_characters_are_cut_and_it_is_said(client):
    body = client.get("/v1/search", params={"q": "x" * 10_000}).json()
    assert "first 300 characters" in body["notes"][0]


def test_a_body_beyond_the_limit_is_413_whether_announced_or_not(client):
    def stream():
        for _ in range(30):
            yield b" " * 10_000

    for content in (b"x" * 300_000, stream()):
        answer = client.post(
            "/v1/events", content=content, headers={"content-type": "application/json"}
        )
        assert answer.status_code == 413
        assert answer.json()["field"] == "body"


def test_a_shop_before_training_lives_but_is_not_ready(untrained):
    assert untrained.get("/healthz").status_code == 200
    for path in ("/readyz", "/v1/search?q=tea", "/v1/recommend/home"):
        answer = untrained.get(path)
        assert answer.status_code == 503
        assert "shopkeeper train" in answer.json()["detail"]


def test_an_unexpected_error_tells_nothing_of_its_inside(client, caplog):
    with caplog.at_level(logging.ERROR):
        answer = client.get("/v1/search?q=explode")
    assert answer.status_code == 500
    assert "anna" not in answer.text + caplog.text
    number = answer.json()["detail"].split()[10].rstrip(".")
    assert number in caplog.text
    assert "RuntimeError on /v1/search" in caplog.text


def test_metrics_count_by_template_and_never_by_what_was_asked(client):
    for number in range(5):
        client.get(f"/v1/products/secret-{number}")
        client.get(f"/made-up-{number}")
    post(client, view("22000"))
    client.get("/v1/recommend/home")
    text = client.get("/metrics").text
    assert 'route="/v1/products/{item_id:path}",status="404"} 5.0' in text
    assert 'route="unmatched",status="404"} 5.0' in text
    assert 'shopkeeper_events_total{outcome="accepted"} 1.0' in text
    assert 'shopkeeper_results_total{place="home"} 12.0' in text
    assert "secret" not in text
    assert "made-up" not in text


def test_openapi_names_every_path_with_examples(client):
    found = client.get("/openapi.json").json()
    paths = {path.replace(":path", "") for path in found["paths"]}
    assert paths >= {
        "/v1/products",
        "/v1/products/{item_id}",
        "/v1/events",
        "/v1/search",
        "/v1/suggest",
        "/v1/recommend/{placement}",
        "/v1/rules",
        "/v1/rules/{rule_id}",
        "/v1/explain/{request_id}",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    assert found["components"]["schemas"]["EventsIn"]["properties"]["events"]["examples"]


def test_every_answer_forbids_what_is_not_from_here(client):
    for path in ("/", "/healthz", "/v1/search?q=a", "/static/storefront.css", "/nothing"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_products_are_written_by_the_shop_and_mistakes_named(client):
    good = {"products": [{"id": "new", "title": "New mug", "price": "3.50"}]}
    assert client.post("/v1/products", json=good).json()["accepted"] == 1
    assert client.get("/v1/products/new").json()["title"] == "New mug"
    problem = client.post("/v1/products", json={"products": [{"title": "no id"}]}).json()
    assert (problem["status"], problem["field"]) == (422, "products[0].id")


def test_serving_loads_no_training_library():
    code = (
        "import sys, shopkeeper.serving.app, shopkeeper.streaming.log, shopkeeper.streaming.state;"
        "bad = {'torch', 'transformers', 'onnx', 'onnxscript', 'ibis', 'duckdb', 'altair'};"
        "print(sorted(bad & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
