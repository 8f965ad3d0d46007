"""`shopkeeper search`, `recommend`: ask a trained shop from the terminal."""

from pathlib import Path
from typing import Annotated, Any

import typer

from shopkeeper.cli._show import AsJson, ShopFolder, emit, table
from shopkeeper.engine.answers import Answer
from shopkeeper.engine.shop import Shop
from shopkeeper.errors import BadRequest

RECORDING_BYTES_MAX = 64_000_000
"""So much of a file is read; speech encoders take less."""


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(search)
    app.command()(recommend)


def search(
    query: Annotated[str, typer.Argument(help="What a shopper would type.")] = "",
    k: Annotated[int, typer.Option("-k", help="How many products.")] = 10,
    voice: Annotated[
        Path | None, typer.Option(help="A recording to search by instead of words.")
    ] = None,
    shop: ShopFolder = Path(),
    json: AsJson = False,
) -> None:
    """Find products by words and meaning, typed or said.

    Example: shopkeeper search "tea light holder" -k 5 --shop myshop
    """
    if bool(query.strip()) == bool(voice):
        raise BadRequest("query", "Type what to search for, or name a recording with --voice FILE.")
    with Shop.open(shop) as opened:
        if voice is None:
            _show(f"Found for '{query}'", opened.search(query, k=k), json)
            return
        answer = opened.search_by_voice(_recording(voice), k=k)
        said = answer.heard.text if answer.heard else ""
        _show(f"Heard '{said}'", answer, json)


def recommend(
    placement: Annotated[
        str, typer.Argument(help="A name under [placements] in shop.toml.")
    ] = "home",
    user: Annotated[str | None, typer.Option(help="The shopper's user_id.")] = None,
    item: Annotated[
        list[str] | None, typer.Option(help="The product looked at; repeat it for a cart.")
    ] = None,
    k: Annotated[int | None, typer.Option("-k", help="How many products.")] = None,
    shop: ShopFolder = Path(),
    json: AsJson = False,
) -> None:
    """Print what a shopper would see at a placement, with the reason of each product.

    Example: shopkeeper recommend home --user 17850 -k 5 --shop myshop
    """
    with Shop.open(shop) as opened:
        answer = opened.recommend(placement, k=k, user_id=user, items=item)
        _show(f"{placement} for {user or 'a new visitor'}", answer, json)


def _recording(file: Path) -> bytes:
    """Read a recording, and no more of it than tells that it is too large."""
    if not file.is_file():
        raise BadRequest("voice", f"There is no recording '{file}'. Name a wav, webm or ogg file.")
    with file.open("rb") as stream:
        return stream.read(RECORDING_BYTES_MAX)


def _show(title: str, answer: Answer, json: bool) -> None:
    if json:
        emit(answer)
        return
    for note in answer.notes:
        print(note)
    rows: list[dict[str, Any]] = [
        {
            "rank": one.rank,
            "id": one.id,
            "title": one.product.get("title", ""),
            "price": f"{one.product.get('price') or '-'} {one.product.get('currency', '')}",
            "source": one.source,
            "reason": one.reason,
        }
        for one in answer.results
    ]
    table(f"{title} ({answer.total} in all, {answer.took_ms:.0f} ms)", rows)
