"""Draws the quality report of one load or several: first what a person should know, then why.

Tables come in as `data.quality` makes them; one that lacks or has no rows is left out, and so is
what an older version did not count. Knows no data of its own.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from shopkeeper import schema
from shopkeeper.pages import plots
from shopkeeper.pages._cells import TABLE_ROWS_MAX, render, share
from shopkeeper.pages._sentences import VERDICTS, quality_sentences

if TYPE_CHECKING:
    import polars as pl

WORDS = {"ok": "fine", "look": "look", "alarm": "alarm"}
WIDE, NARROW, HALF = 880, 290, 390
SMOOTH_DAYS = 60
"""With more days than this the mean of the week is drawn over the days."""
SERIES_MAX = 4
COUNTRIES_SHOWN = 12
WORD_MAX = 24
"""A table with longer words is stacked on a phone, a line for each cell."""
Rows = list[dict[str, Any]]


def quality_html(
    reports: "Mapping[str, Mapping[str, pl.DataFrame]] | Mapping[str, pl.DataFrame]",
    *,
    title: str = "Data quality",
) -> str:
    """Draw the quality report of a load, or of one load for each input.

    Args:
        reports: The tables of `data.quality` by name, or such tables by the name of their input.
        title: The heading.

    Returns:
        One HTML page.
    """
    several: dict[str, Any] = dict(reports)
    if not all(isinstance(tables, Mapping) for tables in several.values()) or not several:
        several = {"": reports}
    inputs = [_input(name, tables) for name, tables in several.items()]
    return render("quality.html", title=title, inputs=inputs, words=WORDS)


def _input(name: str, tables: "Mapping[str, pl.DataFrame]") -> dict[str, Any]:
    """Return all that is shown of one input."""
    rows = {key: table.to_dicts() for key, table in tables.items()}
    sentences = quality_sentences(tables)
    came = sum(row["rows_in"] for row in rows.get("rows", []))
    gone = sum(row["refused"] for row in rows.get("rows", []))
    drawn = [
        _days(rows.get("days", [])),
        _funnel(rows.get("funnel", [])),
        *(_histogram(rows, name) for name in HISTOGRAMS),
        *_tables(rows),
    ]
    return {
        "name": name,
        "verdict": max((v for v, _ in sentences), key=VERDICTS.index, default="ok"),
        "sentences": sentences,
        "came": came,
        "refused": gone,
        "share": share(gone / max(came, 1)),
        "cards": [one for one in drawn if one],
    }


def _tables(rows: Mapping[str, Rows]) -> list[dict[str, Any] | None]:
    """Return the cards that are tables, the most telling first."""
    drift = [
        {**row, "value": "" if row["value"] is None else f"{row['measure']} {row['value']:,.2f}"}
        for row in rows.get("drift", [])
    ]
    checks = [
        {**row, "allowed": "any" if row.get("allowed") is None else share(row["allowed"]),
         "share_refused": share(row["share"])}
        for row in rows.get("thresholds", [])
    ]  # fmt: skip
    countries = rows.get("countries", [])
    named = [row | {"country": row["country"] or "not given"} for row in countries]
    mended = [row for row in rows.get("mended", []) if row["rows"]]
    strange = [row for row in rows.get("columns", []) if not row["known"]]
    return [
        _card("Refused, by reason", "Each row stands in the quarantine with its place; here is "
              "that of the first.", _placed(rows.get("refused", [])),
              ("table", "reason", "rows", "first at"), bar="rows", first=True),
        _card("Checks and what they may refuse", "A strict load stops at an alarm.", checks,
              ("check", "table", "rows", "share_refused", "allowed", "verdict")),
        _card("Against the last load", "PSI, the population stability index, is 0 where nothing "
              "moved; above 0.1 is a look, above 0.25 an alarm. z counts how far the rows of a "
              "day lie from usual.", drift, ("what", "value", "verdict", "evidence")),
        _card("What came and what stayed", "", rows.get("rows", []),
              ("table", "rows_in", "kept", "refused")),
        _card("Unusual behaviour", "Found, not refused.", rows.get("anomalies", []),
              ("kind", "subject", "found", "num_events", "score_max"), bar="found"),
        _card("Values that were missing", "As the files came.", _shares(rows.get("missing", [])),
              ("table", "column", "rows", "share"), bar="rows"),
        _card("Kept, with a remark", "", mended, ("table", "what", "rows"), bar="rows"),
        _card("Smallest, mean and largest", "Of all rows, and of those kept.", _spans(rows),
              ("table", "column", "all rows", "kept")),
        _card("Countries", "Kept rows of the most frequent.", named[:COUNTRIES_SHOWN],
              ("country", "rows"), bar="rows", more=len(named) - COUNTRIES_SHOWN),
        _card("Categories", "Kept products by the first step of their category.",
              [r | {"category": r["category"] or "not given"} for r in rows.get("categories", [])]
              [:COUNTRIES_SHOWN], ("category", "rows"), bar="rows",
              more=len(rows.get("categories", [])) - COUNTRIES_SHOWN),
        _card("Columns beyond the schema", "They go into quarantine with a refused row.", strange,
              ("table", "column", "type")),
    ]  # fmt: skip


def _card(
    heading: str,
    note: str,
    rows: Rows,
    columns: Sequence[str],
    *,
    bar: str = "",
    first: bool = False,
    more: int = 0,
) -> dict[str, Any] | None:
    """Return a table with a bar behind the numbers of one column; None where it has no rows."""
    if not rows:
        return None
    there = [column for column in columns if column in rows[0]]
    if "table" in there and len({row["table"] for row in rows}) == 1 and len(there) > 2:
        note, there = f"{note} {rows[0]['table'].capitalize()}.".strip(), there[1:] if there[
            0] == "table" else [c for c in there if c != "table"]  # fmt: skip
    top = max((row[bar] for row in rows), default=0) if bar else 0
    return {
        "heading": heading,
        "note": note,
        "columns": [(column.replace("_", " "), _is_number(rows, column)) for column in there],
        "rows": [
            [
                {
                    "words": _words(row[column]),
                    "number": _is_number(rows, column),
                    "verdict": row[column] if column == "verdict" else "",
                    "bar": round(100 * row[bar] / top, 1) if column == bar and top else None,
                }
                for column in there
            ]
            for row in rows[:TABLE_ROWS_MAX]
        ],
        "hidden": max(0, len(rows) - TABLE_ROWS_MAX, more),
        "wide": first or len(there) > 3,
        "stacked": len(there) > 4 or _longest(rows, there) > WORD_MAX,
    }


def _longest(rows: Rows, columns: Sequence[str]) -> int:
    return max(len(str(row[column])) for row in rows for column in columns)


def _placed(refused: Rows) -> Rows:
    """Say where the first row of each reason stands."""
    told = []
    for row in refused:
        file, line = row.get("file"), row.get("line")
        place = f"row {line:,}" if line is not None else "–"
        told.append(row | {"first at": f"{file}, {place}" if file else place})
    return told


def _shares(missing: Rows) -> Rows:
    ordered = sorted(missing, key=lambda row: -row["share"])
    return [row | {"share": share(row["share"])} for row in ordered]


def _spans(rows: Mapping[str, Rows]) -> Rows:
    money = _money(rows)
    told = []
    for row in rows.get("ranges", []):
        if row["mean"] is None:
            continue
        is_money = row["column"].endswith("_minor")

        def words(ends: Sequence[float | None], is_money: bool = is_money) -> str:
            known = [end for end in ends if end is not None]
            return (
                " · ".join(
                    money(end)
                    if is_money
                    else (f"{end:,.0f}" if end == int(end) else f"{end:,.4g}")
                    for end in known
                )
                or "–"
            )

        all_rows = words([row["lowest"], row["mean"], row["highest"]])
        kept = words([row["lowest_kept"], row["mean_kept"], row["highest_kept"]])
        name = row["column"].removesuffix("_minor").replace("_", " ")
        told.append({"table": row["table"], "column": name, "all rows": all_rows, "kept": kept})
    return told


def _days(days: Rows) -> dict[str, Any] | None:
    """Return the plot of kept rows by day and event name, beside those refused."""
    kept = [row["day"] for row in days if row["after"]]
    # A refused moment may be in the year 0 or 9999.
    days = [row for row in days if kept and kept[0] <= row["day"] <= kept[-1]]
    if not days:
        return None
    names = [name for name in days[0] if name not in ("day", "before", "after")]
    totals = {name: sum(row[name] or 0 for row in days) for name in names}
    ordered = sorted(names, key=lambda name: (-totals[name], name))
    top, rest = ordered[:SERIES_MAX], ordered[SERIES_MAX:]
    by_day = {row["day"]: row for row in days}
    first, last = date.fromisoformat(days[0]["day"]), date.fromisoformat(days[-1]["day"])
    calendar = [(first + timedelta(days=i)).isoformat() for i in range((last - first).days + 1)]
    if len(calendar) > plots.ROWS_MAX // (SERIES_MAX + 2):
        # A wrong year or two would draw a line of nothing between.
        calendar = list(by_day)
    series: dict[str, list[int]] = {
        _plain(name): [by_day.get(day, {}).get(name) or 0 for day in calendar] for name in top
    }
    if rest:
        series["other events"] = [
            sum(by_day.get(day, {}).get(name) or 0 for name in rest) for day in calendar
        ]
    if not names:
        series["kept"] = [by_day.get(day, {}).get("after", 0) for day in calendar]
    told = [by_day.get(day, {}) for day in calendar]
    series["refused"] = [max(row.get("before", 0) - row.get("after", 0), 0) for row in told]
    rows = [
        {"day": day, "series": name, "rows": rows, "smooth": smooth}
        for name, counts in series.items()
        for day, rows, smooth in zip(calendar, counts, _smooth(counts), strict=True)
    ]
    note = "Kept rows of each day by event, and the rows refused."
    if len(calendar) > SMOOTH_DAYS:
        note += " Bold: the mean of the week around a day."
    wide, narrow = (plots.days(rows, width=w, title="Rows by day") for w in (WIDE, NARROW))
    return {"heading": "Rows by day", "note": note, "svg": wide, "svg_narrow": narrow, "wide": True}


def _smooth(counts: list[int]) -> list[float | None]:
    """Return the mean of the seven days around each, or nothing where there are few days."""
    if len(counts) <= SMOOTH_DAYS:
        return [None] * len(counts)
    windows = (counts[max(0, i - 3) : i + 4] for i in range(len(counts)))
    return [round(sum(window) / len(window), 1) for window in windows]


def _funnel(funnel: Rows) -> dict[str, Any] | None:
    if not funnel:
        return None
    about = "about " if funnel[0]["estimated"] else ""
    note = "Who reached each step at all; a bar is its events."
    if about:
        note += " Sessions and shoppers are estimated, within a few percent."
    rows = [
        {key: value for key, value in row.items() if key != "estimated" and value is not None}
        for row in funnel
    ]
    columns = [name for name in ("step", "events", "sessions", "shoppers") if name in rows[0]]
    return _card("From searching to buying", note, rows, columns, bar="events")


HISTOGRAMS = {
    "prices": ("Prices", "Rows by price a piece"),
    "quantities": ("Quantities", "Rows by pieces a line"),
    "product_prices": ("Products' prices", "Products by price"),
}


def _histogram(rows: Mapping[str, Rows], name: str) -> dict[str, Any] | None:
    bins = rows.get(name, [])
    if not bins:
        return None
    heading, note = HISTOGRAMS[name]
    money = _money(rows)
    label = _short if name == "quantities" else money
    drawn = [row | {"bin": label(row["from"]) if row["from"] else "≤ 0"} for row in bins]
    svg = plots.histogram(drawn, "bin", "before", "after", width=HALF, title=heading)
    unit = " in minor units" if name != "quantities" and money is _short else ""
    return {
        "heading": heading,
        "note": f"{note}{unit}, from the number below up to the next. Orange: all rows; blue: "
        "those kept. The heights are on a logarithmic scale.",
        "svg": svg,
        "wide": False,
    }


def _money(rows: Mapping[str, Rows]) -> Any:
    """Return how to write minor units: in the currency where there is one, else as they are."""
    known = [row["currency"] for row in rows.get("currencies", []) if row["currency"]]
    if len(known) != 1:
        return _short
    digits = schema.EXPONENTS.get(known[0], 2)

    def write(minor: float) -> str:
        major = minor / 10**digits
        if abs(major) >= 1000:
            return ("-" if major < 0 else "") + _short(abs(major))
        return f"{major:.{digits}f}" if major % 1 else f"{major:.0f}"

    return write


def _is_number(rows: Rows, column: str) -> bool:
    return all(isinstance(row[column], int | float) for row in rows) or column in (
        "share", "share_refused", "allowed"
    )  # fmt: skip


def _words(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _short(number: float) -> str:
    """Write a number in few letters: 131,072 is `131k`."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"
