"""Measures search on any catalogue whose queries were judged, untuned and tuned by its own means.

Some of the queries may be spent on tuning: three quarters of them teach the encoder, the last
quarter chooses boosts, the weight of words, and whether the tuned encoder is kept; the others are
looked at once, at the end. Knows no shop: everything comes from three tables.
"""

import tempfile
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from shopkeeper import registry
from shopkeeper.encoders import VectorCache
from shopkeeper.engine.search_lessons import Lessons, Lift, pairs_of, tune_encoder
from shopkeeper.engine.search_order import learn_order
from shopkeeper.engine.search_tuning import choose_boosts, choose_weight, shown
from shopkeeper.errors import BadConfig
from shopkeeper.evaluation.bootstrap import mean_interval
from shopkeeper.evaluation.judged import METRICS, Judged, quality
from shopkeeper.search import text
from shopkeeper.search.text import product_text
from shopkeeper.tracing import stage

TEACH = 0.75
"""Share of the tuning queries that teach the encoder."""


def benchmark_search(
    judged: Judged,
    *,
    encoder: str = "minilm",
    tune_share: float = 0.0,
    tuning: Any = None,
    seed: int = 0,
    cache: Path | None = None,
) -> dict[str, Any]:
    """Measure every way to search the catalogue.

    Args:
        judged: Products, queries and grades.
        encoder: A part of the shelf `encoders`.
        tune_share: How much of the queries is spent on tuning, from 0 to below 1; those are not
            reported.
        tuning: `training.texts.Tuning` of the encoder; None leaves it as it came.
        seed: Which queries tune.
        cache: Where vectors are kept between runs.

    Returns:
        `table` (a row for each way, with the mean of each metric and the interval of nDCG@10),
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
        made = registry.build("encoders", encoder).ensure((cache or folder) / encoder)
        rows = [*work.peer(), *work.untuned(made)]
        chosen: dict[str, Any] = {}
        lift = None
        if choose.queries:
            more, chosen, lift = work.tuned(made, teach, choose, tuning, seed)
            rows += more
    return {
        "table": rows,
        "queries": len(report.queries),
        "tuning_queries": len(mine.queries),
        "products": judged.products.height,
        "chosen": chosen,
        "lift": None if lift is None else asdict(lift) | {"kept": lift.kept},
    }


class _Work:
    """Indexes of one catalogue, each measured on the queries of the report."""

    def __init__(self, judged: Judged, report: Judged, folder: Path, cache: VectorCache) -> None:
        self.products, self.report = judged.products, report
        self.folder, self.cache = folder, cache

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
        lists = {}
        for one, query in self.report.queries.items():
            words = [vocabulary[word] for word in text.words(query) if word in vocabulary]
            scores = index.get_scores_from_ids(words) if words else np.zeros(len(ids))
            best = np.argsort(-scores, kind="stable")[:100]
            lists[one] = [ids[at] for at in best if scores[at] > 0]
        return [self._row("bm25s, all words (peer)", lists)]

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
        self, encoder: Any, teach: Judged, choose: Judged, tuning: Any, seed: int
    ) -> tuple[list[dict[str, Any]], dict[str, Any], Lift | None]:
        """Tune all there is, and measure it; return the rows, the settings, and what tuning did."""
        with stage("boosts"):
            chosen: dict[str, Any] = dict(choose_boosts(self.folder / "lexical", choose, seed))
        rows, lift = [self.lexical("words, tuned", **chosen)], None
        if tuning is not None:
            lexical = registry.build("search.indexes", "lexical", **chosen)
            lexical.restore(self.folder / "lexical")
            texts = dict(
                zip(self.products["id"], product_text(self.products).to_list(), strict=True)
            )
            encoder, lift = tune_encoder(
                encoder,
                Lessons(pairs_of(teach, texts)),
                choose,
                lexical,
                self.folder / "tuned",
                tuning,
                self.cache,
            )
            rows.append(self.dense("meaning, tuned", encoder))
        with stage("weight"):
            chosen |= self.weigh(encoder, choose, chosen)
        rows.append(self.hybrid("both, tuned", encoder, **chosen))
        with stage("order"):
            # What the encoder learned from looks better to it than it is.
            fresh = choose if lift is not None and lift.kept else teach.joined(choose)
            rows.append(self.learned("both, learned order", encoder, fresh, seed, chosen))
        return rows, chosen, lift

    def lexical(self, name: str, **settings: Any) -> dict[str, Any]:
        """Measure words alone."""
        index = registry.build("search.indexes", "lexical", **settings)
        return self._row(name, shown(index.restore(self.folder / "lexical"), self.report))

    def dense(self, name: str, encoder: Any) -> dict[str, Any]:
        """Measure meaning alone."""
        vectors = self.cache.encode(encoder, product_text(self.products).to_list())
        index = registry.build("search.indexes", "dense").build(self.products, vectors)
        return self._row(name, shown(index, self.report, self._asked(encoder, self.report)))

    def hybrid(self, name: str, encoder: Any, **settings: Any) -> dict[str, Any]:
        """Measure both together."""
        index = self._both(encoder, settings)
        return self._row(name, shown(index, self.report, self._asked(encoder, self.report)))

    def learned(
        self, name: str, encoder: Any, judged: Judged, seed: int, settings: dict[str, Any]
    ) -> dict[str, Any]:
        """Measure both in an order that is learned, if it is better than the plain one."""
        vectors = self.cache.encode(encoder, product_text(self.products).to_list())
        index = registry.build("search.indexes", "learned", **settings)
        index.build(self.products, vectors)
        learn_order(index, judged, self._asked(encoder, judged), seed)
        kept = "" if index.order is not None else " (not better: left as it was)"
        lists = shown(index, self.report, self._asked(encoder, self.report))
        return self._row(name + kept, lists)

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

    def _row(self, name: str, lists: dict[str, list[str]]) -> dict[str, Any]:
        found = quality(self.report, lists)
        interval = mean_interval(found["ndcg@10"].to_numpy())
        means = {metric: found[metric].mean() for metric in METRICS}
        return {"search": name, **means, "low": interval.low, "high": interval.high}
