"""Is the page better than simple lists? Measured on a temporal split, beside the floors.

Everything is learned from what was known before the split. The products of each known shopper's
first basket on or after it are to be found among the whole catalogue; products bought before may
be recommended again, and a second table leaves them out on both sides ("new only").
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from shopkeeper import registry
from shopkeeper.arrays import Asked
from shopkeeper.config import Config, Placement
from shopkeeper.contracts import Recommender
from shopkeeper.engine.candidates import ordered
from shopkeeper.engine.encoding import encode
from shopkeeper.engine.fusion import Fusion
from shopkeeper.engine.known import known_of
from shopkeeper.engine.learn import Known, learn
from shopkeeper.engine.pictures import learn_pictures
from shopkeeper.engine.product_vectors import described
from shopkeeper.engine.report import (
    ALL,
    EVENTS,
    FLOORS,
    FUSION,
    NEW,
    Measured,
    Scores,
    Strangers,
    write_report,
)
from shopkeeper.engine.wanted import Wanted
from shopkeeper.errors import BadConfig, TooLittle
from shopkeeper.evaluation.beyond import coverage, diversity, novelty
from shopkeeper.evaluation.metrics import ndcg_at, recall_at
from shopkeeper.evaluation.splits import BEFORE, next_basket, requests_at
from shopkeeper.schema import (
    CATEGORY,
    EVENT_NAME,
    EXCLUDE,
    HISTORY,
    ITEM,
    PRODUCT_ID,
    RANK,
    REQUEST,
    SCORE,
    TIME,
    USER,
)
from shopkeeper.tracing import stage

RANKED_MAX = 10_000
"""More than any request has candidates."""
Asker = Callable[[Asked], pl.DataFrame]
"""Answers requests with `schema.RESULTS`."""


def evaluate(folder: Path, config: Config, seeds: Sequence[int] = (0,)) -> dict[str, Any]:
    """Measure every recommender and the fusion of a shop, and write the report.

    Args:
        folder: The shop's folder.
        config: Its settings.
        seeds: One full run of learning and measuring each.

    Returns:
        `notes`, `tables`, `plots`, `scores` and the `file` of the report.

    Raises:
        BadData: There is nothing to learn from or to measure on.
    """
    known = known_of(folder, config)
    with stage("encode"):
        _, vectors = encode(folder, config, known.products)
    pictures = learn_pictures(folder, config, known.products, vectors)
    known = described(known, vectors, pictures.vectors if pictures else None)
    end = split_of(config, known.everything)
    runs = []
    for seed in seeds:
        with stage(f"seed-{seed}"):
            learner, fusion = learn(config, known, end, seed)
            runs.append(measure(config, known, end, learner.recommenders, fusion))
    return write_report(folder, config, end, runs, list(seeds))


def split_of(config: Config, events: pl.DataFrame) -> datetime:
    """Return the moment that divides learning from measuring.

    Args:
        config: Names the day, or leaves it to the last `period_days`.
        events: All events of the shop.

    Returns:
        Midnight UTC of that day.

    Raises:
        BadConfig: The day is not a date such as 2011-11-09.
        TooLittle: There is no event.
    """
    if events.is_empty():
        raise TooLittle(
            "This shop has no events to learn from. Load some with `shopkeeper ingest`."
        )
    if config.evaluation.split:
        try:
            day = datetime.fromisoformat(config.evaluation.split)
        except ValueError as error:
            raise BadConfig(
                f"[evaluation] split must be a day such as 2011-11-09, got "
                f"'{config.evaluation.split}'. Change it in shop.toml."
            ) from error
        return day.replace(tzinfo=day.tzinfo or UTC)
    last: datetime = events[TIME].max()  # type: ignore[assignment]
    return (last - timedelta(days=config.train.period_days)).replace(
        hour=0, minute=0, second=0, microsecond=0
    )


@dataclass(frozen=True)
class Facts:
    """What lists are compared with beyond the targets."""

    buyers: Mapping[str, int]
    """How many shoppers bought each product."""
    kinds: Mapping[str, str | None]
    """The category of each product."""

    @classmethod
    def of(cls, known: Known) -> "Facts":
        """Count and look up once for all lists."""
        pairs = known.events.filter(pl.col(EVENT_NAME) == "purchase").unique([USER, ITEM])
        counts = pairs.group_by(ITEM).len()
        kinds = known.products.select(PRODUCT_ID, CATEGORY)
        return cls(dict(counts.iter_rows()), dict(kinds.iter_rows()))


def measure(
    config: Config,
    known: Known,
    end: datetime,
    recommenders: Mapping[str, Recommender],
    fusion: Fusion,
    brief: bool = False,
) -> Measured:
    """Ask every recommender and the fusion for the shoppers' next baskets.

    Args:
        config: The shop's settings.
        known: Events and products, the future included.
        end: The split.
        recommenders: Fitted on what was before `end`.
        fusion: The trained ranker.
        brief: Whether to leave out the floors, and products new to the shopper.

    Returns:
        Recall and NDCG per shopper, and coverage, novelty and diversity, of every list.
    """
    k = config.evaluation.k
    past = known.before(end)
    lists = {name: _asker(part, k) for name, part in recommenders.items()}
    if not brief:
        with stage("floors"):
            lists |= _simple(_floors(config, past, recommenders), k)
    found: Scores = {}
    facts = Facts.of(past)
    with stage("measure"):
        everyone = next_basket(known.everything, end)
        if everyone.is_empty():
            raise TooLittle(
                f"No known shopper bought anything known on or after {end:%Y-%m-%d}. "
                f"Choose an earlier [evaluation] split."
            )
        users = everyone[USER].to_list()
        asked = requests_at(known.everything, end, users, config.train.history_max)
        ranked = fusion.rank(Asked.of(asked, fusion.ids), RANKED_MAX).table()
        for population in (ALL,) if brief else (ALL, NEW):
            new = population == NEW
            targets = next_basket(known.everything, end, new_only=True) if new else everyone
            if targets.is_empty():
                continue
            before = pl.col(BEFORE) if new else pl.lit([], pl.List(pl.String))
            rows = targets.select(USER, before.alias(EXCLUDE))
            chosen = asked.drop(EXCLUDE).join(rows, on=USER, maintain_order="right")
            page = _among(ranked, chosen, k)
            chosen = chosen.with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias(REQUEST))
            question = Asked.of(chosen, fusion.ids)
            answers = {name: ask(question) for name, ask in lists.items()} | {FUSION: page}
            found[population] = {
                name: _judge(answer, targets, facts, k)
                for name, answer in answers.items()
                if not answer.is_empty()
            }
        strangers = _strangers(config, known, end, lists, (recommenders, fusion))
    return Measured(found, asked.select(USER, pl.col(HISTORY).list.len().alias(EVENTS)), strangers)


def _strangers(
    config: Config,
    known: Known,
    end: datetime,
    lists: Mapping[str, Asker],
    learned: tuple[Mapping[str, Recommender], Fusion],
) -> Strangers:
    """Ask every list, and the page as it is composed, for shoppers who never bought before."""
    recommenders, fusion = learned
    k = config.evaluation.k
    targets = next_basket(known.everything, end, strangers=True)
    users = targets[USER].to_list()
    asked = requests_at(known.everything, end, users, config.train.history_max)
    question = Asked.of(asked, fusion.ids)
    ranked = [place for place in config.placements.values() if place.ranker]
    wanted = Wanted(placement=(ranked or [Placement()])[0], k=k)
    page = ordered(question, wanted, recommenders, fusion).page
    answers = {name: ask(question) for name, ask in lists.items()}
    answers[FUSION] = page.take(np.flatnonzero(page.place_E < k)).table()
    scores = {name: _hits(answer, targets, k) for name, answer in answers.items()}
    return Strangers(asked.select(USER, pl.col(HISTORY).list.len().alias(EVENTS)), scores)


def _among(ranked: pl.DataFrame, chosen: pl.DataFrame, k: int) -> pl.DataFrame:
    """Cut ranked lists to the chosen requests and to what these do not exclude.

    The ranker's scores do not depend on what a request excludes, so one ranking serves all.
    """
    place = chosen.select(REQUEST, pl.int_range(pl.len(), dtype=pl.UInt32).alias("place"))
    banned = chosen.select(REQUEST, pl.col(EXCLUDE).alias(ITEM)).explode(ITEM)
    return (
        ranked.join(banned, [REQUEST, ITEM], "anti", maintain_order="left")
        .join(place, REQUEST, maintain_order="left")
        .with_columns(pl.col("place").alias(REQUEST))
        .with_columns(pl.int_range(1, pl.len() + 1).over(REQUEST).cast(pl.UInt32).alias(RANK))
        .filter(pl.col(RANK) <= k)
        .drop("place")
    )


def _simple(floors: dict[str, Recommender], k: int) -> dict[str, Asker]:
    """Return the floors as lists to be asked."""
    return {
        FLOORS[0]: _asker(floors[FLOORS[0]], k),
        FLOORS[1]: lambda asked: _filled(floors, asked, k, FLOORS[1:2]),
        FLOORS[2]: lambda asked: _filled(floors, asked, k, FLOORS[1:3]),
    }


def _floors(
    config: Config, past: Known, recommenders: Mapping[str, Recommender]
) -> dict[str, Recommender]:
    """Fit the simple lists that everything else must beat; a fitted EASE serves here too."""
    window = config.evaluation.floor_window_days
    made: dict[str, Recommender] = {
        FLOORS[0]: registry.build(
            "recommenders", "popular", window_days=window, half_life_days=1e6
        ),
        FLOORS[1]: registry.build("recommenders", "repeat", half_life_days=60),
    }
    for part in made.values():
        part.fit(past.events, past.products)
    known = recommenders.get("ease")
    linear: Recommender = known or registry.build("recommenders", "ease")
    made[FLOORS[2]] = linear if known else linear.fit(past.events, past.products)
    return made


def _filled(
    floors: dict[str, Recommender], asked: Asked, k: int, names: Sequence[str]
) -> pl.DataFrame:
    """Add lists, each divided by its best score of the request, and fill up with the popular."""
    best = pl.col(SCORE).max().over(REQUEST)
    found = [floors[name].propose(asked, 200).table() for name in names]
    lists = [table.with_columns(pl.col(SCORE) / best) for table in found]
    popular = floors[FLOORS[0]].propose(asked, 2 * k).table()
    fill = popular.with_columns(pl.col(SCORE) / best * 1e-6)
    return (
        pl.concat([*lists, fill])
        .group_by(REQUEST, ITEM)
        .agg(pl.col(SCORE).sum())
        .sort([REQUEST, SCORE, ITEM], descending=[False, True, False])
        .with_columns(pl.int_range(1, pl.len() + 1).over(REQUEST).cast(pl.UInt32).alias(RANK))
        .filter(pl.col(RANK) <= k)
    )


def _asker(part: Recommender, k: int) -> Asker:
    return lambda asked: part.propose(asked, k).table()


def _judge(answer: pl.DataFrame, targets: pl.DataFrame, facts: Facts, k: int) -> dict[str, Any]:
    """Compare lists with targets: [B] recall and NDCG, and what the lists are like."""
    return _hits(answer, targets, k) | {
        "coverage": coverage(answer, len(facts.buyers)),
        "novelty": novelty(answer, facts.buyers),
        "diversity": diversity(answer, facts.kinds),
    }


def _hits(answer: pl.DataFrame, targets: pl.DataFrame, k: int) -> dict[str, Any]:
    """Compare lists with targets: [B] recall and NDCG."""
    wanted = targets.select(
        pl.int_range(pl.len(), dtype=pl.UInt32).alias(REQUEST), pl.col("targets").alias(ITEM)
    ).explode(ITEM)
    hits = answer.join(wanted.with_columns(hit=pl.lit(1.0)), [REQUEST, ITEM], "left")
    relevance_BK = np.zeros((targets.height, k))
    rows = hits.filter(pl.col("hit").is_not_null())
    relevance_BK[rows[REQUEST].to_numpy(), rows[RANK].to_numpy().astype(np.int64) - 1] = 1.0
    num_targets_B = targets["targets"].list.len().to_numpy().astype(np.int64)
    return {
        "recall": recall_at(relevance_BK, num_targets_B, k),
        "ndcg": ndcg_at(relevance_BK, num_targets_B, k),
    }
