"""A shop of drawn pictures, without a single event: found by picture and by words in pictures."""

import io
import json
import tomllib
from pathlib import Path

import numpy as np
import published_weights
import pytest
from fastapi.testclient import TestClient
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from shopkeeper import Shop, config
from shopkeeper.cli.main import app
from shopkeeper.engine import pictures as learning
from shopkeeper.engine import settings
from shopkeeper.engine.catalogue import shown
from shopkeeper.errors import BadRequest, NotFound, ShopkeeperError
from shopkeeper.serving.app import create_app

KINDS = ("ball", "stripe")
EACH = 12


def drawn(kind, seed):
    """Return a ball or stripes, of any size, place and colour."""
    rng = np.random.default_rng((seed, KINDS.index(kind)))
    picture = Image.new("RGB", (96, 96), tuple(rng.integers(220, 256, 3).tolist()))
    pen, colour = ImageDraw.Draw(picture), tuple(rng.integers(0, 120, 3).tolist())
    side = int(rng.integers(36, 60))
    left, top = rng.integers(4, 92 - side, 2).tolist()
    if kind == "ball":
        pen.ellipse((left, top, left + side, top + side), colour)
    else:
        for at in range(left % 12, 96, 12):
            pen.rectangle((at, 0, at + 5, 96), colour)
    return picture


def sent(picture):
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("torch")
    place = tmp_path_factory.mktemp("drawn")
    for kind in KINDS:
        (place / "photos" / kind).mkdir(parents=True)
        for number in range(EACH):
            drawn(kind, number).save(place / "photos" / kind / f"{number:04d}.png")
    (place / "photos" / "ball" / "9999.png").write_bytes(b"torn")
    weights = published_weights.write(place / "random.pth")
    settings.init(
        place / "shop",
        {"encoders.images.efficientnet_lite": {"weights": str(weights)}},
        inputs={"photos": {"source": "photos", "file": str(place / "photos")}},
        search={"encoder": "hashing"},
    )
    with Shop.open(place / "shop") as shop:
        shop.ingest()
        done = shop.train()
    assert done["report"] is None
    return place / "shop"


@pytest.fixture(scope="module")
def shop(folder):
    with Shop.open(folder) as opened:
        yield opened


def kinds_of(answer):
    return [result.product["product_type"] for result in answer.results]


def test_a_picture_of_the_shop_finds_itself_and_then_its_kind(shop):
    answer = shop.search_by_picture(sent(drawn("ball", 3)), k=8)
    assert answer.results[0].id == "ball/0003"
    assert answer.results[0].score > 0.99
    assert {result.source for result in answer.results} == {"picture"}
    assert [result.rank for result in answer.results] == list(range(1, 9))
    assert kinds_of(answer).count("ball") >= 6


def test_a_fresh_picture_finds_its_kind(shop):
    for kind in KINDS:
        found = [
            name
            for seed in range(100, 110)
            for name in kinds_of(shop.search_by_picture(sent(drawn(kind, seed)), k=5))
        ]
        assert found.count(kind) / len(found) > 0.7


def test_words_find_what_pictures_show_and_titles_too(shop):
    for kind in KINDS:
        assert kinds_of(shop.search_pictures(kind, k=8)).count(kind) >= 6
        assert set(kinds_of(shop.search(kind, k=5))) == {kind}
    with pytest.raises(BadRequest, match="q must name"):
        shop.search_pictures("  ")


def test_a_broken_photo_stays_a_product_but_is_not_found_by_picture(shop):
    every = shop.search_by_picture(sent(drawn("ball", 3)), k=500)
    assert len(every.results) == len(KINDS) * EACH
    assert "ball/9999" not in {result.id for result in every.results}
    assert shop.product("ball/9999")["title"] == "ball"


def test_nobody_is_told_where_the_files_of_the_shop_lie(shop, folder):
    for told in (shop.product("ball/0003"), shop.search("ball").results[0].product):
        assert "image_link" not in told
        assert str(folder.parent) not in str(told)
    with_links = shown({"price_minor": None, "currency": None, "image_link": "/img/a.jpg"})
    assert with_links["image_link"] == "/img/a.jpg"


def test_what_is_no_picture_is_a_bad_request(shop):
    with pytest.raises(BadRequest, match="no picture") as caught:
        shop.search_by_picture(b"hello")
    assert caught.value.field == "picture"
    with pytest.raises(BadRequest, match="k must be"):
        shop.search_by_picture(sent(drawn("stripe", 1)), k=0)


def test_without_events_nothing_is_recommended_and_that_is_said(shop):
    shop.warm()
    answer = shop.recommend("home")
    assert answer.results == []
    assert "events" in answer.notes[0]


def test_pictures_are_encoded_once(folder, monkeypatch):
    def refuse(*_):
        raise AssertionError("encoded again")

    monkeypatch.setattr("shopkeeper.encoders.images._files._encoded", refuse)
    with Shop.open(folder) as again:
        again.train()
        assert again.search_by_picture(sent(drawn("stripe", 2)), k=1).results[0].id == "stripe/0002"


def test_a_shop_without_pictures_at_hand_says_so_and_makes_no_encoder(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("an encoder was made")

    monkeypatch.setattr(learning.registry, "build", refuse)
    links = ["https://shop.example/a.jpg", None, "gone.png", "x" * 5000, "a\0b"]
    products = learning.pl.DataFrame({"id": list("abcde"), "image_link": links})
    texts = np.zeros((5, 3), dtype=np.float32)
    assert learning.learn_pictures(tmp_path, config.Config(), products, texts) is None


def test_a_trained_shop_without_pictures_answers_by_words_alone(trained):
    with Shop.open(trained) as shop, pytest.raises(NotFound, match="image_link"):
        shop.search_by_picture(sent(drawn("stripe", 1)))


def test_the_command_line_finds_by_picture(folder, tmp_path):
    mine = tmp_path / "mine.png"
    mine.write_bytes(sent(drawn("stripe", 4)))

    def run(*words):
        return CliRunner().invoke(app, ["search", *words, "--shop", str(folder)])

    found = json.loads(run("--picture", str(mine), "-k", "3", "--json").stdout)
    assert found["results"][0]["id"] == "stripe/0004"
    assert "stripe" in run("stripe", "--in-pictures").stdout
    for words in (
        ["--picture", str(mine), "stripe"],
        [],
        ["--picture", str(tmp_path / "none.png")],
    ):
        assert isinstance(run(*words).exception, ShopkeeperError)
    (tmp_path / "text.png").write_text("hello")
    assert "no picture" in str(run("--picture", str(tmp_path / "text.png")).exception)


def test_http_finds_by_picture_and_says_what_is_wrong(folder):
    with TestClient(create_app(Shop.open(folder))) as client:
        page = client.post(
            "/v1/search/picture?k=2", files={"picture": ("x.png", sent(drawn("stripe", 4)))}
        )
        assert page.status_code == 200
        assert page.json()["results"][0]["id"] == "stripe/0004"
        assert set(page.json()) == set(client.get("/v1/search?q=stripe").json())
        words = client.get("/v1/search/picture?q=ball&k=3").json()
        assert len(words["results"]) == 3
        for files, status, field in (
            ({"picture": ("x.png", b"hello")}, 422, "picture"),
            ({"picture": ("x.png", b"")}, 422, "picture"),
            ({"photo": ("x.png", b"hello")}, 422, "picture"),
            ({"picture": ("x.png", b"0" * 6_000_000)}, 413, "body"),
        ):
            wrong = client.post("/v1/search/picture", files=files)
            assert (wrong.status_code, wrong.json()["field"]) == (status, field)
        assert client.post("/v1/search/picture?k=0", files={"picture": b"x"}).status_code == 422
        described = client.get("/openapi.json").json()["paths"]["/v1/search/picture"]
        assert set(described) == {"get", "post"}
        assert "multipart/form-data" in described["post"]["requestBody"]["content"]


def test_the_recipe_is_a_shop_that_can_be_read(tmp_path):
    recipe = Path(__file__).parents[3] / "recipes" / "clothes.toml"
    (tmp_path / config.FILE).write_text(recipe.read_text())
    found = settings.read(tmp_path)
    assert found.inputs["photos"].source == "photos"
    assert tomllib.loads(recipe.read_text())["search"]["pictures"] == found.search.pictures
