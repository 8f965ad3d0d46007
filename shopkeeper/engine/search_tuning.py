"""Chooses how search weighs words and meaning, by queries whose right products are known.

Boosts of fields are chosen one after another, then the weight of words beside meaning, each where
the queries are answered best; a setting that helps nothing stays as it was. Knows nothing of where
queries come from.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper import registry
from shopkeeper.evaluation.judged import DEPTH, Judged, quality
from shopkeeper.schema import ITEM
from shopkeeper.tracing import progress

TRIED = {
    "piece_boost": (0.0, 0.3, 0.6, 0.9, 1.5, 2.5),
    "product_type_boost": (0.0, 0.5, 1.0, 2.0, 4.0),
    "details_boost": (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0),
    "brand_boost": (0.0, 1.0, 2.0, 4.0, 8.0),
}
"""Boosts to try; that of the title stays, for only their proportion counts."""
WEIGHTS = (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 1.0)
PASSES = 2
"""How often each boost is looked at: it depends on the others."""
QUERIES_MAX = 400
"""Queries that boosts are chosen on, at most."""
GAIN_MIN = 0.0005
"""A setting is left as it is unless another is better by this much."""

Vectors = NDArray[np.float32]


def shown(index: Any, judged: Judged, vectors: Vectors | None = None) -> dict[str, list[str]]:
    """Return what an index finds for each query, best first.

    Args:
        index: A part of the shelf `search.indexes`.
        judged: The queries.
        vectors: One for each query in its order, [Q, D]; None where the index needs none.

    Returns:
        Up to `DEPTH` product ids by query.
    """
    found = {}
    for row, (one, text) in enumerate(judged.queries.items()):
        vector = vectors[row] if vectors is not None else None
        found[one] = index.search(text, vector, DEPTH)[ITEM].to_list()
    return found


def choose_boosts(folder: Path, judged: Judged, seed: int = 0) -> dict[str, float]:
    """Return the boosts of the words by which the queries are answered best.

    Args:
        folder: Where a lexical index was saved.
        judged: Queries to choose by; at most `QUERIES_MAX` of them are looked at.
        seed: Which of them.

    Returns:
        Settings of `lexical` that differ from its own.
    """
    ids = list(judged.queries)
    np.random.default_rng(seed).shuffle(ids)
    few = judged.part(ids[:QUERIES_MAX])
    chosen: dict[str, float] = {}

    def ndcg(**more: float) -> float:
        settings = chosen | more
        index = registry.build("search.indexes", "lexical", **settings).restore(folder)
        return _mean(quality(few, shown(index, few)))

    usual = registry.build("search.indexes", "lexical").config
    best = ndcg()
    for name in progress(list(TRIED) * PASSES, "boosts", len(TRIED) * PASSES):
        now = chosen.get(name, getattr(usual, name))
        tried = {value: ndcg(**{name: value}) for value in TRIED[name] if value != now}
        value = max(tried, key=lambda one: tried[one])
        if tried[value] > best + GAIN_MIN:
            chosen[name], best = value, tried[value]
    return chosen


def choose_weight(hybrid: Any, judged: Judged, vectors: Vectors) -> tuple[float, float]:
    """Return what words count beside meaning where the queries are answered best.

    Args:
        hybrid: The index, built or restored.
        judged: Queries to choose by.
        vectors: One for each of them, [Q, D].

    Returns:
        The weight, and the nDCG@10 that it came to.
    """
    lists: dict[float, dict[str, list[str]]] = {weight: {} for weight in WEIGHTS}
    for row, (one, text) in enumerate(judged.queries.items()):
        parts = hybrid.parts(text, vectors[row], DEPTH)
        for weight in WEIGHTS:
            order = np.lexsort((parts.rows, -parts.scores(weight)))[:DEPTH]
            lists[weight][one] = hybrid.ids[parts.rows[order]].tolist()
    found = {weight: _mean(quality(judged, one)) for weight, one in lists.items()}
    usual = hybrid.config.lexical_weight
    best = max(found, key=lambda weight: (round(found[weight], 4), -abs(weight - usual)))
    return best, found[best]


def _mean(rows: pl.DataFrame) -> float:
    return float(rows["ndcg@10"].mean() or 0.0)  # type: ignore[arg-type]
