"""How well does a recommender foretell the last thing each user did?

The last item of each user is the test, the one before it the validation (which a recommender may
use to decide when to stop), all items are ranked, those the user had are left out, and ties count
against us. Ids are replaced by random ones first, because in published files they count up by
first appearance and give the answer away. Source: protocol of SASRec (Kang and McAuley, ICDM
2018) without its sampled negatives. It leaks the future (another user's later purchases are
known) and says less about a shop than a split in time. Knows no method: any recommender of the
shelf is measured through its contract.
"""

import dataclasses
import hashlib
import resource
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper import registry
from shopkeeper.errors import BadConfig, BadData
from shopkeeper.schema import (
    EVENT_NAME,
    EXCLUDE,
    HISTORY,
    ITEM,
    LEARN,
    NOW,
    PLACEMENT,
    PRODUCT_ID,
    REQUEST,
    REQUESTS,
    SCORE,
    SEEDS,
    TIME,
    USER,
    VECTOR,
    conform,
)
from shopkeeper.tracing import progress, stage

CUTS = (5, 10, 20)
"""The k of R@k and N@k."""
DEPTH = 50
"""How many products are asked for, so that ties around the cuts are seen."""
REQUESTS_MAX = 1024
"""Requests answered at a time."""
TODAY = datetime(2020, 1, 1, tzinfo=UTC)
"""Files have an order but often no times: each last event is an hour before this."""
SHORTEST = 3
"""Users with fewer items have no training, validation and test item."""


def benchmark(
    name: str,
    file: Path,
    *,
    seeds: Sequence[int] = (0,),
    minutes: float | None = None,
    settings: Mapping[str, Any] | None = None,
    products: Path | None = None,
) -> dict[str, Any]:
    """Measure the recommender `name` on `file`, once for each seed.

    Args:
        name: A recommender of the shelf.
        file: Lines of `user item item ...` in order, or Parquet with `user`, `item` and `pos` or
            `time` (ties keep the order of the file).
        seeds: Each decides the random ids and, where the recommender has a `seed`, its learning.
        minutes: For all seeds together; only for recommenders with a `minutes_max`.
        settings: Of the recommender; before them its own `thorough` ones for benchmarks hold.
        products: Parquet with `item` and `vector`: what products are, for those that read it.

    Returns:
        One object that JSON can say: data (counts, sha256), settings, `runs` by seed with
        `recall@k` and `ndcg@k`, their `mean` and `spread` (sample standard deviation), seconds,
        and the peak memory of the process.

    Raises:
        BadConfig: There is no such recommender or setting, or no seed.
        BadData: The file is missing, empty or has other columns, or no user has enough items.
    """
    if not seeds:
        raise BadConfig("There are no seeds. Give at least one.")
    part = registry.find("recommenders", name)
    chosen = chosen_settings(part, dict(settings or {}), minutes, len(seeds))
    began = time.perf_counter()
    rows, kept = enough(file)
    about = None if products is None else _read_products(products)
    runs = [_run(name, part, (kept, about), seed, chosen) for seed in seeds]
    measures = [f"{measure}@{k}" for measure in ("recall", "ndcg") for k in CUTS]
    values = {key: [run[key] for run in runs] for key in measures}
    return {
        "benchmark": "leave_one_out",
        "recommender": name,
        "settings": chosen,
        "file": file.name,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "users": kept["user"].n_unique(),
        "items": kept["item"].n_unique(),
        "events": kept.height,
        "dropped_users": rows["user"].n_unique() - kept["user"].n_unique(),
        "seeds": list(seeds),
        "runs": runs,
        "mean": {key: statistics.fmean(found) for key, found in values.items()},
        "spread": {
            key: statistics.stdev(found) if len(found) > 1 else 0.0 for key, found in values.items()
        },
        "seconds": round(time.perf_counter() - began, 2),
        "peak_memory_mb": peak_memory_mb(),
    }


def enough(file: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read all rows, and those of users with enough items to learn from, validate and test."""
    rows = read(file)
    kept = rows.filter(pl.len().over("user") >= SHORTEST)
    if kept.is_empty():
        raise BadData(
            f"None of the {rows['user'].n_unique()} users of '{file}' has {SHORTEST} items. "
            "Leave-one-out needs one each to learn from, to validate and to test."
        )
    return rows, kept


def read(file: Path) -> pl.DataFrame:
    """Read `user`, `item` (strings) and `pos` (order inside a user, from 0) of `file`.

    Args:
        file: Lines of `user item item ...`, or Parquet by the ending `.parquet`.

    Returns:
        Rows by user, oldest first.

    Raises:
        BadData: The file is missing, empty, broken or has other columns.
    """
    if not file.is_file():
        raise BadData(f"There is no file '{file}'. Give a file of `user item item ...` lines.")
    rows = _read_parquet(file) if file.suffix == ".parquet" else _read_lines(file)
    if rows.is_empty():
        raise BadData(f"'{file}' is empty. It needs lines of `user item item ...`.")
    return rows


def ranks(found: pl.DataFrame, wanted: NDArray[np.object_]) -> NDArray[np.int64]:
    """Return the rank of each request's wanted item, from 1; all that tie with it come first.

    Args:
        found: `schema.RESULTS` of requests 0..B-1, DEPTH rows each at most.
        wanted: Item of each request, [B].

    Returns:
        Ranks, [B]; DEPTH + 1 where it is not in the list, or ties with the end of a full one.
    """
    targets = pl.DataFrame({REQUEST: np.arange(len(wanted), dtype=np.uint32), "wanted": wanted})
    listed = found.join(targets, on=REQUEST, how="left")
    hit = listed.filter(pl.col(ITEM) == pl.col("wanted")).select(REQUEST, own=SCORE)
    after = (
        listed.join(hit, on=REQUEST)
        .group_by(REQUEST)
        .agg(
            (pl.col(SCORE) >= pl.col("own")).sum().alias("at"),
            ((pl.len() >= DEPTH) & (pl.col(SCORE).min() == pl.col("own").first())).alias("open"),
        )
    )
    result = np.full(len(wanted), DEPTH + 1, np.int64)
    sure = after.filter(~pl.col("open"))
    result[sure[REQUEST].to_numpy()] = sure["at"].to_numpy()
    return result


def chosen_settings(
    part: Any, given: dict[str, Any], minutes: float | None, num: int = 1
) -> dict[str, Any]:
    """Return the settings of a recommender for a benchmark: its `thorough` ones, then the given.

    Args:
        part: Class of the recommender.
        given: Settings that hold before all others.
        minutes: For `num` runs together, where the recommender has a `minutes_max`.
        num: How many runs.

    Returns:
        Settings by name.

    Raises:
        BadConfig: `minutes` is not above 0.
    """
    known = {field.name for field in dataclasses.fields(part.Config)}
    chosen = dict(getattr(part, "thorough", {})) | given
    if minutes is not None and "minutes_max" in known and "minutes_max" not in given:
        if not minutes > 0:
            raise BadConfig(f"minutes must be above 0, got {minutes}.")
        chosen["minutes_max"] = minutes / num
    return chosen


def _run(
    name: str,
    part: Any,
    known: tuple[pl.DataFrame, pl.DataFrame | None],
    seed: int,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    began = time.perf_counter()
    seeded = any(field.name == "seed" for field in dataclasses.fields(part.Config))
    own = {"seed": seed} if seeded and "seed" not in settings else {}
    rows, about = known
    labelled = relabelled(rows, seed)
    events = events_of(labelled)
    if about is not None:
        names = pl.DataFrame({"item": rows["item"], PRODUCT_ID: labelled["item"]}).unique()
        about = names.join(about, on="item", how="left").select(PRODUCT_ID, VECTOR)
    last = pl.col("left") == 0
    model = registry.build("recommenders", name, **{**settings, **own})
    with stage("fit", f"{name}, seed {seed}"):
        model.fit(events.filter(~last).select(*LEARN), about)
    fitted = time.perf_counter()
    with stage("measure"):
        requests = requests_of(events.filter(~last))
        wanted = events.filter(last).sort(USER)[ITEM].to_numpy()
        found = [
            ranks(
                model.recommend(from_zero(requests.slice(begin, REQUESTS_MAX)), DEPTH),
                wanted[begin : begin + REQUESTS_MAX],
            )
            for begin in progress(range(0, requests.height, REQUESTS_MAX), "measure")
        ]
    run: dict[str, Any] = {"seed": seed, **_measures(np.concatenate(found))}
    curve = getattr(model, "learned", {}).get("curve")
    if curve:
        run["validation_ndcg@10"] = max(curve)
        run["epochs"] = len(curve)
    run["fit_seconds"] = round(fitted - began, 2)
    run["measure_seconds"] = round(time.perf_counter() - fitted, 2)
    return run


def _measures(rank: NDArray[np.int64]) -> dict[str, float]:
    gain = 1 / np.log2(rank + 1.0)
    found = {f"recall@{k}": float((rank <= k).mean()) for k in CUTS}
    return found | {f"ndcg@{k}": float(np.where(rank <= k, gain, 0).mean()) for k in CUTS}


def relabelled(rows: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return `rows` with random names in the place of users and items."""
    random = np.random.default_rng(seed)
    for column, letter in (("user", "u"), ("item", "i")):
        old = rows[column].unique().sort()
        new = [f"{letter}{number:09d}" for number in random.permutation(len(old))]
        rows = rows.with_columns(pl.col(column).replace_strict(old, pl.Series(new)))
    return rows


def events_of(rows: pl.DataFrame) -> pl.DataFrame:
    """Return `schema.LEARN` rows, and `left`: how many of the user come after, 0 for the newest."""
    left = pl.len().over("user") - 1 - pl.col("pos")
    return rows.with_columns(left=left.cast(pl.Int64)).select(
        pl.col("user").alias(USER),
        pl.col("item").alias(ITEM),
        pl.lit("purchase").alias(EVENT_NAME),
        (pl.lit(TODAY).cast(LEARN[TIME]) - pl.duration(hours=pl.col("left") + 1)).alias(TIME),
        "left",
    )


def requests_of(events: pl.DataFrame) -> pl.DataFrame:
    """Return one of `schema.REQUESTS` for each user, by user, that excludes what the user had."""
    past = events.sort(USER, TIME).group_by(USER, maintain_order=True)
    rows = past.agg(
        pl.struct(ITEM, EVENT_NAME, TIME).alias(HISTORY), pl.col(ITEM).alias(EXCLUDE)
    ).with_columns(
        pl.lit(None).alias(REQUEST),
        pl.lit([], pl.List(pl.String)).alias(SEEDS),
        pl.lit(TODAY - timedelta(hours=1)).alias(NOW),
        pl.lit("home").alias(PLACEMENT),
    )
    return conform(rows, REQUESTS)


def from_zero(requests: pl.DataFrame) -> pl.DataFrame:
    """Return the same requests, numbered from 0."""
    return requests.with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias(REQUEST))


def _read_lines(file: Path) -> pl.DataFrame:
    try:
        lines = [line.split() for line in file.read_text().splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise BadData(
            f"'{file}' is no text file. It needs lines of `user item item ...`."
        ) from error
    sizes = [len(line) - 1 for line in lines]
    if lines and max(sizes) < 1:
        raise BadData(f"No line of '{file}' has an item. It needs lines of `user item item ...`.")
    rows = pl.DataFrame(
        {
            "user": [line[0] for line, size in zip(lines, sizes, strict=True) for _ in range(size)],
            "item": [item for line in lines for item in line[1:]],
        },
        schema={"user": pl.String, "item": pl.String},
    )
    return _in_order(rows.with_columns(pos=pl.int_range(pl.len())))


def _read_products(file: Path) -> pl.DataFrame:
    try:
        rows = pl.read_parquet(file)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise BadData(f"'{file}' is not a Parquet file that can be read: {error}") from error
    if not {"item", VECTOR} <= set(rows.columns):
        raise BadData(f"'{file}' has {', '.join(rows.columns)}. It needs item and {VECTOR}.")
    rows = rows.select(
        pl.col("item").cast(pl.String), pl.col(VECTOR).cast(pl.List(pl.Float32), strict=False)
    )
    return rows.unique("item", keep="first", maintain_order=True)


def _read_parquet(file: Path) -> pl.DataFrame:
    try:
        rows = pl.read_parquet(file)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise BadData(f"'{file}' is not a Parquet file that can be read: {error}") from error
    order = next((name for name in ("pos", "time") if name in rows.columns), None)
    missing = [name for name in ("user", "item") if name not in rows.columns]
    if order is None or missing:
        lacks = ", ".join([*missing, *([] if order else ["pos or time"])])
        raise BadData(
            f"'{file}' lacks {lacks}. It has: {', '.join(rows.columns)}. "
            "It needs user, item, and pos or time."
        )
    rows = rows.select(
        pl.col("user").cast(pl.String), pl.col("item").cast(pl.String), pos=pl.col(order)
    )
    return _in_order(rows.drop_nulls())


def _in_order(rows: pl.DataFrame) -> pl.DataFrame:
    ordered = rows.sort("user", "pos", maintain_order=True)
    return ordered.with_columns(pos=pl.int_range(pl.len()).over("user"))


def peak_memory_mb() -> float:
    """Return the most memory this process ever held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)
