"""The encoder of a shop follows its languages, unless the shop names one."""

from dataclasses import replace

import polars as pl
import pytest

from shopkeeper import registry
from shopkeeper.config import Config, SearchSection, ShopSection
from shopkeeper.engine import encoding, train
from shopkeeper.errors import BadConfig, Missing

ENGLISH = pl.DataFrame({"title": ["red bag for kids", "cake stand", None] * 5})
MIXED = pl.DataFrame({"title": ["red bag for kids", "男士跑步鞋", "全脂牛奶"]})


def config(encoder="", languages=()):
    return replace(
        Config(), search=SearchSection(encoder=encoder), shop=ShopSection(languages=languages)
    )


@pytest.mark.parametrize(
    ("encoder", "languages", "titles", "expected"),
    [
        ("", (), ENGLISH, ["minilm"]),
        ("", (), MIXED, ["e5", "minilm"]),
        ("", (), pl.DataFrame({"id": ["1"]}), ["minilm"]),
        ("", ("en",), MIXED, ["minilm"]),
        ("", ("zh", "en"), ENGLISH, ["e5"]),
        ("", ("de",), ENGLISH, ["e5"]),
        ("hashing", ("zh",), MIXED, ["hashing"]),
    ],
)
def test_the_encoder_suits_the_languages(encoder, languages, titles, expected):
    assert encoding.names(config(encoder, languages), [titles]) == expected


def test_titles_of_a_load_and_of_the_shop_tell_together():
    assert encoding.names(config(), [MIXED[:1], ENGLISH]) == ["minilm"]
    assert encoding.names(config(), [ENGLISH[:1], MIXED]) == ["e5", "minilm"]


def test_a_guess_gives_way_where_its_model_is_missing_and_a_wish_does_not(
    tmp_path, monkeypatch, caplog
):
    def find(_, name):
        class Part:
            Config = type("Config", (), {"__dataclass_fields__": {"threads": None}})

            def ensure(self, folder):
                if name == "e5":
                    raise Missing("There is no e5.")
                return folder.name, name

        return Part

    def build(shelf, name, **settings):
        assert settings == {"threads": 2}
        return find(shelf, name)()

    monkeypatch.setattr(registry, "find", find)
    monkeypatch.setattr(registry, "build", build)
    made = encoding.ready(tmp_path, config(), [MIXED], threads=2, unknown=1)
    assert made == ("encoder-minilm", "minilm")
    assert "There is no e5" in caplog.text
    with pytest.raises(Missing):
        encoding.ready(tmp_path, config(languages=("zh",)), [MIXED], threads=2)


def test_a_model_may_lie_in_the_shop(tmp_path, monkeypatch):
    seen = []

    def build(_, name, **settings):
        seen.append(settings["model"])
        return type("Part", (), {"ensure": lambda _, folder: (name, folder)})()

    monkeypatch.setattr(registry, "build", build)
    (tmp_path / "models" / "small").mkdir(parents=True)
    for model in ("models/small", "some/name"):
        told = replace(config("minilm"), parts={"encoders.minilm": {"model": model}})
        encoding.ready(tmp_path, told, [ENGLISH])
    assert seen == [str(tmp_path / "models" / "small"), "some/name"]


def test_languages_are_codes():
    with pytest.raises(ValueError, match="ISO 639-1"):
        ShopSection(languages=("english",))
    with pytest.raises(BadConfig, match="encoder"):
        registry.build("encoders", "minilmm")


def test_the_encoder_says_from_where_on_texts_are_alike_unless_the_shop_does():
    class Near:
        near = 0.25

    told = replace(config(), parts={"search.indexes.learned": {"cosine_min": 0.5}})
    assert train._index(config(), Near()).config.cosine_min == 0.25
    assert train._index(told, Near()).config.cosine_min == 0.5
    assert train._index(config(), object()).config.cosine_min == 0.35
    words = replace(config(), search=SearchSection(index="lexical"))
    assert train._index(words, Near()).config == registry.build("search.indexes", "lexical").config
