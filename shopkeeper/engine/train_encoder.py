"""Tunes the text encoder of a shop on the shop itself, and lets it in only if it is better."""

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from shopkeeper import registry
from shopkeeper.config import Config
from shopkeeper.encoders import VectorCache, _weights
from shopkeeper.engine import encoding, settings, shop_lessons
from shopkeeper.engine.files import write_reports
from shopkeeper.engine.known import known_of, products_of
from shopkeeper.engine.search_lessons import CROSS, Course, Lift, tune_encoder
from shopkeeper.engine.shop_lessons import BASKET, ShopLessons
from shopkeeper.errors import BadConfig, BadData
from shopkeeper.pages.report import evaluation_html
from shopkeeper.tracing import stage

MODELS = "models"
"""Folder of a shop where its own models lie."""
ORIGIN = "tuned.json"
"""File of a tuned model that says what it was tuned from, and how well it did."""
TAUGHT = "taught"
WORDS = {
    "search": "past searches",
    "description": "descriptions of products",
    "category": "names of categories",
}


def train_encoder(
    folder: Path,
    config: Config,
    course: Course,
    *,
    kinds: Sequence[str] = tuple(shop_lessons.KINDS),
    dry_run: bool = False,
) -> dict[str, Any]:
    """Tune the encoder on what belongs together in the shop; publish it if it is better.

    It starts from the model that the shop's encoder was made of at first, never from one that was
    tuned before: that one may know the questions that judge. A run that was cut off goes on.

    Args:
        folder: The shop's folder.
        config: Its settings.
        course: How it learns. A cross-encoder that is taught on the way stays in the shop too, and
            [encoders.cross.cross_encoder] names it.
        kinds: What to learn from; names of `shop_lessons.KINDS`, or `basket`.
        dry_run: Measure alone; `shop.toml` stays as it is.

    Returns:
        `encoder`, `method`, `counts` (pairs by kind), `judged_on`, `queries`, `before`, `after`
        (nDCG@10), `low` and `high` of the difference, `kept`, `model` (the new value of the
        setting, or None), `report` (a file), `seconds`.

    Raises:
        BadConfig: The encoder learns nothing.
        BadData: There is too little to learn from, or to judge by.
        Missing: The training extra is not installed.
    """
    began = time.monotonic()
    products = products_of(folder, config)
    if products.is_empty():
        raise BadData("This shop has no products yet. Run `shopkeeper ingest` first.")
    name = encoding.names(config, [products])[0]
    origin = _origin(folder, config, name)
    encoder = _untuned(folder, config, name, origin)
    with stage("lessons"):
        events = known_of(folder, config).events if BASKET in kinds else pl.DataFrame()
        learned = shop_lessons.learn_from(
            folder, config, products, events, kinds, course.tuning.seed
        )
        # Only its words are asked, for texts that are easily taken for the right one.
        lexical = registry.build("search.indexes", "lexical").build(products, None)
    work = folder / "cache" / "tuning"
    cache = VectorCache(folder / "cache" / "vectors")
    _, lift = tune_encoder(encoder, learned.lessons, learned.held, lexical, work, course, cache)
    told = {"from": origin, "lift": asdict(lift), TAUGHT: learned.lessons.digests()}
    model = None if dry_run else _publish(folder, name, work, told, lift.kept)
    shutil.rmtree(work, ignore_errors=True)
    found = _found(lift, learned) | {
        "encoder": name, "from": origin, "method": course.tuning.method, "model": model,
        "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip
    page = evaluation_html(_report(config, found, lift, learned))
    return found | {"report": str(write_reports(folder / "reports", "encoder", found, page))}


def _untuned(folder: Path, config: Config, name: str, origin: str) -> Any:
    """Return the encoder as it came."""
    with stage("export"):
        given = config.part("encoders", name) | {"model": origin, "threads": config.store.threads}
        encoder = registry.build("encoders", name, **given)
        return encoder.ensure(folder / "cache" / f"encoder-{name}-origin")


def _found(lift: Lift, learned: ShopLessons) -> dict[str, Any]:
    return {
        "counts": learned.counts, "judged_on": learned.judged_on, "queries": lift.queries,
        "before": lift.before, "after": lift.after, "low": lift.gain.low, "high": lift.gain.high,
        "kept": lift.kept, "curve": list(lift.curve),
    }  # fmt: skip


def _origin(folder: Path, config: Config, name: str) -> str:
    """Return the model that the encoder was made of before anything was tuned."""
    part = registry.find("encoders", name)
    usual = getattr(part.Config(), "model", None)
    if usual is None:
        raise BadConfig(
            f"The encoder '{name}' learns nothing. Name one with a model in [search] encoder."
        )
    model: str = config.part("encoders", name).get("model", usual)
    for place in (folder / model, Path(model)):
        if (place / ORIGIN).is_file():
            return str(json.loads((place / ORIGIN).read_text("utf-8"))["from"])
    return str(folder / model) if (folder / model).is_dir() else model


def taught(folder: Path, config: Config, name: str) -> set[str]:
    """Return the digests of the queries that the shop's encoder learned from; see `digest`."""
    model = config.part("encoders", name).get("model", "")
    file = folder / model / ORIGIN
    if not model or not file.is_file():
        return set()
    return set(json.loads(file.read_text("utf-8")).get(TAUGHT, ()))


def _publish(folder: Path, name: str, work: Path, told: dict[str, Any], better: bool) -> str | None:
    """Put the tuned model into the shop if it is better, and a cross-encoder if there is one."""
    if (work / CROSS).is_dir():
        _keep(folder, "cross.cross_encoder", work / CROSS, "taught on this shop")
    if not better:
        return None
    model = work / "model"
    (model / ORIGIN).write_text(json.dumps(told, indent=1), "utf-8")
    lift = told["lift"]
    why = f"tuned on this shop: nDCG@10 {lift['before']:.3f} to {lift['after']:.3f}"
    return _keep(folder, name, model, why)


def _keep(folder: Path, name: str, model: Path, why: str) -> str:
    """Put a model beside earlier ones, and name it in `shop.toml`; return its name there."""
    digest = _weights.digest(model / "model.safetensors")[:12]
    place = f"{MODELS}/{name.rsplit('.', 1)[-1]}-{digest}"
    (folder / MODELS).mkdir(exist_ok=True)
    shutil.rmtree(folder / place, ignore_errors=True)
    model.replace(folder / place)
    settings.put(folder, f"encoders.{name}", {"model": place}, why)
    return place


def _report(
    config: Config, found: dict[str, Any], lift: Lift, learned: ShopLessons
) -> dict[str, Any]:
    verdict = (
        "It is significantly better and is used from the next `shopkeeper train` on."
        if lift.kept
        else "It is not significantly better, so the shop keeps the encoder that it had."
    )
    rows = [
        {"label": label, "value": value, "low": value, "high": value}
        for label, value in (("before", lift.before), ("after", lift.after))
    ]
    curve = [{"x": at + 1, "y": value} for at, value in enumerate(lift.curve)]
    return {
        "title": f"Text encoder of {config.shop.name}",
        "notes": [
            f"'{found['encoder']}' was tuned ({found['method']}) and judged on "
            f"{lift.queries:,} {WORDS[learned.judged_on]} that it had not seen, over the whole "
            "catalogue, by its vectors alone.",
            f"nDCG@10 {lift.before:.4f} before, {lift.after:.4f} after; difference "
            f"{lift.gain.low:+.4f} to {lift.gain.high:+.4f} (95 %, paired by question). {verdict}",
        ],
        "tables": [
            {"title": "Learned from", "columns": ["kind", "pairs"],
             "rows": [list(pair) for pair in learned.counts.items()]},
        ],
        "plots": [
            {"title": "nDCG@10", "kind": "interval", "rows": rows},
            *([{"title": "nDCG@10 after each epoch, among few products", "kind": "line",
                "rows": curve}] if curve else []),
        ],
    }  # fmt: skip
