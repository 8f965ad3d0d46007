"""Draws lineage: files, loads, tables and bundles from left to right, and the same as tables.

A small layout of its own: four columns, each ordered by where its neighbours on the left stand,
which keeps crossings few. Knows only the shape of the graph that it is given.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from shopkeeper.pages._cells import render

KINDS = ("file", "load", "table", "bundle")
HEADINGS = {"file": "Files", "load": "Loads", "table": "Tables", "bundle": "Bundles"}
BOX_WIDTH, BOX_HEIGHT, BOX_GAP, COLUMN_GAP = 228, 60, 14, 84
TOP = 34
LETTERS_MAX = 29
Node = Mapping[str, Any]


def lineage_html(graph: Mapping[str, Sequence[Node]], *, title: str = "Lineage") -> str:
    """Draw a lineage graph.

    Args:
        graph: `nodes` and `edges` as `data.lineage` makes them.
        title: The heading.

    Returns:
        One HTML page that needs no network and no scripts.
    """
    columns = {kind: [n for n in graph["nodes"] if n["kind"] == kind] for kind in KINDS}
    columns = {kind: nodes for kind, nodes in columns.items() if nodes}
    places = _places(columns, graph["edges"])
    boxes = [
        {"x": x, "y": y, "kind": node["kind"], "whole": ", ".join([node["label"], *facts(node)]),
         "lines": [_cut(node["label"]), *(_cut(line) for line in facts(node)[:2])],
         "strong": bool(node.get("in_use"))}
        for nodes in columns.values() for node in nodes for x, y in [places[node["id"]]]
    ]  # fmt: skip
    lines = [
        _line(places[edge["from"]], places[edge["to"]])
        for edge in graph["edges"]
        if edge["from"] in places and edge["to"] in places
    ]
    return render(
        "lineage.html",
        title=title,
        boxes=boxes,
        lines=lines,
        headings=[(HEADINGS[k], i * (BOX_WIDTH + COLUMN_GAP)) for i, k in enumerate(columns)],
        width=len(columns) * (BOX_WIDTH + COLUMN_GAP) - COLUMN_GAP,
        height=max((y for _, y in places.values()), default=0) + BOX_HEIGHT + 2,
        box_width=BOX_WIDTH,
        box_height=BOX_HEIGHT,
        lists=[
            (HEADINGS[kind], [(node["label"], facts(node)) for node in nodes])
            for kind, nodes in columns.items()
        ],
    )


def facts(node: Node) -> list[str]:
    """Return what is known of a node in short sentences, the most telling first.

    Args:
        node: One of the graph's.

    Returns:
        Words for people; hashes are cut to what tells them apart.
    """
    if node["kind"] == "file":
        return [f"sha256 {node['sha256'][:12]}"] if node["sha256"] else []
    if node["kind"] == "table":
        return [f"{node['rows']:,} rows now"]
    if node["kind"] == "bundle":
        return _bundle_facts(node)
    return _load_facts(node)


def _load_facts(node: Node) -> list[str]:
    told = [f"{node['kept']:,} kept, {node['refused']:,} refused"]
    if node["group"] == "live":
        told = [f"{node['kept']:,} events", f"in {_times(len(node['loads']))}"]
    elif node["group"]:
        told.insert(0, f"{len(node['loads']):,} earlier loads")
    else:
        told.append(f"load {node['loads'][0][:12]}")
    if node["rows_in"] != node["kept"] + node["refused"]:
        told.append(f"{node['rows_in']:,} came")
    if node["published"]:
        told.append(f"published {node['published'][:16].replace('T', ' ')} UTC")
    if node["code"]:
        told.append(f"code {node['code'][:12]}")
    settings = [
        f"{check} ({', '.join(f'{key}={value}' for key, value in chosen.items())})"
        for check, chosen in node["checks"].items()
    ]
    told += [f"checks set: {'; '.join(settings)}"] if settings else []
    return told + ([f"checks left out: {', '.join(node['skip'])}"] if node["skip"] else [])


def _times(num: int) -> str:
    return "one fold" if num == 1 else f"{num:,} folds"


def _bundle_facts(node: Node) -> list[str]:
    told = ["in use"] if node["in_use"] else []
    if node["loads_known"] is None:
        told.append("does not say which loads it learned from")
    elif node["loads_known"] == node["loads_now"]:
        told.append("learned from every load")
    else:
        told.append(f"learned from {node['loads_known']:,} of {node['loads_now']:,} loads")
    return told + ([f"data {node['data_hash'][:12]}"] if node["data_hash"] else [])


def _places(
    columns: Mapping[str, list[Node]], edges: Sequence[Mapping[str, Any]]
) -> dict[str, tuple[float, float]]:
    """Return where the upper left corner of each box stands."""
    high = max((len(nodes) for nodes in columns.values()), default=0)
    into: dict[str, list[str]] = {}
    for edge in edges:
        into.setdefault(edge["to"], []).append(edge["from"])
        into.setdefault(edge["from"], [])
    # Files stand in the order of the loads that read them.
    reads = {edge["from"]: edge["to"] for edge in edges if edge["from"].startswith("file")}
    loads = [node["id"] for node in columns.get("load", [])]
    places: dict[str, tuple[float, float]] = {}
    for column, (kind, nodes) in enumerate(columns.items()):
        if kind == "file":
            rank = {node["id"]: float(_at(loads, reads.get(node["id"], ""))) for node in nodes}
        else:
            rank = {node["id"]: _middle(into.get(node["id"], []), places) for node in nodes}
        spare = (high - len(nodes)) * (BOX_HEIGHT + BOX_GAP) / 2
        for row, node in enumerate(sorted(nodes, key=lambda node, rank=rank: rank[node["id"]])):  # type: ignore[misc]
            y = TOP + spare + row * (BOX_HEIGHT + BOX_GAP)
            places[node["id"]] = (column * (BOX_WIDTH + COLUMN_GAP) + 1.0, round(y, 1))
    return places


def _at(names: Sequence[str], name: str) -> int:
    return names.index(name) if name in names else len(names)


def _middle(sources: Sequence[str], places: Mapping[str, tuple[float, float]]) -> float:
    """Return the mean height of the boxes that lead here."""
    heights = [places[source][1] for source in sources if source in places]
    return sum(heights) / len(heights) if heights else 0.0


def _line(start: tuple[float, float], end: tuple[float, float]) -> str:
    """Return the path of a soft line from the right of one box to the left of another."""
    x0, y0 = start[0] + BOX_WIDTH, start[1] + BOX_HEIGHT / 2
    x1, y1 = end[0], end[1] + BOX_HEIGHT / 2
    bend = (x1 - x0) / 2
    return f"M{x0:g},{y0:g} C{x0 + bend:g},{y0:g} {x1 - bend:g},{y1:g} {x1:g},{y1:g}"


def _cut(text: str) -> str:
    return text if len(text) <= LETTERS_MAX else f"{text[: LETTERS_MAX - 1]}…"
