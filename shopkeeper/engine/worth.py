"""What features are worth, as rows of a report, and what to do with each: keep it, or drop it.

Rules of thumb, printed with each advice; none is applied by itself. Knows no shop.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.evaluation.bootstrap import mean_interval
from shopkeeper.evaluation.columns import rank_correlations, stability_index, varies

Floats = NDArray[np.float64]

GAIN_MIN = 0.002
"""A column with a smaller share of the gain is hardly asked."""
ALIKE_MIN = 0.98
"""Rank correlation from which two columns say the same."""
SHIFT_MAX = 0.25
"""Stability index above which values have moved much."""
CORRELATED_ROWS_MAX = 20_000


def columns_table(
    columns: Mapping[str, Sequence[str]], facts: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return a row for each column, most wanted first.

    Args:
        columns: The columns of each feature, in the order of the matrix.
        facts: `gains` [F] or None, `drops` [B] by column, `ranks` [periods, F] or None, `first`
            and `held` [N, F], `resamples`.

    Returns:
        `column`, `feature`, `gain`, `drop`, `low`, `high`, `place_best`, `place_worst`, `shift`,
        `missing`, `alike`, `likeness`, `advice`, `why`.
    """
    names = [(part, column) for part, listed in columns.items() for column in listed]
    held, first, ranks = facts["held"], facts["first"], facts["ranks"]
    alike, likeness = _nearest(held)
    moving = varies(held)
    rows = []
    for at, (part, column) in enumerate(names):
        found = mean_interval(facts["drops"][column], resamples=facts["resamples"])
        row: dict[str, Any] = {
            "column": column,
            "feature": part,
            "gain": None if facts["gains"] is None else float(facts["gains"][at]),
            "drop": found.mean,
            "low": found.low,
            "high": found.high,
            "place_best": None if ranks is None else int(ranks[:, at].min()),
            "place_worst": None if ranks is None else int(ranks[:, at].max()),
            "shift": stability_index(first[:, at], held[:, at]),
            "missing": float(np.isnan(held[:, at]).mean()),
            "alike": names[alike[at]][1] if likeness[at] > 0 else None,
            "likeness": float(likeness[at]),
        }
        rows.append(row)
    gain_of: dict[Any, Any] = {row["column"]: row["gain"] for row in rows}
    for row, does in zip(rows, moving, strict=True):
        other = gain_of.get(row["alike"])
        row["advice"], row["why"] = advise(row, bool(does), other)
    return sorted(rows, key=lambda row: (-row["drop"], -(row["gain"] or 0), row["column"]))


def features_table(
    columns: Mapping[str, Sequence[str]], facts: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return a row for each feature, most wanted first; arguments as for `columns_table`.

    Args:
        columns: The columns of each feature.
        facts: Also `cost_us` by feature; `candidates`, the mean number of a request; `used`, the
            features that the shop uses so far; `drops` of a feature by its name in brackets.

    Returns:
        `feature`, `columns`, `gain`, `drop`, `low`, `high`, `request_us`, `candidate_us`,
        `advice`, `why`.
    """
    rows, begin = [], 0
    for part, listed in columns.items():
        here, begin = slice(begin, begin + len(listed)), begin + len(listed)
        found = mean_interval(facts["drops"][f"[{part}]"], resamples=facts["resamples"])
        row: dict[str, Any] = {
            "feature": part,
            "columns": len(listed),
            "gain": None if facts["gains"] is None else float(facts["gains"][here].sum()),
            "drop": found.mean,
            "low": found.low,
            "high": found.high,
            "request_us": facts["cost_us"][part],
            "candidate_us": facts["cost_us"][part] / max(facts["candidates"], 1),
        }
        row["advice"], row["why"] = _advise_feature(row, part in facts["used"])
        rows.append(row)
    return sorted(rows, key=lambda row: -float(row["drop"]))


def advise(row: Mapping[str, Any], does_vary: bool, gain_alike: float | None) -> tuple[str, str]:
    """Recommend `keep` or `drop` for a column, and say why.

    Args:
        row: Its `gain`, `low`, `high`, `shift`, `alike` and `likeness`.
        does_vary: Whether it holds more than one value.
        gain_alike: The gain of the column it is most like.

    Returns:
        The word and the reason.
    """
    gain = row["gain"]
    moved = f"; its values moved (index {row['shift']:.2f})" if row["shift"] > SHIFT_MAX else ""
    if not does_vary:
        return "drop", "never varies"
    if gain == 0:
        return "drop", "no tree asks it"
    if row["high"] < 0:
        return "drop", "lists are better when it is shuffled"
    if row["low"] > 0:
        return "keep", "missed when shuffled" + moved
    if row["likeness"] >= ALIKE_MIN and (gain is None or gain <= (gain_alike or 0)):
        return "drop", f"says what {row['alike']} says"
    if gain is not None and gain < GAIN_MIN:
        return "drop", "hardly asked, and not missed"
    return "keep", "asked, though no loss is sure" + moved


def steadiness(gains: Floats) -> tuple[NDArray[np.int64], float | None]:
    """Return the place of each column by gain, from 1, and how well periods agree.

    Args:
        gains: One row a period, [periods, F].

    Returns:
        Places [periods, F], and the mean rank correlation of two periods, None for one period or
        gains that never vary.
    """
    places = np.argsort(np.argsort(-gains, axis=1, kind="stable"), axis=1) + 1
    between = rank_correlations(gains.T)[np.triu_indices(len(gains), 1)]
    known = between[np.isfinite(between)]
    return places, float(known.mean()) if known.size else None


def _advise_feature(row: Mapping[str, Any], used: bool) -> tuple[str, str]:
    if not row["columns"]:
        return "drop", "has no columns in this shop"
    if row["high"] < 0:
        return "drop", "lists are better when it is shuffled"
    if row["low"] > 0:
        return "keep", "missed when shuffled"
    if not used:
        return "drop", "not used so far, and no loss is sure"
    if row["gain"] is not None and row["gain"] < GAIN_MIN * row["columns"]:
        return "drop", "hardly asked, and not missed"
    return "keep", "asked, though no loss is sure"


def _nearest(held: NDArray[np.float32]) -> tuple[NDArray[np.int64], Floats]:
    """Return the most correlated other column of each, and how much, 0 for none, [F]."""
    step = max(1, -(-len(held) // CORRELATED_ROWS_MAX))
    found = np.abs(np.nan_to_num(rank_correlations(held[::step])))
    np.fill_diagonal(found, 0)
    return found.argmax(axis=1), np.minimum(found.max(axis=1), 1.0)
