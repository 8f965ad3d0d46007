"""Measures rankers: are chances true, is the place on the page seen through, how fast is an answer?

    python benchmarks/ranking.py --data DIR [--quick] [--seeds N] [--part NAME ...]

`sessions`: UCI online_shoppers_intention, five shuffled folds, with and without PageValues (which
is worked out from the sale itself). `bandit`: a small part of the Open Bandit Dataset, with 287
clicks. Its affinities count the shopper's clicks, and on the first of seven days the very click
that is foretold; so it is measured as it is, and again without them and in the order of time.
`policy`: what random pages would earn, judged by the other policy's log. `places`: planted logs,
simulated. `speed`: 500 candidates of 50 features on one thread, in processor time. Nothing is tuned
on these files: all rankers have their defaults, and the choice of penalties, of when to stop and of
calibration is made inside each fold. The peer is scikit-learn's gradient boosting, same folds.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from claims import Claims, hash_of, machine
from numpy.typing import NDArray

from shopkeeper import registry
from shopkeeper.contracts import Columns
from shopkeeper.data.samples.placed import placed
from shopkeeper.evaluation import chances, off_policy
from shopkeeper.evaluation.clicks import CHANCES, benchmark_clicks
from shopkeeper.evaluation.clicks_table import Roles, read_impressions
from shopkeeper.evaluation.metrics import ndcg
from shopkeeper.ranking import click_weights, looked_harvested

PARTS = ("sessions", "bandit", "policy", "places", "speed")
SHOP_CODES = ("Month", "OperatingSystems", "Browser", "Region", "TrafficType", "VisitorType")
BANDIT_CODES = ("item_id", "campaign", "policy", "position")
ITEMS = {"all": 80, "men": 34, "women": 46}
"""Products of each campaign; a random page shows each alike."""
SLOW = ("deep", "multitask")


def sessions(claims: Claims, data: Path, seeds: range, quick: bool) -> None:
    file = data / "dev" / "online_shoppers_intention.parquet"
    print(f"online_shoppers_intention {hash_of(file)}, seeds {list(seeds)}")
    names = [name for name in registry.names("ranking") if not (quick and name in SLOW)]
    for without, target in (((), 0.93), (("PageValues",), 0.78)):
        word = "without PageValues" if without else "with PageValues"
        roles = Roles("Revenue", SHOP_CODES, drop=without)
        found = benchmark_clicks(file, None, roles, names=names, seeds=seeds)
        shown(found)
        peer(file, roles)
        # The ranker is not chosen by these folds: trees, as for every shop.
        row = next(row for row in found["rows"] if row["ranker"] == "gbdt")
        claims.check(f"sessions {word}: AUC of gbdt", row["auc"]["mean"], target)
        for row in found["rows"][1:]:
            name = f"sessions {word}: calibration error of {row['ranker']}"
            claims.check(name, row["calibration_error"]["mean"], 0.02, below=True)
        named = [one["feature"] for one in found["suspects"]]
        if not without:
            claims.check("sessions: PageValues is suspected", float("PageValues" in named), 1)
    for name in SLOW if quick else ():
        claims.not_run(f"sessions with PageValues: calibration error of {name}", "--quick")


def peer(file: Path, roles: Roles) -> None:
    """Print what scikit-learn's gradient boosting makes of the folds of seed 0."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    known = read_impressions(file, roles)
    order = np.random.default_rng(0).permutation(len(known))
    told = np.empty(len(known))
    for fold in range(5):
        held = order[known.groups] % 5 == fold
        trees = HistGradientBoostingClassifier(
            categorical_features=list(known.columns.codes), early_stopping=True, random_state=0
        )
        trees.fit(known.features[~held], known.labels[~held])
        told[held] = trees.predict_proba(known.features[held])[:, 1]
    found = chances.judged(known.labels.astype(float), told, resamples=200)
    said = " ".join(f"{name} {one.mean:.4f}" for name, one in found.items())
    print(f"  peer, scikit-learn HistGradientBoosting: {said}")


def bandit(claims: Claims, data: Path, quick: bool) -> None:
    file = data / "dev" / "open_bandit_small.parquet"
    print(f"open_bandit_small {hash_of(file)}")
    affinities = [name for name in pl.read_parquet_schema(file) if "affinity" in name]
    names = ["logistic"] if quick else ["logistic", "gbdt"]
    for word, roles in (
        ("as it is", Roles("click", BANDIT_CODES, drop=("propensity_score", "timestamp"))),
        (
            "no affinities, in time",
            Roles("click", BANDIT_CODES, time="timestamp", drop=("propensity_score", *affinities)),
        ),
    ):
        found = benchmark_clicks(file, None, roles, names=names)
        shown(found)
        for row in found["rows"][1:]:
            name = f"bandit {word}: {row['ranker']}, log loss less rate's, high end"
            claims.check(name, row["beside_rate"]["high"], 0.0, below=True)


def policy(claims: Claims, data: Path) -> None:
    """What random pages earn, from the log of Thompson sampling, beside what they did earn."""
    log = pl.read_parquet(data / "dev" / "open_bandit_small.parquet")
    for campaign, items in ITEMS.items():
        here = log.filter(pl.col("campaign") == campaign)
        chosen = here.filter(pl.col("policy") == "bts")
        logged = chosen["propensity_score"].to_numpy()
        weights = off_policy.importance(logged, np.full(len(logged), 1 / items))
        clicks = chosen["click"].to_numpy().astype(float)
        told = off_policy.snips(clicks, weights)
        random = here.filter(pl.col("policy") == "random")["click"].to_numpy().astype(float)
        truth = off_policy.snips(random, np.ones(len(random)))
        print(
            f"  {campaign}: random pages earn {truth.mean:.5f} ({truth.low:.5f} to "
            f"{truth.high:.5f}); told {told.mean:.5f} ({told.low:.5f} to {told.high:.5f}) from "
            f"{off_policy.effective_rows(weights):.0f} effective of {len(logged)} rows; the log "
            f"itself {clicks.mean():.5f}"
        )
        inside = told.low <= truth.mean <= told.high
        claims.check(f"policy {campaign}: random pages within the interval", float(inside), 1)


def places(claims: Claims, quick: bool) -> None:
    pages = {"logistic": 8_000, "gbdt": 20_000 if quick else 80_000, "deep": 40_000}
    for name, size in pages.items():
        if quick and name in SLOW:
            claims.not_run(f"places (simulated): {name} loses by click weights", "--quick")
            continue
        log, later = placed(pages=size), placed(pages=10, seed=1)
        looked = looked_harvested(log.things, log.place, log.clicks)
        weights = click_weights(log.place, log.clicks, looked)
        ones = np.ones(len(log.clicks), np.float32)
        beside = np.column_stack([log.features, log.place]).astype(np.float32)
        told = {
            "every place looked at": (log.features, log.unbiased, ones, Columns()),
            "clicks as they are": (log.features, log.clicks, ones, Columns()),
            "click weights": (log.features, log.clicks, weights, Columns()),
            "place left out": (beside, log.clicks, ones, Columns(place=5)),
        }
        found = {
            word: _quality(name, later, (lesson, labels, counts, log.page), columns)
            for word, (lesson, labels, counts, columns) in told.items()
        }
        best = found["every place looked at"]
        print(f"  {name}, {size:,} pages, {log.clicks.sum():.0f} clicks: NDCG@5 {found}")
        for word, bound in (("click weights", 0.02), ("place left out", 0.02)):
            loss = 1 - found[word] / best
            claims.check(f"places (simulated): {name} loses by {word}", loss, bound, below=True)
        loss = 1 - found["clicks as they are"] / best
        claims.check(f"places (simulated): {name} loses by clicks as they are", loss, 0.1)


def _quality(name: str, later: Any, lessons: tuple[Any, ...], columns: Columns) -> float:
    own = {"deep": {"models": 1, "batch": 2048}, "multitask": {"models": 1}}.get(name, {})
    ranker = registry.build("ranking", name, **CHANCES.get(name, {}), **own)
    ranker.fit(*lessons, columns)
    questions, candidates, width = later.each.shape
    asked = later.each.reshape(-1, width)
    if columns.place is not None:
        asked = np.column_stack([asked, np.zeros(len(asked))]).astype(np.float32)
    order = np.argsort(-ranker.score(asked).reshape(questions, candidates), axis=1)
    return round(float(ndcg(np.take_along_axis(later.good, order, 1), 5, later.good).mean()), 4)


def speed(claims: Claims) -> None:
    chance = np.random.default_rng(0)
    features = chance.normal(size=(6000, 50)).astype(np.float32)
    features[:, 45:] = chance.integers(0, 40, (6000, 5))
    features[chance.random(features.shape) < 0.05] = np.nan
    labels = (np.nan_to_num(features[:, 0]) + chance.normal(size=6000) > 1).astype(np.float32)
    owners, ones = np.arange(6000) // 50, np.ones(6000, np.float32)
    for name in registry.names("ranking"):
        short = {"epochs_max": 1} if name in SLOW else {}
        ranker = registry.build("ranking", name, **short)
        ranker.fit(features, labels, ones, owners, Columns(codes=(45, 46, 47, 48, 49)))
        claims.check(
            f"speed: {name}, 500 candidates of 50 features, quickest tenth",
            _answer_ms(name, ranker, features[:500]), 5, " ms", below=True,
        )  # fmt: skip


def _answer_ms(name: str, ranker: Any, asked: NDArray[np.float32]) -> float:
    spent = []
    for _ in range(200):
        # Other programs on the machine lengthen the wall clock, less so the thread's own.
        began = time.thread_time()
        ranker.score(asked)
        spent.append((time.thread_time() - began) * 1000)
    quickest, median = np.quantile(spent[20:], (0.1, 0.5))
    print(f"  {name}: median {median:.2f} ms")
    return float(quickest)


def shown(found: dict[str, Any]) -> None:
    print(f"  {found['cut']}; {found['judged_rows']:,} rows, {found['judged_hits']:,} hits")
    for row in found["rows"]:
        said = "; ".join(
            f"{name} {row[name]['mean']:.4f} ({row[name]['low']:.4f} to {row[name]['high']:.4f})"
            f" ±{row[name]['spread']:.4f}"
            for name in chances.MEASURES
        )
        beside = row["beside_rate"]
        print(
            f"  {row['ranker']:14} {said}; beside rate {beside['mean']:+.5f} "
            f"({beside['low']:+.5f} to {beside['high']:+.5f}); {row['seconds']:.0f} s"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="the folder that holds dev/")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--part", action="append", choices=PARTS, help="one part, or several")
    given = parser.parse_args()
    print(machine())
    claims = Claims(full=not given.quick)
    wanted = given.part or PARTS
    if "speed" in wanted:
        speed(claims)
    if "places" in wanted:
        places(claims, given.quick)
    for name in ("policy", "sessions", "bandit"):
        if name not in wanted:
            continue
        if given.data is None:
            claims.not_run(f"{name}: all claims", "needs --data")
        elif name == "policy":
            policy(claims, given.data)
        elif name == "sessions":
            sessions(claims, given.data, range(given.seeds), given.quick)
        else:
            bandit(claims, given.data, given.quick)
    claims.finish()


if __name__ == "__main__":
    main()
