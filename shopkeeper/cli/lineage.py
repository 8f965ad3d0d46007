"""`shopkeeper lineage`: where each table came from, and what learned from it."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from shopkeeper.cli._show import AsJson, ShopFolder, emit
from shopkeeper.data.lineage import Graph
from shopkeeper.engine import settings
from shopkeeper.engine.lineage import lineage_of, write_lineage
from shopkeeper.pages.lineage import facts

LOADS_SHOWN = 12
"""Loads of an input beyond its newest so many are drawn as one."""


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(lineage)


def lineage(
    table: Annotated[str, typer.Argument(help="A table, such as events; all by default.")] = "",
    shop: ShopFolder = Path(),
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page with the graph into this file.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Show from which files, load and code each table came, and which bundles learned from it.

    Loads of the live log are shown by day. JSON has every load, a drawing the newest.

    Example: shopkeeper lineage events --shop myshop --html lineage.html
    """
    found = lineage_of(shop, settings.read(shop), table, 0 if json else LOADS_SHOWN)
    if html is not None:
        write_lineage(found, html, f"Lineage of {table}" if table else "Lineage")
    if json:
        emit(found)
        return
    console = Console(width=None if Console().is_terminal else 140)
    for drawn in trees(found):
        console.print(drawn)
    if html is not None:
        print(f"Wrote {html}.")


def trees(graph: Graph) -> list[Tree]:
    """Return one tree for each table of a graph: its loads with their files, then its bundles.

    Args:
        graph: As `data.lineage` makes it.

    Returns:
        Trees to print, in the order of the tables.
    """
    nodes = {node["id"]: node for node in graph["nodes"]}
    drawn = []
    for table in [node for node in graph["nodes"] if node["kind"] == "table"]:
        tree = Tree(f"[bold]{escape(table['label'])}[/bold] · {table['rows']:,} rows now")
        for edge in [edge for edge in graph["edges"] if edge["to"] == table["id"]]:
            load = nodes[edge["from"]]
            branch = tree.add(f"{edge['rows']:,} rows from {_words(load)}")
            for file in [e["from"] for e in graph["edges"] if e["to"] == load["id"]]:
                branch.add(f"file {_words(nodes[file])}")
        for edge in [edge for edge in graph["edges"] if edge["from"] == table["id"]]:
            tree.add(f"bundle {_words(nodes[edge['to']])}")
        drawn.append(tree)
    return drawn


def _words(node: dict[str, Any]) -> str:
    return escape(" · ".join([node["label"], *facts(node)]))
