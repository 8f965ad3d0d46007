"""Draws small plots as SVG text, without network, scripts or fonts of its own.

Colours come from the page through `currentColor`, except the two of the marks, which people with
any colour vision tell apart on light and dark. Knows nothing of where the numbers come from.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

Rows = Sequence[Mapping[str, Any]]

BLUE, ORANGE, GREEN, PURPLE = "#3987c9", "#e08214", "#1b9e77", "#9a6fb0"
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, "#b5a000", "#d0607a")
"""After Okabe and Ito, with the lightness brought together for light and dark pages."""

WIDTH, HEIGHT = 560, 220
SHORT = (
    "datum.value < 1e3 ? datum.value : datum.value < 1e6 ? datum.value / 1e3 + 'k' : "
    "datum.value / 1e6 + 'M'"
)
"""How an axis writes counts: 20000 is 20k."""
ROWS_MAX = 5_000
"""More marks than this tell no more and make a page slow; the first are drawn."""


def bar(rows: Rows, x: str, y: str, *, title: str = "") -> str:
    """Draw one horizontal bar a row, in the order given.

    Args:
        rows: Values by name.
        x: Name of the length of a bar.
        y: Name of its label.
        title: What the plot is called for those who cannot see it.

    Returns:
        One `<svg>` element.
    """
    mark = {"type": "bar", "color": BLUE, "cornerRadiusEnd": 2}
    encoding = {"x": _measure(x), "y": _label(y)}
    height = max(60, 24 * min(len(rows), ROWS_MAX))
    return _svg({"mark": mark, "encoding": encoding, "height": height}, rows, title)


def line(rows: Rows, x: str, y: str, *, by: str = "", title: str = "") -> str:
    """Draw one line through the rows, or one for each value of `by`.

    Args:
        rows: Values by name.
        x: Name of the horizontal place: numbers, or days as ISO text.
        y: Name of the height.
        by: Name of what tells lines apart; empty for one line.
        title: What the plot is called for those who cannot see it.

    Returns:
        One `<svg>` element.
    """
    is_day = bool(rows) and isinstance(rows[0][x], str)
    across = {"field": _field(x), "type": "temporal" if is_day else "quantitative", "title": None}
    encoding: dict[str, Any] = {"x": across, "y": _measure(y)}
    if by:
        encoding["color"] = _colour(by)
    mark = {"type": "line", "color": BLUE, "strokeWidth": 1.6}
    return _svg({"mark": mark, "encoding": encoding, "height": HEIGHT}, rows, title)


def days(rows: Rows, *, width: int = WIDTH, title: str = "") -> str:
    """Draw what happened by day, one line a series, smoothed where there are many days.

    Args:
        rows: `day` as ISO text, `series`, `rows` and `smooth`, the mean of the week around, or None
            in all rows where there are too few days for one.
        width: Of the plot, in pixels.
        title: What the plot is called for those who cannot see it.

    Returns:
        One `<svg>` element.
    """
    across = {"field": "day", "type": "temporal", "title": None, "axis": {"labelOverlap": True,
              "tickCount": max(3, width // 110)}}  # fmt: skip
    names = list(dict.fromkeys(str(row["series"]) for row in rows))
    colour = _colour("series")
    colour["scale"]["domain"] = names
    colour["legend"] = {"columns": max(1, width // 140), "symbolStrokeWidth": 3, "symbolOpacity": 1}
    smooth = bool(rows) and rows[0]["smooth"] is not None
    layers: list[dict[str, Any]] = []
    for field, thick, faint in (("rows", 1.0, 0.35), ("smooth", 2.2, 1.0)):
        if field == "rows" or smooth:
            high = {**_measure(field), "axis": {"labelExpr": SHORT, "tickCount": 5}}
            mark = {"type": "line", "strokeWidth": thick if smooth else 2,
                    "opacity": faint if smooth else 1}  # fmt: skip
            encoding = {"x": across, "y": high, "color": colour}
            layers.append({"mark": mark, "encoding": encoding})
    return _svg({"layer": layers, "height": HEIGHT, "width": width}, rows, title)


def histogram(
    rows: Rows, x: str, before: str, after: str, *, width: int = WIDTH, title: str = ""
) -> str:
    """Draw counts by bin, what was before behind what stayed.

    Args:
        rows: One row a bin, in order.
        x: Name of the label of a bin.
        before: Name of the count before.
        after: Name of the count after.
        width: Of the plot, in pixels.
        title: What the plot is called for those who cannot see it.

    Returns:
        One `<svg>` element.
    """
    across = {"field": _field(x), "type": "ordinal", "sort": None, "title": None,
              "axis": {"labelAngle": 0, "labelOverlap": True}}  # fmt: skip
    scale = {"type": "symlog", "nice": False}
    layers = []
    for name, band, colour in ((before, 0.9, ORANGE), (after, 0.6, BLUE)):
        high = {"field": _field(name), "type": "quantitative", "title": None, "stack": None,
                "scale": scale, "axis": {"values": [0, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7],
                                         "labelExpr": SHORT}}  # fmt: skip
        mark = {"type": "bar", "color": colour, "width": {"band": band}}
        layers.append({"mark": mark, "encoding": {"x": across, "y": high}})
    return _svg({"layer": layers, "height": HEIGHT, "width": width}, rows, title)


def interval(
    rows: Rows, label: str, value: str, low: str, high: str, *, title: str = "", floor: str = ""
) -> str:
    """Draw a dot a row with its interval, and a tick where the floor lies.

    Args:
        rows: Values by name.
        label: Name of the label of a row.
        value: Name of the dot's place.
        low: Name of the interval's lower end.
        high: Name of its upper end.
        title: What the plot is called for those who cannot see it.
        floor: Name of the value to beat, where rows have one.

    Returns:
        One `<svg>` element.
    """
    upright = _label(label)
    ends = {"x": _measure(low, zero=False), "x2": {"field": _field(high)}, "y": upright}
    rule = {"type": "rule", "color": BLUE, "strokeWidth": 2, "opacity": 0.55}
    dot = {"type": "point", "filled": True, "size": 70, "color": BLUE}
    layers = [
        {"mark": rule, "encoding": ends},
        {"mark": dot, "encoding": {"x": _measure(value, zero=False), "y": upright}},
    ]
    if floor:
        tick = {"type": "tick", "color": ORANGE, "thickness": 3, "size": 18}
        layers.append({"mark": tick, "encoding": {"x": _measure(floor, zero=False), "y": upright}})
    height = max(60, 26 * min(len(rows), ROWS_MAX))
    return _svg({"layer": layers, "height": height}, rows, title)


def _svg(chart: dict[str, Any], rows: Rows, title: str) -> str:
    """Turn a Vega-Lite description into an SVG element that follows the page's colours."""
    import vl_convert

    values = [{key: _plain(value) for key, value in row.items()} for row in rows[:ROWS_MAX]]
    axis = {
        "labelColor": "currentColor", "titleColor": "currentColor", "tickColor": "currentColor",
        "domainColor": "currentColor", "gridColor": "currentColor", "gridOpacity": 0.15,
        "domainOpacity": 0.4, "tickOpacity": 0.4, "labelLimit": 380, "labelFontSize": 12,
    }  # fmt: skip
    legend = {"labelColor": "currentColor", "titleColor": "currentColor", "orient": "top"}
    config: dict[str, Any] = {
        "background": None,
        "view": {"stroke": None},
        "axis": axis,
        "legend": legend,
    }
    config["font"] = "system-ui, sans-serif"
    whole = {"width": WIDTH} | chart | {"data": {"values": values}, "config": config}
    svg: str = vl_convert.vegalite_to_svg(json.dumps(whole))
    name = title.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{name}" ', 1)


def _measure(name: str, *, zero: bool = True) -> dict[str, Any]:
    scale = {"zero": zero}
    return {"field": _field(name), "type": "quantitative", "title": None, "scale": scale}


def _label(name: str) -> dict[str, Any]:
    return {"field": _field(name), "type": "nominal", "sort": None, "title": None}


def _colour(name: str) -> dict[str, Any]:
    scale = {"range": list(PALETTE)}
    return {"field": _field(name), "type": "nominal", "title": None, "scale": scale}


def _field(name: str) -> str:
    """Keep dots and brackets of a name from being read as a path."""
    return name.replace("\\", "\\\\").replace(".", "\\.").replace("[", "\\[").replace("]", "\\]")


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float) else str(value)
