"""Tunes a text encoder on what was asked and what was right, and keeps it only if it is better.

The lift gate: on queries that were held back, the tuned encoder must find significantly more than
the untuned one (a paired interval over queries that lies above nothing). Knows nothing of shops.
"""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
from shopkeeper.search.text import clean, product_text
from shopkeeper.tracing import stage

ANSWERS_MAX = 8
"""Products that answer one query, at most; the best ones."""
NEAR = 12
"""Products with the same words that may be taken for the right one."""
CHOOSE = 0.3
"""Share of the held-back queries that tell which epoch is best, and so cannot judge it."""
MEASURED = 150
"""How many of those are asked after each epoch, at most."""
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
    queries: int = 0
    """How many held-back queries judged it."""
    curve: tuple[float, ...] = ()
    """nDCG@10 after each epoch, among few products."""

    @property
    def kept(self) -> bool:
        """Whether the tuned encoder is significantly better."""
        return self.gain.above(0.0)


@dataclass(frozen=True)
class Lessons:
    """What belongs together."""

    asked: Sequence[tuple[str, str]]
    """Queries, each with the text of a product that answers it."""
    beside: Sequence[tuple[str, str]] = ()
    """Texts of products that belong together; no hard negatives are looked for, since what has the
    words of one of them may well belong to it too."""
    texts: Sequence[str] = ()
    """Texts of the domain, to read before anything else is learned."""

    def digests(self) -> list[str]:
        """Return a short digest of each query that is learned from, so that it can be known."""
        return sorted({digest(query) for query, _ in self.asked})

    def pairs(self, ask: str, tell: str) -> list[tuple[str, str]]:
        """Return all pairs; `ask` stands before queries, `tell` before texts."""
        answers = [(ask + query, tell + text) for query, text in self.asked]
        return answers + [(tell + left, tell + right) for left, right in self.beside]


def tune_encoder(
    encoder: Any,
    lessons: Lessons,
    held: Judged,
    lexical: Any,
    folder: Path,
    tuning: Any,
    cache: VectorCache,
    adapting: Any = None,
) -> tuple[Any, Lift]:
    """Tune an encoder on what belongs together, and judge it.

    Args:
        encoder: A text encoder of the shelf that was made from a folder, ready to encode.
        lessons: What to learn from.
        held: Queries that it must not learn from. `CHOOSE` of them tell after each epoch how good
            it is, the others judge it at the end.
        lexical: An index of the same products, built.
        folder: Where checkpoints, the tuned model and its export go.
        tuning: `training.texts.Tuning`.
        cache: Where vectors are kept.
        adapting: `training.masked.Adapting` to read the texts first; None leaves that out.

    Returns:
        The tuned encoder if it is better, else the one that came; and what was measured.

    Raises:
        BadConfig: The encoder has no model to tune.
        BadData: There are too few pairs to learn from.
        Missing: The training extra is not installed.
    """
    from shopkeeper.encoders import _layout, _weights
    from shopkeeper.training.texts import tune

    _check(encoder)
    ask, tell = (encoder.prefixes.get(kind, "") for kind in ("query", "passage"))
    pairs = lessons.pairs(ask, tell)
    lines = [tell + line for line in product_text(held.products)]
    texts = dict(zip(held.products[PRODUCT_ID], lines, strict=True))
    choose, gate = held.split(CHOOSE, tuning.seed)
    checkpoints, target = folder / "checkpoints", folder / "model"
    checkpoints.mkdir(parents=True, exist_ok=True)
    layout = _layout.read(_weights.fetch(encoder.config.model, folder / "source"))
    source = _source(layout, lessons.texts, adapting, folder)
    with stage("tune", f"{len(pairs):,} pairs"):
        outcomes = tune(
            source, target, pairs, tuning,
            hard=_hard(lexical, texts, ask, {ask + query for query, _ in lessons.asked}),
            measure=_measure(choose, texts, tuning.seed, ask),
            checkpoints=checkpoints,
        )  # fmt: skip
    _layout.write(target, layout.pooling, encoder.prefixes)
    for spent in ("source", "adapted", "checkpoints"):
        shutil.rmtree(folder / spent, ignore_errors=True)
    settings = {"tokens_max": encoder.config.tokens_max, "model": str(target)}
    tuned = registry.build("encoders", encoder.address[1], **settings).ensure(folder / "export")
    curve = tuple(each for one in outcomes for each in one.curve)
    with stage("gate"):
        lift = replace(measure_lift(encoder, tuned, gate, cache, len(pairs)), curve=curve)
    return (tuned if lift.kept else encoder), lift


def digest(query: str) -> str:
    """Return a text by which a query is known again, but cannot be read."""
    return hashlib.blake2b(clean(query).encode(), digest_size=8).hexdigest()


def _check(encoder: Any) -> None:
    if not hasattr(encoder.config, "model"):
        name = encoder.address[1]
        raise BadConfig(f"The encoder '{name}' learns nothing. Name one with a model, as minilm.")


def _source(layout: Any, texts: Sequence[str], adapting: Any, folder: Path) -> Any:
    """Return the model to tune, which has read the texts of the domain if that is wanted."""
    from shopkeeper.training.masked import adapt
    from shopkeeper.training.text_model import TextModel

    source = TextModel(layout.transformer, layout.tokenizer, layout.pooling)
    if adapting is None:
        return source
    adapted = folder / "adapted"
    with stage("adapt", f"{len(texts):,} texts"):
        if not adapted.is_dir():
            adapt(source, adapted, texts, adapting, folder / "checkpoints")
    return TextModel.of(adapted, layout.pooling)


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
    return Lift(means[0], means[1], gain, pairs, len(held.queries))


def dense_quality(encoder: Any, judged: Judged, cache: VectorCache) -> pl.DataFrame:
    """Return how well the queries are answered by the encoder alone."""
    vectors = cache.encode(encoder, product_text(judged.products).to_list())
    index = registry.build("search.indexes", "dense").build(judged.products, vectors)
    asked = cache.encode(encoder, list(judged.queries.values()), "query")
    return quality(judged, shown(index, judged, asked))


def _hard(
    lexical: Any, texts: dict[str, str], ask: str, asked: set[str]
) -> Callable[..., list[list[str]]]:
    """Return what finds products with the words of a query, the nearest in meaning first."""

    def find(questions: Sequence[str], encode: Callable[..., Any]) -> list[list[str]]:
        found: list[list[str]] = []
        for question in questions:
            if question not in asked:
                found.append([])
                continue
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
