"""The models of one bundle: what training learned, read back into memory."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from shopkeeper import registry
from shopkeeper.arrays import Ids
from shopkeeper.config import Config
from shopkeeper.contracts import CrossEncoder, Encoder, Index, Recommender
from shopkeeper.engine.clock import Clock
from shopkeeper.engine.finding import QueryVectors
from shopkeeper.engine.fusion import Fusion
from shopkeeper.engine.pictures import Pictures
from shopkeeper.errors import BadData
from shopkeeper.operations.bundles import Bundles
from shopkeeper.schema import ITEM
from shopkeeper.search.suggest import Suggest
from shopkeeper.search.understanding import Understanding

SALES = "sales.parquet"
FUSION = "fusion"
UNDERSTANDING = "search/understanding"
CROSS = "search/cross"
INDEX = "search/index"
INDEXED = "search/indexed.parquet"
"""What of each product the index knows; see `search.text.fingerprints`."""


@dataclass(frozen=True)
class Models:
    """The models of one bundle, restored."""

    version: str
    clock: Clock
    recommenders: Mapping[str, Recommender]
    fusion: Fusion | None
    """None for a shop that had no events to learn from."""
    encoder: Encoder
    index: Index
    indexed: pl.DataFrame | None
    """Fingerprint of each product as the index knows it; None in a bundle made before there were
    any."""
    suggest: Suggest
    understanding: Understanding | None
    """None where the bundle was made before there was any."""
    sales: Mapping[str, float]
    """Baskets by product, in the newest period."""
    pictures: Pictures | None
    """None for a shop whose products had no pictures at hand."""
    cross: CrossEncoder | None = None
    """Who reads the best products beside the query, if the shop wants that."""

    @classmethod
    def restore(cls, config: Config, bundles: Bundles) -> "Models":
        """Read the bundle in use; NotFitted if none was published, BadData if it is damaged."""
        folder = bundles.open(version := bundles.current())
        about = bundles.manifest(version)
        recommenders = {
            path.name: registry.load(path) for path in sorted(folder.glob("recommenders/*"))
        }
        sold = pl.read_parquet(folder / SALES)
        fusion = restore_fusion(folder, recommenders) if (folder / FUSION).is_dir() else None
        reading = folder / UNDERSTANDING
        if fusion is not None and fusion.names() != about.get("ranker_features"):
            raise BadData(
                f"The models of bundle {version} were learned by another version of Shopkeeper. "
                "Run `shopkeeper train` to learn them anew."
            )
        return cls(
            version=version,
            clock=clock_of(config, about),
            recommenders=recommenders,
            fusion=fusion,
            encoder=registry.load(folder / "encoder"),
            index=registry.load(folder / INDEX),
            indexed=pl.read_parquet(known) if (known := folder / INDEXED).is_file() else None,
            suggest=Suggest().restore(folder / "search"),
            understanding=Understanding().restore(reading) if reading.is_dir() else None,
            sales=dict(zip(sold[ITEM].to_list(), sold["baskets"].to_list(), strict=True)),
            pictures=Pictures.restore(folder),
            cross=registry.load(folder / CROSS) if (folder / CROSS).is_dir() else None,
        )

    @cached_property
    def query_vectors(self) -> QueryVectors:
        """The vectors of queries."""
        return QueryVectors(self.encoder)


def save_fusion(fusion: Fusion, folder: Path) -> None:
    """Write the ranker and features into a bundle; recommenders are kept beside them."""
    registry.save(fusion.ranker, folder / FUSION / "ranker")
    for number, feature in enumerate(fusion.features):
        registry.save(feature, folder / FUSION / f"feature-{number:02d}")
    fusion.ids.save(folder / FUSION)
    about = {
        "recommenders": list(fusion.recommenders),
        "pool": fusion.pool,
        "last_basket": list(fusion.last_basket),
    }
    (folder / FUSION / "fusion.json").write_text(json.dumps(about))


def restore_fusion(folder: Path, recommenders: Mapping[str, Recommender]) -> Fusion:
    """Read what `save_fusion` wrote into a bundle, with its recommenders."""
    about = json.loads((folder / FUSION / "fusion.json").read_text())
    return Fusion(
        recommenders={name: recommenders[name] for name in about["recommenders"]},
        features=[registry.load(path) for path in sorted((folder / FUSION).glob("feature-*"))],
        ranker=registry.load(folder / FUSION / "ranker"),
        ids=Ids.load(folder / FUSION),
        pool=about["pool"],
        last_basket=about["last_basket"],
    )


def clock_of(config: Config, about: Mapping[str, Any]) -> Clock:
    """Return the clock of a shop, by the manifest of its bundle."""
    if config.shop.clock == "live":
        return Clock()
    made, last = (datetime.fromisoformat(about[name]) for name in ("made", "last_event"))
    return Clock(made - last)
