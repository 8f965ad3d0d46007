"""Draws reports as single HTML files that need no network and no scripts.

Tables come in as plain values; every word of theirs is escaped. Knows no data of its own.
"""

from collections.abc import Mapping
from typing import Any

from shopkeeper.pages import plots
from shopkeeper.pages._cells import page, section
from shopkeeper.pages._sentences import quality_sentences
from shopkeeper.pages.quality import quality_html

__all__ = ["evaluation_html", "quality_html", "quality_sentences"]


def evaluation_html(report: Mapping[str, Any]) -> str:
    """Draw the report of an evaluation.

    Args:
        report: `title`; `notes`, sentences; `tables`, each with `title`, `columns` and `rows` of
            cells; `plots`, each with `title`, `kind` and `rows`. Rows of kind `interval` have
            `label`, `value`, `low`, `high` and perhaps `floor`; of kind `bar`, `label` and
            `value`; of kind `line`, `x`, `y` and perhaps `by`.

    Returns:
        One HTML page.
    """
    sections = [
        section(plot["title"], plot.get("note", ""), [], [], _drawn(plot))
        for plot in report.get("plots", [])
    ]
    for table in report.get("tables", []):
        cells = [list(row.values()) if isinstance(row, Mapping) else row for row in table["rows"]]
        sections.append(section(table["title"], table.get("note", ""), table["columns"], cells, ""))
    return page(report["title"], list(report.get("notes", [])), sections)


def _drawn(plot: Mapping[str, Any]) -> str:
    rows, title = plot["rows"], plot["title"]
    if plot["kind"] == "interval":
        floor = "floor" if rows and "floor" in rows[0] else ""
        return plots.interval(rows, "label", "value", "low", "high", title=title, floor=floor)
    if plot["kind"] == "bar":
        return plots.bar(rows, "value", "label", title=title)
    if plot["kind"] == "line":
        by = "by" if rows and "by" in rows[0] else ""
        return plots.line(rows, "x", "y", by=by, title=title)
    raise ValueError(f"kind must be interval, bar or line, but is '{plot['kind']}'")
