"""Compresses the text encoder of a shop, or that of a folder, and puts what was chosen to use."""

import shutil
from pathlib import Path
from typing import Any

import polars as pl

from shopkeeper import registry
from shopkeeper.config import Config
from shopkeeper.engine import encoding, past_searches, settings
from shopkeeper.engine.compress import Compressed, Wish, compress
from shopkeeper.engine.compress_ground import ground
from shopkeeper.engine.known import lake_of, products_of
from shopkeeper.errors import BadConfig, BadData
from shopkeeper.evaluation.judged import Judged, judge, read_products

MODELS = "models"
"""Folder of a shop with models of its own."""


def compress_shop(
    folder: Path,
    config: Config,
    wish: Wish,
    *,
    files: tuple[Path, Path] | None = None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Make the text encoder of a shop smaller, and have the shop use it from the next training on.

    Args:
        folder: The shop's folder.
        config: Its settings.
        wish: How small, and at what price.
        files: Queries and judgements of the shop's products, as for `benchmark search`; without
            them past searches judge, or the products alone.
        dry_run: Whether to write nothing but what the next run goes on with.

    Returns:
        `table` (a row for each candidate), `chosen` (settings that differ from those of now),
        `written` (whether shop.toml says them), `by` and `queries` (what judged).

    Raises:
        BadConfig: The encoder has no model, or shop.toml cannot be written.
        BadData: The shop has no products, or too few.
        Missing: The training extra is not installed.
    """
    products = products_of(folder, config)
    if products.is_empty():
        raise BadData("This shop has no products yet. Run `shopkeeper ingest` first.")
    judged = judge(products, *files) if files else None
    seen = (
        past_searches.ended(folder, config).iter_rows()
        if lake_of(folder, config).counts()["events"]
        else ()
    )
    encoder = encoding.ready(folder, config, [products])
    work = folder / "cache" / "compress"
    found = compress(encoder, ground(products, judged, seen, wish.seed), wish, work)
    name = encoder.address[1]
    target = f"{MODELS}/{name}-{found.chosen.layers}-layers"
    changed = _changed(found, target)
    if changed and not dry_run:
        if found.model is not None:
            _copy(found.model, folder / target)
            # An export of an older model of that name would be taken for that of this one.
            (folder / "cache" / f"encoder-{name}" / "encoder.json").unlink(missing_ok=True)
        settings.put(folder, f"encoders.{name}", changed, "by shopkeeper compress")
    if not dry_run:
        shutil.rmtree(work, ignore_errors=True)
    return _told(found, changed, written=bool(changed) and not dry_run) | {"encoder": name}


def compress_model(
    model: str,
    texts: Path,
    target: Path,
    wish: Wish,
    *,
    encoder: str = "minilm",
    files: tuple[Path, Path] | None = None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Make any text model smaller, judged by a table of products, without a shop.

    Args:
        model: A folder, or a name that the encoder knows.
        texts: A table of products: `id`, `title` and whatever else is known.
        target: Where the smaller model goes, if fewer layers are chosen.
        wish: How small, and at what price.
        encoder: The part of the shelf `encoders` that runs it.
        files: Queries and judgements of these products.
        dry_run: Whether to write nothing but what the next run goes on with.

    Returns:
        As `compress_shop`.

    Raises:
        BadConfig: The encoder has no model, or the target is there already.
        BadData: The table cannot be read, or has too few products.
        Missing: The training extra or the model is not installed.
    """
    if target.exists() and not dry_run:
        raise BadConfig(f"'{target}' is there already. Name another folder by --out.")
    products: pl.DataFrame = read_products(texts)
    judged: Judged | None = judge(products, *files) if files else None
    work = target.with_name(f".{target.name}.work")
    given = {"model": model} if model else {}
    made = registry.build("encoders", encoder, **given).ensure(work / "now")
    found = compress(made, ground(products, judged, (), wish.seed), wish, work / "candidates")
    changed = _changed(found, str(target))
    if found.model is not None and not dry_run:
        _copy(found.model, target)
    if not dry_run:
        shutil.rmtree(work, ignore_errors=True)
    written = found.model is not None and not dry_run
    return _told(found, changed, written=written) | {"encoder": encoder}


def _changed(found: Compressed, target: str) -> dict[str, Any]:
    """Return the settings that differ from those of now."""
    one, now = found.chosen, found.now
    changed: dict[str, Any] = {"model": target} if found.model is not None else {}
    changed |= {"width": one.width} if one.width != now.width else {}
    return changed | ({"precision": one.precision} if one.precision != now.precision else {})


def _told(found: Compressed, changed: dict[str, Any], *, written: bool) -> dict[str, Any]:
    return {
        "table": found.rows, "chosen": changed, "written": written, "by": found.by,
        "queries": found.queries,
    }  # fmt: skip


def _copy(model: Path, target: Path) -> None:
    """Put a model's folder in its place in one step."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(model, draft)
    shutil.rmtree(target, ignore_errors=True)
    draft.replace(target)
