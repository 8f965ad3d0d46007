"""`shopkeeper anomalies`: what behaves unusually, and what models learn of it."""

from pathlib import Path
from typing import Annotated

import typer

from shopkeeper import registry
from shopkeeper.cli._show import AsJson, ShopFolder, emit, table
from shopkeeper.engine import anomalies
from shopkeeper.engine.shop import Shop
from shopkeeper.errors import unknown

DETECTORS = "data.detectors"
COLUMNS = ("kind", "subject", "id", "score", "action", "evidence")

Kind = Annotated[str, typer.Argument(help="A name from `shopkeeper list data.detectors`.")]
Id = Annotated[str, typer.Argument(help="The id that the list shows.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Bots, click fraud, wholesale, price mistakes, test orders: found, shown, masked.",
    )
    for command in (find, show, release, hold):
        group.command()(command)
    group.command("list")(listed)
    app.add_typer(group, name="anomalies")


def find(shop: ShopFolder = Path(), json: AsJson = False) -> None:
    """Look at the whole log again; every load does the same.

    Example: shopkeeper anomalies find --shop myshop
    """
    opened = Shop.open(shop)
    done = anomalies.find(opened.folder, opened.config)
    if json:
        emit(done)
        return
    if done["kinds"]:
        table("Found", done["kinds"])
    print(done["summary"])


def listed(
    kind: Annotated[str, typer.Option(help="One kind only.")] = "",
    most: Annotated[int, typer.Option(min=1, help="Rows to show.")] = 50,
    shop: ShopFolder = Path(),
    json: AsJson = False,
) -> None:
    """Name what was found, what becomes of it, and why.

    Example: shopkeeper anomalies list --kind bots --shop myshop
    """
    if kind and kind not in registry.names(DETECTORS):
        raise unknown("detector", kind, registry.names(DETECTORS))
    opened = Shop.open(shop)
    rows = anomalies.listed(opened.folder, opened.config, kind)
    if json:
        emit(rows.head(most).to_dicts())
        return
    if rows.is_empty():
        print("Nothing was found. `shopkeeper anomalies find` looks again.")
        return
    table("Unusual behaviour", rows.head(most).select(COLUMNS).to_dicts())
    if rows.height > most:
        print(f"{rows.height - most:,} more; `--most {rows.height}` shows all.")


def show(kind: Kind, id: Id, shop: ShopFolder = Path(), json: AsJson = False) -> None:
    """Tell all of one anomaly.

    Example: shopkeeper anomalies show wholesale 14646 --shop myshop
    """
    opened = Shop.open(shop)
    rows = anomalies.shown(opened.folder, opened.config, kind, id)
    if json:
        emit(rows)
        return
    for row in rows:
        table(f"{kind} {id}", [{"what": key, "value": value} for key, value in row.items()])


def release(kind: Kind, id: Id, shop: ShopFolder = Path(), json: AsJson = False) -> None:
    """Let models learn from it again, whatever the detector says.

    Example: shopkeeper anomalies release bots 15749 --shop myshop
    """
    opened = Shop.open(shop)
    done = anomalies.release(opened.folder, opened.config, kind, id)
    emit(done) if json else print(done["summary"])


def hold(kind: Kind, id: Id, shop: ShopFolder = Path(), json: AsJson = False) -> None:
    """Keep models from learning from it, also where the detector only watches.

    Example: shopkeeper anomalies hold wholesale 15749 --shop myshop
    """
    opened = Shop.open(shop)
    done = anomalies.hold(opened.folder, opened.config, kind, id)
    emit(done) if json else print(done["summary"])
