"""Tunes a text encoder on what was asked and what was right, and keeps it only if it is better.

The lift gate: on queries that were held back, the tuned encoder must find significantly more than
the untuned one (a paired interval over queries that lies above nothing). Knows nothing of shops.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from shopkeeper import registry
from shopkeeper.encoders import VectorCache
from shopkeeper.engine.search_tuning import shown
from shopkeeper.errors import BadConfig
from shopkeeper.evaluation.bootstrap import Interval, mean_interval
from shopkeeper.evaluation.judged import Judged, quality
from shopkeeper.schema import PRODUCT_ID
from shopkeeper.search.text import product_text
from shopkeeper.tracing import stage

ANSWERS_MAX = 8
"""Products that answer one query, at most; the best ones."""
NEAR = 12
"""Products with the same words that may be taken for the right one."""
MEASURED = 150
"""Held-back queries that tell after each epoch how good the encoder is."""
OTHERS = 2_000
"""Products beside the right ones in that measure."""


@dataclass(frozen=True)
class Lift:
    """Whether tuning helped."""

    before: float
    """nDCG@10 of the untuned encoder on held-back queries."""
    after: float
    gain: Interval
    """Of the difference by query."""
    pairs: int
    """How many pairs it learned from."""

    @property
    def kept(self) -> bool:
        """Whether the tuned encoder is significantly better."""
        return self.gain.above(0.0)


def tune_encoder(
    encoder: Any,
    judged: Judged,
    held: Judged,
    lexical: Any,
    folder: Path,
    tuning: Any,
    cache: VectorCache,
) -> tuple[Any, Lift]:
    """Tune an encoder on queries and their right products.

    Args:
        encoder: A text encoder of the shelf that was made from a folder, ready to encode.
        judged: What to learn from.
        held: Queries that it must not learn from, which judge it.
        lexical: An index of the same products, built.
        folder: Where checkpoints, the tuned model and its export go.
        tuning: `training.texts.Tuning`.
        cache: Where vectors are kept.

    Returns:
        The tuned encoder if it is better, else the one that came; and what was measured.

    Raises:
        BadConfig: The encoder has no model to tune.
        BadData: There are too few pairs to learn from.
        Missing: The training extra is not installed.
    """
    from shopkeeper.encoders import _layout, _weights
    from shopkeeper.training.text_model import TextModel
    from shopkeeper.training.texts import tune

    if not hasattr(encoder.config, "model"):
        name = encoder.address[1]
        raise BadConfig(f"The encoder '{name}' learns nothing. Name one with a model, as minilm.")
    before = {kind: encoder.prefixes.get(kind, "") for kind in ("query", "passage")}
    lines = product_text(judged.products)
    texts = dict(zip(judged.products[PRODUCT_ID], before["passage"] + lines, strict=True))
    pairs = [(before["query"] + query, text) for query, text in pairs_of(judged, texts)]
    folder.mkdir(parents=True, exist_ok=True)
    layout = _layout.read(_weights.fetch(encoder.config.model, folder / "source"))
    source = TextModel(layout.transformer, layout.tokenizer, layout.pooling)
    checkpoints, target = folder / "checkpoints", folder / "model"
    checkpoints.mkdir(parents=True, exist_ok=True)
    with stage("tune", f"{len(pairs):,} pairs"):
        tune(
            source, target, pairs, tuning,
            hard=_hard(lexical, texts, before["query"]),
            measure=_measure(held, texts, tuning.seed, before["query"]),
            checkpoints=checkpoints,
        )  # fmt: skip
    _layout.write(target, layout.pooling, encoder.prefixes)
    shutil.rmtree(folder / "source", ignore_errors=True)
    shutil.rmtree(checkpoints)
    name = encoder.address[1]
    settings = {"tokens_max": encoder.config.tokens_max, "model": str(target)}
    tuned = registry.build("encoders", name, **settings).ensure(folder / "export")
    with stage("gate"):
        lift = measure_lift(encoder, tuned, held, cache, len(pairs))
    return (tuned if lift.kept else encoder), lift


def pairs_of(judged: Judged, texts: dict[str, str]) -> list[tuple[str, str]]:
    """Return each query with the texts of its best products, each text once."""
    pairs: dict[tuple[str, str], None] = {}
    for one, query in judged.queries.items():
        grades = judged.grades[one]
        best = sorted(grades, key=lambda product: (-grades[product], product))
        for product in best[:ANSWERS_MAX]:
            if texts.get(product):
                pairs[query, texts[product]] = None
    return list(pairs)


def measure_lift(before: Any, after: Any, held: Judged, cache: VectorCache, pairs: int = 0) -> Lift:
    """Measure two encoders, each alone, on the same queries."""
    scores = [dense_quality(encoder, held, cache)["ndcg@10"] for encoder in (before, after)]
    gain = mean_interval((scores[1] - scores[0]).to_numpy())
    means = [float(score.mean() or 0.0) for score in scores]  # type: ignore[arg-type]
    return Lift(means[0], means[1], gain, pairs)


def dense_quality(encoder: Any, judged: Judged, cache: VectorCache) -> pl.DataFrame:
    """Return how well the queries are answered by the encoder alone."""
    vectors = cache.encode(encoder, product_text(judged.products).to_list())
    index = registry.build("search.indexes", "dense").build(judged.products, vectors)
    asked = cache.encode(encoder, list(judged.queries.values()), "query")
    return quality(judged, shown(index, judged, asked))


def _hard(lexical: Any, texts: dict[str, str], ask: str) -> Callable[..., list[list[str]]]:
    """Return what finds products with the words of a query, the nearest in meaning first."""

    def find(questions: Sequence[str], encode: Callable[..., Any]) -> list[list[str]]:
        found = []
        for question in questions:
            hits = lexical.search(question.removeprefix(ask), None, NEAR)["item_id"].to_list()
            found.append(list(dict.fromkeys(texts[hit] for hit in hits if texts.get(hit))))
        distinct = list(dict.fromkeys(text for near in found for text in near))
        vector_of = dict(zip(distinct, encode(distinct), strict=True))
        sorted_ones = []
        for vector, near in zip(encode(questions), found, strict=True):
            closeness = [float(vector @ vector_of[text]) for text in near]
            sorted_ones.append([near[at] for at in np.argsort(-np.array(closeness))])
        return sorted_ones

    return find


def _measure(held: Judged, texts: dict[str, str], seed: int, ask: str) -> Callable[..., float]:
    """Return what measures an encoder on some held-back queries among some products."""
    draw = np.random.default_rng(seed)
    ids = draw.permutation(list(held.queries))[:MEASURED].tolist()
    few = held.part(ids)
    right = {product for grades in few.grades.values() for product in grades}
    others = draw.permutation(held.products[PRODUCT_ID].to_list())[:OTHERS].tolist()
    names = [name for name in dict.fromkeys([*right, *others]) if name in texts]

    def measure(encode: Callable[..., Any]) -> float:
        products = encode([texts[name] for name in names])
        asked = encode([ask + query for query in few.queries.values()])
        order = np.argsort(-(asked @ products.T), axis=1, kind="stable")[:, :100]
        lists = [[names[at] for at in row] for row in order]
        found = quality(few, dict(zip(few.queries, lists, strict=True)))
        return float(found["ndcg@10"].mean() or 0.0)  # type: ignore[arg-type]

    return measure
