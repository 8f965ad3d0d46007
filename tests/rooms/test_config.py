"""shop.toml: every default written out, read back the same, mistakes named."""

import itertools

import pytest

from shopkeeper import config
from shopkeeper.engine.settings import parts, read
from shopkeeper.errors import BadConfig, NotFound


def write(folder, text):
    (folder / config.FILE).write_text(text)
    return folder


def test_written_defaults_read_back_the_same(tmp_path):
    text = config.write(config.Config(), parts())
    again = config.read(write(tmp_path, text) / config.FILE, parts())
    assert again.train == config.TrainSection()
    assert again.placements == config.PLACEMENTS
    assert config.write(again, parts()) == text


def test_every_setting_is_written_with_a_comment():
    lines = config.write(config.Config(), parts()).splitlines()
    for before, line in itertools.pairwise(lines):
        if " = " in line and not line.startswith("#"):
            assert before.startswith("# "), line


def test_a_setting_is_read_and_the_rest_keeps_its_default(tmp_path):
    read_back = read(write(tmp_path, "[serving]\nport = 9000\n[recommenders.ease]\n"))
    assert read_back.serving.port == 9000
    assert read_back.serving.host == "127.0.0.1"


def test_a_part_gets_its_own_settings(tmp_path):
    found = read(write(tmp_path, "[recommenders.popular]\nhalf_life_days = 3\n"))
    assert found.part("recommenders", "popular") == {"half_life_days": 3.0}


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[servin]\nport = 1\n", "Did you mean 'serving'"),
        ("[serving]\nprot = 1\n", "Did you mean 'port'"),
        ("[recommenders.populr]\nhalf_life_days = 1\n", "Did you mean 'recommenders.popular'"),
        ("[recommenders.popular]\nhalf_life_day = 1\n", "Did you mean 'half_life_days'"),
        ("[search.indexes.hybird]\nx = 1\n", "Did you mean 'search.indexes.hybrid'"),
        ("[placements.home]\nsorces = ['ease']\n", "Did you mean 'sources'"),
        ("[serving]\nport = 'x'\n", "port must be int, but is 'x'"),
        ("[serving]\nport = -1\n", "port must be at least 0, got -1"),
        ("[serving\n", "is not TOML"),
        ("port = 1\n", "top of the file"),
    ],
)
def test_a_mistake_names_what_to_change(tmp_path, text, hint):
    with pytest.raises(BadConfig, match=hint):
        read(write(tmp_path, text))


def test_a_folder_without_settings_says_how_to_make_a_shop(tmp_path):
    with pytest.raises(NotFound, match="shopkeeper init"):
        read(tmp_path)
