"""Where a shopper stands with the shop, and which group it is like: stage, rules, clusters.

The stage compares the silence with the shopper's own rhythm, blended with the shop's while there
are few visits: by chance alone a silence of three mean gaps is had by one in twenty, of six by
one in four hundred. Clusters are k-means on recency, frequency and money spent (RFM; Hughes,
1994), with k chosen by silhouette (Rousseeuw, 1987) on a sample.
Knows nothing of who shoppers are.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.cluster.vq import ClusterError, kmeans2
from scipy.spatial.distance import cdist

from shopkeeper.engine.leanings import ACTOR
from shopkeeper.schema import EVENT_NAME, ITEM, PRICE, QUANTITY, TIME, TRANSACTION

STAGES = ("new", "active", "loyal", "at risk", "lapsed")
AT_RISK_GAPS, LAPSED_GAPS = 3.0, 6.0
SHOP_GAPS = 2.0
"""The shop's rhythm counts like so many gaps of the shopper's own."""
GAP_DAYS_MIN = 1.0
NEW_VISITS_MAX = 2
SAMPLE_MAX, SILHOUETTE_MAX = 20_000, 1_000
CLUSTERS = range(2, 7)
SHOPPERS_MIN = 30
"""Fewer shoppers make no clusters."""


@dataclass(frozen=True)
class Rhythm:
    """What is usual in the shop."""

    gap_days: float
    """Median of the shoppers' mean days from visit to visit."""
    often_visits: float
    """Three in four shoppers came less often."""
    large_basket_minor: float
    """Three in four shoppers spend less a visit."""


@dataclass(frozen=True)
class Clusters:
    """Groups of shoppers alike in recency, frequency and money."""

    middle: list[float]
    spread: list[float]
    centres: list[list[float]]
    names: list[str]
    silhouette: float


def sums(events: pl.DataFrame) -> pl.DataFrame:
    """Return what is counted of each shopper, one row each, by actor.

    Args:
        events: `actor`, `item_id`, `event_name`, `time`, `price_minor`, `quantity`,
            `discount_minor` and `transaction_id` of some shoppers.

    Returns:
        `actor`, `num_events`, `num_visits` (days with any event), `num_purchases` (baskets),
        `spent_minor`, `first`, `last`, and shares from 0 to 1: `weekend`, `variety` (different
        products among purchases), `discounted` (null where no discount is known).
    """
    bought = pl.col(EVENT_NAME) == "purchase"
    day = pl.col(TIME).dt.date()
    spent = pl.col(PRICE) * pl.col(QUANTITY).fill_null(1)
    basket = pl.coalesce(TRANSACTION, day.cast(pl.String))
    weekend = day.filter(pl.col(TIME).dt.weekday() >= 6).n_unique() / day.n_unique()
    table = events.group_by(ACTOR).agg(
        pl.len().cast(pl.Int64).alias("num_events"),
        day.n_unique().cast(pl.Int64).alias("num_visits"),
        basket.filter(bought).n_unique().cast(pl.Int64).alias("num_purchases"),
        bought.sum().cast(pl.Int64).alias("num_bought"),
        spent.filter(bought).sum().alias("spent_minor"),
        pl.col(TIME).min().alias("first"),
        pl.col(TIME).max().alias("last"),
        weekend.alias("weekend"),
        (pl.col(ITEM).filter(bought).n_unique() / bought.sum()).alias("variety"),
        (pl.col("discount_minor") > 0).filter(bought).mean().alias("discounted"),
    )
    return table.sort(ACTOR)


def gap_days(num_visits: pl.Expr, first: pl.Expr, last: pl.Expr) -> pl.Expr:
    """Return the mean days from visit to visit, null below two visits."""
    days = (last.dt.date() - first.dt.date()).dt.total_days()
    return pl.when(num_visits > 1).then(days / (num_visits - 1))


def rhythm(table: pl.DataFrame) -> Rhythm:
    """Return what is usual among the shoppers of `sums`."""
    gaps = table.select(gap_days(pl.col("num_visits"), pl.col("first"), pl.col("last"))).to_series()
    often = table["num_visits"].quantile(0.75, "higher")
    basket = (table["spent_minor"] / table["num_purchases"]).drop_nans().quantile(0.75)
    return Rhythm(
        gap_days=max(float(gaps.median() or 30.0), GAP_DAYS_MIN),  # type: ignore[arg-type]
        often_visits=max(float(often or 0), 4.0),
        large_basket_minor=float(basket or 0),
    )


def staged(table: pl.DataFrame, usual: Rhythm, now: datetime) -> pl.DataFrame:
    """Add `stage`, `silent_days` and `expected_days`, the mean gap that is expected.

    Args:
        table: What `sums` returned.
        usual: The shop's rhythm.
        now: The present moment.

    Returns:
        The table with three columns more.
    """
    visits = pl.col("num_visits")
    own = gap_days(visits, pl.col("first"), pl.col("last")).fill_null(0.0)
    expected = (own * (visits - 1) + usual.gap_days * SHOP_GAPS) / (visits - 1 + SHOP_GAPS)
    silent = ((pl.lit(now) - pl.col("last")).dt.total_seconds() / 86_400).clip(0.0)
    known = (pl.lit(now) - pl.col("first")).dt.total_seconds() / 86_400
    gaps = pl.col("silent_days") / pl.col("expected_days")
    fresh = (visits <= NEW_VISITS_MAX) & (known <= AT_RISK_GAPS * usual.gap_days)
    stage = (
        pl.when(gaps > LAPSED_GAPS).then(pl.lit("lapsed"))
        .when(gaps > AT_RISK_GAPS).then(pl.lit("at risk"))
        .when(fresh).then(pl.lit("new"))
        .when(visits >= usual.often_visits).then(pl.lit("loyal"))
        .otherwise(pl.lit("active"))
    )  # fmt: skip
    return table.with_columns(
        silent.alias("silent_days"), expected.clip(GAP_DAYS_MIN).alias("expected_days")
    ).with_columns(stage.alias("stage"))


def ruled(row: dict[str, float], usual: Rhythm) -> list[dict[str, str | int]]:
    """Return the named groups that a row of `sums` is in, each with why and on what it rests."""
    visits, bought = int(row["num_visits"]), int(row["num_bought"])
    found: list[tuple[str, str, int]] = []
    if visits >= 4 and row["weekend"] >= 0.6:
        found.append(("weekend shopper", f"{row['weekend']:.0%} of visits on a weekend", visits))
    if bought >= 5 and (row["discounted"] or 0) >= 0.5:
        found.append(("bargain hunter", f"{row['discounted']:.0%} bought at a discount", bought))
    if bought >= 10 and row["variety"] >= 0.85:
        found.append(("explorer", f"{row['variety']:.0%} of products bought only once", bought))
    if bought >= 10 and row["variety"] <= 0.5:
        found.append(("creature of habit", f"{1 - row['variety']:.0%} bought again", bought))
    baskets = int(row["num_purchases"])
    if baskets >= 3 and row["spent_minor"] / baskets >= usual.large_basket_minor > 0:
        found.append(("large baskets", "spends more a visit than three in four shoppers", baskets))
    if bought == 0 and row["num_events"] >= 10:
        found.append(("window shopper", "looks and does not buy", int(row["num_events"])))
    return [{"name": name, "because": why, "num_events": many} for name, why, many in found]


def clustered(table: pl.DataFrame, now: datetime, seed: int = 0) -> Clusters | None:
    """Find groups among the shoppers of `sums`; None among too few, or where all are alike."""
    if table.height < SHOPPERS_MIN:
        return None
    random = np.random.default_rng(seed)
    chosen = np.sort(random.permutation(table.height)[:SAMPLE_MAX])
    points_NF = _rfm(table[chosen], now)
    middle, spread = points_NF.mean(axis=0), points_NF.std(axis=0)
    spread[spread < 1e-9] = 1.0
    points_NF = (points_NF - middle) / spread
    judged = random.permutation(len(points_NF))[:SILHOUETTE_MAX]
    best: tuple[float, NDArray[np.float64]] | None = None
    for k in CLUSTERS:
        try:
            centres, label = kmeans2(points_NF, k, minit="++", missing="raise", seed=seed)
        except ClusterError:
            continue
        score = silhouette(points_NF[judged], label[judged])
        if best is None or score > best[0]:
            best = (score, centres)
    if best is None:
        return None
    score, centres = best
    centres = centres[np.lexsort(centres.T[::-1])]
    return Clusters(
        middle.tolist(), spread.tolist(), centres.tolist(), _names(centres), round(score, 3)
    )


def cluster_of(table: pl.DataFrame, clusters: Clusters, now: datetime) -> list[int]:
    """Return the cluster of each row of `sums`."""
    points_NF = (_rfm(table, now) - np.array(clusters.middle)) / np.array(clusters.spread)
    found: list[int] = cdist(points_NF, np.array(clusters.centres)).argmin(axis=1).tolist()
    return found


def silhouette(points_NF: NDArray[np.float64], label_N: NDArray[np.integer]) -> float:
    """Return the mean silhouette of points in groups, in [-1, 1]; -1 with fewer than two groups."""
    groups = np.unique(label_N)
    if len(groups) < 2:
        return -1.0
    apart_NN = cdist(points_NF, points_NF)
    mean_NG = np.stack([apart_NN[:, label_N == group].mean(axis=1) for group in groups], axis=1)
    own_N = np.searchsorted(groups, label_N)
    here, size_N = np.arange(len(points_NF)), np.bincount(own_N)[own_N]
    # A point is no neighbour of itself, and one alone in its group counts 0.
    inside_N = mean_NG[here, own_N] * size_N / np.maximum(size_N - 1, 1)
    mean_NG[here, own_N] = np.inf
    outside_N = mean_NG.min(axis=1)
    greater_N = np.maximum(np.maximum(inside_N, outside_N), 1e-12)
    return float(np.where(size_N > 1, (outside_N - inside_N) / greater_N, 0.0).mean())


def _rfm(table: pl.DataFrame, now: datetime) -> NDArray[np.float64]:
    """Return recency, frequency and money of each shopper on log scales, [N, 3]."""
    silent = ((pl.lit(now) - pl.col("last")).dt.total_seconds() / 86_400).clip(0.0)
    spent = pl.col("spent_minor").fill_null(0).clip(0)
    return table.select(silent.log1p(), pl.col("num_visits").log1p(), spent.log1p()).to_numpy()


def _names(centres: NDArray[np.float64]) -> list[str]:
    """Name groups by how they differ from the average shopper; equal names are one segment."""
    words = (
        ("recently here", "long silent"), ("seldom", "often"), ("spends little", "spends much"),
    )  # fmt: skip
    names: list[str] = []
    for centre in centres:
        told = [
            pair[int(value > 0)]
            for value, pair in zip(centre, words, strict=True)
            if abs(value) > 0.4
        ]
        names.append(", ".join(told) or "average")
    return names
