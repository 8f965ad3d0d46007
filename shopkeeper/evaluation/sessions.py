"""How well is the next product of a session foretold, of shoppers nobody knows?

Recommenders learn whole sessions and get the first part of others; the product that came next is
to be among the first 20 of all products, and what was seen before is not left out. Ids are replaced
by random ones first and ties count against us. Source: protocol of GRU4Rec (Hidasi et al., ICLR
2016), with all products ranked. Knows no method: any recommender is measured by its contract.
"""

import dataclasses
import hashlib
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper import registry
from shopkeeper.errors import BadData, Missing
from shopkeeper.evaluation.leave_one_out import (
    DEPTH,
    REQUESTS_MAX,
    TODAY,
    chosen_settings,
    from_zero,
    peak_memory_mb,
    ranks,
)
from shopkeeper.schema import (
    EVENT_NAME,
    EXCLUDE,
    HISTORY,
    ITEM,
    LEARN,
    NOW,
    PLACEMENT,
    REQUEST,
    REQUESTS,
    SEEDS,
    TIME,
    USER,
    conform,
)
from shopkeeper.tracing import stage

CUT = 20
"""The k of P@k and MRR@k."""
ACTION = "view_item"
"""What a session is made of, as far as recommenders are told."""


def benchmark_sessions(
    train: Path,
    test: Path,
    names: Sequence[str] = (),
    *,
    seed: int = 0,
    minutes: float | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Measure recommenders on sessions.

    Args:
        train: Parquet with `session`, `item` and `pos`, the order inside a session.
        test: Parquet with `history`, a list of items, oldest first, and `target`, what came next.
        names: Recommenders of the shelf; none for all of them.
        seed: Decides the random ids and, where a recommender has a `seed`, its learning.
        minutes: For each recommender with a `minutes_max`.
        settings: Of the recommender, where a single one is named.

    Returns:
        One object that JSON can say: counts, sha256 of both files, and `rows`: by recommender
        `precision@20` (the share of targets among the first 20), `mrr@20`, `answered` (the share of
        requests with any answer) and seconds, or `cannot`, a sentence.

    Raises:
        BadConfig: There is no such recommender or setting.
        BadData: A file is missing, empty, broken or has other columns.
    """
    learned, asked = _sessions(train), _requests(test)
    learned, asked = _relabelled(learned, asked, seed)
    chosen = list(names) or registry.names("recommenders")
    rows = []
    for name in chosen:
        part = registry.find("recommenders", name)
        given = chosen_settings(part, dict(settings or {}) if len(chosen) == 1 else {}, minutes)
        known = {field.name for field in dataclasses.fields(part.Config)}
        own = {"seed": seed} if "seed" in known and "seed" not in given else {}
        with stage(name):
            rows.append({"recommender": name, **_measured(name, {**given, **own}, learned, asked)})
    known_items = learned[ITEM].unique()
    return {
        "benchmark": "sessions",
        "train": train.name,
        "test": test.name,
        "sha256": [hashlib.sha256(file.read_bytes()).hexdigest() for file in (train, test)],
        "sessions": learned[USER].n_unique(),
        "events": learned.height,
        "items": len(known_items),
        "requests": asked.height,
        "unknown_targets": round(1 - float(asked["target"].is_in(known_items.implode()).mean()), 4),  # type: ignore[arg-type]
        "seed": seed,
        "rows": rows,
        "peak_memory_mb": peak_memory_mb(),
    }


def _measured(
    name: str, settings: Mapping[str, Any], learned: pl.DataFrame, asked: pl.DataFrame
) -> dict[str, Any]:
    began = time.perf_counter()
    model = registry.build("recommenders", name, **settings)
    try:
        model.fit(learned)
    except (BadData, Missing) as error:
        return {"cannot": str(error)}
    fitted = time.perf_counter()
    wanted = asked["target"].to_numpy()
    found, answered = [], 0
    for begin in range(0, asked.height, REQUESTS_MAX):
        some = from_zero(_as_requests(asked.slice(begin, REQUESTS_MAX)))
        results = model.recommend(some, DEPTH)
        answered += results[REQUEST].n_unique()
        found.append(ranks(results, wanted[begin : begin + REQUESTS_MAX]))
    if not answered:
        return {"cannot": f"`{name}` has nothing to say of views in a session alone."}
    rank = np.concatenate(found)
    return {
        f"precision@{CUT}": float((rank <= CUT).mean()),
        f"mrr@{CUT}": float(np.where(rank <= CUT, 1 / rank, 0).mean()),
        "answered": answered / asked.height,
        "fit_seconds": round(fitted - began, 2),
        "measure_seconds": round(time.perf_counter() - fitted, 2),
    }


def _sessions(file: Path) -> pl.DataFrame:
    rows = _parquet(file, ("session", "pos", "item"))
    rows = rows.select(
        pl.col("session").cast(pl.String).alias(USER),
        pl.col("item").cast(pl.String).alias(ITEM),
        "pos",
    ).drop_nulls()
    if rows.is_empty():
        raise BadData(f"'{file}' has no row with session, pos and item.")
    rows = rows.sort(USER, "pos", maintain_order=True)
    left = pl.len().over(USER) - 1 - pl.int_range(pl.len()).over(USER)
    then = pl.lit(TODAY - timedelta(days=1)).cast(LEARN[TIME])
    return rows.select(
        USER,
        ITEM,
        pl.lit(ACTION).alias(EVENT_NAME),
        (then - pl.duration(minutes=left.cast(pl.Int64))).alias(TIME),
    ).select(*LEARN)


def _requests(file: Path) -> pl.DataFrame:
    rows = _parquet(file, ("history", "target"))
    if not isinstance(rows.schema["history"], pl.List):
        raise BadData(
            f"The column 'history' of '{file}' is {rows.schema['history']}. "
            "It needs lists of items."
        )
    rows = rows.select(
        pl.col("history").cast(pl.List(pl.String)), pl.col("target").cast(pl.String)
    ).drop_nulls()
    if rows.is_empty():
        raise BadData(f"'{file}' has no row with history and target.")
    return rows


def _parquet(file: Path, needed: tuple[str, ...]) -> pl.DataFrame:
    if not file.is_file():
        raise BadData(f"There is no file '{file}'. Give a Parquet file with {', '.join(needed)}.")
    try:
        rows = pl.read_parquet(file)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise BadData(f"'{file}' is not a Parquet file that can be read: {error}") from error
    missing = [name for name in needed if name not in rows.columns]
    if missing:
        raise BadData(
            f"'{file}' lacks {', '.join(missing)}. It has: {', '.join(rows.columns)}. "
            f"It needs {', '.join(needed)}."
        )
    return rows


def _relabelled(
    learned: pl.DataFrame, asked: pl.DataFrame, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    every = pl.concat([learned[ITEM], asked["history"].explode().drop_nulls(), asked["target"]])
    old = every.unique().sort()
    order: NDArray[np.int64] = np.random.default_rng(seed).permutation(len(old))
    fresh = pl.Series([f"i{number:09d}" for number in order])

    def new(column: pl.Expr) -> pl.Expr:
        return column.replace_strict(old, fresh, default=None, return_dtype=pl.String)

    return (
        learned.with_columns(new(pl.col(ITEM))),
        asked.with_columns(pl.col("history").list.eval(new(pl.element())), new(pl.col("target"))),
    )


def _as_requests(asked: pl.DataFrame) -> pl.DataFrame:
    numbered = asked.with_row_index("row").explode("history").drop_nulls("history")
    left = pl.len().over("row") - pl.int_range(pl.len()).over("row")
    events = numbered.with_columns(
        pl.col("history").alias(ITEM),
        pl.lit(ACTION).alias(EVENT_NAME),
        (pl.lit(TODAY).cast(LEARN[TIME]) - pl.duration(minutes=left.cast(pl.Int64))).alias(TIME),
    )
    pasts = events.group_by("row", maintain_order=True).agg(
        pl.struct(ITEM, EVENT_NAME, TIME).alias(HISTORY)
    )
    rows = asked.with_row_index("row").drop("history")
    rows = rows.join(pasts, on="row", how="left", maintain_order="left")
    rows = rows.with_columns(
        pl.col(HISTORY).fill_null([]),
        pl.lit(None).alias(REQUEST),
        pl.lit(None, pl.String).alias(USER),
        pl.lit([], pl.List(pl.String)).alias(SEEDS),
        pl.lit([], pl.List(pl.String)).alias(EXCLUDE),
        pl.lit(TODAY).alias(NOW),
        pl.lit("home").alias(PLACEMENT),
    )
    return conform(rows.drop("row", "target"), REQUESTS)
