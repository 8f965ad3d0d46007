"""How a load differs from the last one of the same input.

Source: the population stability index, sum of (p - q) ln(p / q), with the limits 0.1 and 0.25 of
N. Siddiqi, Credit Risk Scorecards, Wiley 2006. Where a load is small its index is large by chance,
so a limit is never below what chance gives one time in a thousand: without change the index
times 1 / (1 / n + 1 / m) is near chi-square (B. Yurdakul, Western Michigan University 2018).
Does not know that the rows of one basket resemble each other, nor what the season does.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import polars as pl

from shopkeeper import schema

LOOK, ALARM = 0.1, 0.25
CHANCE = 0.001
"""How often a load without change may be taken for a changed one."""
MISSING_LOOK, MISSING_ALARM = 0.1, 0.3
"""By how much the share of missing values of a column may grow."""
NAMED_MAX = 5
NAMES_MAX = 200
"""The most frequent names of a kind that a load tells; a list as long may have been cut."""

SHAPE: dict[str, schema.Dtype] = {
    "what": pl.String,
    "measure": pl.String,
    "value": pl.Float64,
    "verdict": pl.String,
    "evidence": pl.String,
}
VERDICTS = ("ok", "look", "alarm")
Tables = Mapping[str, pl.DataFrame]
Row = dict[str, str | float | None]


def drift(tables: Tables, before: Tables | None) -> pl.DataFrame:
    """Compare the tables of `data.quality` with those of the last load.

    Args:
        tables: Of this load.
        before: Of the last load of the same input; None if this is the first.

    Returns:
        Rows of `what`, `measure` (`PSI`, `z`, `share` or empty), `value`, `verdict` (`ok`, `look`,
        `alarm`), `evidence`, a sentence; the worst first. No rows without a load before.
    """
    if before is None:
        return pl.DataFrame(schema=SHAPE)
    rows = [
        *_shifts(tables, before),
        *_volume(tables, before),
        *_missing(tables, before),
        *_columns(tables, before),
    ]
    for name, words in (
        ("currencies", "currency"), ("categories", "category"), ("countries", "country")
    ):  # fmt: skip
        rows += _names(tables, before, name, words)
    worst = pl.col("verdict").replace_strict({v: i for i, v in enumerate(VERDICTS)})
    return pl.DataFrame(rows, schema=SHAPE).sort(-worst, maintain_order=True)


def stability_index(now: Sequence[float], before: Sequence[float]) -> tuple[float, float]:
    """Return the population stability index of two rows of counts, and what chance may give.

    Args:
        now: Rows by bin, at least 0. Half a row is added to each, so that an empty bin counts.
        before: The same bins of the load before.

    Returns:
        The index, at least 0, and the index that counts without change exceed once in a thousand.
    """
    from scipy.special import chdtri

    total_now, total_before = sum(now) + len(now) / 2, sum(before) + len(before) / 2
    pairs = [
        ((a + 0.5) / total_now, (b + 0.5) / total_before)
        for a, b in zip(now, before, strict=True)
    ]  # fmt: skip
    index = sum((p - q) * math.log(p / q) for p, q in pairs)
    noise = float(chdtri(max(len(now) - 1, 1), CHANCE)) * (1 / total_now + 1 / total_before)
    return index, noise


def _shifts(tables: Tables, before: Tables) -> list[Row]:
    """Judge how each distribution moved."""
    rows: list[Row] = []
    for words, name, key, count in (
        ("prices", "prices", "from", "after"),
        ("quantities", "quantities", "from", "after"),
        ("products' prices", "product_prices", "from", "after"),
        ("event mix", "events", "event_name", "after"),
        ("countries", "countries", "country", "rows"),
        ("categories", "categories", "category", "rows"),
    ):
        now, then = _counts(tables, name, key, count), _counts(before, name, key, count)
        rows += _shift(words, now, then)
    return rows + _shift("weekdays", _weekdays(tables), _weekdays(before))


def _shift(words: str, now: dict[str, int], then: dict[str, int]) -> list[Row]:
    keys = sorted({*now, *then})
    if not sum(now.values()) or not sum(then.values()) or len(keys) < 2:
        return []
    index, noise = stability_index([now.get(k, 0) for k in keys], [then.get(k, 0) for k in keys])
    verdict = _verdict(index, max(LOOK, noise), max(ALARM, noise))
    share_now = {k: now.get(k, 0) / sum(now.values()) for k in keys}
    share_then = {k: then.get(k, 0) / sum(then.values()) for k in keys}
    most = max(keys, key=lambda k: abs(share_now[k] - share_then[k]))
    moved = f"from {share_then[most]:.1%} to {share_now[most]:.1%}"
    said = f"{_bin(words, most)} moved most, {moved} of the rows"
    return [_row(words, "PSI", index, verdict, said)]


def _volume(tables: Tables, before: Tables) -> list[Row]:
    """Judge the rows of a day against how days of the last load spread."""
    now, then = _daily(tables), _daily(before)
    if not now or not then:
        return []
    mean_now, mean_then = sum(now) / len(now), sum(then) / len(then)
    ratio = mean_now / mean_then
    said = f"{mean_now:,.0f} kept rows a day, {mean_then:,.0f} in the last load ({ratio - 1:+.0%})"
    if len(then) < 2:
        verdict = "ok" if 0.5 < ratio < 2 else "look"
        return [_row("rows a day", "", None, verdict, f"{said}; one day has no spread")]
    variance = sum((rows - mean_then) ** 2 for rows in then) / (len(then) - 1)
    # Counts spread at least as chance makes them.
    spread = math.sqrt(max(variance, mean_then) * (1 / len(now) + 1 / len(then)))
    z = (mean_now - mean_then) / spread
    verdict = "ok"
    if abs(z) > 3 and abs(math.log(ratio)) > math.log(1.2):
        verdict = "alarm" if abs(z) > 5 and abs(math.log(ratio)) > math.log(2) else "look"
    return [_row("rows a day", "z", z, verdict, said)]


def _missing(tables: Tables, before: Tables) -> list[Row]:
    """Name the columns that miss far more values than before."""
    rows: list[Row] = []
    there = {(r["table"], r["column"]) for r in _dicts(tables, "columns")}
    were = {(r["table"], r["column"]) for r in _dicts(before, "columns")}
    then = {(r["table"], r["column"]): r["share"] for r in _dicts(before, "missing")}
    for row in _dicts(tables, "missing"):
        key = (row["table"], row["column"])
        more = row["share"] - then.get(key, 0.0)
        if key in there & were and more > MISSING_LOOK:
            said = f"missing in {row['share']:.1%} of the rows, {then.get(key, 0.0):.1%} before"
            verdict = _verdict(more, MISSING_LOOK, MISSING_ALARM)
            rows.append(_row(f"{row['column']} of {row['table']}", "share", more, verdict, said))
    return rows


def _columns(tables: Tables, before: Tables) -> list[Row]:
    """Name columns that came, went, or hold another type."""
    now = {(r["table"], r["column"]): r for r in _dicts(tables, "columns")}
    then = {(r["table"], r["column"]): r for r in _dicts(before, "columns")}
    if not then:
        return []
    # A column without a value has no type to speak of.
    empty, now_empty = (
        {(r["table"], r["column"]) for r in _dicts(some, "missing") if r["share"] == 1}
        for some in (before, tables)
    )
    rows: list[Row] = []
    for key in sorted({*now, *then}):
        what = f"{key[1]} of {key[0]}"
        if key not in now:
            verdict = "alarm" if then[key]["known"] and key not in empty else "look"
            rows.append(_row(what, "", None, verdict, "the column is no longer there"))
        elif key not in then:
            rows.append(_row(what, "", None, "look", "the column is new"))
        elif now[key]["type"] != then[key]["type"] and key not in empty | now_empty:
            said = f"the column holds {now[key]['type']}, {then[key]['type']} before"
            rows.append(_row(what, "", None, "look", said))
    return rows


def _names(tables: Tables, before: Tables, name: str, words: str) -> list[Row]:
    """Name values that were never there before, or are no longer there."""
    now, then = _counts(tables, name, words, "rows"), _counts(before, name, words, "rows")
    # Only a list that was not cut tells what is new.
    if not now or not then or max(len(now), len(then)) >= NAMES_MAX:
        return []
    rows: list[Row] = []
    for here, there, said in ((now, then, "new"), (then, now, "vanished")):
        found = [one for one in here if one not in there]
        if found:
            share = sum(here[one] for one in found) / sum(here.values())
            listed = ", ".join(found[:NAMED_MAX]) + (", ..." if len(found) > NAMED_MAX else "")
            verdict = "look" if words == "currency" or share > 0.01 else "ok"
            evidence = f"{listed} ({share:.1%} of the rows)"
            rows.append(_row(f"{said} {name}", "share", share, verdict, evidence))
    return rows


def _daily(tables: Tables) -> list[int]:
    """Return the kept rows of every day from the first to the last, days without any too."""
    found = {row["day"]: row["after"] for row in _dicts(tables, "days") if row["after"]}
    if not found:
        return []
    first, last = date.fromisoformat(min(found)), date.fromisoformat(max(found))
    days = ((first + timedelta(days=i)).isoformat() for i in range((last - first).days + 1))
    return [found.get(day, 0) for day in days]


def _weekdays(tables: Tables) -> dict[str, int]:
    counts: dict[str, int] = {}
    found = [row for row in _dicts(tables, "days") if row["after"]]
    if len(found) < 7:
        # A day is always some weekday; only whole weeks can be compared.
        return {}
    for row in found:
        name = f"{date.fromisoformat(row['day']):%A}"
        counts[name] = counts.get(name, 0) + row["after"]
    return counts


def _counts(tables: Tables, name: str, key: str, count: str) -> dict[str, int]:
    rows = _dicts(tables, name)
    return {str(row[key]) if row[key] is not None else "none": row[count] for row in rows}


def _dicts(tables: Tables, name: str) -> list[dict[str, Any]]:
    return tables[name].to_dicts() if name in tables else []


def _bin(words: str, key: str) -> str:
    return f"what begins at {int(key):,}" if key.isdigit() and words != "categories" else key


def _verdict(value: float, look: float, alarm: float) -> str:
    return "alarm" if value > alarm else "look" if value > look else "ok"


def _row(what: str, measure: str, value: float | None, verdict: str, evidence: str) -> Row:
    rounded = None if value is None else round(value, 4)
    return {"what": what, "measure": measure, "value": rounded, "verdict": verdict,
            "evidence": evidence}  # fmt: skip
