"""Which features earn their place? Each column's worth, steadiness and price, on a shop's own data.

Everything is learned anew on held-back periods, as `engine.learn` does: the ranker on those before
the split, judged on the one after it. A permutation asks what this ranker would lose without a
column, not how well another would do that never had it: of two columns that say the same, neither
is missed. What anomalies mask is neither learned from nor judged by. Periods are kept until the
report is written, so a run that was cut off goes on.

Source: permutation importance of Breiman, 2001, on lists, with intervals over requests.
"""

import dataclasses
import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper import registry
from shopkeeper.arrays import Asked, Ids
from shopkeeper.config import Config
from shopkeeper.contracts import Feature, Ranker, Weighing
from shopkeeper.engine.encoding import encode
from shopkeeper.engine.evaluate import split_of
from shopkeeper.engine.files import write_reports
from shopkeeper.engine.known import known_of
from shopkeeper.engine.learn import Known, Learner, Lesson, joined, lesson_at, moments, seeded
from shopkeeper.engine.product_vectors import described
from shopkeeper.engine.train import data_hash
from shopkeeper.engine.worth import columns_table, features_table, steadiness
from shopkeeper.errors import BadData
from shopkeeper.evaluation.metrics import ndcg_at
from shopkeeper.evaluation.splits import next_basket, requests_at
from shopkeeper.features import moment
from shopkeeper.operations.bundles import Bundles
from shopkeeper.pages.features import features_html
from shopkeeper.schema import PRODUCT_ID, USER
from shopkeeper.tracing import progress, stage

Floats = NDArray[np.float64]
Matrix = NDArray[np.float32]

TIMED_REQUESTS = 40
TIMED_TIMES = 5
"""The quickest of so many counts, for others use the machine, too."""


def select(
    folder: Path,
    config: Config,
    seeds: Sequence[int] = (0,),
    *,
    requests: int = 400,
    every: bool = False,
) -> dict[str, Any]:
    """Judge every column and feature of a trained shop, and write `reports/features.html`.

    Args:
        folder: The shop's folder.
        config: Its settings.
        seeds: A ranker and a permutation each; periods are learned once, with the first.
        requests: How many requests of each period are learned from, or judged on.
        every: Judge all features of the shelf, also those that the shop does not use.

    Returns:
        `title`, `notes`, `features` and `columns` (rows of the tables), `rank_correlation`, `file`.

    Raises:
        NotFitted: The shop was never trained.
        BadData: There is nothing to learn from or to judge on.
    """
    Bundles(folder / "bundles").current()
    narrow: dict[str, Any] = {"requests_max": min(requests, config.train.requests_max)}
    used = config.train.features
    if every:
        narrow["features"] = tuple(registry.names("features"))
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, **narrow))
    cache = folder / "cache" / "selection"
    with stage("features"):
        known, end = known_with_vectors(folder, config)
        lessons = lessons_of(config, known, end, [*moments(config), 0], cache, seeds[0])
        with stage("snapshot"):
            fusion = Learner.of(config, seeds[0]).fusion(known.before(end), end)
        parts = dict(zip(config.train.features, fusion.features, strict=True))
        held = lessons.pop()
        gains, drops, hits = _importance(config, lessons, held, parts, seeds)
        with stage("periods"):
            ranks, agreement = _steady(config, [*lessons, held], seeds[0])
        with stage("cost"):
            candidates = held[1].size / (int(held[3].max()) + 1)
            cost_us = _cost(config, known, end, parts, round(candidates))
        facts = {
            "gains": gains, "drops": drops, "ranks": ranks, "cost_us": cost_us,
            "candidates": candidates, "used": used, "first": lessons[0][0], "held": held[0],
            "resamples": config.evaluation.resamples,
        }  # fmt: skip
        columns = {name: part.names() for name, part in parts.items()}
        report = _report(config, end, seeds, hits, agreement) | {
            "features": features_table(columns, facts),
            "columns": columns_table(columns, facts),
        }
        page = write_reports(folder / "reports", "features", report, features_html(report))
        shutil.rmtree(cache, ignore_errors=True)
    return report | {"file": str(page)}


def known_with_vectors(folder: Path, config: Config) -> tuple[Known, datetime]:
    """Read what models learn from, with text vectors, and the moment of the split."""
    known = known_of(folder, config)
    with stage("encode"):
        _, vectors = encode(folder, config, known.products)
    known = described(known, vectors)
    products = known.products.sort(PRODUCT_ID)
    return dataclasses.replace(known, products=products), split_of(config, known.everything)


def lessons_of(
    config: Config, known: Known, end: datetime, backs: Sequence[int], cache: Path, seed: int
) -> list[Lesson]:
    """Return the lesson of each period, oldest first; the last judges.

    Args:
        config: The shop's settings.
        known: Events and products.
        end: The split.
        backs: How many days before it each period begins, oldest first.
        cache: Where lessons are kept until the work is done.
        seed: Decides which requests are learned from.

    Returns:
        At least two lessons.

    Raises:
        BadData: There is nothing to learn from or to judge by.
    """
    settings = json.dumps([dataclasses.asdict(config), str(end), seed, data_hash(known)])
    kept = cache / hashlib.sha256(settings.encode()).hexdigest()[:16]
    kept.mkdir(parents=True, exist_ok=True)
    learner, found = Learner.of(config, seed), []
    for back in progress(backs, "held-back periods"):
        at = end - timedelta(days=back)
        file = kept / f"{at:%Y%m%d%H%M%S}.npz"
        if not file.exists():
            with stage(f"period-{at:%Y-%m-%d}"):
                until = at + timedelta(days=config.train.period_days)
                lesson = lesson_at(learner, known, at, until if not back else min(until, end))
            if lesson is None:
                continue
            partial = file.with_suffix(".part.npz")
            np.savez(partial, *lesson)
            partial.replace(file)
        with np.load(file, allow_pickle=False) as arrays:
            found.append((at, tuple(arrays[name] for name in arrays.files)))
    if len(found) < 2 or found[-1][0] != end - timedelta(days=backs[-1]):
        raise BadData(
            f"No shopper bought again both before and after {end:%Y-%m-%d}, so there is nothing to "
            f"judge features by. Load more events, or choose another [evaluation] split."
        )
    return [lesson for _, lesson in found]  # type: ignore[misc]


def _importance(
    config: Config,
    lessons: Sequence[Lesson],
    held: Lesson,
    parts: Mapping[str, Feature],
    seeds: Sequence[int],
) -> tuple[Floats | None, dict[str, Floats], int]:
    """Learn a ranker for each seed, and ask what its lists lose when a column is shuffled."""
    # The share of the gain of each column, [F], None for a ranker that keeps none; the drop of
    # NDCG of each request with a hit by column and by [feature], [B]; and how many requests.
    features, labels, owners = with_hits(held)
    names = [(name, column) for name, part in parts.items() for column in part.names()]
    groups = {column: [at] for at, (_, column) in enumerate(names)}
    for name in parts:
        groups[f"[{name}]"] = [at for at, (part, _) in enumerate(names) if part == name]
    gains, drops = [], []
    for seed in seeds:
        with stage(f"seed-{seed}"):
            ranker = _ranker(config, lessons, seed)
            gain_F = ranker.gains() if isinstance(ranker, Weighing) else None
            gains += [] if gain_F is None else [gain_F]
            asked = {
                key: [at for at in places if gain_F is None or gain_F[at] > 0]
                for key, places in groups.items()
            }
            k, threads = config.evaluation.k, config.store.threads
            drops.append(_shuffled(ranker, features, labels, owners, asked, (k, threads, seed)))
    mean = {key: np.mean([drop[key] for drop in drops], axis=0) for key in groups}
    return np.mean(gains, axis=0) if gains else None, mean, int(owners.max()) + 1


def _shuffled(
    ranker: Ranker,
    features: Matrix,
    labels: Matrix,
    owners: NDArray[np.int64],
    groups: Mapping[str, Sequence[int]],
    how: tuple[int, int, int],
) -> dict[str, Floats]:
    """Return how much NDCG each request loses when the columns of a group change places, [B]."""
    k, threads, seed = how
    order = np.random.default_rng(seed).permutation(labels.size)
    whole = ndcg_of(ranker.score(features), labels, owners, k)

    def lost(places: Sequence[int]) -> Floats:
        if not places:
            return np.zeros(whole.size)
        mixed = features.copy()
        mixed[:, places] = features[order][:, places]
        return whole - ndcg_of(ranker.score(mixed), labels, owners, k)

    # Threads, for ONNX Runtime lets go of the interpreter while trees run.
    with stage("permutations"), ThreadPoolExecutor(threads) as pool:
        found = progress(pool.map(lost, groups.values()), "columns", len(groups))
        return dict(zip(groups, found, strict=True))


def ndcg_of(scores: Matrix, labels: Matrix, owners: NDArray[np.int64], k: int) -> Floats:
    """Return NDCG at k of each request's candidates, [B].

    Args:
        scores: Of each candidate, [N]; of equal ones the first comes first.
        labels: 1 for what was bought, else 0, [N].
        owners: The request of each candidate, from 0, each with at least one, ascending, [N].
        k: Ranks that count.

    Returns:
        Numbers in [0, 1].
    """
    order = np.lexsort((-scores, owners))
    owner = owners[order]
    place = np.arange(owner.size) - np.searchsorted(owner, owner)
    top = place < k
    relevance_BK = np.zeros((int(owner[-1]) + 1, k))
    relevance_BK[owner[top], place[top]] = labels[order][top]
    return ndcg_at(relevance_BK, np.bincount(owners, labels).astype(np.int64), k)


def with_hits(lesson: Lesson) -> tuple[Matrix, Matrix, NDArray[np.int64]]:
    """Return features, labels and requests, from 0, of the requests with something to find."""
    features, labels, _, owners = lesson
    some = np.bincount(owners, labels)[owners] > 0
    if not some.any():
        raise BadData(
            "None of the judged shoppers bought a candidate, so there is nothing to judge features "
            "by. Raise --requests, or [train] candidates."
        )
    return features[some], labels[some], np.unique(owners[some], return_inverse=True)[1]


def _ranker(config: Config, lessons: Sequence[Lesson], seed: int) -> Ranker:
    with stage("ranker"):
        ranker: Ranker = seeded("ranking", config.train.ranker, config, seed)
        return ranker.fit(*joined(list(lessons)))


def _steady(
    config: Config, lessons: Sequence[Lesson], seed: int
) -> tuple[NDArray[np.int64] | None, float | None]:
    """Learn on each period alone, and compare the places of the columns by gain."""
    rankers = [_ranker(config, [lesson], seed) for lesson in lessons]
    gains = [ranker.gains() for ranker in rankers if isinstance(ranker, Weighing)]
    return steadiness(np.array(gains)) if gains else (None, None)


def _cost(
    config: Config, known: Known, end: datetime, parts: Mapping[str, Feature], candidates: int
) -> dict[str, float]:
    """Return microseconds of each feature for one live request, the median over some requests.

    Each is timed alone; several together share what they count of the same purchases.
    """
    users = next_basket(known.events, end)[USER].to_list()[:TIMED_REQUESTS]
    ids = Ids.of(known.products[PRODUCT_ID])
    asked = Asked.of(requests_at(known.events, end, users, config.train.history_max), ids)
    chance = np.random.default_rng(0)
    spent: dict[str, list[float]] = {name: [] for name in parts}
    for number in range(asked.size):
        one = asked.slice(number, number + 1)
        own = np.unique(one.item_H)[: candidates // 2]
        others = chance.integers(0, len(ids), candidates - own.size)
        item_N = np.sort(np.concatenate([own, others]))
        for name, part in parts.items():
            quickest = np.inf
            for _ in range(TIMED_TIMES):
                at = moment(one, np.zeros(item_N.size, np.int64), item_N, {})
                began = time.perf_counter()
                part.compute(at)
                quickest = min(quickest, time.perf_counter() - began)
            spent[name].append(quickest * 1e6)
    return {name: float(np.median(times)) for name, times in spent.items()}


def _report(
    config: Config, end: datetime, seeds: Sequence[int], hits: int, agreement: float | None
) -> dict[str, Any]:
    k = config.evaluation.k
    notes = [
        f"Learned on {config.train.periods} periods before {end:%Y-%m-%d}; judged on {hits:,} "
        f"requests of the one after it, NDCG@{k} among the candidates.",
        "A drop is what the lists lose when a column is shuffled between candidates; intervals are "
        "95 %, by bootstrap over requests. Of two columns that say the same, neither is missed.",
        f"Seeds: {', '.join(map(str, seeds))}.",
    ]
    if agreement is not None:
        notes.append(
            f"Between rankers learned on single periods, the order of columns by gain has a rank "
            f"correlation of {agreement:.2f}."
        )
    return {
        "title": f"Features of {config.shop.name}",
        "notes": notes,
        "k": k,
        "requests": hits,
        "seeds": list(seeds),
        "rank_correlation": agreement,
    }
