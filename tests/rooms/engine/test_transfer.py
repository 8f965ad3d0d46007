"""Which network a shop starts from is found in settings and folders, or said in one line."""

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shopkeeper import registry
from shopkeeper.cli.main import app
from shopkeeper.config import Config, TrainSection
from shopkeeper.engine.transfer import starting
from shopkeeper.errors import BadConfig, NotFound, ShopkeeperError
from shopkeeper.operations.bundles import Bundles


class Learned:
    """A recommender as far as the registry looks at it when it saves."""

    address = ("recommenders", "sequential")

    def __init__(self, **settings):
        self.config = registry.find("recommenders", "sequential").Config(**settings)

    def save(self, folder):
        pass


@pytest.fixture
def other(tmp_path):
    """A shop whose bundle in use has a `sequential` of width 32 that reads content."""
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "shop.toml").write_text("")
    with Bundles(folder / "bundles").writing({"last_event": "2024-01-01"}) as new:
        registry.save(Learned(width=32, content_numbers=16), new / "recommenders" / "sequential")
    return folder


def test_a_shop_starts_from_the_bundle_in_use_of_another_with_its_sizes(other, tmp_path):
    mine = tmp_path / "mine"
    config = starting(mine, Config(), other)
    part = config.part("recommenders", "sequential")
    assert part["width"] == 32
    assert part["content_numbers"] == 16
    assert (other / "bundles").resolve() in Path(part["start_from"]).parents
    assert starting(mine, config) == config


@pytest.mark.usefixtures("other")
def test_what_settings_name_is_seen_from_the_shops_folder_and_their_sizes_hold(tmp_path):
    named = {"start_from": "../other", "content_numbers": 8}
    config = replace(Config(), parts={"recommenders.sequential": named})
    (tmp_path / "mine").mkdir()
    part = starting(tmp_path / "mine", config).part("recommenders", "sequential")
    assert part["start_from"].endswith("recommenders/sequential")
    assert part["content_numbers"] == 8


def test_a_shop_that_starts_from_none_keeps_its_settings(tmp_path):
    config = Config()
    assert starting(tmp_path, config) is config


def test_what_cannot_be_started_from_is_said(other, tmp_path):
    with pytest.raises(NotFound, match="no shop and no saved recommender"):
        starting(tmp_path, Config(), tmp_path / "nowhere")
    untrained = tmp_path / "untrained"
    untrained.mkdir()
    (untrained / "shop.toml").write_text("")
    with pytest.raises(NotFound, match="was never trained"):
        starting(tmp_path, Config(), untrained)
    with Bundles(untrained / "bundles").writing({"last_event": "2024-01-01"}) as new:
        (new / "sales.parquet").write_text("")
    with pytest.raises(BadConfig, match="has no `sequential`"):
        starting(tmp_path, Config(), untrained)
    without = replace(Config(), train=TrainSection(recommenders=("popular",), fused=("popular",)))
    with pytest.raises(BadConfig, match="does not train `sequential`"):
        starting(tmp_path, without, other)


def test_the_command_refuses_a_folder_that_is_no_shop(tmp_path):
    (tmp_path / "shop.toml").write_text("")
    run = CliRunner().invoke(
        app, ["train", "--shop", str(tmp_path), "--from", str(tmp_path / "none")]
    )
    assert run.exit_code != 0
    assert isinstance(run.exception, ShopkeeperError) or "no shop" in run.output
