"""Which features are too good to be true?

A column that foretells the label almost alone is often written down after the fact, such as the
value of the pages that led to a sale. Nobody but the shop can say whether it is known in time, so
this only warns. Source: Kaufman, Rosset and Perlich, KDD 2011. Knows no shop.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper import registry
from shopkeeper.contracts import Weighing
from shopkeeper.errors import Missing
from shopkeeper.evaluation.clicks_table import Impressions
from shopkeeper.evaluation.metrics import auc

AUC_MAX = 0.9
"""From this a column alone is suspected."""
AUC_WITH_GAIN = 0.8
GAIN_MAX = 0.4
"""From this share of the gain it is too, if its AUC alone is as above."""
PRIOR = 20.0


def suspects(known: Impressions, rows: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Return features that foretell the label nearly alone.

    Args:
        known: Impressions.
        rows: Those that were learned from.

    Returns:
        By feature, the worst first: `feature`, `auc` of it alone (of a code, what other rows of its
        code say), `gain`, its share of what trees gained (None where LightGBM is missing), and
        `why`, a sentence.
    """
    features, labels = known.features[rows], known.labels[rows]
    gains = _gains(known, rows)
    found = []
    for at, name in enumerate(known.names):
        if at == known.columns.place:
            continue
        alone = _alone(features[:, at], labels, coded=at in known.columns.codes)
        gain = None if gains is None else float(gains[at])
        much = gain is not None and gain >= GAIN_MAX and alone >= AUC_WITH_GAIN
        if alone >= AUC_MAX or much:
            why = f"has an AUC of {alone:.2f} alone"
            why += f" and brings {gain:.0%} of what trees gain" if much else ""
            found.append({"feature": name, "auc": alone, "gain": gain, "why": why})
    return sorted(found, key=lambda one: -one["auc"])


def _alone(column: NDArray[np.float32], labels: NDArray[np.float32], *, coded: bool) -> float:
    """Return the AUC of one column, whichever way it points."""
    told = column.astype(np.float64)
    missing = np.isnan(told)
    if coded:
        told = _rates(np.where(missing, -1, told), labels)
        missing = np.zeros_like(missing)
    both = []
    # What is missing may stand at either end.
    for end in (-np.inf, np.inf) if missing.any() else (0.0,):
        value = auc(labels.astype(np.int64), np.where(missing, end, told))
        both.append(max(value, 1 - value))
    return max(both)


def _rates(codes: NDArray[np.float64], labels: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return what each half of the rows says of the codes of the other half, [N]."""
    code = np.unique(codes, return_inverse=True)[1]
    half = np.random.default_rng(0).permutation(len(code)) % 2
    told = np.empty(len(code))
    for one in (0, 1):
        there, size = half != one, int(code.max()) + 1
        count = np.bincount(code[there], minlength=size)
        hits = np.bincount(code[there], labels[there], size)
        rate = (hits + PRIOR * labels[there].mean()) / (count + PRIOR)
        told[~there] = rate[code[~there]]
    return told


def _gains(known: Impressions, rows: NDArray[np.int64]) -> NDArray[np.float64] | None:
    trees = registry.build(
        "ranking", "gbdt", models=1, threads=1, order_share=0.0, negatives_share=1.0
    )
    ones = np.ones(len(rows), np.float32)
    try:
        trees.fit(known.features[rows], known.labels[rows], ones, rows, known.columns)
    except Missing:
        return None
    return trees.gains() if isinstance(trees, Weighing) else None
