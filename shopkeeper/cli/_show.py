"""Tables for people, JSON for machines: every command that prints a table takes `--json`."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

ShopFolder = Annotated[
    Path,
    typer.Option(
        "--shop", "-s", envvar="SHOPKEEPER_SHOP", help="The shop's folder.", show_default=True
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def emit(value: Any) -> None:
    """Print a value as one line of JSON."""
    print(json.dumps(value, default=_plain, ensure_ascii=False))


def table(title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> None:
    """Print rows as a table; columns that hold only numbers stand to the right."""
    names = list(columns) or list(rows[0] if rows else ())
    drawn = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for name in names:
        numbers = all(isinstance(row.get(name), int | float) for row in rows)
        drawn.add_column(
            name.replace("_", " "), justify="right" if numbers else "left", overflow="fold"
        )
    for row in rows:
        drawn.add_row(*(_cell(row.get(name)) for name in names))
    width = None if Console().is_terminal else 140
    Console(width=width).print(drawn)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) >= 1 else f"{value:.4f}"
    return str(value).replace("[", "\\[")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, set | tuple):
        return list(value)
    return str(value)
