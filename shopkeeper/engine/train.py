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
from shopkeeper.contracts import Encoder, Index, Updatable
from shopkeeper.engine import anomalies, encoding, understanding
from shopkeeper.engine.compact import copy_log
from shopkeeper.engine.encoding import encode
from shopkeeper.engine.evaluate import measure, split_of
from shopkeeper.engine.fusion import Fusion
from shopkeeper.engine.known import known_of, lake_of, products_of
from shopkeeper.engine.learn import Known, Learner, learn
from shopkeeper.engine.models import CROSS, INDEX, INDEXED, SALES, UNDERSTANDING, save_fusion
from shopkeeper.engine.models import FUSION as FUSION_FOLDER
from shopkeeper.engine.pictures import Pictures, learn_pictures
from shopkeeper.engine.product_vectors import described
from shopkeeper.engine.report import FUSION, write_report
from shopkeeper.engine.search_order import learn_shop_order
from shopkeeper.engine.update import Previous, learn_on
from shopkeeper.errors import BadData, TooLittle
from shopkeeper.operations.bundles import Bundles
from shopkeeper.schema import (
    EVENT_NAME,
    ITEM,
    LEARN,
    PICTURE_VECTOR,
    PRICE,
    TIME,
    TRANSACTION,
    VECTOR,
)
from shopkeeper.search.suggest import Suggest
from shopkeeper.search.text import fingerprints
from shopkeeper.search.understanding import Understanding
from shopkeeper.tracing import stage

NO_EVENTS = {**LEARN, TRANSACTION: pl.String, PRICE: pl.Int64}


def train(folder: Path, config: Config, *, update: bool = False) -> dict[str, Any]:
    """Learn everything a shop needs, and publish it in one step.

    The ranker learns on held-back periods before the split and is measured on what came after;
    then recommenders and features learn on up to the last event. An update keeps the ranker, see
    `engine.update`. A run that was cut off goes on where its parts can: texts encoded and network
    steps made are kept. A shop where too little happened yet has no ranker: it can search, and its
    recommenders answer in turn as far as they know anything.

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
        loads, known = _read(folder, config)
        if previous is not None and (why := previous.idle(known, data_hash(known))):
            return _told(bundles, began, why=why)
        with stage("encode"):
            encoder, vectors = encode(folder, config, known.products)
        pictures = learn_pictures(folder, config, known.products, vectors)
        known = described(known, vectors, pictures.vectors if pictures else None)
        if previous is None:
            learner, fusion, report, told = _learn_anew(folder, config, known, bundles, checkpoints)
        else:
            previous.check_encoder(encoder)
            learner, fusion, report, told = learn_on(folder, config, known, previous)
        if previous and not told["kept"]:
            return _told(bundles, began, why=told["why"], report=report, update=told)
        with stage("final"):
            fusion = _finish(known, learner, fusion) if fusion else None
        findable = _findable(folder, config, known.products, (encoder, vectors, pictures))
        findable = replace(findable, order_of=previous.folder if previous else None)
        about = _about(known, learner, fusion, report) | {"loads": loads}
        with stage("publish"), bundles.writing(about) as new:
            _write_recommenders(new, learner)
            if fusion:
                save_fusion(fusion, new)
            _write_search(new, folder, config, findable, _sales(known, config))
            about |= _durations(began, previous) | ({"update": told} if previous else {})
        shutil.rmtree(checkpoints, ignore_errors=True)
    return _told(bundles, began, True, told["why"], report, told if previous else None)


def _read(folder: Path, config: Config) -> tuple[list[str], Known]:
    """Return the loads of a shop and what it knows, live events included."""
    lake = lake_of(folder, config)
    if copy_log(lake, folder / "log"):
        anomalies.find(folder, config, lake)
    loads, counts = list(lake.loads()), lake.counts()
    if counts["products"] and not counts["events"]:
        return loads, Known(pl.DataFrame(schema=NO_EVENTS), products_of(folder, config))
    return loads, known_of(folder, config)


def _learn_anew(
    folder: Path, config: Config, known: Known, bundles: Bundles, checkpoints: Path
) -> tuple[Learner, Fusion | None, dict[str, Any] | None, dict[str, Any]]:
    """Learn what was known before the split, and measure it on what came after.

    Where that is too little, recommenders learn all there is, and there is no fusion. That must
    take a ranker from nobody: a shop that has one, or names the split, is told what it lacks.
    """
    try:
        end = split_of(config, known.everything)
        learner, fusion = learn(config, known, end, checkpoints=checkpoints)
        with stage("evaluate"):
            measured = measure(config, known, end, learner.recommenders, fusion)
            report = write_report(folder, config, end, [measured], [learner.seed])
    except TooLittle as error:
        if config.evaluation.split or _has_ranker(bundles):
            raise
        learner = Learner.of(config, checkpoints=checkpoints)
        _fit_some(learner, known)
        why = f"{error} Until then there is no ranker, and recommenders answer in turn."
        return learner, None, None, {"why": why}
    return learner, fusion, report, {"why": ""}


def _has_ranker(bundles: Bundles) -> bool:
    return (
        bool(bundles.versions()) and (bundles.folder / bundles.current() / FUSION_FOLDER).is_dir()
    )


def _fit_some(learner: Learner, known: Known) -> None:
    """Fit every recommender that has something to learn; the others are left out."""
    for name, part in list(learner.recommenders.items()):
        try:
            if known.events.is_empty() and isinstance(part, Updatable):
                raise TooLittle("Without events nobody needs what networks learn with.")
            learner.fit(known, [name])
        except BadData:
            del learner.recommenders[name]


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
    known: Known, learner: Learner, fusion: Fusion | None, report: dict[str, Any] | None
) -> dict[str, Any]:
    """Return what the manifest shall say beside the files and the loads."""
    # A replayed shop lives on from its last event; without one, from now.
    last = known.events[TIME].max() or datetime.now(UTC)
    scores = report["scores"] if report else {}
    return {
        "last_event": last.isoformat(),  # type: ignore[union-attr]
        "data_hash": data_hash(known),
        "products": known.products.height,
        "events": known.events.height,
        "seed": learner.seed,
        "metrics": {
            f"{population}, {metric}": scores[population][FUSION][metric]["mean"]
            for population in scores
            for metric in ("recall", "ndcg")
        },
        "ranker_features": fusion.names() if fusion else [],
        "vector_weights": list(learner.vectors.weights),
    }


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


def _write_recommenders(new: Path, learner: Learner) -> None:
    for name, part in learner.recommenders.items():
        registry.save(part, new / "recommenders" / name)


def _sales(known: Known, config: Config) -> Counter[str]:
    """Count the purchases of each product in the newest three periods."""
    days = config.train.period_days * 3
    bought = known.events.filter(pl.col(EVENT_NAME) == "purchase")
    recent = bought.filter(pl.col(TIME) > pl.col(TIME).max() - timedelta(days=days))
    return Counter(dict(recent.group_by(ITEM).len().iter_rows()))
