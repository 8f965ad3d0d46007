"""The engine's own shop behind HTTP: what the fake shop cannot promise."""

import re

import pytest
from fastapi.testclient import TestClient

from shopkeeper import Shop
from shopkeeper.serving.app import create_app


@pytest.fixture
def real(trained):
    with TestClient(create_app(Shop.open(trained)), base_url="http://shop.test") as client:
        client.headers["origin"] = "http://shop.test"
        yield client


def test_every_path_of_a_trained_shop_answers(real):
    asked = ["/v1/search?q=tea", "/v1/products", "/v1/products/22000", "/v1/suggest?q=te"]
    places = ["home", "trending", "buy_again", "similar?items=22000", "bought_together?items=22000"]
    asked += [f"/v1/recommend/{place}" for place in places]
    for path in [
        *asked,
        "/readyz",
        "/",
        "/search",
        "/search?q=tea",
        "/p/22000",
        "/walk",
        "/basket",
    ]:
        answer = real.get(path)
        assert answer.status_code == 200, (path, answer.text)


def test_a_click_and_a_dismissal_change_the_next_page_of_a_trained_shop(real):
    def home():
        return re.findall(r'/p/(\w+)\?[^"]*place=home', real.get("/").text)

    gone = home()[0]
    real.post("/dismiss", data={"item_id": gone, "placement": "home"})
    assert gone not in home()
    before = home()
    real.get(f"/p/{before[-1]}")
    assert home() != before


def test_walking_as_a_shopper_of_a_trained_shop_shows_what_was_bought(real):
    walker = re.findall(r'name="user_id" value="(\w+)"', real.get("/walk").text)[0]
    real.post("/walk", data={"user_id": walker})
    page = real.get("/").text
    assert f"shopper {walker}" in page
    assert "Bought" in page
    assert "Buy again" in page
