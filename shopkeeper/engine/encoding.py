"""Which text encoder a shop uses, ready to encode, and what it says of the products.

The one that [search] names; else `minilm` for a shop in English and `e5` for any other, by
[shop] languages or, without those, by the titles.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper import registry
from shopkeeper.config import Config
from shopkeeper.contracts import Encoder
from shopkeeper.encoders import VectorCache
from shopkeeper.errors import Missing
from shopkeeper.search.languages import languages
from shopkeeper.search.text import product_text
from shopkeeper.tracing import stage

ENGLISH, MANY = "minilm", "e5"
TITLES_MAX = 5_000
"""So many titles are looked at, spread over the catalogue."""

_log = logging.getLogger(__name__)


def names(config: Config, tables: Sequence[pl.DataFrame]) -> list[str]:
    """Name the encoders to try, the one that suits the shop first.

    Args:
        config: What the shop says of encoder and languages.
        tables: `schema.PRODUCTS` rows, whose titles tell the languages where the shop does not.

    Returns:
        One name; or two where only titles tell, since a guess must not keep a shop from training.
    """
    if config.search.encoder:
        return [config.search.encoder]
    if config.shop.languages:
        return [ENGLISH if set(config.shop.languages) == {"en"} else MANY]
    found = languages(_titles(tables))
    return [ENGLISH] if set(found) <= {"en"} else [MANY, ENGLISH]


def ready(folder: Path, config: Config, tables: Sequence[pl.DataFrame], **settings: Any) -> Any:
    """Return the encoder of a shop, exported if that was not done yet.

    Args:
        folder: The shop's folder, whose `cache` keeps the exported encoder.
        config: Names the encoder, or the languages.
        tables: `schema.PRODUCTS` rows.
        **settings: Settings that count where the encoder has them and shop.toml is silent.

    Returns:
        A `contracts.Encoder`.

    Raises:
        Missing: The training extra or the model is not installed.
    """
    wanted, *others = names(config, tables)
    try:
        return _made(wanted, folder, config, settings)
    except Missing as error:
        if not others:
            raise
        _log.warning(
            "the titles are not all in English, but %s takes the place of %s: %s "
            "Name the shop's languages or its encoder in shop.toml to be asked no more.",
            *(others[0], wanted, error),
        )
        return _made(others[0], folder, config, settings)


def _made(name: str, folder: Path, config: Config, settings: dict[str, Any]) -> Any:
    fields = registry.find("encoders", name).Config.__dataclass_fields__
    fitting = {key: value for key, value in settings.items() if key in fields}
    encoder = registry.build(
        "encoders", name, **(fitting | _given(folder, config, "encoders", name))
    )
    return encoder.ensure(folder / "cache" / f"encoder-{name}")


def encode(
    folder: Path, config: Config, products: pl.DataFrame
) -> tuple[Encoder, NDArray[np.float32]]:
    """Turn the products' texts into vectors [N, D]; texts known from an earlier run are not redone.

    Args:
        folder: The shop's folder, whose `cache` keeps the exported encoder and known vectors.
        config: Names the encoder, or the languages that choose it.
        products: The catalogue.

    Returns:
        The encoder, ready, and one vector per product.
    """
    with stage("export"):
        encoder = ready(folder, config, [products], threads=config.store.threads)
    with stage("vectors", f"{products.height:,} products"):
        cache = VectorCache(folder / "cache" / "vectors")
        return encoder, cache.encode(encoder, product_text(products).to_list())


def cross(folder: Path, config: Config) -> Any:
    """Return the cross-encoder of a shop, exported if that was not done yet; None if it has none.

    Args:
        folder: The shop's folder.
        config: Names it.

    Returns:
        A `contracts.CrossEncoder`.

    Raises:
        Missing: The training extra or the model is not installed.
        BadConfig: It names no model.
    """
    name = config.search.cross
    if not name:
        return None
    part = registry.build("encoders.cross", name, **_given(folder, config, "encoders.cross", name))
    return part.ensure(folder / "cache" / f"cross-{name}")


def _given(folder: Path, config: Config, shelf: str, name: str) -> dict[str, Any]:
    """Return what shop.toml says of a part; its model may lie in the shop's folder."""
    given = config.part(shelf, name)
    if given.get("model") and (folder / given["model"]).is_dir():
        given["model"] = str((folder / given["model"]).resolve())
    return given


def _titles(tables: Sequence[pl.DataFrame]) -> list[str]:
    titles = [title for table in tables if "title" in table.columns for title in table["title"]]
    return [title for title in titles[:: max(1, len(titles) // TITLES_MAX)] if title]
