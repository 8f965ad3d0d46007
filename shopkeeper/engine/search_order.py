"""Teaches the index `learned` its order, and leaves it out where it does not help.

The gate: in five folds by query the order learned on four is judged on the fifth, beside the plain
one; only if the paired interval lies above nothing is the order learned on all of them. Knows
nothing of where queries come from.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper import registry
from shopkeeper.config import Config
from shopkeeper.encoders import VectorCache
from shopkeeper.engine.search_lessons import digest
from shopkeeper.engine.shop_lessons import past_questions
from shopkeeper.engine.train_encoder import taught
from shopkeeper.evaluation.bootstrap import Interval, mean_interval
from shopkeeper.evaluation.judged import Judged, quality

FOLDS = 5
QUERIES_MIN = 50
"""With fewer queries nothing is learned."""
QUERIES_MAX = 4_000
"""More queries are drawn from at random."""
DEPTH = 10
"""Places that are judged."""


def learn_order(
    index: Any, judged: Judged, vectors: NDArray[np.float32], seed: int = 0
) -> Interval | None:
    """Let an index learn its order from queries whose right products are known.

    Args:
        index: A part `learned` of the shelf `search.indexes`, built; its `order` is set, or None
            where it does not help.
        judged: The queries; an encoder that learned from them would look better than it is.
        vectors: One for each, in their order, [Q, D].
        seed: Decides folds and trees.

    Returns:
        By how much nDCG@10 is better on queries not learned from, or None with too few of them.
    """
    index.order = None
    draw = np.random.default_rng(seed).permutation(len(judged.queries))[:QUERIES_MAX]
    if len(draw) < QUERIES_MIN:
        return None
    names = [list(judged.queries)[row] for row in draw]
    few, vectors = judged.part(names), vectors[draw]
    examples = index.examples(few.queries, vectors, few.grades)
    fold_of = np.arange(len(names)) % FOLDS
    plain, learned = np.zeros(len(names)), np.zeros(len(names))
    for fold in range(FOLDS):
        rows = np.flatnonzero(fold_of == fold)
        part = few.part([names[row] for row in rows])
        plain[rows] = _quality(index, part, vectors[rows])
        kept = fold_of[examples.owners] != fold
        index.order = _trees(examples, kept, seed)
        learned[rows] = _quality(index, part, vectors[rows])
        index.order = None
    gain = mean_interval(learned - plain)
    if gain.above(0.0):
        index.order = _trees(examples, np.ones(len(examples.labels), bool), seed)
    return gain


def learn_shop_order(
    folder: Path, config: Config, index: Any, products: pl.DataFrame, encoder: Any
) -> Interval | None:
    """Let the index of a shop learn its order from past searches; see `learn_order`.

    Searches that the encoder learned from are left out: it looks better on them than it is.

    Args:
        folder: The shop's folder.
        config: Its settings.
        index: As for `learn_order`.
        products: The catalogue.
        encoder: The shop's encoder, ready.

    Returns:
        As `learn_order`.
    """
    known = taught(folder, config, encoder.address[1])
    judged = past_questions(folder, config, products)
    fresh = judged.part(
        [one for one, query in judged.queries.items() if digest(query) not in known]
    )
    if len(fresh.queries) < QUERIES_MIN:
        return None
    cache = VectorCache(folder / "cache" / "vectors")
    vectors = cache.encode(encoder, list(fresh.queries.values()), "query")
    return learn_order(index, fresh, vectors, config.train.seed)


def _trees(examples: Any, kept: NDArray[np.bool_], seed: int) -> Any:
    rows = int(np.count_nonzero(kept))
    trees = registry.build(
        "ranking", "gbdt", order_share=0.5, order_top=10, negatives_share=1.0, seed=seed,
        leaf_rows_min=max(20, min(100, rows // 200)), leaves=15, models=1, threads=1,
    )  # fmt: skip
    return trees.fit(
        examples.features[kept], examples.labels[kept], examples.weights[kept],
        examples.owners[kept],
    )  # fmt: skip


def _quality(index: Any, judged: Judged, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    lists = {
        one: index.search(query, vector, DEPTH)["item_id"].to_list()
        for (one, query), vector in zip(judged.queries.items(), vectors, strict=True)
    }
    found: pl.Series = quality(judged, lists)["ndcg@10"]
    return found.to_numpy()
