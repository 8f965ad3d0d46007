"""Search by voice: what is heard is searched for."""

import pytest

from shopkeeper import Shop
from shopkeeper.contracts import Heard
from shopkeeper.errors import BadConfig, BadRequest


class Listener:
    def transcribe(self, audio):
        if audio != b"recording":
            raise BadRequest("audio", "No words were heard.")
        return Heard("Red tea light holder.", "en", 1.5)


@pytest.fixture
def shop(trained_once):
    with Shop.open(trained_once) as opened:
        opened.listener = Listener()
        yield opened


def test_what_is_said_is_found_like_what_is_typed_and_told(shop):
    said, typed = shop.search_by_voice(b"recording", k=3), shop.search("red tea light holder", k=3)
    assert [result.id for result in said.results] == [result.id for result in typed.results]
    assert said.results[0].product["title"].lower() == "red tea light holder"
    assert said.heard == Heard("Red tea light holder.", "en", 1.5)
    assert typed.heard is None


def test_a_page_by_voice_is_limited_like_any_other(shop):
    with pytest.raises(BadRequest, match="k must be"):
        shop.search_by_voice(b"recording", k=0)
    with pytest.raises(BadRequest, match="No words"):
        shop.search_by_voice(b"noise")


def test_who_hears_is_a_name_on_the_shelf(trained):
    settings = trained / "shop.toml"
    settings.write_text(settings.read_text() + "\n[encoders.speech.whisper]\nseconds_max = 0.5\n")
    with Shop.open(trained) as shop:
        assert shop.listener.config.seconds_max == 0.5
    text = settings.read_text().replace("[search]", '[search]\nspeech = "whispr"')
    settings.write_text(text)
    with pytest.raises(BadConfig, match="Did you mean 'whisper'"):
        Shop.open(trained)
