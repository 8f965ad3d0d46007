"""`shopkeeper keys`: who may use the HTTP API."""

from pathlib import Path
from typing import Annotated

import typer

from shopkeeper.cli._show import AsJson, ShopFolder, emit, table
from shopkeeper.engine import settings
from shopkeeper.operations.keys import SCOPES, Keys

Name = Annotated[str, typer.Argument(help="Who has the key, such as `website`.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    group = typer.Typer(no_args_is_help=True, help="Who may use the HTTP API: add, list, remove.")
    group.command("add")(add)
    group.command("list")(list_keys)
    group.command("remove")(remove)
    app.add_typer(group, name="keys")


def add(
    name: Name,
    scope: Annotated[
        list[str] | None,
        typer.Option(help=f"{', '.join(SCOPES)}; may be said again. `read` if none."),
    ] = None,
    per_second: Annotated[
        float, typer.Option(min=0, help="Requests a second; 0 for no limit.")
    ] = 0.0,
    shop: ShopFolder = Path(),
    json: AsJson = False,
) -> None:
    """Make a key and print it, this once: the shop keeps only its hash.

    From the first key on, every request to /v1 and /metrics needs one, as `Authorization: Bearer
    KEY` or `X-API-Key: KEY`, and the shop may listen beyond this machine. A running server knows
    within a second. `read` asks for products, `events` posts what shoppers did, `admin` does all.

    Example: shopkeeper keys add website --scope read --scope events --per-second 50 --shop myshop
    """
    said = _keys(shop).add(name, tuple(scope or ("read",)), per_second)
    if json:
        emit({"name": name, "key": said})
    else:
        print(said)


def list_keys(shop: ShopFolder = Path(), json: AsJson = False) -> None:
    """List keys with what they are good for; the keys themselves are not kept.

    Example: shopkeeper keys list --shop myshop
    """
    rows = [
        {
            "name": key.name,
            "scopes": list(key.scopes) if json else ", ".join(key.scopes),
            "per_second": key.per_second,
            "added": key.added,
        }
        for key in _keys(shop).listed()
    ]
    if json:
        emit(rows)
    elif rows:
        table("Keys", rows)
    else:
        print(
            "There are no keys: the API answers everybody on this machine, and listens to no other."
        )


def remove(name: Name, shop: ShopFolder = Path()) -> None:
    """Take a key back; a running server refuses it within a second.

    Example: shopkeeper keys remove website --shop myshop
    """
    _keys(shop).remove(name)
    print(f"The key '{name}' is no longer valid.")


def _keys(shop: Path) -> Keys:
    settings.read(shop)
    return Keys(shop)
