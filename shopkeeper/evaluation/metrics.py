"""How good is an ordered list? And how true is a predicted chance?

Lists come as tables of relevance in shown order; what was wanted but not shown comes as `wanted`,
the number of targets. Knows no model and no shop.
"""

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]


def hits(shown: list[list[str]], targets: list[list[str]], k: int) -> Scores:
    """Mark which of the first k shown products were wanted.

    Args:
        shown: Products of each list, best first; each product at most once. B lists.
        targets: Products wanted, B lists in the same order.
        k: Ranks that count, from 1.

    Returns:
        1 for a wanted product, 0 for another or none, [B, k].

    Raises:
        ValueError: `k` is below 1, or the lists are not as many as the targets.
    """
    _check_k(k)
    if len(shown) != len(targets):
        raise ValueError(f"There are {len(shown)} lists but {len(targets)} lists of targets.")
    marked = np.zeros((len(shown), k))
    for row, (products, wanted) in enumerate(zip(shown, map(set, targets), strict=True)):
        found = [float(product in wanted) for product in products[:k]]
        marked[row, : len(found)] = found
    return marked


def recall_at(relevance: Scores, wanted: NDArray[np.integer], k: int) -> Scores:
    """Share of the targets among the first k, divided by what k ranks could hold at most.

    Args:
        relevance: 1 for a wanted product and 0 for another, in shown order, [B, R].
        wanted: How many targets each list has, [B].
        k: Ranks that count, from 1.

    Returns:
        One score per list in [0, 1]; 0 where nothing was wanted, [B].
    """
    found = _found(relevance, wanted, k)
    return np.asarray(found / np.clip(wanted, 1, k), np.float64)


def precision_at(relevance: Scores, k: int) -> Scores:
    """Share of the first k ranks that hold a target, [B]; an unfilled rank holds none."""
    _check_k(k)
    return np.asarray((relevance[:, :k] > 0).sum(axis=1) / k, np.float64)


def hit_rate(relevance: Scores, k: int) -> Scores:
    """1 where a target is among the first k, else 0, [B]."""
    _check_k(k)
    return np.asarray((relevance[:, :k] > 0).any(axis=1), np.float64)


def mrr(relevance: Scores, k: int) -> Scores:
    """One over the rank of the first target among the first k, 0 where there is none, [B]."""
    _check_k(k)
    found = relevance[:, :k] > 0
    if not found.shape[1]:
        return np.zeros(len(found))
    return np.asarray(found.any(axis=1) / (found.argmax(axis=1) + 1), np.float64)


def ndcg(relevance: Scores, k: int, ideal: Scores | None = None) -> Scores:
    """Normalised discounted cumulative gain at k, with linear gain.

    Args:
        relevance: Gain of each shown product in shown order, at least 0, [B, R].
        k: Ranks that count, from 1.
        ideal: Gains of all targets in any order, shown or not, [B, T], 0 where there is none;
            without it the shown gains are all there are.

    Returns:
        One score per list in [0, 1]; 0 where nothing is relevant, [B].

    Raises:
        ValueError: `k` is below 1, or a gain is negative.

    Source: Järvelin and Kekäläinen, TOIS 2002, with the discount of Burges et al. 2005, not its
    gain.
    """
    _check_k(k)
    best = relevance if ideal is None else ideal
    for gains in (relevance, best):
        if gains.size and gains.min() < 0:
            raise ValueError(f"Gains must be at least 0, got {gains.min():g}.")
    most = _dcg(-np.sort(-best, axis=1), k)
    return np.divide(_dcg(relevance, k), most, out=np.zeros(len(relevance)), where=most > 0)


def ndcg_at(relevance: Scores, wanted: NDArray[np.integer], k: int) -> Scores:
    """NDCG at k where every target is worth the same.

    Args:
        relevance: 1 for a wanted product and 0 for another, in shown order, [B, R].
        wanted: How many targets each list has, [B].
        k: Ranks that count, from 1.

    Returns:
        One score per list in [0, 1]; 0 where nothing was wanted, [B].
    """
    _found(relevance, wanted, k)
    ideal = np.arange(k) < np.asarray(wanted)[:, None]
    return ndcg((relevance[:, :k] > 0).astype(np.float64), k, ideal.astype(np.float64))


def auc(labels: NDArray[np.integer], scores: Scores) -> float:
    """Chance that a positive scores above a negative, ties counting half.

    Args:
        labels: 1 for positive, 0 for negative, [N].
        scores: Any numbers, higher for likelier, [N].

    Returns:
        A number in [0, 1]; NaN where a kind of label is missing.
    """
    positive = np.asarray(labels) > 0
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    # The mean rank of tied scores, from 1.
    rank = (np.cumsum(counts) - (counts - 1) / 2)[place]
    num_positive, num_negative = int(positive.sum()), int((~positive).sum())
    if not num_positive or not num_negative:
        return float("nan")
    above = rank[positive].sum() - num_positive * (num_positive + 1) / 2
    return float(above / (num_positive * num_negative))


def log_loss(labels: NDArray[np.integer], chances: Scores, edge: float = 1e-15) -> float:
    """Mean surprise of the labels under the predicted chances, in nats.

    Args:
        labels: 1 for positive, 0 for negative, [N], N from 1.
        chances: Predicted chance of a positive, in [0, 1], [N].
        edge: Chances are kept so far from 0 and 1.

    Returns:
        A number from 0, lower for better.

    Raises:
        ValueError: There are no labels, or a chance is outside [0, 1].
    """
    chances = np.asarray(chances, np.float64)
    if not chances.size:
        raise ValueError("There are no predictions to judge.")
    if not ((chances >= 0) & (chances <= 1)).all():
        raise ValueError(f"Chances must be in [0, 1], got {chances.min():g} to {chances.max():g}.")
    kept = np.clip(chances, edge, 1 - edge)
    return float(-np.where(np.asarray(labels) > 0, np.log(kept), np.log1p(-kept)).mean())


def _check_k(k: int) -> None:
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}.")


def _found(relevance: Scores, wanted: NDArray[np.integer], k: int) -> NDArray[np.int64]:
    _check_k(k)
    found = np.asarray((relevance[:, :k] > 0).sum(axis=1), np.int64)
    if (found > wanted).any():
        raise ValueError("A list holds more targets than there are; count each product once.")
    return found


def _dcg(gains: Scores, k: int) -> Scores:
    top = np.asarray(gains[:, :k], np.float64)
    return top @ (1 / np.log2(np.arange(2, top.shape[1] + 2)))
