"""`shopkeeper train`, `evaluate`, `bundles`: learn, measure, switch."""

from pathlib import Path
from typing import Annotated, Any

import typer

from shopkeeper.cli._show import AsJson, ShopFolder, emit, table
from shopkeeper.engine.shop import Shop
from shopkeeper.tracing import timings


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(train)
    app.command()(evaluate)
    bundles = typer.Typer(no_args_is_help=True, help="List versions of the models, or switch.")
    bundles.command("list")(list_bundles)
    bundles.command("use")(use_bundle)
    bundles.command("rollback")(rollback)
    app.add_typer(bundles, name="bundles")


def train(shop: ShopFolder = Path(), json: AsJson = False) -> None:
    """Learn from all that was loaded, measure on the newest period, publish a bundle.

    Example: shopkeeper train --shop myshop
    """
    done = Shop.open(shop).train()
    if json:
        emit(done | {"seconds": timings()})
        return
    if done["report"]:
        show_report(done["report"])
    else:
        print("There are no events yet: the shop can search, and recommends once there are.")
    show_times()
    print(f"Published bundle {done['version']}. Next: shopkeeper serve --shop {shop}")


def evaluate(
    shop: ShopFolder = Path(),
    seeds: Annotated[int, typer.Option(min=1, max=20, help="How many seeds.")] = 1,
    json: AsJson = False,
) -> None:
    """Measure every recommender and the fusion on a temporal split, beside the floors.

    Everything is learned from what was known before the split in [evaluation] of shop.toml; the
    first basket on or after it is to be found. Nothing is published.

    Example: shopkeeper evaluate --shop myshop --seeds 3
    """
    report = Shop.open(shop).evaluate(range(seeds))
    if json:
        emit(report)
        return
    show_report(report)
    show_times()


def list_bundles(shop: ShopFolder = Path(), json: AsJson = False) -> None:
    """List the published versions, oldest first.

    Example: shopkeeper bundles list --shop myshop
    """
    bundles = Shop.open(shop).bundles
    now = bundles.current()
    rows: list[dict[str, Any]] = []
    for version in bundles.versions():
        about = bundles.manifest(version)
        rows.append({"version": version, "in_use": version == now, **about.get("metrics", {})})
    emit(rows) if json else table("Bundles", rows)


def use_bundle(
    version: Annotated[str, typer.Argument(help="A version from `shopkeeper bundles list`.")],
    shop: ShopFolder = Path(),
) -> None:
    """Switch to a published version; a running shop follows within seconds.

    Example: shopkeeper bundles use 20260101-120000-ab12 --shop myshop
    """
    Shop.open(shop).bundles.use(version)
    print(f"Now in use: {version}")


def rollback(shop: ShopFolder = Path()) -> None:
    """Go back to the version before the one in use.

    Example: shopkeeper bundles rollback --shop myshop
    """
    bundles = Shop.open(shop).bundles
    bundles.use(version := bundles.previous())
    print(f"Now in use: {version}")


def show_report(report: dict[str, Any]) -> None:
    """Print the tables of an evaluation report."""
    for note in report["notes"]:
        print(note)
    for one in report["tables"]:
        table(one["title"], one["rows"], one["columns"])
    if report.get("file"):
        print(f"Report: {report['file']}")


def show_times() -> None:
    """Print where the time went, longest first."""
    spent = sorted(timings().items(), key=lambda pair: -pair[1])[:15]
    table("Where the time went", [{"stage": name, "seconds": round(s, 1)} for name, s in spent])
