"""Draws the report on features: what each is worth, how sure that is, how steady, at what price."""

from collections.abc import Mapping, Sequence
from typing import Any

from shopkeeper.pages.report import evaluation_html

COLUMNS_MAX = 30
"""Columns in a plot; all stand in the table."""


def features_html(report: Mapping[str, Any]) -> str:
    """Draw the report of a feature selection.

    Args:
        report: `title`, `notes`, `k`; `features` and `columns`, the rows that `engine.worth` makes.

    Returns:
        One HTML page.
    """
    features, columns = report["features"], report["columns"]
    loss = f"Loss of NDCG@{report['k']}"
    moved = sorted(columns, key=lambda row: -row["shift"])[:COLUMNS_MAX]
    plots = [
        _intervals(f"{loss} without a feature", features, "feature"),
        _intervals(f"{loss} without a column", columns[:COLUMNS_MAX], "column"),
        _bars("Microseconds a request", features, "feature", "request_us"),
        _bars("How far values moved, by stability index", moved, "column", "shift"),
    ]
    if columns and columns[0]["gain"] is not None:
        gained = sorted(columns, key=lambda row: -row["gain"])[:COLUMNS_MAX]
        plots.insert(2, _bars("Share of the gain of all trees", gained, "column", "gain"))
    tables = [
        {"title": title, "columns": list(rows[0]) if rows else [], "rows": rows}
        for title, rows in (("Features", features), ("Columns", columns))
    ]
    return evaluation_html(
        {"title": report["title"], "notes": report["notes"], "plots": plots, "tables": tables}
    )


def _intervals(title: str, rows: Sequence[Mapping[str, Any]], label: str) -> dict[str, Any]:
    drawn = [
        {"label": row[label], "value": row["drop"], "low": row["low"], "high": row["high"]}
        for row in rows
    ]
    return {"title": title, "kind": "interval", "rows": drawn}


def _bars(title: str, rows: Sequence[Mapping[str, Any]], label: str, value: str) -> dict[str, Any]:
    drawn = [{"label": row[label], "value": row[value]} for row in rows]
    return {"title": title, "kind": "bar", "rows": drawn}
