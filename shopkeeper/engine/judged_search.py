"""Measures search on any catalogue whose queries were judged, untuned and tuned by its own means.

Some of the queries may be spent on tuning: three quarters of them teach the encoder, the last
quarter chooses boosts, the weight of words, and whether the tuned encoder is kept; the others are
looked at once, at the end. Knows no shop: everything comes from three tables.
"""

import tempfile
from collections.abc import Callable
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from shopkeeper import registry
from shopkeeper.encoders import VectorCache
from shopkeeper.engine.search_lessons import CROSS, Course, Lessons, Lift, pairs_of, tune_encoder
from shopkeeper.engine.search_order import learn_order
from shopkeeper.engine.search_tuning import choose_boosts, choose_weight, shown
from shopkeeper.errors import BadConfig, BadData
from shopkeeper.evaluation.bootstrap import mean_interval
from shopkeeper.evaluation.judged import METRICS, Judged, quality
from shopkeeper.evaluation.noise import Change, Synonyms, kinds, robustness
from shopkeeper.search import text
from shopkeeper.search.crossed import Crossed
from shopkeeper.search.text import product_text
from shopkeeper.search.understanding import synonyms
from shopkeeper.tracing import stage

CROSS_WEIGHTS = (0.0, 0.2, 0.35, 0.5, 0.7)
RERANKED_MAX = 150
"""Queries by which the weight of a cross-encoder is chosen."""
TEACH = 0.75
"""Share of the tuning queries that teach the encoder."""

Lists = dict[str, list[str]]
"""Products by query, best first."""


def benchmark_search(
    judged: Judged,
    *,
    encoder: str = "minilm",
    tune_share: float = 0.0,
    course: Course | None = None,
    seed: int = 0,
    cache: Path | None = None,
    noise: bool = False,
    other: Synonyms | None = None,
) -> dict[str, Any]:
    """Measure every way to search the catalogue.

    Args:
        judged: Products, queries and grades.
        encoder: A part of the shelf `encoders`.
        tune_share: How much of the queries is spent on tuning, from 0 to below 1; those are not
            reported.
        course: How the encoder learns; None leaves it as it came.
        seed: Which queries tune.
        cache: Where vectors are kept between runs.
        noise: Whether each way is also asked the queries mistyped, cut and turned.
        other: Other words by word, to be exchanged too; spellings of units always are.

    Returns:
        `table` (a row for each way, with the mean of each metric and the interval of nDCG@10),
        `noise` (a row for each way and kind of noise, from `evaluation.noise.robustness`),
        `queries` and `tuning_queries` (how many), `chosen` (settings), `lift` (of the encoder).

    Raises:
        BadConfig: `tune_share` is out of range.
    """
    if not 0 <= tune_share < 1:
        raise BadConfig(f"tune_share must be from 0 to below 1, but is {tune_share}.")
    mine, report = judged.split(tune_share, seed)
    teach, choose = mine.split(TEACH, seed)
    with tempfile.TemporaryDirectory(prefix="shopkeeper-search-") as scratch:
        folder = Path(scratch)
        work = _Work(judged, report, folder, VectorCache((cache or folder) / "vectors"))
        if noise:
            work.changes = kinds(unit_words() | dict(other or {}))
        made = registry.build("encoders", encoder).ensure((cache or folder) / encoder)
        rows = [*work.peer(), *work.untuned(made)]
        chosen: dict[str, Any] = {}
        lift = None
        if choose.queries:
            more, chosen, lift = work.tuned(made, teach, choose, course, seed)
            rows += more
    return {
        "table": rows,
        "noise": work.noise,
        "queries": len(report.queries),
        "tuning_queries": len(mine.queries),
        "products": judged.products.height,
        "chosen": chosen,
        "lift": None if lift is None else asdict(lift) | {"kept": lift.kept},
    }


def unit_words() -> dict[str, list[str]]:
    """Return the other spellings of every unit, by each of its spellings."""
    return {
        one: [other for other in spellings if other != one]
        for spellings in text.UNITS.values()
        for one in spellings
        # A letter alone is seldom a unit.
        if len(spellings) > 1 and len(one) > 1
    }


def other_words(file: Path) -> dict[str, list[str]]:
    """Return the other words of every word in a shop's list of synonyms, as far as they are used.

    Raises BadData: There is no such file, or it cannot be read.
    """
    if not file.is_file():
        raise BadData(f"There is no file {file}. Check the path.")
    found: dict[str, list[str]] = {}
    for pair in synonyms.read(file):
        for one, other in ((pair.word, pair.synonym), (pair.synonym, pair.word)):
            if pair.used and " " not in one:
                found.setdefault(one, []).append(other)
    return found


class _Work:
    """Indexes of one catalogue, each measured on the queries of the report."""

    def __init__(self, judged: Judged, report: Judged, folder: Path, cache: VectorCache) -> None:
        self.products, self.report = judged.products, report
        self.folder, self.cache = folder, cache
        self.changes: dict[str, Change] = {}
        self.noise: list[dict[str, Any]] = []

    def peer(self) -> list[dict[str, Any]]:
        """Measure the package bm25s on words, where it is installed."""
        if find_spec("bm25s") is None:
            return []
        import bm25s

        ids = self.products["id"].to_list()
        texts = self.products.select(
            pl.concat_str(
                [pl.col(name) for name in ("title", "brand", "product_type", "description")
                 if name in self.products.columns],
                separator=" ", ignore_nulls=True,
            )
        ).to_series()  # fmt: skip
        vocabulary: dict[str, int] = {}
        rows = [
            [vocabulary.setdefault(word, len(vocabulary)) for word in text.words(line)]
            for line in texts
        ]
        index = bm25s.BM25()
        index.index((rows, vocabulary), show_progress=False)

        def found(query: str) -> list[str]:
            words = [vocabulary[word] for word in text.words(query) if word in vocabulary]
            scores = index.get_scores_from_ids(words) if words else np.zeros(len(ids))
            best = np.argsort(-scores, kind="stable")[:100]
            return [ids[at] for at in best if scores[at] > 0]

        def ask(judged: Judged) -> Lists:
            return {one: found(query) for one, query in judged.queries.items()}

        return [self._row("bm25s, all words (peer)", ask)]

    def untuned(self, encoder: Any) -> list[dict[str, Any]]:
        """Build the indexes and measure them as they come."""
        with stage("index"):
            vectors = self.cache.encode(encoder, product_text(self.products).to_list())
            lexical = registry.build("search.indexes", "lexical").build(self.products, vectors)
            (self.folder / "lexical").mkdir()
            lexical.save(self.folder / "lexical")
        with stage("untuned"):
            return [
                self.lexical("words"),
                self.dense("meaning", encoder),
                self.hybrid("both", encoder),
            ]

    def tuned(
        self, encoder: Any, teach: Judged, choose: Judged, course: Course | None, seed: int
    ) -> tuple[list[dict[str, Any]], dict[str, Any], Lift | None]:
        """Tune all there is, and measure it; return the rows, the settings, and what tuning did."""
        with stage("boosts"):
            chosen: dict[str, Any] = dict(choose_boosts(self.folder / "lexical", choose, seed))
        rows, lift = [self.lexical("words, tuned", **chosen)], None
        if course is not None:
            lexical = registry.build("search.indexes", "lexical", **chosen)
            lexical.restore(self.folder / "lexical")
            texts = dict(
                zip(self.products["id"], product_text(self.products).to_list(), strict=True)
            )
            lessons = Lessons(pairs_of(teach, texts))
            encoder, lift = tune_encoder(
                encoder, lessons, choose, lexical, self.folder / "tuned", course, self.cache
            )
            rows.append(self.dense("meaning, tuned", encoder))
        with stage("weight"):
            chosen |= self.weigh(encoder, choose, chosen)
        rows.append(self.hybrid("both, tuned", encoder, **chosen))
        with stage("order"):
            # What the encoder learned from looks better to it than it is.
            fresh = choose if lift is not None and lift.kept else teach.joined(choose)
            rows.append(self.learned("both, learned order", encoder, fresh, seed, chosen))
        if course is not None and course.crossing is not None:
            with stage("reranked"):
                rows.append(self.reranked("both, reranked", encoder, choose, chosen))
        return rows, chosen, lift

    def reranked(
        self, name: str, encoder: Any, choose: Judged, settings: dict[str, Any]
    ) -> dict[str, Any]:
        """Measure both, the best read by the cross-encoder; it counts what serves best."""
        model = str(self.folder / "tuned" / CROSS)
        cross = registry.build("encoders.cross", "cross_encoder", model=model)
        cross.ensure(self.folder / "tuned" / "cross-export")
        index = Crossed.of(self._both(encoder, settings), cross, self.products)
        few = choose.part(list(choose.queries)[:RERANKED_MAX])
        asked = self._asked(encoder, few)
        best: dict[float, float] = {}
        for index.weight in CROSS_WEIGHTS:
            found = quality(few, shown(index, few, asked))["ndcg@10"].mean()
            best[index.weight] = round(float(found or 0.0), 4)  # type: ignore[arg-type]
        index.weight = settings["cross_weight"] = max(best, key=lambda weight: best[weight])
        return self._row(name, lambda judged: shown(index, judged, self._asked(encoder, judged)))

    def lexical(self, name: str, **settings: Any) -> dict[str, Any]:
        """Measure words alone."""
        index = registry.build("search.indexes", "lexical", **settings)
        index.restore(self.folder / "lexical")
        return self._row(name, lambda judged: shown(index, judged))

    def dense(self, name: str, encoder: Any) -> dict[str, Any]:
        """Measure meaning alone."""
        vectors = self.cache.encode(encoder, product_text(self.products).to_list())
        index = registry.build("search.indexes", "dense").build(self.products, vectors)
        return self._row(name, lambda judged: shown(index, judged, self._asked(encoder, judged)))

    def hybrid(self, name: str, encoder: Any, **settings: Any) -> dict[str, Any]:
        """Measure both together."""
        index = self._both(encoder, settings)
        return self._row(name, lambda judged: shown(index, judged, self._asked(encoder, judged)))

    def learned(
        self, name: str, encoder: Any, judged: Judged, seed: int, settings: dict[str, Any]
    ) -> dict[str, Any]:
        """Measure both in an order that is learned, if it is better than the plain one."""
        vectors = self.cache.encode(encoder, product_text(self.products).to_list())
        index = registry.build("search.indexes", "learned", **settings)
        index.build(self.products, vectors)
        learn_order(index, judged, self._asked(encoder, judged), seed)
        kept = "" if index.order is not None else " (not better: left as it was)"
        return self._row(
            name + kept, lambda judged: shown(index, judged, self._asked(encoder, judged))
        )

    def weigh(self, encoder: Any, choose: Judged, settings: dict[str, Any]) -> dict[str, float]:
        """Choose what words count beside meaning."""
        index = self._both(encoder, settings | {"cosine_min": -1.0})
        weight, _ = choose_weight(index, choose, self._asked(encoder, choose))
        return {"lexical_weight": weight, "cosine_min": -1.0}

    def _both(self, encoder: Any, settings: dict[str, Any]) -> Any:
        vectors = self.cache.encode(encoder, product_text(self.products).to_list())
        index = registry.build("search.indexes", "hybrid", **settings)
        return index.build(self.products, vectors)

    def _asked(self, encoder: Any, judged: Judged) -> Any:
        return self.cache.encode(encoder, list(judged.queries.values()), "query")

    def _row(self, name: str, ask: Callable[[Judged], Lists]) -> dict[str, Any]:
        found = quality(self.report, ask(self.report))
        if self.changes:
            with stage("noise", name):
                rows = robustness(self.report, ask, self.changes)
            self.noise += [{"search": name, **row} for row in rows]
        interval = mean_interval(found["ndcg@10"].to_numpy())
        means = {metric: found[metric].mean() for metric in METRICS}
        return {"search": name, **means, "low": interval.low, "high": interval.high}
