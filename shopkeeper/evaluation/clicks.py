"""How well do rankers foretell clicks or sales, row by row, and do their chances come true?

Each row is judged by rankers that have not seen it, nor another row of its group: in the order of
time each block by what came before it, else each fold by the others; or a second file by the
first. Chances are calibrated inside each fold. Knows no method: any ranker of the shelf is measured
through its contract.
"""

import dataclasses
import hashlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper import registry
from shopkeeper.contracts import Ranker
from shopkeeper.errors import BadConfig, BadData
from shopkeeper.evaluation import chances as judge
from shopkeeper.evaluation.clicks_table import Impressions, Roles, read_impressions
from shopkeeper.evaluation.leakage import suspects
from shopkeeper.evaluation.leave_one_out import peak_memory_mb
from shopkeeper.ranking import calibrated
from shopkeeper.tracing import stage

CHANCES: Mapping[str, Mapping[str, Any]] = {
    "gbdt": {"order_share": 0.0, "negatives_share": 1.0, "threads": 1},
}
"""Settings for rankers that are asked for a chance, not for the order of one list."""
RATE = "constant rate"
HITS_MIN = 10
"""So many rows of each kind are needed in what is learned from and in what is judged."""
CURVE_POINTS = 21

Rows = NDArray[np.int64]
Doubles = NDArray[np.float64]


def benchmark_clicks(
    train: Path,
    test: Path | None,
    roles: Roles,
    *,
    names: Sequence[str] = (),
    folds: int = 5,
    seeds: Sequence[int] = (0,),
    settings: Mapping[str, Any] | None = None,
    resamples: int = 500,
) -> dict[str, Any]:
    """Measure rankers on impressions.

    Args:
        train: CSV, TSV or Parquet, a row for each impression.
        test: Another such file, judged by what `train` taught; without it `train` is cut in folds.
        roles: What the columns are.
        names: Rankers of the shelf; none for all of them.
        folds: How many, from 2.
        seeds: Each deals the rows out and, where a ranker has a `seed`, decides its learning.
        settings: Of the ranker, where a single one is named.
        resamples: What the intervals rest on, from 50.

    Returns:
        One object that JSON can say: counts, sha256, `rows` by ranker with AUC, log loss,
        calibration error and average precision, each with `mean` (of all seeds), `low` and `high`
        (95 %, first seed) and `spread` (standard deviation of seeds), `beside_rate` (log loss less
        that of the constant rate, paired by row, of all seeds), `reliability`, and `suspects`.

    Raises:
        BadConfig: There is no such ranker, setting or column, or too few folds.
        BadData: A file is missing or broken, or has too few rows of one kind.
    """
    chosen = _chosen(names, folds, seeds, resamples, settings)
    known = read_impressions(train, roles)
    later = None if test is None else read_impressions(test, roles, like=known)
    cuts = _cuts(known, later, folds, seeds)
    judged = _Judged(known if later is None else later, cuts, resamples)
    rows = [judged.row(RATE, [_rates(known, later, parts) for parts in cuts], 0.0)]
    for name in chosen:
        began = time.perf_counter()
        with stage(name):
            told = [
                _told(known, later, parts, name, _settings(name, settings, seed))
                for seed, parts in zip(seeds, cuts, strict=True)
            ]
        rows.append(judged.row(name, told, time.perf_counter() - began))
    with stage("leakage"):
        warned = suspects(known, cuts[0][0][0])
    files = [train] if test is None else [train, test]
    return _about(files, known) | {
        "label": roles.label,
        "judged_rows": int(judged.rows.size),
        "judged_hits": int(judged.labels.sum()),
        "cut": "a second file" if later is not None else _cut_words(known, folds),
        "seeds": list(seeds),
        "rows": rows,
        "suspects": warned,
        "peak_memory_mb": peak_memory_mb(),
    }


def _chosen(
    names: Sequence[str],
    folds: int,
    seeds: Sequence[int],
    resamples: int,
    settings: Mapping[str, Any] | None,
) -> list[str]:
    """Return the rankers to measure; whatever cannot be is refused before work begins."""
    if folds < 2 or not seeds or resamples < 50:
        raise BadConfig("--folds must be at least 2, --seeds at least 1, resamples at least 50.")
    if settings and len(names) != 1:
        raise BadConfig("--set needs exactly one --ranker.")
    chosen = list(names) or registry.names("ranking")
    for name in chosen:
        registry.build("ranking", name, **_settings(name, settings, 0))
    return chosen


def _about(files: Sequence[Path], known: Impressions) -> dict[str, Any]:
    return {
        "benchmark": "clicks",
        "files": [file.name for file in files],
        "sha256": [hashlib.sha256(file.read_bytes()).hexdigest() for file in files],
        "features": list(known.names),
        "codes": list(known.codes),
        "left_out": list(known.left_out),
        "learned_rows": len(known),
    }


Parts = list[tuple[Rows, Rows]]
"""Rows to learn from and rows to judge, for each fold."""


def _cuts(
    known: Impressions, later: Impressions | None, folds: int, seeds: Sequence[int]
) -> list[Parts]:
    """Return the folds of each seed, checked."""
    every = np.arange(len(known))
    if later is not None:
        cuts: list[Parts] = [[(every, np.arange(len(later)))] for _ in seeds]
    elif known.timed:
        block = every * (folds + 1) // len(known)
        cuts = [[(every[block < at], every[block == at]) for at in range(1, folds + 1)]] * len(
            seeds
        )
    else:
        cuts = [list(_shuffled(known.groups, folds, seed)) for seed in seeds]
    target = known if later is None else later
    for learned, judged in (part for parts in cuts for part in parts):
        for what, labels in (
            ("learn from", known.labels[learned]),
            ("judge", target.labels[judged]),
        ):
            hits = int(labels.sum())
            if min(hits, len(labels) - hits) < HITS_MIN:
                raise BadData(
                    f"A fold has {len(labels):,} rows to {what}, of which {hits:,} are hits. Each "
                    f"kind needs {HITS_MIN}; take fewer --folds, or a larger file."
                )
    return cuts


def _shuffled(groups: Rows, folds: int, seed: int) -> Iterator[tuple[Rows, Rows]]:
    order = np.random.default_rng(seed).permutation(int(groups.max()) + 1)
    fold = order[groups] % folds
    for one in range(folds):
        yield np.flatnonzero(fold != one), np.flatnonzero(fold == one)


def _cut_words(known: Impressions, folds: int) -> str:
    if known.timed:
        return f"{folds} blocks in the order of time, each judged by what came before it"
    return f"{folds} folds, shuffled by group" if known.grouped else f"{folds} folds, shuffled"


def _settings(name: str, settings: Mapping[str, Any] | None, seed: int) -> dict[str, Any]:
    fields = {field.name for field in dataclasses.fields(registry.find("ranking", name).Config)}
    own = {"seed": seed} if "seed" in fields else {}
    return own | dict(CHANCES.get(name, {})) | dict(settings or {})


def _rates(known: Impressions, later: Impressions | None, parts: Parts) -> Doubles:
    """Foretell the rate of what was learned from, whatever the row."""
    told = np.full(len(known if later is None else later), np.nan)
    for learned, judged in parts:
        told[judged] = known.labels[learned].mean()
    return told


def _told(
    known: Impressions,
    later: Impressions | None,
    parts: Parts,
    name: str,
    settings: Mapping[str, Any],
) -> Doubles:
    """Return the chance of each judged row, NaN for the others."""
    target = known if later is None else later
    told = np.full(len(target), np.nan)
    make: Callable[[], Ranker] = lambda: registry.build("ranking", name, **settings)  # noqa: E731
    for learned, judged in parts:
        order = learned[np.argsort(known.groups[learned], kind="stable")]
        labels = known.labels[order]
        if name == "multitask" and known.sales is not None:
            labels = np.stack([labels, known.sales[order]], 1)
        weights = np.ones(len(order), np.float32)
        lessons = known.features[order], labels, weights, known.groups[order]
        own = None if known.placements is None else known.placements[order]
        ranker, learned_chances = calibrated(make, lessons, known.columns, own)
        there = None if target.placements is None else target.placements[judged]
        scores = ranker.score(target.features[judged])
        told[judged] = learned_chances.chances(scores, there)
    return told


class _Judged:
    """The rows that all rankers are judged by."""

    def __init__(self, target: Impressions, cuts: Sequence[Parts], resamples: int) -> None:
        self.rows = np.sort(np.concatenate([judged for _, judged in cuts[0]]))
        self.labels = target.labels[self.rows].astype(np.float64)
        self.groups = target.groups[self.rows] if target.grouped else None
        self.resamples = resamples
        self.rate: Doubles = np.empty(0)
        """Surprise of each row under the constant rate."""

    def row(self, name: str, told: Sequence[Doubles], seconds: float) -> dict[str, Any]:
        """Return what is said of one ranker, given its chances by seed."""
        chosen = [np.asarray(one[self.rows]) for one in told]
        # All seeds are averaged, row by row, for what is paired.
        surprise = np.mean([judge.surprises(self.labels, one) for one in chosen], axis=0)
        if name == RATE:
            self.rate = surprise
        found = [
            judge.judged(
                self.labels,
                one,
                groups=self.groups,
                resamples=self.resamples if at == 0 else 1,
            )
            for at, one in enumerate(chosen)
        ]
        measures = {}
        for measure in judge.MEASURES:
            values = [each[measure].mean for each in found]
            measures[measure] = {
                "mean": statistics.fmean(values),
                "low": found[0][measure].low,
                "high": found[0][measure].high,
                "spread": statistics.stdev(values) if len(values) > 1 else 0.0,
            }
        return {
            "ranker": name,
            **measures,
            "beside_rate": self._beside(surprise - self.rate),
            "reliability": judge.reliability(self.labels, chosen[0]),
            "precision_recall": self._curve(chosen[0]),
            "seconds": round(seconds, 2),
        }

    def _beside(self, difference: Doubles) -> dict[str, float]:
        def mean(drawn: Doubles) -> float:
            return float(drawn @ difference / drawn.sum())

        values = judge.resampled(mean, len(difference), self.groups, self.resamples, 0)
        low, high = np.quantile(values, (0.025, 0.975))
        return {"mean": float(difference.mean()), "low": float(low), "high": float(high)}

    def _curve(self, told: Doubles) -> list[dict[str, float]]:
        """Return the best precision at a few recalls."""
        precision, recall = judge.precision_recall(self.labels, told)
        best = np.maximum.accumulate(precision[::-1])[::-1]
        at = np.searchsorted(recall, np.linspace(0, 1, CURVE_POINTS)[1:] - 1e-9)
        return [{"recall": float(recall[one]), "precision": float(best[one])} for one in at]
