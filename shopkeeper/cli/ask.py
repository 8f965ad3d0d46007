"""`shopkeeper search`, `recommend`: ask a trained shop from the terminal."""

from pathlib import Path
from typing import Annotated, Any

import typer

from shopkeeper.cli._show import AsJson, ShopFolder, emit, table
from shopkeeper.encoders.images import BYTES_MAX
from shopkeeper.engine.answers import Answer
from shopkeeper.engine.shop import Shop
from shopkeeper.errors import BadRequest, NotFound

RECORDING_BYTES_MAX = 64_000_000
"""So much of a file is read; speech encoders take less."""


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(search)
    app.command()(recommend)


def search(
    query: Annotated[str, typer.Argument(help="What a shopper would type.")] = "",
    k: Annotated[int, typer.Option("-k", help="How many products.")] = 10,
    picture: Annotated[
        Path | None, typer.Option(help="A picture, to find products that look like it.")
    ] = None,
    in_pictures: Annotated[
        bool, typer.Option("--in-pictures", help="Look for the words in the products' pictures.")
    ] = False,
    voice: Annotated[
        Path | None, typer.Option(help="A recording to search by instead of words.")
    ] = None,
    shop: ShopFolder = Path(),
    json: AsJson = False,
) -> None:
    """Find products by words and meaning, typed or said, or by a picture.

    Example: shopkeeper search "tea light holder" -k 5 --shop myshop
    """
    if bool(query.strip()) + bool(picture) + bool(voice) != 1:
        raise BadRequest(
            "query", "Type what to search for, or give --picture FILE or --voice FILE."
        )
    with Shop.open(shop) as opened:
        if picture is not None:
            found = opened.search_by_picture(_content(picture), k=k)
            _show(f"Found for '{picture}'", found, json)
        elif voice is not None:
            found = opened.search_by_voice(_recording(voice), k=k)
            _show(f"Heard '{found.heard.text if found.heard else ''}'", found, json)
        else:
            ask = opened.search_pictures if in_pictures else opened.search
            _show(f"Found for '{query}'", ask(query, k=k), json)


def _content(picture: Path) -> bytes:
    """Return the bytes of a file, at most one more than is opened."""
    if not picture.is_file():
        raise NotFound(f"There is no file '{picture}'. Check the path.")
    with picture.open("rb") as stream:
        return stream.read(BYTES_MAX + 1)


def recommend(  # noqa: PLR0913
    placement: Annotated[
        str, typer.Argument(help="A name under [placements] in shop.toml.")
    ] = "home",
    user: Annotated[str | None, typer.Option(help="The shopper's user_id.")] = None,
    item: Annotated[
        list[str] | None, typer.Option(help="The product looked at; repeat it for a cart.")
    ] = None,
    category: Annotated[str, typer.Option(help="Only products of a category, and below.")] = "",
    country: Annotated[str, typer.Option(help="Where what is hot is counted.")] = "",
    window_days: Annotated[float, typer.Option(min=0, help="The window it is counted in.")] = 0,
    k: Annotated[int | None, typer.Option("-k", "--k", help="How many products.")] = None,
    everyone: Annotated[
        bool, typer.Option("--all", help="Answer every shopper, into the file of --out.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="With --all: a file that ends in .parquet or .csv.")
    ] = None,
    placed: Annotated[
        str | None, typer.Option("--placement", help="The placement, as an option.")
    ] = None,
    shop: ShopFolder = Path(),
    json: AsJson = False,
) -> None:
    """Print what a shopper would see at a placement, or write it for all shoppers to a file.

    Each product comes with its reason. A file has the columns user_id, rank, item_id, score,
    source and reason; it is written beside and takes its name when it is whole.

    Example: shopkeeper recommend home --user 17850 -k 5 --shop myshop

    Example: shopkeeper recommend --all --out pages.parquet -k 10 --shop myshop
    """
    placement = placed or placement
    if everyone != (out is not None) or (everyone and (user or item or category)):
        raise BadRequest(
            "all",
            "--all and --out FILE go together, and neither with --user, --item or --category.",
        )
    with Shop.open(shop) as opened:
        if out is not None:
            done = opened.recommend_all(out, placement, k=k)
            emit(done) if json else _show_all(done)
            return
        answer = opened.recommend(
            placement,
            k=k,
            user_id=user,
            items=item,
            category=category,
            country=country,
            window_days=window_days,
        )
        _show(f"{placement} for {user or 'a new visitor'}", answer, json)


def _show_all(done: dict[str, Any]) -> None:
    print(
        f"{done['rows']:,} products for {done['shoppers']:,} shoppers in {done['seconds']:.1f} s "
        f"({done['shoppers_per_second']:,.0f} a second): {done['file']}"
    )
    if done["without"]:
        print(f"{done['without']:,} of them have nothing to be shown.")
    if not done["shoppers"]:
        print("There is no shopper yet: load events, then run `shopkeeper train`.")


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
