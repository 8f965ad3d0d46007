"""From which files, by which load, came each table, and which models learned from it.

A graph in four steps: files, loads, tables, bundles. It is made of what the lake and the bundles
say of themselves, so it tells of loads that are in the lake now; one that a later load replaced is
gone. Knows nothing of single rows: those say their `load` themselves.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shopkeeper import schema
from shopkeeper.errors import unknown

LIVE = "live-"
"""How the ids of loads begin that come from the live log."""
UNDATED = "unknown day"
LEARNED = ("events", "products")
"""The tables that models learn from."""

Graph = dict[str, list[dict[str, Any]]]
Loads = Mapping[str, Mapping[str, Any]]


def graph(
    loads: Loads,
    rows: Mapping[str, int],
    bundles: Sequence[Mapping[str, Any]] = (),
    *,
    table: str = "",
    loads_max: int = 0,
) -> Graph:
    """Return the lineage of all tables or one.

    Args:
        loads: What the lake knows of each load by its id, oldest first.
        rows: How many rows each table has now.
        bundles: What is known of each bundle: `version`, `made`, `in_use`, and `loads`, the ids of
            the loads it learned from; oldest first.
        table: Only what leads to this table or from it; all by default.
        loads_max: Loads of an input beyond its newest so many are told as one; 0 tells each.

    Returns:
        `nodes`, each with `id`, `kind` (`file`, `load`, `table`, `bundle`), `label` and facts by
        kind; `edges`, each with `from`, `to` and perhaps `rows`.

    Raises:
        BadConfig: There is no such table.
    """
    if table and table not in schema.TABLES:
        raise unknown("table", table, schema.TABLES)
    groups = _groups(loads, loads_max)
    whole: Graph = {"nodes": [], "edges": []}
    for name, ids in groups.items():
        _add_load(whole, name, [loads[load_id] for load_id in ids], ids)
    named = {edge["to"].removeprefix("table:") for edge in whole["edges"]}
    for name in [n for n in schema.TABLES if n in named or rows.get(n) or n == table]:
        whole["nodes"].append(
            {"id": f"table:{name}", "kind": "table", "label": name, "rows": rows.get(name, 0)}
        )
    for bundle in bundles:
        _add_bundle(whole, bundle, groups)
    return _around(whole, f"table:{table}") if table else whole


def _groups(loads: Loads, loads_max: int) -> dict[str, list[str]]:
    """Put loads that are told as one under one name: live ones by day, and perhaps the oldest."""
    groups: dict[str, list[str]] = {}
    for load_id, about in loads.items():
        is_live = load_id.startswith(LIVE)
        day = str(about["published"])[:10] if about.get("published") else UNDATED
        groups.setdefault(f"live:{day}" if is_live else f"load:{load_id}", []).append(load_id)
    by_input: dict[str, list[str]] = {}
    for name, ids in groups.items():
        by_input.setdefault(_source(loads[ids[0]]), []).append(name)
    for source, names in by_input.items():
        old = names[:-loads_max] if loads_max and len(names) > loads_max + 1 else []
        if old:
            groups[f"earlier:{source}"] = [one for name in old for one in groups.pop(name)]
    return groups


def _add_load(whole: Graph, name: str, abouts: Sequence[Mapping[str, Any]], ids: list[str]) -> None:
    """Add a load or a group of them, with its files and the tables it went to."""
    last = abouts[-1]
    kind = name.split(":")[0]
    came = _total(about.get("quality", {}).get("rows", ()) for about in abouts)
    kept: Counter[str] = Counter()
    for about in abouts:
        # A fold of the live log counts events only.
        found = about.get("rows", {})
        kept.update({"events": found} if isinstance(found, int) else found)
    whole["nodes"].append(
        {
            "id": name,
            "kind": "load",
            "label": f"live log of {name[5:]}" if kind == "live" else _source(last),
            "group": "" if kind == "load" else kind,
            "loads": ids,
            "published": str(last.get("published") or ""),
            "code": str(last.get("code") or ""),
            "rows_in": came["rows_in"] or kept.total(),
            "kept": kept.total(),
            "refused": came["refused"],
            "checks": last.get("checks", {}),
            "skip": last.get("skip", []),
        }
    )
    hashes = {pair for about in abouts for pair in about.get("inputs", {}).items()}
    if kind == "earlier" and hashes:
        label = f"{len(hashes):,} earlier files"
        _add_file(whole, f"files:{_source(last)}", label, "", name)
    else:
        for file, digest in sorted(hashes):
            _add_file(whole, f"file:{file}:{digest[:16]}", file, digest, name)
    if came["refused"]:
        kept["quarantine"] = came["refused"]
    for table, num in kept.items():
        whole["edges"].append({"from": name, "to": f"table:{table}", "rows": num})


def _add_file(whole: Graph, key: str, label: str, digest: str, load: str) -> None:
    """Add a file that a load read; several loads may have read the same."""
    if all(node["id"] != key for node in whole["nodes"]):
        whole["nodes"].append({"id": key, "kind": "file", "label": label, "sha256": digest})
    whole["edges"].append({"from": key, "to": load})


def _source(about: Mapping[str, Any]) -> str:
    return str(about.get("source") or "unknown input")


def _add_bundle(
    whole: Graph, bundle: Mapping[str, Any], groups: Mapping[str, Sequence[str]]
) -> None:
    """Add a bundle, and say how many of the loads of now it knew."""
    learned = bundle.get("loads")
    feeding = {e["from"] for e in whole["edges"] if e["to"].removeprefix("table:") in LEARNED}
    now = [one for name in feeding if name in groups for one in groups[name]]
    known = None if learned is None else len(set(now) & set(learned))
    node = {
        "id": f"bundle:{bundle['version']}",
        "kind": "bundle",
        "label": bundle["version"],
        "made": str(bundle.get("made", "")),
        "in_use": bool(bundle.get("in_use")),
        "data_hash": str(bundle.get("data_hash", "")),
        "loads_known": known,
        "loads_now": len(now),
    }
    whole["nodes"].append(node)
    for name in LEARNED:
        if any(one["id"] == f"table:{name}" for one in whole["nodes"]):
            whole["edges"].append({"from": f"table:{name}", "to": node["id"]})


def _around(whole: Graph, table: str) -> Graph:
    """Keep what leads to a table, and what comes of it."""
    keep = {table} | {edge["to"] for edge in whole["edges"] if edge["from"] == table}
    loads = {edge["from"] for edge in whole["edges"] if edge["to"] == table}
    keep |= loads | {edge["from"] for edge in whole["edges"] if edge["to"] in loads}
    return {
        "nodes": [node for node in whole["nodes"] if node["id"] in keep],
        "edges": [
            edge
            for edge in whole["edges"]
            if table in (edge["from"], edge["to"]) or (edge["to"] in loads and edge["from"] in keep)
        ],
    }


def _total(tables: Iterable[Iterable[Mapping[str, Any]]]) -> dict[str, int]:
    rows = [row for table in tables for row in table]
    return {name: sum(row.get(name, 0) for row in rows) for name in ("rows_in", "refused")}
