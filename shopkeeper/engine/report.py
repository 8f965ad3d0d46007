"""Scores of lists as a report: tables with intervals, plots, and the same as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.config import Config
from shopkeeper.engine.files import write_reports
from shopkeeper.evaluation.bootstrap import Interval, mean_interval, paired_difference
from shopkeeper.pages.report import evaluation_html

FUSION = "fusion"
FLOORS = ("floor_popular", "floor_own", "floor_ease_own")
NEW = "new only"
ALL = "all products"
METRICS = ("recall", "ndcg")

Scores = dict[str, dict[str, dict[str, Any]]]
"""By population (`all products`, `new only`), list and metric: one value per shopper, or one."""

EVENTS = "events"
GROUPS = ((0, 0), (1, 4), (5, 19), (20, 99), (100, None))
"""Shoppers by how many events are known of them."""


@dataclass(frozen=True)
class Strangers:
    """Shoppers who bought for the first time, and how they were answered."""

    shoppers: pl.DataFrame
    """`user_id` and `events`, how many are known, in the order of the scores."""
    scores: Mapping[str, Mapping[str, Any]]
    """By list and metric, one value per shopper."""


@dataclass(frozen=True)
class Measured:
    """How lists did for the shoppers of a held-back period."""

    scores: Scores
    """For those who had bought before."""
    shoppers: pl.DataFrame
    """`user_id` and `events`, how many are known, in the order of the scores of all products."""
    strangers: Strangers

    def everybody(self, name: str, metric: str) -> NDArray[np.float64]:
        """Return a list's score for each shopper, strangers last; 0 where it says nothing."""
        known = self.scores[ALL].get(name, {}).get(metric, np.zeros(self.shoppers.height))
        strange = self.strangers.scores.get(name, {}).get(
            metric, np.zeros(self.strangers.shoppers.height)
        )
        return np.concatenate([known, strange])

    def events(self) -> NDArray[np.int64]:
        """Return how many events are known of each shopper, strangers last."""
        both = [self.shoppers[EVENTS], self.strangers.shoppers[EVENTS]]
        return np.concatenate([one.to_numpy() for one in both]).astype(np.int64)


def write_report(
    folder: Path,
    config: Config,
    end: datetime,
    measured: Sequence[Measured],
    seeds: Sequence[int],
    *,
    name: str = "evaluation",
    first: Sequence[dict[str, Any]] = (),
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Turn scores into tables and plots, and write `reports/NAME.html` and `.json`.

    Args:
        folder: The shop's folder.
        config: Its settings.
        end: The split.
        measured: What `measure` returned, one per seed.
        seeds: The seeds.
        name: Of the report.
        first: Tables to stand before the others.
        notes: Sentences to stand before the others.

    Returns:
        The report; `file` names the page.
    """
    k = config.evaluation.k
    runs = [one.scores for one in measured]
    shoppers = {p: runs[0][p][FUSION]["recall"].size for p in runs[0]}
    groups = by_history(config, measured)
    report: dict[str, Any] = {
        "title": f"{name.capitalize()} of {config.shop.name}",
        "notes": [
            *notes,
            f"Learned from events before {end:%Y-%m-%d}; judged on the first basket on or after "
            f"it, top {k} of the whole catalogue, recall divided by min({k}, products bought).",
            *(f"{population}: {n:,} shoppers." for population, n in shoppers.items()),
            f"Seeds: {', '.join(map(str, seeds))}. Intervals are 95 %, by bootstrap over shoppers.",
        ],
        "tables": [
            *first,
            *(_table(config, runs, population) for population in shoppers),
            *(_history_table(groups, metric, f"{metric[0].upper()}@{k}") for metric in METRICS),
        ],
        # Without floors beside them lists stand in the tables alone: drawing takes seconds.
        "plots": [_plot(config, runs, each) for each in shoppers if FLOORS[0] in runs[0][each]],
        "scores": _summary(runs),
        "against_floors": _against_floors(config, runs),
        "by_history": groups,
        "seeds": list(seeds),
    }
    report["file"] = str(write_reports(folder / "reports", name, report, evaluation_html(report)))
    return report


def by_history(config: Config, measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """Tell how good each list is for shoppers of whom little or much is known.

    Args:
        config: The shop's settings.
        measured: What `measure` returned, one per seed.

    Returns:
        A row for each of `GROUPS` that has shoppers: `events`, `shoppers`, and in `lists` by name
        and metric the `mean` over seeds with its 95 % interval, `low` and `high`.
    """
    events_B, rows = measured[0].events(), []
    names = [name for name in measured[0].scores[ALL] if name not in FLOORS]
    for low, high in GROUPS:
        mine = (events_B >= low) & (events_B <= (np.inf if high is None else high))
        if not mine.any():
            continue
        lists = {
            name: {
                metric: asdict(
                    mean_interval(
                        np.mean([one.everybody(name, metric)[mine] for one in measured], axis=0),
                        resamples=config.evaluation.resamples,
                    )
                )
                for metric in METRICS
            }
            for name in names
        }
        said = f"{low}+" if high is None else f"{low}-{high}" if high else "0"
        rows.append({"events": said, "shoppers": int(mine.sum()), "lists": lists})
    return rows


def _history_table(groups: Sequence[dict[str, Any]], metric: str, title: str) -> dict[str, Any]:
    """Lay one metric of `by_history` out, a row for each list."""
    names = sorted(groups[-1]["lists"], key=lambda n: -groups[-1]["lists"][n][metric]["mean"])
    rows = []
    for name in names:
        row = {"list": name}
        for group in groups:
            found = group["lists"][name][metric]
            head = f"{group['events']} events ({group['shoppers']:,} shoppers)"
            row[head] = f"{found['mean']:.4f} ({found['low']:.4f} - {found['high']:.4f})"
        rows.append(row)
    return {
        "title": f"{title} by how many events are known of a shopper",
        "columns": list(rows[0]),
        "rows": rows,
    }


def _pooled(runs: Sequence[Scores], population: str, name: str, metric: str) -> NDArray[np.float64]:
    """Average a shopper's score over seeds, [B]."""
    values = [run[population][name][metric] for run in runs if name in run[population]]
    return np.asarray(np.mean(values, axis=0), np.float64)


def _table(config: Config, runs: Sequence[Scores], population: str) -> dict[str, Any]:
    k, samples = config.evaluation.k, config.evaluation.resamples
    rows = []
    for name in _ordered(runs, population):
        recall, score = (_pooled(runs, population, name, m) for m in ("recall", "ndcg"))
        range_ = mean_interval(recall, resamples=samples)
        row = {
            "list": name,
            f"R@{k}": float(recall.mean()),
            "interval": f"{range_.low:.4f} - {range_.high:.4f}",
            f"N@{k}": float(score.mean()),
        }
        for metric in ("coverage", "novelty", "diversity"):
            row[metric] = float(_pooled(runs, population, name, metric))
        row["against best floor"] = _against(runs, population, name, samples)
        rows.append(row)
    return {"title": f"{population.capitalize()}", "columns": list(rows[0]), "rows": rows}


def _against_floors(
    config: Config, runs: Sequence[Scores]
) -> dict[str, dict[str, dict[str, float]]]:
    """Return by how much the fusion's NDCG beats each floor, with the paired 95 % interval."""
    return {
        population: {
            floor: asdict(_gain(runs, population, FUSION, floor, config.evaluation.resamples))
            for floor in FLOORS
            if floor in runs[0][population]
        }
        for population in runs[0]
    }


def _gain(runs: Sequence[Scores], population: str, name: str, floor: str, samples: int) -> Interval:
    ours, theirs = (_pooled(runs, population, one, "ndcg") for one in (name, floor))
    return paired_difference(ours, theirs, resamples=samples)


def _against(runs: Sequence[Scores], population: str, name: str, samples: int) -> str:
    """Say by how much a list's NDCG beats the best floor, with its paired interval."""
    floors = [f for f in FLOORS if f in runs[0][population]]
    if name in FLOORS or not floors:
        return ""
    best = max(floors, key=lambda f: _pooled(runs, population, f, "ndcg").mean())
    gain = _gain(runs, population, name, best, samples)
    return f"{gain.mean:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"


def _plot(config: Config, runs: Sequence[Scores], population: str) -> dict[str, Any]:
    rows = []
    floors = [name for name in FLOORS if name in runs[0][population]]
    best = max((_pooled(runs, population, name, "ndcg").mean() for name in floors), default=0.0)
    for name in _ordered(runs, population):
        found = mean_interval(
            _pooled(runs, population, name, "ndcg"), resamples=config.evaluation.resamples
        )
        row = {"label": name, "value": found.mean, "low": found.low, "high": found.high}
        rows.append(row | ({"floor": float(best)} if floors else {}))
    return {
        "title": f"NDCG@{config.evaluation.k}, {population}",
        "kind": "interval",
        "rows": rows,
    }


def _ordered(runs: Sequence[Scores], population: str) -> list[str]:
    names = runs[0][population]
    return sorted(names, key=lambda n: -_pooled(runs, population, n, "ndcg").mean())


def _summary(runs: Sequence[Scores]) -> dict[str, Any]:
    """Return mean and spread over seeds of every list, by population and metric."""
    return {
        population: {
            name: {
                metric: {
                    "mean": float(np.mean(means)),
                    "spread": float(np.std(means)),
                    "seeds": [float(mean) for mean in means],
                }
                for metric in METRICS
                if (
                    means := [
                        run[population][name][metric].mean()
                        for run in runs
                        if name in run[population]
                    ]
                )
            }
            for name in rows
        }
        for population, rows in runs[0].items()
    }
