"""`shopkeeper features`: which features earn their place?"""

from pathlib import Path
from typing import Annotated

import typer

from shopkeeper.cli._show import AsJson, ShopFolder, emit, table
from shopkeeper.cli.learn import show_times

SHOWN = ("column", "feature", "gain", "drop", "low", "high", "shift", "missing", "advice", "why")


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command()(features)


def features(
    shop: ShopFolder = Path(),
    seeds: Annotated[int, typer.Option(min=1, max=20, help="How many seeds.")] = 1,
    requests: Annotated[
        int, typer.Option(min=10, help="How many requests of each period to learn from and judge.")
    ] = 400,
    every: Annotated[
        bool, typer.Option("--all", help="Judge all features there are, not the shop's alone.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Judge the ranker's features: worth with intervals, steadiness, cost, and advice.

    Learns anew on held-back periods, and publishes nothing. What is advised is for [train]
    features in shop.toml; measure the page again with `shopkeeper evaluate` after a change.

    Example: shopkeeper features --shop myshop --all
    """
    from shopkeeper.engine.selection import select
    from shopkeeper.engine.shop import Shop

    opened = Shop.open(shop)
    report = select(opened.folder, opened.config, range(seeds), requests=requests, every=every)
    if json:
        emit(report)
        return
    for note in report["notes"]:
        print(note)
    table("Features", report["features"])
    table("Columns", report["columns"], SHOWN)
    show_times()
    print(f"Report: {report['file']}")
