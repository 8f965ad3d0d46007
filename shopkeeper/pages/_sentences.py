"""Says in plain sentences what a load's quality tables tell, the worst with a louder verdict."""

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from shopkeeper.pages._cells import share

if TYPE_CHECKING:
    import polars as pl

VERDICTS = ("ok", "look", "alarm")
TELLING = ("user_id", "item_id", "time", "price_minor", "quantity", "title")
"""Columns whose gaps a person should know of."""
GAP_LOOK = 0.2
DRIFTS_SAID = 4
Rows = list[dict[str, Any]]


def quality_sentences(tables: "Mapping[str, pl.DataFrame]") -> list[tuple[str, str]]:
    """Return what a person should know of a load.

    Args:
        tables: As `data.quality` makes them; those that lack are not spoken of.

    Returns:
        Pairs of a verdict (`ok`, `look`, `alarm`) and a sentence: first what came, then the worst.
    """
    rows = {name: table.to_dicts() for name, table in tables.items()}
    judged = [
        *_crossed(rows.get("thresholds", [])),
        *_period(rows.get("days", [])),
        *_bought(rows.get("funnel", [])),
        *_gaps(rows.get("missing", [])),
        *_unusual(rows.get("anomalies", [])),
        *(_moved(rows["drift"]) if "drift" in rows else []),
    ]
    return [*_came(rows), *sorted(judged, key=lambda said: -VERDICTS.index(said[0]))]


def _came(rows: Mapping[str, Rows]) -> list[tuple[str, str]]:
    said = []
    for row in rows.get("rows", []):
        mine = [r for r in rows.get("refused", []) if r["table"] == row["table"]]
        part = share(row["refused"] / max(row["rows_in"], 1))
        text = f"{row['table'].capitalize()}: {row['rows_in']:,} rows came, {row['kept']:,} were "
        text += f"kept, {row['refused']:,} refused ({part})"
        if mine:
            most = max(mine, key=lambda r: r["rows"])
            often = "all" if len(mine) == 1 else "mostly"
            text += f", {often} because {most['reason']} ({most['rows']:,})"
        verdict = "ok" if row["kept"] or not row["rows_in"] else "alarm"
        said.append((verdict, text + "."))
    return said


def _crossed(thresholds: Rows) -> list[tuple[str, str]]:
    over = [row for row in thresholds if row.get("verdict", "ok") != "ok"]
    if thresholds and not over:
        return [("ok", "No check refused more than it may.")]
    return [
        (
            row["verdict"],
            f"The check '{row['check']}' refused {share(row['share'])} of the {row['table']}; "
            f"{share(row['allowed'])} is allowed.",
        )
        for row in over
    ]


def _period(days: Rows) -> list[tuple[str, str]]:
    kept = [row["day"] for row in days if row["after"]]
    if not kept:
        return []
    first, last = date.fromisoformat(min(kept)), date.fromisoformat(max(kept))
    length = (last - first).days + 1
    text = f"The kept events run from {first:%-d %B %Y} to {last:%-d %B %Y}"
    empty = length - len(kept)
    return [("ok", text + (f"; {empty:,} of {length:,} days have none." if empty else "."))]


def _bought(funnel: Rows) -> list[tuple[str, str]]:
    found = {row["step"]: row for row in funnel}
    views, bought = found.get("product views"), found.get("purchases")
    if views and bought and views.get("sessions") and bought.get("sessions"):
        part = share(min(bought["sessions"] / views["sessions"], 1))
        return [("ok", f"{views['sessions']:,} sessions looked at a product, and {part} as many "
                 "bought one.")]  # fmt: skip
    if bought and not views:
        return [("ok", "There are purchases but no views: what shoppers looked at is not known.")]
    if views and not bought:
        return [("look", "There are views but no purchases.")]
    return []


def _gaps(missing: Rows) -> list[tuple[str, str]]:
    gaps = [row for row in missing if row["column"] in TELLING and row["share"] >= GAP_LOOK]
    ordered = sorted(gaps, key=lambda row: -row["share"])[:3]
    if not ordered:
        return []
    named = ", ".join(f"{r['column']} in {share(r['share'])} of the {r['table']}" for r in ordered)
    return [("look", f"Missing: {named}.")]


def _unusual(anomalies: Rows) -> list[tuple[str, str]]:
    if not anomalies:
        return []
    named = ", ".join(f"{r['kind'].replace('_', ' ')} ({r['found']:,})" for r in anomalies[:4])
    return [("look", f"Unusual behaviour was found: {named}.")]


def _moved(drift: Rows) -> list[tuple[str, str]]:
    if not drift:
        return [("ok", "This is the first load of this input; there is nothing to compare with.")]
    moved = [row for row in drift if row["verdict"] != "ok"]
    if not moved:
        return [("ok", "Nothing moved since the last load of this input.")]
    said = [
        (row["verdict"], f"Against the last load, {row['what']}: {row['evidence']}.")
        for row in moved[:DRIFTS_SAID]
    ]
    left = len(moved) - len(said)
    return [*said, *([("look", f"{left} more differences stand below.")] if left else [])]
