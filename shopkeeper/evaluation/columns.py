"""What are the columns of a feature matrix like: how steady, how full, how like each other?

Source: the population stability index of credit scoring; Spearman's rank correlation. Knows
neither ranker nor shop.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Matrix = NDArray[np.float32]

BINS = 10
"""Bins of about as many values each, drawn at the quantiles of the earlier ones."""


def stability_index(before: NDArray[np.floating], after: NDArray[np.floating]) -> float:
    """Return how far a column's values have moved: 0 not at all, above 0.25 much.

    Args:
        before: Earlier values, NaN for missing; missing ones have a bin of their own. [N]
        after: Later values, [M].

    Returns:
        The population stability index, at least 0; NaN where one side is empty. Half a row is
        imagined in each bin.
    """
    if not before.size or not after.size:
        return float("nan")
    known = before[~np.isnan(before)]
    edges = np.unique(np.quantile(known, np.arange(1, BINS) / BINS)) if known.size else known
    shares = []
    for values in (before, after):
        place = np.searchsorted(edges, values)
        place[np.isnan(values)] = edges.size + 1
        count = np.bincount(place, minlength=edges.size + 2) + 0.5
        shares.append(count / count.sum())
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def rank_correlation(ours: NDArray[np.floating], theirs: NDArray[np.floating]) -> float:
    """Return Spearman's correlation of two lists, -1 to 1; NaN where one never varies. [N] each."""
    return float(rank_correlations(np.column_stack([ours, theirs]))[0, 1])


def rank_correlations(columns: NDArray[np.floating]) -> Floats:
    """Return Spearman's correlation of every two columns, [F, F].

    Args:
        columns: Values, [N, F]; a missing one counts as less than all others, as trees may see it.

    Returns:
        Numbers from -1 to 1, NaN beside a column that never varies.
    """
    from scipy.stats import rankdata

    filled = np.where(np.isnan(columns), -np.inf, columns)
    rank = rankdata(filled, axis=0) if filled.size else filled
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.atleast_2d(np.corrcoef(rank, rowvar=False))


def varies(columns: Matrix) -> NDArray[np.bool_]:
    """Say which columns hold more than one value, a missing one counting as a value, [F]."""
    same = (columns == columns[:1]) | (np.isnan(columns) & np.isnan(columns[:1]))
    return np.asarray(~same.all(axis=0))
