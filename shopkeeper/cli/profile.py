"""`shopkeeper profile`: what a shop may say of its shoppers."""

from pathlib import Path
from typing import Annotated, Any

import typer

from shopkeeper.cli._show import AsJson, ShopFolder, emit, table
from shopkeeper.engine.shop import Shop
from shopkeeper.engine.shoppers import Shoppers, write_profiles
from shopkeeper.errors import BadConfig


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(profile)


def profile(
    user: Annotated[str, typer.Argument(help="The shopper's user_id.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Write the profiles of all.")] = False,
    out: Annotated[Path | None, typer.Option(help="With --all: the Parquet file to write.")] = None,
    shop: ShopFolder = Path(),
    json: AsJson = False,
) -> None:
    """Print what a shopper is interested in, with the evidence of each line, or write all.

    Example: shopkeeper profile 17850 --shop myshop
    """
    if every == bool(user) or every != (out is not None):
        raise BadConfig("Give a user_id, or --all with --out FILE, such as --out profiles.parquet.")
    with Shop.open(shop) as opened:
        if out is not None:
            many = write_profiles(Shoppers(opened.folder, opened.config), out)
            emit({"profiles": many, "file": str(out)}) if json else print(
                f"Wrote {many:,} profiles to {out}."
            )
            return
        found = opened.profile(user)
    if json:
        emit(found)
        return
    table(f"Shopper {found['user_id']} as of {found['as_of']}", _lines(found))


def _lines(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Lay a profile out, a line for each thing that is said."""
    stage, price, evidence = found["stage"], found["price"], found["evidence"]
    rows = [_said("stage", stage["name"], stage["because"], evidence["num_events"])]
    for line in found["interests"]:
        why = f"{line['share']:.0%}, the average shopper {line['shop_share']:.1%}"
        rows.append(_said(line["kind"], line["value"], why, line["num_events"]))
    if price:
        why = ", ".join(f"{band} {share:.0%}" for band, share in price["shares"].items())
        rows.append(_said("price band", price["band"], why, price["num_events"]))
    rows += [
        _said("segment", line["name"], line["because"], line["num_events"])
        for line in found["segments"]
    ]
    for line in found["usual_times"] + found["preferences"]:
        why = f"{line['share']:.0%}"
        rows.append(_said(line["kind"], line["value"], why, line["num_events"]))
    for line in found["products"]:
        why = f"{line['num_purchases']} purchases, last {line['last'][:10]}"
        rows.append(_said("product", line["title"], why, line["num_events"]))
    return rows


def _said(what: str, value: str, because: str, events: int) -> dict[str, Any]:
    return {"what": what, "value": value, "because": because, "events": events}
