"""Settings are changed in a file that a person wrote, and nothing else of it."""

from dataclasses import dataclass

import pytest

from shopkeeper import config
from shopkeeper.errors import BadConfig

TEXT = """# My shop
[shop]
# What it is called.
name = "Mugs"   # really

[encoders.minilm]
tokens_max = 64
"""


@dataclass(frozen=True, kw_only=True)
class MiniLM:
    tokens_max: int = 64
    model: str = ""
    widths: tuple[int, ...] = ()


PARTS = {"encoders.minilm": MiniLM, "encoders.e5": MiniLM}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "shop.toml"
    path.write_text(TEXT)
    return path


def test_a_value_is_set_with_a_reason_and_the_rest_stays(file):
    config.set_values(file, "encoders.minilm", {"model": "m/1", "widths": (3, 4)}, "why", PARTS)
    text = file.read_text()
    assert text.startswith(TEXT.rstrip("\n"))
    assert 'model = "m/1" # why' in text
    assert config.read(file, PARTS).part("encoders", "minilm")["widths"] == (3, 4)
    config.set_values(file, "encoders.minilm", {"model": "m/2"}, "again", PARTS)
    assert config.read(file, PARTS).part("encoders", "minilm")["model"] == "m/2"
    assert file.read_text().count("model =") == 1


def test_a_section_that_lacks_is_added(file):
    config.set_values(file, "encoders.e5", {"tokens_max": 32}, "short", PARTS)
    config.set_values(file, "shop", {"currency": "EUR"}, "moved", PARTS)
    found = config.read(file, PARTS)
    assert found.part("encoders", "e5") == {"tokens_max": 32}
    assert (found.shop.name, found.shop.currency) == ("Mugs", "EUR")


@pytest.mark.parametrize("values", [{"modle": "x"}, {"model": 3}])
def test_what_could_not_be_read_again_leaves_the_file_alone(file, values):
    with pytest.raises(BadConfig):
        config.set_values(file, "encoders.minilm", values, "why", PARTS)
    assert file.read_text() == TEXT
    assert list(file.parent.iterdir()) == [file]


def test_a_file_that_is_not_toml_is_named(file):
    file.write_text("[shop")
    with pytest.raises(BadConfig, match=r"shop\.toml' is not TOML"):
        config.set_values(file, "shop", {"name": "x"}, "why", PARTS)
