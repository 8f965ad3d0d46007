"""From what a shop knows to a published bundle: learn, measure, learn on to today, publish."""

import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from shopkeeper.engine.models import CROSS, INDEX, INDEXED, SALES, UNDERSTANDING, save_fusion
from shopkeeper.engine.pictures import Pictures, learn_pictures
from shopkeeper.engine.product_vectors import described
from shopkeeper.engine.report import FUSION, write_report
from shopkeeper.engine.search_order import learn_shop_order
from shopkeeper.engine.update import Previous, learn_on
from shopkeeper.operations.bundles import Bundles
from shopkeeper.schema import EVENT_NAME, ITEM, PICTURE_VECTOR, TIME, VECTOR
from shopkeeper.search.suggest import Suggest
from shopkeeper.search.text import fingerprints
from shopkeeper.search.understanding import Understanding
from shopkeeper.tracing import stage


def train(folder: Path, config: Config, *, update: bool = False) -> dict[str, Any]:
    """Learn everything a shop needs, and publish it in one step.

    The ranker learns on held-back periods before the split and is measured on what came after;
    then recommenders and features learn on up to the last event. An update keeps the ranker, see
    `engine.update`. A run that was cut off goes on where its parts can: texts encoded and network
    steps made are kept. A shop without events learns to search alone, by words and pictures.

    Args:
        folder: The shop's folder.
        config: Its settings.
        update: Learn on from the bundle in use, and publish only if nothing is lost.

    Returns:
        `version` in use, whether it was `published` now, `why` of an update, `report` (or None),
        `metrics`, `duration_s`, `full_duration_s` of the last full training (or None), and
        `update`, what an update was judged by.

    Raises:
        BadData: There is too little to learn from.
        BadConfig: The bundle in use cannot be updated to these settings.
        NotFitted: There is no bundle to update.
        Missing: The training extra is not installed.
    """
    began, bundles = time.perf_counter(), Bundles(folder / "bundles")
    checkpoints = folder / "cache" / ("checkpoints-update" if update else "checkpoints")
    with stage("update" if update else "train"):
        previous = Previous.of(config, bundles, checkpoints) if update else None
        lake = lake_of(folder, config)
        if copy_log(lake, folder / "log"):
            anomalies.find(folder, config, lake)
        loads, counts = list(lake.loads()), lake.counts()
        if counts["products"] and not counts["events"] and previous is None:
            return _train_search(folder, config, loads)
        known = known_of(folder, config)
        if previous is not None and (why := previous.idle(known, data_hash(known))):
            return _told(bundles, began, why=why)
        with stage("encode"):
            encoder, vectors = encode(folder, config, known.products)
        pictures = learn_pictures(folder, config, known.products, vectors)
        known = described(known, vectors, pictures.vectors if pictures else None)
        if previous is None:
            learner, fusion, report, told = _learn_anew(folder, config, known, checkpoints)
        else:
            previous.check_encoder(encoder)
            learner, fusion, report, told = learn_on(folder, config, known, previous)
        if told and not told["kept"]:
            return _told(bundles, began, why=told["why"], report=report, update=told)
        with stage("final"):
            fusion = _finish(known, learner, fusion)
        findable = _findable(folder, config, known.products, (encoder, vectors, pictures))
        findable = replace(findable, order_of=previous.folder if previous else None)
        about = _about(known, learner, fusion, report) | {"loads": loads}
        with stage("publish"), bundles.writing(about) as new:
            _write_models(new, learner, fusion)
            _write_search(new, folder, config, findable, _sales(known, config))
            about |= _durations(began, previous) | ({"update": told} if told else {})
        shutil.rmtree(checkpoints, ignore_errors=True)
    return _told(bundles, began, True, (told or {}).get("why", ""), report, told)


def _learn_anew(
    folder: Path, config: Config, known: Known, checkpoints: Path
) -> tuple[Learner, Fusion, dict[str, Any], dict[str, Any] | None]:
    """Learn what was known before the split, and measure it on what came after."""
    end = split_of(config, known.everything)
    learner, fusion = learn(config, known, end, checkpoints=checkpoints)
    with stage("evaluate"):
        measured = measure(config, known, end, learner.recommenders, fusion)
        report = write_report(folder, config, end, [measured], [learner.seed])
    return learner, fusion, report, None


def _durations(began: float, previous: Previous | None) -> dict[str, Any]:
    """Return the seconds so far, and those of the last full training."""
    spent = round(time.perf_counter() - began, 1)
    full = previous.about.get("full_duration_s") if previous else spent
    return {"duration_s": spent, "full_duration_s": full}


def _told(
    bundles: Bundles,
    began: float,
    published: bool = False,
    why: str = "",
    report: dict[str, Any] | None = None,
    update: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what `train` returns."""
    about = bundles.manifest(version := bundles.current())
    return {
        "version": version,
        "published": published,
        "why": why,
        "report": report,
        "metrics": about["metrics"],
        "update": update,
        "duration_s": round(time.perf_counter() - began, 1),
        "full_duration_s": about.get("full_duration_s"),
    }


def data_hash(known: Known) -> str:
    """Return a short text that changes whenever events or products do."""
    digest = hashlib.sha256()
    for table in (known.events, known.products.drop(VECTOR, PICTURE_VECTOR, strict=False)):
        digest.update(table.hash_rows(seed=1).to_numpy().tobytes())
    return digest.hexdigest()[:16]


def _finish(known: Known, learner: Learner, fusion: Fusion) -> Fusion:
    """Fit every recommender and feature to all that is known; the ranker stays as measured."""
    last: datetime = known.events[TIME].max()  # type: ignore[assignment]
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
    began = time.perf_counter()
    products = products_of(folder, config)
    with stage("encode"):
        encoder, vectors = encode(folder, config, products)
    pictures = learn_pictures(folder, config, products, vectors)
    findable = _findable(folder, config, products, (encoder, vectors, pictures))
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
        _write_search(new, folder, config, findable, Counter())
    return _told(bundles, began, published=True)


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
    order_of: Path | None = None
    """A bundle whose order of search is kept; None learns it from past searches."""


def _findable(
    folder: Path,
    config: Config,
    products: pl.DataFrame,
    told: tuple[Encoder, NDArray[np.float32], Pictures | None],
) -> Findable:
    """Learn to understand queries for products, whose encoder, vectors and pictures are `told`."""
    with stage("understanding"):
        reading = understanding.learn(folder, config, products, told[0])
        asked = understanding.asked_often(folder, config, reading)
    return Findable(products, *told, reading, asked)


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
            if found.order_of is not None:
                index.order = getattr(registry.load(found.order_of / INDEX), "order", None)
            else:
                learn_shop_order(folder, config, index, found.products, found.encoder)
    registry.save(index, new / INDEX)
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


def _write_models(new: Path, learner: Learner, fusion: Fusion) -> None:
    """Write what recommends into the new bundle."""
    for name, part in learner.recommenders.items():
        registry.save(part, new / "recommenders" / name)
    save_fusion(fusion, new)


def _sales(known: Known, config: Config) -> Counter[str]:
    """Count the purchases of each product in the newest three periods."""
    days = config.train.period_days * 3
    bought = known.events.filter(pl.col(EVENT_NAME) == "purchase")
    recent = bought.filter(pl.col(TIME) > pl.col(TIME).max() - timedelta(days=days))
    return Counter(dict(recent.group_by(ITEM).len().iter_rows()))
