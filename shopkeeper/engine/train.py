"""From what a shop knows to a published bundle: learn, measure, learn on to today, publish."""

import hashlib
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper import registry
from shopkeeper.config import Config
from shopkeeper.contracts import Encoder, Index
from shopkeeper.engine import anomalies, encoding, understanding
from shopkeeper.engine.compact import copy_log
from shopkeeper.engine.encoding import encode
from shopkeeper.engine.evaluate import measure, split_of
from shopkeeper.engine.fusion import Fusion
from shopkeeper.engine.known import known_of, lake_of, products_of
from shopkeeper.engine.learn import Known, Learner, learn
from shopkeeper.engine.models import CROSS, INDEXED, SALES, UNDERSTANDING, save_fusion
from shopkeeper.engine.pictures import Pictures, learn_pictures
from shopkeeper.engine.product_vectors import described
from shopkeeper.engine.report import FUSION, write_report
from shopkeeper.engine.search_order import learn_shop_order
from shopkeeper.operations.bundles import Bundles
from shopkeeper.schema import EVENT_NAME, ITEM, PICTURE_VECTOR, TIME, VECTOR
from shopkeeper.search.suggest import Suggest
from shopkeeper.search.text import fingerprints
from shopkeeper.search.understanding import Understanding
from shopkeeper.tracing import stage


def train(folder: Path, config: Config) -> dict[str, Any]:
    """Learn everything a shop needs, and publish it in one step.

    The ranker learns on held-back periods before the split and is measured on what came after;
    then recommenders and features learn on up to the last event. A run that was cut off goes on
    where its parts can: texts encoded and transformer steps made are kept. A shop without events
    learns to search alone, by words and pictures.

    Args:
        folder: The shop's folder.
        config: Its settings.

    Returns:
        `version`, `report` (None without events), `metrics`.

    Raises:
        BadData: There is too little to learn from.
        Missing: The training extra is not installed.
    """
    with stage("train"):
        lake = lake_of(folder, config)
        if copy_log(lake, folder / "log"):
            anomalies.find(folder, config, lake)
        loads, counts = list(lake.loads()), lake.counts()
        if counts["products"] and not counts["events"]:
            return _train_search(folder, config, loads)
        known = known_of(folder, config)
        with stage("encode"):
            encoder, vectors = encode(folder, config, known.products)
        pictures = learn_pictures(folder, config, known.products, vectors)
        known = described(known, vectors, pictures.vectors if pictures else None)
        end = split_of(config, known.everything)
        checkpoints = folder / "cache" / "checkpoints"
        learner, fusion = learn(config, known, end, checkpoints=checkpoints)
        with stage("evaluate"):
            scores = measure(config, known, end, learner, fusion)
            report = write_report(folder, config, end, [scores], [learner.seed])
        last: datetime = known.events[TIME].max()  # type: ignore[assignment]
        with stage("final"):
            fusion = _finish(known, learner, fusion, last)
        with stage("understanding"):
            reading = understanding.learn(folder, config, known.products, encoder)
            asked = understanding.asked_often(folder, config, reading)
        bundles = Bundles(folder / "bundles")
        about = _about(known, learner, fusion, report) | {"loads": loads}
        with stage("publish"), bundles.writing(about) as new:
            for name, part in learner.recommenders.items():
                registry.save(part, new / "recommenders" / name)
            save_fusion(fusion, new)
            findable = Findable(known.products, encoder, vectors, pictures, reading, asked)
            sales = _sales(known, config.train.period_days * 3)
            _write_search(new, folder, config, findable, sales)
        shutil.rmtree(checkpoints, ignore_errors=True)
    return {"version": bundles.current(), "report": report, "metrics": about["metrics"]}


def data_hash(known: Known) -> str:
    """Return a short text that changes whenever events or products do."""
    digest = hashlib.sha256()
    for table in (known.events, known.products.drop(VECTOR, PICTURE_VECTOR, strict=False)):
        digest.update(table.hash_rows(seed=1).to_numpy().tobytes())
    return digest.hexdigest()[:16]


def _finish(known: Known, learner: Learner, fusion: Fusion, last: datetime) -> Fusion:
    """Fit every recommender and feature to all that is known; the ranker stays as measured."""
    learner.fit(known, learner.recommenders)
    finished = learner.fusion(known, last + timedelta(microseconds=1))
    finished.ranker = fusion.ranker
    return finished


def _about(
    known: Known, learner: Learner, fusion: Fusion, report: dict[str, Any]
) -> dict[str, Any]:
    """Return what the manifest shall say beside the files and the loads."""
    last: datetime = known.events[TIME].max()  # type: ignore[assignment]
    return {
        "last_event": last.isoformat(),
        "data_hash": data_hash(known),
        "products": known.products.height,
        "events": known.events.height,
        "seed": learner.seed,
        "metrics": {
            f"{population}, {metric}": report["scores"][population][FUSION][metric]["mean"]
            for population in report["scores"]
            for metric in ("recall", "ndcg")
        },
        "ranker_features": fusion.names(),
        "vector_weights": list(learner.vectors.weights),
    }


def _train_search(folder: Path, config: Config, loads: list[str]) -> dict[str, Any]:
    """Publish a bundle that finds products but recommends none: nobody did anything yet."""
    products = products_of(folder, config)
    with stage("encode"):
        encoder, vectors = encode(folder, config, products)
    pictures = learn_pictures(folder, config, products, vectors)
    with stage("understanding"):
        reading = understanding.learn(folder, config, products, encoder)
        asked = understanding.asked_often(folder, config, reading)
    bundles = Bundles(folder / "bundles")
    about = {
        # A replayed shop lives on from its last event; without one, from now.
        "last_event": datetime.now(UTC).isoformat(),
        "loads": loads,
        "products": products.height,
        "events": 0,
        "metrics": {},
    }
    with stage("publish"), bundles.writing(about) as new:
        findable = Findable(products, encoder, vectors, pictures, reading, asked)
        _write_search(new, folder, config, findable, Counter())
    return {"version": bundles.current(), "report": None, "metrics": {}}


@dataclass(frozen=True)
class Findable:
    """Products and what finds them."""

    products: pl.DataFrame
    encoder: Encoder
    vectors: NDArray[np.float32]
    """One per product, [N, D]."""
    pictures: Pictures | None
    reading: Understanding
    asked: Mapping[str, float]
    """Past searches that may be suggested."""


def _write_search(
    new: Path, folder: Path, config: Config, found: Findable, sales: Counter[str]
) -> None:
    """Write what finds products into the new bundle."""
    registry.save(found.encoder, new / "encoder")
    if found.pictures is not None:
        found.pictures.save(new)
    index = _index(config, found.encoder)
    with stage("index"):
        index.build(found.products, found.vectors)
    if hasattr(index, "order"):
        with stage("order"):
            learn_shop_order(folder, config, index, found.products, found.encoder)
    registry.save(index, new / "search" / "index")
    if (reader := encoding.cross(folder, config)) is not None:
        registry.save(reader, new / CROSS)
    fingerprints(found.products).write_parquet(new / INDEXED)
    Suggest().build(found.products, sales, found.asked).save(new / "search")
    found.reading.save(new / UNDERSTANDING)
    pl.DataFrame(
        {ITEM: list(sales), "baskets": list(sales.values())},
        schema={ITEM: pl.String, "baskets": pl.Float64},
    ).write_parquet(new / SALES)


def _index(config: Config, encoder: Encoder) -> Index:
    """Make the index; unless shop.toml says it, the encoder says from where on texts are alike."""
    name, settings = config.search.index, config.part("search.indexes", config.search.index)
    if "cosine_min" in registry.find("search.indexes", name).Config.__dataclass_fields__:
        near = getattr(encoder, "near", None)
        settings = ({} if near is None else {"cosine_min": near}) | settings
    index: Index = registry.build("search.indexes", name, **settings)
    return index


def _sales(known: Known, days: int) -> Counter[str]:
    """Count the purchases of each product in the newest `days`."""
    bought = known.events.filter(pl.col(EVENT_NAME) == "purchase")
    recent = bought.filter(pl.col(TIME) > pl.col(TIME).max() - timedelta(days=days))
    return Counter(dict(recent.group_by(ITEM).len().iter_rows()))
