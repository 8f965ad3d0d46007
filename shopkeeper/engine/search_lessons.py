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
CROSS = "cross"
"""Folder of a cross-encoder, beside the tuned model."""
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


@dataclass(frozen=True)
class Course:
    """How an encoder learns, step after step."""

    tuning: Any
    """`training.texts.Tuning`."""
    adapting: Any = None
    """`training.masked.Adapting` to read the texts first; None leaves that out."""
    crossing: Any = None
    """`training.cross.Crossing` to teach a cross-encoder, which teaches the encoder in turn; None
    leaves that out."""


def tune_encoder(
    encoder: Any,
    lessons: Lessons,
    held: Judged,
    lexical: Any,
    folder: Path,
    course: Course,
    cache: VectorCache,
) -> tuple[Any, Lift]:
    """Tune an encoder on what belongs together, and judge it.

    Args:
        encoder: A text encoder of the shelf that was made from a folder, ready to encode.
        lessons: What to learn from.
        held: Queries that it must not learn from. `CHOOSE` of them tell after each epoch how good
            it is, the others judge it at the end.
        lexical: An index of the same products, built.
        folder: Where checkpoints, the tuned model and its export go, and a cross-encoder in
            `CROSS`. A run that was cut off goes on.
        course: How it learns.
        cache: Where vectors are kept.

    Returns:
        The tuned encoder if it is better, else the one that came; and what was measured.

    Raises:
        BadConfig: The encoder has no model to tune.
        BadData: There are too few pairs to learn from.
        Missing: The training extra is not installed.
    """
    _check(encoder)
    choose, gate = held.split(CHOOSE, course.tuning.seed)
    pairs, curve = _learned(encoder, lessons, choose, lexical, folder, course)
    settings = {"tokens_max": encoder.config.tokens_max, "model": str(folder / "model")}
    tuned = registry.build("encoders", encoder.address[1], **settings).ensure(folder / "export")
    with stage("gate"):
        lift = replace(measure_lift(encoder, tuned, gate, cache, pairs), curve=curve)
    return (tuned if lift.kept else encoder), lift


def _learned(
    encoder: Any, lessons: Lessons, choose: Judged, lexical: Any, folder: Path, course: Course
) -> tuple[int, tuple[float, ...]]:
    """Write a tuned model; return how many pairs it learned from, and how good each epoch was."""
    from shopkeeper.encoders import _layout, _weights
    from shopkeeper.training.texts import tune

    ask, tell = (encoder.prefixes.get(kind, "") for kind in ("query", "passage"))
    pairs = lessons.pairs(ask, tell)
    lines = [tell + line for line in product_text(choose.products)]
    texts = dict(zip(choose.products[PRODUCT_ID], lines, strict=True))
    checkpoints, target = folder / "checkpoints", folder / "model"
    checkpoints.mkdir(parents=True, exist_ok=True)
    layout = _layout.read(_weights.fetch(encoder.config.model, folder / "source"))
    source = _source(layout, lessons.texts, course.adapting, folder)
    hard = _hard(lexical, texts, ask, {ask + query for query, _ in lessons.asked})
    teacher = None
    if course.crossing is not None:
        with stage("cross"):
            teacher = _cross(source, pairs, hard, course.crossing, folder)
    with stage("tune", f"{len(pairs):,} pairs"):
        outcomes = tune(
            source, target, pairs, course.tuning, hard=hard, teacher=teacher,
            measure=_measure(choose, texts, course.tuning.seed, ask), checkpoints=checkpoints,
        )  # fmt: skip
    _layout.write(target, layout.pooling, encoder.prefixes)
    for spent in ("source", "adapted", "checkpoints"):
        shutil.rmtree(folder / spent, ignore_errors=True)
    return len(pairs), tuple(each for one in outcomes for each in one.curve)


def digest(query: str) -> str:
    """Return a text by which a query is known again, but cannot be read."""
    return hashlib.blake2b(clean(query).encode(), digest_size=8).hexdigest()


def _cross(
    source: Any, pairs: Sequence[tuple[str, str]], hard: Any, crossing: Any, folder: Path
) -> Any:
    """Teach a cross-encoder on the pairs, or take the one that is there; return what scores."""
    from shopkeeper.training.cross import Choice, CrossReader, teach_cross
    from shopkeeper.training.text_model import TextModel

    target = folder / CROSS
    if not target.is_dir():
        questions = list(dict.fromkeys(question for question, _ in pairs))
        near = dict(zip(questions, hard(questions, None), strict=True))
        right: dict[str, set[str]] = {}
        for question, answer in pairs:
            right.setdefault(question, set()).add(answer)
        choices = [
            Choice(
                question, answer, [text for text in near[question] if text not in right[question]]
            )
            for question, answer in pairs
        ]
        file = folder / "checkpoints" / "cross.safetensors"
        teach_cross(source, target, choices, crossing, checkpoint=file)
    return CrossReader(TextModel.of(target), crossing.tokens_max).score


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
    """Return what finds products with the words of a query, the nearest in meaning first if a
    model is there to say."""

    def find(questions: Sequence[str], encode: Callable[..., Any] | None) -> list[list[str]]:
        found: list[list[str]] = []
        for question in questions:
            if question not in asked:
                found.append([])
                continue
            hits = lexical.search(question.removeprefix(ask), None, NEAR)["item_id"].to_list()
            found.append(list(dict.fromkeys(texts[hit] for hit in hits if texts.get(hit))))
        if encode is None:
            return found
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
