"""`shopkeeper compress`: a smaller, faster text encoder, as far as it finds as much."""

from pathlib import Path
from typing import Annotated, Any

import typer

from shopkeeper.cli._show import AsJson, ShopFolder, emit, table
from shopkeeper.engine import settings
from shopkeeper.errors import BadConfig

COLUMNS = (
    "layers", "precision", "width", "onnx_mb", "vector_bytes", "texts_per_s", "ndcg@10",
    "recall@10", "loss", "low", "high", "same_nearest", "chosen",
)  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(compress)


def compress(  # noqa: PLR0913
    loss: Annotated[
        float, typer.Option(help="Share of nDCG@10 that may be lost at most, such as .01.")
    ] = 0.01,
    minutes: Annotated[float, typer.Option(help="Time to teach each smaller model.")] = 4.0,
    layers: Annotated[
        list[int] | None,
        typer.Option(help="Layers a smaller model keeps, again for more; else some shares."),
    ] = None,
    queries: Annotated[
        Path | None, typer.Option(help="`query_id,query`, with --judgements.")
    ] = None,
    judgements: Annotated[
        Path | None, typer.Option(help="`query_id,id,grade` of the products.")
    ] = None,
    model: Annotated[str, typer.Option(help="Compress this model instead of a shop's.")] = "",
    texts: Annotated[
        Path | None, typer.Option(help="With --model: products, `id,title,...`.")
    ] = None,
    encoder: Annotated[str, typer.Option(help="With --model: who runs it.")] = "minilm",
    out: Annotated[
        Path | None, typer.Option(help="With --model: folder of the smaller model.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed and data, same models.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure, but write nothing.")] = False,
    shop: ShopFolder = Path(),
    json: AsJson = False,
) -> None:
    """Make the shop's text encoder smaller and faster, within a stated loss.

    Tries fewer layers, taught by the whole model on the shop's own texts, other precisions and
    narrower vectors; the fastest within --loss goes into shop.toml. Past searches judge, or
    --queries and --judgements, or else the products alone. A run that was cut off goes on.

    Example: shopkeeper compress --shop myshop --loss .02 --minutes 5
    """
    from shopkeeper.engine.compress import Wish
    from shopkeeper.engine.compress_shop import compress_model, compress_shop

    wish = Wish(loss=loss, minutes=minutes, layers=tuple(layers or ()), seed=seed)
    if (queries is None) != (judgements is None):
        raise BadConfig("--queries and --judgements belong together. Give both.")
    files = (queries, judgements) if queries and judgements else None
    if bool(model) != (texts is not None):
        raise BadConfig("--model and --texts belong together. Give both, or none for a shop.")
    if texts is not None:
        target = out or Path(f"{Path(model).name}-small")
        found = compress_model(
            model, texts, target, wish, encoder=encoder, files=files, dry_run=dry_run
        )
    else:
        found = compress_shop(shop, settings.read(shop), wish, files=files, dry_run=dry_run)
    emit(found) if json else _show(found, loss, shop)


def _show(found: dict[str, Any], loss: float, shop: Path) -> None:
    print(f"{found['queries']} {found['by']} judge, by meaning alone; speed is that of one thread.")
    rows = [row | {"chosen": "yes" if row["chosen"] else ""} for row in found["table"]]
    table(f"Candidates for {found['encoder']}, that of now first", rows, COLUMNS)
    best = next(row for row in found["table"] if row["chosen"])
    if not found["chosen"]:
        print(f"None is faster or smaller within a loss of {loss:.1%}. Everything stays as it is.")
        return
    faster = best["texts_per_s"] / found["table"][0]["texts_per_s"]
    print(
        f"Chosen: {faster:.2f} times as fast, {best['vector_bytes']} bytes a product, nDCG@10 "
        f"{-best['loss']:+.1%} ({-best['high']:+.1%} to {-best['low']:+.1%} with 95 %)."
    )
    said = ", ".join(f"{name} = {value!r}" for name, value in found["chosen"].items())
    if found["written"]:
        print(
            f"Written: [encoders.{found['encoder']}] {said}. Next: shopkeeper train --shop {shop}"
        )
    else:
        print(f"For shop.toml: [encoders.{found['encoder']}] {said}.")
