"""Scores of lists as a report: tables with intervals, plots, and the same as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.config import Config
from shopkeeper.engine.files import write_reports
from shopkeeper.evaluation.bootstrap import Interval, mean_interval, paired_difference
from shopkeeper.pages.report import evaluation_html

FUSION = "fusion"
FLOORS = ("floor_popular", "floor_own", "floor_ease_own")
NEW = "new only"
ALL = "all products"

Scores = dict[str, dict[str, dict[str, Any]]]
"""By population (`all products`, `new only`), list and metric: one value per shopper, or one."""


def write_report(
    folder: Path, config: Config, end: datetime, runs: Sequence[Scores], seeds: Sequence[int]
) -> dict[str, Any]:
    """Turn scores into tables and plots, and write `reports/evaluation.html` and `.json`.

    Args:
        folder: The shop's folder.
        config: Its settings.
        end: The split.
        runs: What `measure` returned, one per seed.
        seeds: The seeds.

    Returns:
        The report; `file` names the page.
    """
    k = config.evaluation.k
    shoppers = {p: runs[0][p][FUSION]["recall"].size for p in runs[0]}
    report: dict[str, Any] = {
        "title": f"Evaluation of {config.shop.name}",
        "notes": [
            f"Learned from events before {end:%Y-%m-%d}; judged on the first basket on or after "
            f"it, top {k} of the whole catalogue, recall divided by min({k}, products bought).",
            *(f"{population}: {n:,} shoppers." for population, n in shoppers.items()),
            f"Seeds: {', '.join(map(str, seeds))}. Intervals are 95 %, by bootstrap over shoppers.",
        ],
        "tables": [_table(config, runs, population) for population in (ALL, NEW)],
        "plots": [_plot(config, runs, population) for population in (ALL, NEW)],
        "scores": _summary(runs),
        "against_floors": _against_floors(config, runs),
        "seeds": list(seeds),
    }
    report["file"] = str(
        write_reports(folder / "reports", "evaluation", report, evaluation_html(report))
    )
    return report


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
                for metric in ("recall", "ndcg")
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
