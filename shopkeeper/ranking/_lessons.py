"""What every ranker asks of its lessons, and the rows it keeps of them.

Knows no method.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shopkeeper.contracts import Columns
from shopkeeper.errors import BadData

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

CODE_MAX = 2**24
"""Whole numbers up to this are exact as float32."""


def check(
    name: str, features: Floats, labels: Floats, weights: Floats, owners: Rows, columns: Columns
) -> None:
    """Raise BadData for lessons that nobody can learn from.

    Args:
        name: Of the ranker, for the message.
        features: [N, F].
        labels: [N], or [N, T]; the first column is judged.
        weights: [N].
        owners: [N].
        columns: What the features are.
    """
    sizes = {"features": len(features), "weights": len(weights), "owners": len(owners)}
    wrong = [f"{size} {what}" for what, size in sizes.items() if size != len(labels)]
    if wrong:
        raise BadData(f"'{name}' got {len(labels)} labels but {', '.join(wrong)}. Give as many.")
    named = [*columns.codes, *(at for past in columns.histories.values() for at in past)]
    named += [] if columns.place is None else [columns.place]
    beyond = [at for at in named if not 0 <= at < features.shape[1]]
    if beyond or not set(columns.histories) <= set(columns.codes):
        raise BadData(
            f"'{name}' was told of columns {sorted(named)}, but there are {features.shape[1]} from "
            "0, and a history belongs to a column of codes."
        )
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise BadData(f"'{name}' got a weight that is below 0 or no number. Leave such rows out.")
    first = labels if labels.ndim == 1 else labels[:, 0]
    if not np.isin(first, (0, 1)).all():
        raise BadData(f"'{name}' learns from labels 0 and 1, but got {_others(first)}.")
    counted = first[weights > 0]
    if not counted.size or (counted == counted[0]).all():
        kind = (
            f"all {counted.size:,} labels are {counted[0]:g}" if counted.size else "no row counts"
        )
        raise BadData(
            f"'{name}' cannot learn: {kind}. It needs rows of both kinds, with and without a sale "
            "or a click. Load more events."
        )


def folds(owners: Rows, num: int, seed: int) -> Rows:
    """Deal requests out at random, and return the fold of each row, from 0, [N]."""
    who = np.unique(owners, return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(int(who.max(initial=-1)) + 1)
    return np.asarray(order[who] % num, np.int64)


def thinned(labels: Floats, weights: Floats, rows_max: int, seed: int) -> tuple[Rows, Floats]:
    """Leave out some rows without a hit where there are too many; the others count for them.

    Args:
        labels: [N].
        weights: [N].
        rows_max: How many rows stay, about.
        seed: Same seed, same rows.

    Returns:
        The rows that stay, ascending, [M], and what each counts, [M]: the sums are about those of
            all rows.
    """
    hits = int(np.count_nonzero(labels))
    if len(labels) <= rows_max:
        return np.arange(len(labels)), weights
    share = max(rows_max - hits, hits, 1) / max(len(labels) - hits, 1)
    share = min(share, 1.0)
    stays = (labels > 0) | (np.random.default_rng(seed).random(len(labels)) < share)
    rows = np.flatnonzero(stays)
    return rows, np.where(labels[rows] > 0, weights[rows], weights[rows] / share).astype(np.float32)


def codes_of(column: Floats) -> Rows:
    """Return codes as whole numbers, -1 for NaN and for what is no code, [N]."""
    known = (column >= 0) & (column <= CODE_MAX)
    return np.where(known, column, -1).astype(np.int64)


def numbered(codes: Rows, rare_max: int) -> Rows:
    """Number the codes that come more often than `rare_max` times.

    Args:
        codes: What `codes_of` gave, [N].
        rare_max: A code seen so often at most is rare.

    Returns:
        By code + 1, up to one beyond the greatest: its number from 1, or 0 for unknown and rare.
    """
    counts = np.bincount(codes + 1)
    counts[0] = 0
    often = counts > rare_max
    return np.where(often, np.cumsum(often), 0).astype(np.int64)


def number_of(codes: Rows, numbers: Rows) -> Rows:
    """Return the number of each code by what `numbered` gave, 0 for one it never saw, [N]."""
    place = codes + 1
    return numbers[np.where(place < len(numbers), place, 0)]


def again(features: Floats, column: int, past: Sequence[int]) -> Floats:
    """Return the share of a history that is the candidate itself, [N]; 0 without any history."""
    known = ~np.isnan(features[:, past])
    same = features[:, past] == features[:, [column]]
    return np.asarray(same.sum(1) / np.maximum(known.sum(1), 1), np.float32)


def amounts(num_features: int, columns: Columns) -> list[int]:
    """List the columns that hold amounts."""
    past = {at for places in columns.histories.values() for at in places}
    return [
        at
        for at in range(num_features)
        if at not in columns.codes and at not in past and at != columns.place
    ]


def _others(labels: Floats) -> str:
    found = np.unique(labels[~np.isin(labels, (0, 1))])
    return ", ".join(f"{value:g}" for value in found[:3])
