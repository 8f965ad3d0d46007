"""Cells, sections and templates that all reports share."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2

TABLE_ROWS_MAX = 200


def section(
    heading: str, note: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], svg: str
) -> dict[str, Any]:
    """Return what a template needs to draw a heading, a note, a plot and a table.

    Args:
        heading: Of the section.
        note: A sentence below it; empty for none.
        columns: Names of the table's columns.
        rows: Its cells.
        svg: A plot; empty for none.

    Returns:
        Values by the names that `report.html` knows.
    """
    shown = [[cell(value) for value in row] for row in rows[:TABLE_ROWS_MAX]]
    return {
        "heading": heading,
        "note": note,
        "columns": [str(column).replace("_", " ") for column in columns],
        "rows": shown,
        "hidden": max(0, len(rows) - TABLE_ROWS_MAX),
        "svg": svg,
    }


def cell(value: Any) -> tuple[str, bool]:
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


def share(part: float) -> str:
    """Write a share in percent, and a tiny one as what it is below."""
    if 0 < part < 0.0005:
        return "< 0.1%"
    return f"{part:.1%}"


def render(template: str, **values: Any) -> str:
    """Return the page that a file of `templates` makes of the values; all words are escaped."""
    return _templates().get_template(template).render(**values)


def page(title: str, notes: Sequence[str], sections: Sequence[Mapping[str, Any]]) -> str:
    """Return a page of sections, one below the other."""
    return render("report.html", title=title, notes=notes, sections=sections)


@cache
def _templates() -> "jinja2.Environment":
    import jinja2

    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    return jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
