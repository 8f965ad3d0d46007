"""Finds a part by name: `shopkeeper/recommenders/popular.py` is the recommender 'popular'.

The name of the file or folder is the name in shop.toml, on the command line and in the docs. A
part is imported only when it is asked for, so an extra that is not installed breaks nothing else.
"""

import dataclasses
import importlib
import json
import pkgutil
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from shopkeeper.errors import BadConfig, unknown

SHELVES = (
    "data.sources",
    "data.checks",
    "data.detectors",
    "encoders",
    "encoders.cross",
    "encoders.images",
    "encoders.speech",
    "search.indexes",
    "recommenders",
    "features",
    "ranking",
    "policies",
)
"""The folders whose every file is one part; a folder that is itself a shelf is no part."""


def names(shelf: str) -> list[str]:
    """List the parts of `shelf`, ours and those of installed plugins, unimported."""
    folder = Path(__file__).parent.joinpath(*shelf.split("."))
    found = (file.name for file in pkgutil.iter_modules([str(folder)]))
    ours = [n for n in found if not n.startswith("_") and f"{shelf}.{n}" not in SHELVES]
    return sorted(ours + [e.name for e in _plugins(shelf)])


def find(shelf: str, name: str) -> Any:
    """Return the class of the part `name` of `shelf`, or raise BadConfig with the nearest name."""
    for plugin in _plugins(shelf):
        if plugin.name == name:
            return plugin.load()
    if name not in names(shelf):
        raise unknown(shelf.rsplit(".", 1)[-1].removesuffix("s"), name, names(shelf))
    module = importlib.import_module(f"shopkeeper.{shelf}.{name}")
    (part,) = [
        found
        for found in vars(module).values()
        if isinstance(found, type) and "Config" in vars(found)
    ]
    return part


@cache
def _plugins(shelf: str) -> tuple[EntryPoint, ...]:
    """Return what other packages put on a shelf; finding out reads every installed package."""
    return tuple(entry_points(group=f"shopkeeper.{shelf}"))


def build(shelf: str, name: str, **settings: Any) -> Any:
    """Make the part `name` of `shelf`, or raise BadConfig saying which word to change."""
    part = find(shelf, name)
    known = {field.name for field in dataclasses.fields(part.Config)}
    for setting in settings:
        if setting not in known:
            raise unknown(f"setting of {shelf}.{name}", setting, known)
    try:
        config = part.Config(**settings)
    except ValueError as error:
        raise BadConfig(f"[{shelf}.{name}] {error}") from error
    made = part(config)
    made.address = (shelf, name)
    return made


def save(part: Any, folder: Path) -> None:
    """Write a part into `folder`: its name and settings here, the rest by itself."""
    folder.mkdir(parents=True, exist_ok=True)
    shelf, name = part.address
    about = {"shelf": shelf, "name": name, "settings": dataclasses.asdict(part.config)}
    (folder / "part.json").write_text(json.dumps(about, indent=2))
    part.save(folder)


def load(folder: Path) -> Any:
    """Make again what `save` wrote."""
    about = json.loads((folder / "part.json").read_text())
    # JSON knows no tuples, settings know no lists.
    settings = {k: tuple(v) if isinstance(v, list) else v for k, v in about["settings"].items()}
    return build(about["shelf"], about["name"], **settings).restore(folder)
