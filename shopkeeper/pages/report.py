"""Draws reports as single HTML files that need no network and no scripts.

Tables come in as plain values; every word of theirs is escaped. Knows no data of its own.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shopkeeper.pages import plots

if TYPE_CHECKING:
    import jinja2
    import polars as pl

TABLE_ROWS_MAX = 200


def quality_html(tables: "Mapping[str, pl.DataFrame]", *, title: str = "Data quality") -> str:
    """Draw the quality report of a load.

    Args:
        tables: By name: `rows`, `refused`, `mended`, `missing`, `days`, `prices`, `quantities`,
            `countries`, each as `data.quality` makes it; those that lack are left out.
        title: The heading.

    Returns:
        One HTML page.
    """
    rows = {name: table.to_dicts() for name, table in tables.items()}
    sections: list[dict[str, Any]] = []
    words = {
        "rows": ("What came and what stayed", ""),
        "refused": ("Refused, by reason", "Each row stands in the quarantine with its place."),
        "mended": ("Kept, with a remark", ""),
        "missing": ("Values that were missing", "As the files came."),
        "countries": ("Countries", "The most frequent."),
    }
    for name, (heading, note) in words.items():
        if rows.get(name):
            columns = list(rows[name][0])
            cells = [list(row.values()) for row in rows[name]]
            plot = _quality_plot(name, rows[name])
            sections.append(_section(heading, note, columns, cells, plot))
    for name, heading, unit in (
        ("prices", "Prices", "minor units a piece"),
        ("quantities", "Quantities", "pieces a line"),
    ):
        if rows.get(name):
            note = f"Rows by {unit}; bins double. Behind, all rows; in front, those kept."
            bins = [row | {"bin": _short(row["from"])} for row in rows[name]]
            svg = plots.histogram(bins, "bin", "before", "after", title=heading)
            sections.append(_section(heading, note, [], [], svg))
    if rows.get("days"):
        svg = plots.line(_long(rows["days"]), "day", "rows", by="side", title="Rows by day")
        sections.append(_section("Rows by day", "", [], [], svg))
    return _page(title, _summary(rows.get("rows", [])), sections)


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
        _section(plot["title"], plot.get("note", ""), [], [], _drawn(plot))
        for plot in report.get("plots", [])
    ]
    for table in report.get("tables", []):
        cells = [list(row.values()) if isinstance(row, Mapping) else row for row in table["rows"]]
        sections.append(
            _section(table["title"], table.get("note", ""), table["columns"], cells, "")
        )
    return _page(report["title"], list(report.get("notes", [])), sections)


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


def _quality_plot(name: str, rows: list[dict[str, Any]]) -> str:
    if name == "refused":
        labelled = [row | {"label": f"{row['table']}: {row['reason']}"} for row in rows]
        return plots.bar(labelled, "rows", "label", title="Refused rows by reason")
    if name == "countries":
        named = [row | {"label": row["country"] or "not given"} for row in rows]
        return plots.bar(named, "rows", "label", title="Rows by country")
    return ""


def _summary(rows: list[dict[str, Any]]) -> list[str]:
    """Say in a sentence what became of each table."""
    return [
        f"{row['table'].capitalize()}: {row['rows_in']:,} rows came, {row['kept']:,} were kept, "
        f"{row['refused']:,} refused ({row['refused'] / max(row['rows_in'], 1):.2%})."
        for row in rows
    ]


def _long(days: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"day": row["day"], "side": words, "rows": row[side]}
        for side, words in (("before", "all rows"), ("after", "kept"))
        for row in days
    ]


def _section(
    heading: str, note: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], svg: str
) -> dict[str, Any]:
    shown = [[_cell(value) for value in row] for row in rows[:TABLE_ROWS_MAX]]
    return {
        "heading": heading,
        "note": note,
        "columns": [str(column).replace("_", " ") for column in columns],
        "rows": shown,
        "hidden": max(0, len(rows) - TABLE_ROWS_MAX),
        "svg": svg,
    }


def _short(number: int) -> str:
    """Write a number in few letters: 131,072 is `131k`."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number // size}{letter}"
    return str(number)


def _cell(value: Any) -> tuple[str, bool]:
    """Return the words of a cell and whether it is a number."""
    if value is None:
        return "–", False
    if isinstance(value, bool):
        return ("yes" if value else "no"), False
    if isinstance(value, int):
        return f"{value:,}", True
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}", True
    return str(value), False


def _page(title: str, notes: Sequence[str], sections: Sequence[Mapping[str, Any]]) -> str:
    template = _templates().get_template("report.html")
    return template.render(title=title, notes=notes, sections=sections)


@cache
def _templates() -> "jinja2.Environment":
    import jinja2

    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    return jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
