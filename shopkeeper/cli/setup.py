"""`shopkeeper init`, `ingest`, `list`: make a shop and load its data."""

from pathlib import Path
from typing import Annotated

import typer

from shopkeeper import registry
from shopkeeper.cli._show import AsJson, ShopFolder, emit, table
from shopkeeper.engine import settings
from shopkeeper.engine.shop import Shop
from shopkeeper.errors import unknown


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(init)
    app.command()(ingest)
    app.command("list")(list_parts)


def init(
    folder: Annotated[Path, typer.Argument(help="Where the shop shall live.")],
    source: Annotated[
        str, typer.Option(help="A name from `shopkeeper list data.sources`.")
    ] = "complete_journey",
    file: Annotated[str, typer.Option(help="The file or folder that the source reads.")] = "",
    name: Annotated[str, typer.Option(help="What the shop is called.")] = "My shop",
    currency: Annotated[
        str | None,
        typer.Option(help="ISO 4217 code of prices without one; the source's own, or USD."),
    ] = None,
) -> None:
    """Make a shop: a folder with a `shop.toml` that names every setting.

    Example: shopkeeper init myshop --source online_retail --file online_retail.csv
    """
    own = getattr(registry.find("data.sources", source).Config(), "currency", "USD")
    path = settings.init(
        folder,
        inputs={source: {"source": source, "file": str(Path(file).resolve()) if file else ""}},
        shop={"name": name, "currency": currency or own},
    )
    print(f"Wrote {path}. Next: shopkeeper ingest --shop {folder}")


def ingest(
    file: Annotated[
        Path | None, typer.Argument(help="Read this instead of the file in shop.toml.")
    ] = None,
    shop: ShopFolder = Path(),
    json: AsJson = False,
) -> None:
    """Load products and events; what is refused goes to quarantine with its reason.

    Loading the same file again changes nothing.

    Example: shopkeeper ingest --shop myshop
    """
    done = Shop.open(shop).ingest(file)
    if json:
        emit(done)
        return
    table("Loaded", done["tables"])
    if done["refused"]:
        table("Refused, kept in quarantine", done["refused"])
    print(done["summary"])


def list_parts(
    shelf: Annotated[str, typer.Argument(help="A shelf; leave out to see all.")] = "",
    json: AsJson = False,
) -> None:
    """Name the parts you can use, by shelf.

    Example: shopkeeper list recommenders
    """
    if shelf and shelf not in registry.SHELVES:
        raise unknown("shelf", shelf, registry.SHELVES)
    found = {name: registry.names(name) for name in registry.SHELVES if shelf in ("", name)}
    if json:
        emit(found)
    elif shelf:
        print("\n".join(found[shelf]))
    else:
        table("Parts", [{"shelf": key, "parts": ", ".join(names)} for key, names in found.items()])
