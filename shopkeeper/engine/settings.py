"""The settings of a shop, with those of every part on every shelf."""

import dataclasses
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from shopkeeper import config, registry
from shopkeeper.config import Config, Input
from shopkeeper.errors import BadConfig, unknown
from shopkeeper.schema import PRODUCTS


@cache
def parts() -> dict[str, type[Any]]:
    """Return the `Config` class of every part, by address such as `recommenders.ease`."""
    return {
        f"{shelf}.{name}": registry.find(shelf, name).Config
        for shelf in registry.SHELVES
        for name in registry.names(shelf)
    }


def read(folder: Path) -> Config:
    """Read the `shop.toml` of a shop's folder and check every name in it.

    Args:
        folder: The shop's folder.

    Returns:
        The settings.

    Raises:
        NotFound: The folder holds no shop.
        BadConfig: A name or value is wrong.
    """
    found = config.read(folder / config.FILE, parts())
    for shelf, given in _names_in(found):
        registry.find(shelf, given)
    strange = set(found.train.last_basket) - set(found.train.fused)
    if strange:
        raise BadConfig(
            f"[train] last_basket names '{sorted(strange)[0]}', which fused does not. Add it there "
            f"or take it out here."
        )
    found = _without_untrained(found)
    for name, placement in found.placements.items():
        for attribute in set(placement.filters) - set(config.PRICES):
            if attribute not in PRODUCTS:
                raise unknown(f"attribute for [placements.{name}] filters", attribute, PRODUCTS)
        strange = set(placement.sources) - set(found.train.recommenders)
        if strange:
            raise BadConfig(
                f"[placements.{name}] asks '{sorted(strange)[0]}', which [train] recommenders "
                f"does not name. Add it there or take it out here."
            )
    return found


def init(
    folder: Path,
    parts_given: Mapping[str, Mapping[str, Any]] | None = None,
    inputs: Mapping[str, Mapping[str, Any]] | None = None,
    **shop: Any,
) -> Path:
    """Write a `shop.toml` with every default into `folder`, which must not hold one.

    Args:
        folder: Where the shop will live; made if it is not there.
        parts_given: Settings of parts that are not the defaults, by address.
        inputs: What to load, each with the values of `config.Input`, by name.
        **shop: Values by section, such as `shop={"currency": "EUR"}`; the shop's currency is also
            that of its sources.

    Returns:
        The file written.

    Raises:
        BadConfig: There is a shop already, or a name or value is wrong.
    """
    path = folder / config.FILE
    if path.exists():
        raise BadConfig(f"'{path}' is there already. Change it, or choose another folder.")
    try:
        read = {name: Input(**given) for name, given in (inputs or {}).items()}
        sections = {
            name: dataclasses.replace(getattr(Config(), name), **values)
            for name, values in shop.items()
        }
    except (TypeError, ValueError, AttributeError) as error:
        raise BadConfig(f"These settings cannot be: {error}.") from error
    given = {address: dict(values) for address, values in (parts_given or {}).items()}
    money = sections.get("shop", Config().shop).currency
    for source in {each.source for each in read.values()}:
        if "currency" in registry.find("data.sources", source).Config.__dataclass_fields__:
            given.setdefault(f"data.sources.{source}", {}).setdefault("currency", money)
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    written = Config(**sections, inputs=read, parts=given)
    partial.write_text(config.write(written, parts()), "utf-8")
    partial.replace(path)
    return path


def put(folder: Path, address: str, values: Mapping[str, Any], why: str) -> Path:
    """Write settings of one part into `shop.toml`; the rest stays as it is.

    Args:
        folder: The shop's folder.
        address: The part, such as `encoders.minilm`.
        values: What to set, by name; those that are there are replaced.
        why: A few words that are written behind each value.

    Returns:
        The file.

    Raises:
        BadConfig: A name or value is wrong; the file is left alone.
    """
    path = folder / config.FILE
    config.set_values(path, address, values, why, parts())
    return path


def _without_untrained(found: Config) -> Config:
    """Leave out of placements that nobody wrote down what the shop does not train."""
    trained = set(found.train.recommenders)
    placements = dict(found.placements)
    for name, placement in config.PLACEMENTS.items():
        if placements[name] == placement:
            sources = tuple(source for source in placement.sources if source in trained)
            if sources:
                placements[name] = dataclasses.replace(placement, sources=sources)
            else:
                del placements[name]
    return dataclasses.replace(found, placements=placements)


def _names_in(found: Config) -> list[tuple[str, str]]:
    named = [("data.sources", each.source) for each in found.inputs.values()]
    named += [("ranking", found.train.ranker)]
    named += [("search.indexes", found.search.index), ("encoders.speech", found.search.speech)]
    named += [("encoders", found.search.encoder)] if found.search.encoder else []
    named += [("encoders.cross", name) for name in (found.search.cross,) if name]
    named += [("encoders.images", name) for name in (found.search.pictures,) if name]
    named += [("recommenders", name) for name in found.train.recommenders + found.train.fused]
    named += [("features", name) for name in found.train.features]
    for placement in found.placements.values():
        named += [("recommenders", name) for name in placement.sources + placement.fallback]
        named += [("policies", name) for name in placement.policies]
    return named
