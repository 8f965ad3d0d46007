"""`shopkeeper quarantine`: look at refused rows, and load them after a fix."""

import json as json_lines
from pathlib import Path
from typing import Annotated

import typer

from shopkeeper.cli._show import AsJson, ShopFolder, emit, table
from shopkeeper.engine import settings
from shopkeeper.errors import BadData

Input = Annotated[str, typer.Option("--input", help="Only rows that came by this input.")]
OfTable = Annotated[str, typer.Option("--table", help="Only rows for this table.")]
Reason = Annotated[str, typer.Option("--reason", help="Only rows whose reason holds these words.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    group = typer.Typer(
        no_args_is_help=True, help="Refused rows: see them, and load them after a fix."
    )
    group.command("list")(list_reasons)
    group.command("show")(show)
    group.command("replay")(replay)
    app.add_typer(group, name="quarantine")


def list_reasons(
    name: Input = "",
    of: OfTable = "",
    reason: Reason = "",
    shop: ShopFolder = Path(),
    json: AsJson = False,
) -> None:
    """Count refused rows by input, table and reason.

    Example: shopkeeper quarantine list --shop myshop
    """
    from shopkeeper.data.quarantine import Chosen
    from shopkeeper.engine import quarantine

    chosen = Chosen(source=name, table=of, reason=reason)
    found = quarantine.counts(shop, settings.read(shop), chosen)
    if json:
        emit(found)
    elif found:
        table("In quarantine", found)
        print("See rows by `shopkeeper quarantine show`, load them by `quarantine replay`.")
    else:
        print("Nothing is in quarantine.")


def show(
    name: Input = "",
    of: OfTable = "",
    reason: Reason = "",
    limit: Annotated[int, typer.Option(min=1, help="How many rows at most.")] = 20,
    out: Annotated[
        Path | None, typer.Option(help="Write them here as JSON lines, to be corrected.")
    ] = None,
    shop: ShopFolder = Path(),
    json: AsJson = False,
) -> None:
    """Print refused rows whole, with their place; they may name shoppers.

    Example: shopkeeper quarantine show --reason price --limit 5 --out wrong.jsonl --shop myshop
    """
    from shopkeeper.data.quarantine import Chosen
    from shopkeeper.engine import quarantine

    chosen = Chosen(source=name, table=of, reason=reason)
    rows = quarantine.rows(shop, settings.read(shop), chosen, limit).to_dicts()
    rows = [row | {"row": json_lines.loads(row["row"])} for row in rows]
    if out is not None:
        text = "".join(json_lines.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        try:
            out.write_text(text, "utf-8")
        except OSError as error:
            raise BadData(f"'{out}' cannot be written: {error.strerror}.") from error
        print(f"Wrote {len(rows)} rows to {out}. Correct them, then: shopkeeper quarantine replay "
              f"--fixed {out} --shop {shop}")  # fmt: skip
    elif json:
        emit(rows)
    else:
        table("In quarantine", [
            row | {"row": json_lines.dumps(row["row"], ensure_ascii=False)} for row in rows
        ])  # fmt: skip


def replay(
    name: Input = "",
    of: OfTable = "",
    reason: Reason = "",
    fixed: Annotated[
        Path | None, typer.Option(help="Corrected rows that `show --out` wrote.")
    ] = None,
    shop: ShopFolder = Path(),
    json: AsJson = False,
) -> None:
    """Judge refused rows again by the settings of now; what is sound is loaded.

    After a threshold was changed in shop.toml, or with rows that were corrected by hand.

    Example: shopkeeper quarantine replay --reason "the quantity is above" --shop myshop
    """
    if fixed is not None and not fixed.is_file():
        raise BadData(f"There is no file '{fixed}'. Write one by `quarantine show --out`.")
    from shopkeeper.data.quarantine import Chosen
    from shopkeeper.engine import quarantine

    chosen = Chosen(source=name, table=of, reason=reason)
    done = quarantine.replay(shop, settings.read(shop), chosen, fixed)
    if json:
        emit(done)
    else:
        print(f"{done['judged']} rows were judged again: {done['accepted']} are loaded, "
              f"{done['refused']} stay refused.")  # fmt: skip
