"""`shopkeeper tune`: look for better settings of a part, on the shop's own past."""

from pathlib import Path
from typing import Annotated

import typer

from shopkeeper.cli._show import AsJson, ShopFolder, emit


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command()(tune)


def tune(
    part: Annotated[str, typer.Argument(help="A ranker or recommender, such as ranking.gbdt.")],
    shop: ShopFolder = Path(),
    trials: Annotated[
        int, typer.Option(min=1, help="How many in all; those of an earlier run count.")
    ] = 30,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Begin no new trial after so many.")
    ] = None,
    storage: Annotated[
        str,
        typer.Option(help="Database URL of the trials, such as postgresql+psycopg://host/name."),
    ] = "",
    requests: Annotated[
        int, typer.Option(min=10, help="Requests of each period to learn from and judge by.")
    ] = 400,
    write: Annotated[
        bool, typer.Option("--write/--no-write", help="Whether shop.toml gets the best settings.")
    ] = True,
    json: AsJson = False,
) -> None:
    """Try settings of a part on held-back periods, and write the best into shop.toml.

    The first trial has the shop's own settings, and only better ones are written. Trials are kept:
    a run that was cut off goes on. Nothing is published; train and evaluate afterwards.

    Example: shopkeeper tune ranking.gbdt --trials 40 --minutes 20 --shop myshop
    """
    from shopkeeper.engine.shop import Shop
    from shopkeeper.engine.tune import tune as search

    opened = Shop.open(shop)
    found = search(
        opened.folder, opened.config, part, trials=trials, minutes=minutes, storage=storage,
        requests=requests, write=write,
    )  # fmt: skip
    if json:
        emit(found)
        return
    print(
        f"{found['metric']} on the newest held-back period: {found['own']:.4f} with the shop's "
        f"settings, {found['best']:.4f} at best, of {len(found['trials'])} trials"
    )
    for name, value in found["settings"].items():
        print(f"  {name} = {value}")
    if found["written"]:
        print("Written into shop.toml. Next: shopkeeper evaluate, then shopkeeper train")
    print(f"Report: {found['file']}")
