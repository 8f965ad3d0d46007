"""Finds better settings for a part of a shop, judged on periods that its figures do not use.

Everything happens before the split of `shopkeeper evaluate`: the newest held-back period judges,
the older ones teach. A ranker is taught anew for each trial, on candidates that are gathered once;
a recommender is fitted on what was known before each period. The first trial has the shop's own
settings, so the best is at least as good on that period; whether it is better later, `shopkeeper
evaluate` says.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from shopkeeper import registry
from shopkeeper.config import Config
from shopkeeper.engine import settings
from shopkeeper.engine.files import write_reports
from shopkeeper.engine.learn import Known, joined, moments
from shopkeeper.engine.selection import known_with_vectors, lessons_of, ndcg_of, with_hits
from shopkeeper.engine.train import data_hash
from shopkeeper.errors import BadConfig, BadData
from shopkeeper.evaluation.metrics import hits, ndcg_at
from shopkeeper.evaluation.splits import TARGETS, next_basket, requests_at
from shopkeeper.pages.report import evaluation_html
from shopkeeper.schema import ITEM, REQUEST, USER
from shopkeeper.tracing import stage
from shopkeeper.training.tuning import Steps, Study, Trial, ranges, search

SHELVES = ("ranking", "recommenders")


def tune(
    folder: Path,
    config: Config,
    part: str,
    *,
    trials: int = 30,
    minutes: float | None = None,
    storage: str = "",
    requests: int = 400,
    write: bool = True,
) -> dict[str, Any]:
    """Try settings of a part, and write the best into `shop.toml` if they beat the shop's own.

    Args:
        folder: The shop's folder.
        config: Its settings.
        part: Such as `ranking.gbdt`, or its name alone.
        trials: How many in all; those of an earlier call on the same data count.
        minutes: Begin no new trial after so many.
        storage: SQLAlchemy URL of the trials; by default `cache/tuning.db` in the shop's folder.
        requests: How many requests of each period to learn from and judge by.
        write: Whether to write the best.

    Returns:
        `part`, `metric`, `own` (what the shop's settings reach), `best`, `settings` (those that
        differ), `written`, `trials` (rows), and `file`, the report.

    Raises:
        BadConfig: There is no such part, or it has no settings to tune.
        BadData: There is too little to learn from, or no trial came to an end.
    """
    shelf, name = _address(part)
    now = registry.find(shelf, name).Config(**config.part(shelf, name))
    where = ranges(now)
    if not where:
        raise BadConfig(f"'{name}' has no settings that are numbers, so there is nothing to tune.")
    first = {setting: getattr(now, setting) for setting in where}
    url = storage or f"sqlite:///{folder / 'cache' / 'tuning.db'}"
    with stage("tune"):
        known, end = known_with_vectors(folder, config)
        cache = folder / "cache" / "tuning"
        cache.mkdir(parents=True, exist_ok=True)
        steps = _steps(config, known, end, (shelf, name, asdict(now)), cache, requests)
        about = json.dumps([asdict(config.train), str(end), data_hash(known), requests, first])
        study = f"{shelf}.{name} {hashlib.sha256(about.encode()).hexdigest()[:12]}"
        seed = config.train.seed
        done = search(steps, where, first, Study(study, url, trials, minutes, seed))
    found = _judged(done, first) | {
        "part": f"{shelf}.{name}",
        "metric": f"NDCG@{config.evaluation.k}",
        "written": False,
        "trials": [_row(trial) for trial in done],
    }
    if write and found["settings"]:
        why = f"tuned: {found['metric']} {found['best']:.4f}, {found['own']:.4f} before"
        settings.put(folder, found["part"], found["settings"], why)
        found["written"] = True
    page = write_reports(folder / "reports", f"tuning-{name}", found, _page(found, done))
    return found | {"file": str(page)}


def _judged(done: Sequence[Trial], first: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the shop's own settings reach, what the best do, and how these differ."""
    valued = [(trial.value, trial) for trial in done if trial.value is not None]
    own = [value for value, trial in valued if trial.settings == first]
    if not own:
        raise BadData("The shop's own settings were not tried to an end. Give more --minutes.")
    # Of equal ones the first, which is the shop's own.
    value, best = max(valued, key=lambda pair: (pair[0], -pair[1].number))
    better = value > own[0]
    changed = {key: one for key, one in best.settings.items() if one != first[key]}
    return {"own": own[0], "best": value, "settings": changed if better else {}}


def _address(part: str) -> tuple[str, str]:
    """Return shelf and name."""
    shelf, _, name = part.rpartition(".")
    if not shelf:
        found = [one for one in SHELVES if part in registry.names(one)]
        shelf = found[0] if found else "ranking"
    if shelf not in SHELVES:
        raise BadConfig(f"Only parts of {' and '.join(SHELVES)} can be tuned, not '{part}'.")
    registry.find(shelf, name)
    return shelf, name


def _steps(
    config: Config,
    known: Known,
    end: datetime,
    about: tuple[str, str, dict[str, Any]],
    cache: Path,
    requests: int,
) -> Steps:
    shelf, name, now = about
    backs = moments(config)
    if len(backs) < 2:
        raise BadData("Tuning needs [train] periods of at least 2: one to learn on, one to judge.")
    k = config.evaluation.k
    if shelf == "recommenders":
        return _recommender_steps(config, known, end, (name, now), requests)
    lessons = lessons_of(config, known.before(end), end, backs, cache, config.train.seed)
    features, labels, owners = with_hits(lessons.pop())
    # One period first: settings that are bad there are given up.
    rounds = [lessons] if len(lessons) == 1 else [lessons[-1:], lessons]

    def steps(given: Mapping[str, Any]) -> Iterator[float]:
        for taught in rounds:
            ranker = registry.build(shelf, name, **{**now, **given})
            ranker.fit(*joined(list(taught)))
            yield float(ndcg_of(ranker.score(features), labels, owners, k).mean())

    return steps


def _recommender_steps(
    config: Config, known: Known, end: datetime, about: tuple[str, dict[str, Any]], requests: int
) -> Steps:
    name, now = about
    k = config.evaluation.k
    asked = []
    for back in moments(config)[-2:]:
        at = end - timedelta(days=back)
        window = known.before(min(at + timedelta(days=config.train.period_days), end)).events
        targets = next_basket(window, at)
        targets = targets.sample(min(requests, targets.height), seed=config.train.seed).sort(USER)
        rows = requests_at(window, at, targets[USER].to_list(), config.train.history_max)
        if targets.height:
            asked.append((known.before(at), rows, targets[TARGETS].to_list()))
    if not asked:
        raise BadData("No shopper bought again in the held-back periods. Load more events.")

    def steps(given: Mapping[str, Any]) -> Iterator[float]:
        values: list[float] = []
        for past, rows, targets in asked:
            part = registry.build("recommenders", name, **{**now, **given})
            part.fit(past.events, past.products)
            answer = part.recommend(rows, k)
            shown: list[list[str]] = [[] for _ in targets]
            for request, item in answer.select(REQUEST, ITEM).iter_rows():
                shown[request].append(item)
            wanted = np.array([len(set(one)) for one in targets])
            values.append(float(ndcg_at(hits(shown, targets, k), wanted, k).mean()))
            yield float(np.mean(values))

    return steps


def _row(trial: Trial) -> dict[str, Any]:
    value = "given up" if trial.value is None else round(trial.value, 5)
    told = {name: _short(one) for name, one in trial.settings.items()}
    return {"trial": trial.number, "value": value, **told}


def _short(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _page(found: Mapping[str, Any], done: Sequence[Trial]) -> str:
    """Draw the trials, and the best so far."""
    rows, best = [], -np.inf
    for trial in done:
        if trial.value is None:
            continue
        best = max(best, trial.value)
        rows += [
            {"x": trial.number, "y": trial.value, "by": "trial"},
            {"x": trial.number, "y": best, "by": "best so far"},
        ]
    notes = [
        f"{found['metric']} of {found['part']} on the newest held-back period before the split: "
        f"{found['own']:.4f} with the shop's settings, {found['best']:.4f} with the best found.",
        "The best of many trials flatters itself; `shopkeeper evaluate` judges on a later period.",
    ]
    if found["written"]:
        chosen = ", ".join(f"{key} = {_short(one)}" for key, one in found["settings"].items())
        notes.append(f"Written into shop.toml: {chosen}.")
    columns = list(found["trials"][0])
    return evaluation_html({
        "title": f"Tuning of {found['part']}",
        "notes": notes,
        "plots": [{"title": f"{found['metric']} by trial", "kind": "line", "rows": rows}],
        "tables": [{"title": "Trials", "columns": columns, "rows": found["trials"]}],
    })  # fmt: skip
