"""What lists are like beyond being right: how much of the shop they show, how new, how mixed.

Knows no targets.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.schema import ITEM, REQUEST


def coverage(results: pl.DataFrame, num_products: int) -> float:
    """Return the share of the catalogue that is in any list, in [0, 1]; 0 for no catalogue."""
    return results[ITEM].n_unique() / num_products if num_products else 0.0


def novelty(results: pl.DataFrame, bought: Mapping[str, int]) -> float:
    """Return how surprising it is, in bits, that anyone wants the shown products.

    Args:
        results: `schema.RESULTS`.
        bought: How many shoppers bought each product; a product without counts as bought once.

    Returns:
        Mean self-information of the shown products, higher for rarer ones; NaN without results.

    Source: Zhou et al., PNAS 2010.
    """
    total = max(sum(bought.values()), 1)
    if results.is_empty():
        return float("nan")
    counts = np.array([max(bought.get(item, 0), 1) for item in results[ITEM].to_list()])
    return float(-np.log2(counts / total).mean())


def diversity(results: pl.DataFrame, kinds: Mapping[str, str | None]) -> float:
    """Return how often two products of one list are of different kinds.

    Args:
        results: `schema.RESULTS`.
        kinds: Kind of each product, such as its `product_type`; one without is unlike any other.

    Returns:
        Mean over lists of at least two products, in [0, 1]; NaN without such a list.
    """
    scores = []
    for items in _lists(results):
        seen = [kinds.get(item) or f"\0{item}" for item in items]
        counts = np.unique(seen, return_counts=True)[1]
        alike = (counts * (counts - 1)).sum() / (len(seen) * (len(seen) - 1))
        scores.append(1 - alike)
    return float(np.mean(scores)) if scores else float("nan")


def distance(results: pl.DataFrame, vectors: Mapping[str, NDArray[np.floating]]) -> float:
    """Return how far apart the products of one list are in meaning.

    Args:
        results: `schema.RESULTS`.
        vectors: Vector of length 1 of each product, [D]; products without are left out.

    Returns:
        Mean over lists of the mean cosine distance of two products, in [0, 2]; NaN without lists
        of two products with vectors.
    """
    scores = []
    for items in _lists(results):
        known = np.array([vectors[item] for item in items if item in vectors], np.float64)
        if len(known) >= 2:
            total = known.sum(axis=0)
            # The sum over all pairs is the square of the sum, without each one with itself.
            alike = (total @ total - (known * known).sum()) / (len(known) * (len(known) - 1))
            scores.append(1 - alike)
    return float(np.mean(scores)) if scores else float("nan")


def gini(results: pl.DataFrame, num_products: int) -> float:
    """Return how unequally the products of the catalogue are shown.

    Args:
        results: `schema.RESULTS`.
        num_products: Size of the catalogue; products never shown count too.

    Returns:
        0 where all are shown equally often, towards 1 where one is shown alone; NaN for nothing.
    """
    shown = np.sort(results[ITEM].value_counts()["count"].to_numpy())
    if not len(shown) or num_products < len(shown):
        return float("nan")
    counts = np.concatenate([np.zeros(num_products - len(shown)), shown])
    rank = np.arange(1, num_products + 1)
    return float((2 * rank - num_products - 1) @ counts / (num_products * counts.sum()))


def _lists(results: pl.DataFrame) -> list[list[str]]:
    lists = results.group_by(REQUEST, maintain_order=True).agg(ITEM)[ITEM].to_list()
    return [items for items in lists if len(items) >= 2]
