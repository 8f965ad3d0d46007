"""Purchases as arrays, and the statistics of products that several features start from."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.schema import CATEGORY, EVENT_NAME, ITEM, PRICE, PRODUCT_ID, TIME, USER

Floats = NDArray[np.float64]

PRIOR = 5.0
"""How many imagined shoppers hold a product's statistics near the shop's mean."""


def purchases(events: pl.DataFrame, products: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """Return one row per basket and product: `user`, `item` (numbers) and `age` in days.

    Args:
        events: `schema.LEARN` rows; those at `now` or later are left out.
        products: The catalogue, whose order numbers the products.
        now: The moment of the snapshot.

    Returns:
        Known shoppers' purchases of products of the catalogue, sorted by shopper, product, time.
    """
    rows = products.select(pl.col(PRODUCT_ID).alias(ITEM)).with_row_index("item")
    return (
        events.lazy()
        .filter((pl.col(EVENT_NAME) == "purchase") & (pl.col(TIME) < now))
        .filter(pl.col(USER).is_not_null())
        .join(rows.lazy(), on=ITEM)
        .select(
            pl.col(USER).rank("dense").cast(pl.Int64).alias("user"),
            pl.col("item").cast(pl.Int64),
            ((pl.lit(now) - pl.col(TIME)).dt.total_microseconds() / 86_400e6).alias("age"),
        )
        .unique()
        .sort("user", "item", "age", descending=[False, False, True])
        .collect()
    )


def product_statistics(bought: pl.DataFrame, size: int) -> dict[str, Floats]:
    """Summarise what is known of each product.

    Args:
        bought: What `purchases` returns.
        size: P, the number of products.

    Returns:
        Arrays [P]: `lines` (baskets), `buyers`, `rebuyers`, `gap_days` between two purchases by
        one shopper, `rebuy_share`, `lines_per_buyer` (the last three shrunk to the shop's mean),
        `first_days` and `last_days` ago (NaN if never sold).
    """
    item, age = bought["item"].to_numpy(), bought["age"].to_numpy()
    pair = bought["user"].to_numpy() * size + item
    start = np.flatnonzero(np.diff(pair, prepend=-1))
    lines_of_pair = np.diff(start, append=pair.size)
    buyers = _count(item[start], size)
    rebuyers = _count(item[start[lines_of_pair > 1]], size)
    lines = _count(item, size)
    again = np.diff(pair, prepend=-1) == 0
    gap = -np.diff(age, prepend=age[:1])[again]
    gaps, gap_sum = _count(item[again], size), _count(item[again], size, gap)
    mean_gap = gap.mean() if gap.size else 30.0
    mean_share = rebuyers.sum() / max(buyers.sum(), 1)
    first, last = np.full(size, -np.inf), np.full(size, np.inf)
    np.maximum.at(first, item, age)
    np.minimum.at(last, item, age)
    return {
        "lines": lines,
        "buyers": buyers,
        "rebuyers": rebuyers,
        "gap_days": (gap_sum + PRIOR * mean_gap) / (gaps + PRIOR),
        "rebuy_share": (rebuyers + PRIOR * mean_share) / (buyers + PRIOR),
        "lines_per_buyer": (lines + PRIOR) / (buyers + PRIOR),
        "first_days": np.where(lines > 0, first, np.nan),
        "last_days": np.where(lines > 0, last, np.nan),
    }


def window_counts(bought: pl.DataFrame, size: int, days: float) -> Floats:
    """Count the baskets of each product within the last `days`, [P]."""
    recent = bought.filter(pl.col("age") < days)
    return _count(recent["item"].to_numpy(), size)


def paid_prices(events: pl.DataFrame, products: pl.DataFrame, now: datetime) -> Floats:
    """Return the median price paid before `now`, [P], NaN where nothing is known of it."""
    if PRICE not in events.columns:
        return np.full(products.height, np.nan)
    paid = (
        events.filter((pl.col(EVENT_NAME) == "purchase") & (pl.col(TIME) < now))
        .group_by(ITEM)
        .agg(pl.col(PRICE).median())
    )
    rows = products.select(pl.col(PRODUCT_ID).alias(ITEM))
    found = rows.join(paid, on=ITEM, how="left", maintain_order="left")[PRICE]
    return found.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def known_prices(events: pl.DataFrame, products: pl.DataFrame, now: datetime) -> Floats:
    """Return what each product costs as known before `now`, minor units, [P], NaN for unknown.

    The median paid; for what was never sold the catalogue's price, unless it is dated `now` or
    later.
    """
    dated = pl.col("updated").is_null() | (pl.col("updated") < now)
    said = products.select(pl.when(dated).then(pl.col(PRICE)).cast(pl.Float64))
    listed = said.to_series().fill_null(float("nan")).to_numpy()
    paid = paid_prices(events, products, now)
    found = np.where(paid > 0, paid, listed)
    return np.asarray(np.where(found > 0, found, np.nan))


def kinds(products: pl.DataFrame, column: str = CATEGORY) -> NDArray[np.int64]:
    """Number the categories of products, or another column's texts, [P], -1 for none."""
    said = pl.when(pl.col(column).str.strip_chars() != "").then(pl.col(column))
    code = products.select(said.rank("dense").cast(pl.Int64) - 1).to_series()
    return code.fill_null(-1).to_numpy()


def save_arrays(folder: Path, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Write arrays into `folder`, one file each."""
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)


def restore_arrays(folder: Path) -> dict[str, NDArray[Any]]:
    """Read what `save_arrays` wrote."""
    return {path.stem: np.load(path, allow_pickle=False) for path in sorted(folder.glob("*.npy"))}


def _count(item: NDArray[np.int64], size: int, weight: Floats | None = None) -> Floats:
    return np.bincount(item, weights=weight, minlength=size).astype(np.float64)
