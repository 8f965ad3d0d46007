"""A shop starts from another: where the network lies from which `sequential` begins to learn."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from shopkeeper.config import FILE, Config
from shopkeeper.errors import BadConfig, NotFitted, NotFound
from shopkeeper.operations.bundles import Bundles

ADDRESS = "recommenders.sequential"
SETTING = "start_from"
SHAPE = ("width", "blocks", "heads", "history_max", "content_numbers")
"""Settings that two networks must share, taken over from the one to start from."""


def starting(folder: Path, config: Config, other: Path | None = None) -> Config:
    """Return the settings of a shop, with the network to start from found.

    Args:
        folder: The shop's folder, from which a `start_from` in its settings is seen.
        config: Its settings.
        other: The folder of another shop, or of a saved `sequential`; None takes what the settings
            name, if anything.

    Returns:
        Settings that name the folder of a saved `sequential`, and its sizes.

    Raises:
        NotFound: There is no such folder, or that shop was never trained.
        BadConfig: That shop's bundle has no `sequential`, or this shop does not train one.
    """
    given = config.part("recommenders", "sequential")
    named = given.get(SETTING, "") if other is None else str(other.resolve())
    if not named:
        return config
    if "sequential" not in (*config.train.recommenders, *config.train.fused):
        raise BadConfig(
            "This shop does not train `sequential`, which starts from another shop. Name it under "
            "[train] recommenders."
        )
    found = _network(folder / named)
    sizes = _sizes(found)
    if other is None:
        # What shop.toml says itself holds; the recommender tells what does not fit.
        sizes = {name: value for name, value in sizes.items() if name not in given}
    parts = {**config.parts, ADDRESS: given | sizes | {SETTING: str(found.resolve())}}
    return replace(config, parts=parts)


def _network(place: Path) -> Path:
    """Return the folder of a saved `sequential`: this one, or that of the shop which lies here."""
    if (place / FILE).is_file():
        bundles = Bundles(place / "bundles")
        try:
            place = bundles.open(bundles.current()) / "recommenders" / "sequential"
        except NotFitted as error:
            raise NotFound(f"The shop in '{place}' was never trained. Train it first.") from error
        if not place.is_dir():
            raise BadConfig(
                f"The bundle in use of that shop has no `sequential` ('{place}'). Name it under "
                "[train] recommenders there, and train."
            )
    if not (place / "part.json").is_file():
        raise NotFound(
            f"There is no shop and no saved recommender in '{place}'. Give the folder of a shop "
            "that was trained."
        )
    return place


def _sizes(place: Path) -> dict[str, Any]:
    settings = json.loads((place / "part.json").read_text())["settings"]
    return {name: settings[name] for name in SHAPE if name in settings}
