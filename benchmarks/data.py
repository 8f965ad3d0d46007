"""Measures how fast files become sound tables, and how much memory that takes.

    python benchmarks/data.py [--data DIR] [--quick] [--events 20000000] [--keep FOLDER]

The log is the real one of `demo/online_retail.parquet` (UCI Online Retail), repeated with shifted
ids, shoppers and days; it is read by the source `mapped` from one Parquet file. Every load runs in
a process of its own through the same door as `shopkeeper ingest`: read, cleaned, put into
sessions, checked, stored by day, reported; the detectors of unusual behaviour, which look at the
whole log afterwards, are timed apart, and their memory counts. The peer is the same cleaning
written straightforwardly in pandas, in the same run, on the largest part of the log that fits the
same memory. Products are a million made from the titles of the same shop. `--quick` uses a tenth
of the rows and claims no figures of the full run.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
from claims import Claims, hash_of, machine

SEED = 0
LOAD = """
import json, sys, time
from pathlib import Path
from shopkeeper import Shop
from shopkeeper.tracing import timings
shop = Shop.open(Path(sys.argv[1]))
began = time.perf_counter()
done = shop.ingest(sys.argv[2] if len(sys.argv) > 2 else None)
seconds = time.perf_counter() - began
peak = PEAK
counts = {row["table"]: row["rows"] for row in done["tables"]}
print(json.dumps({"seconds": seconds, "peak_gb": peak, "counts": counts,
                  "detectors": timings().get("ingest/anomalies", 0.0),
                  "changed": done["changed"]}))
"""
PANDAS = """
import json, sys, time
from pathlib import Path
import pandas as pd, pyarrow as pa, pyarrow.parquet as pq
began = time.perf_counter()
rows = pd.read_parquet(sys.argv[1])
rows = rows[rows["event_id"].notna() & rows["item_id"].notna() & rows["time"].notna()]
rows["time"] = pd.to_datetime(rows["time"], utc=True)
rows = rows[(rows["time"].dt.year >= 1990) & (rows["time"] <= pd.Timestamp.now(tz="UTC"))]
fees = {"POST", "DOT", "M", "D", "C2", "S", "B", "PADS", "CRUK", "AMAZONFEE", "BANK CHARGES"}
rows = rows[~rows["item_id"].str.upper().isin(fees)]
rows["price_minor"] = (rows["price"] * 100).round().astype("int64")
rows = rows[(rows["price_minor"] > 0) & rows["quantity"].between(1, 10_000)]
usual = rows.groupby("item_id")["price_minor"].transform("median")
rows = rows[rows["price_minor"] <= 100 * usual]
rows = rows.drop_duplicates("event_id").drop_duplicates(
    ["event_name", "transaction_id", "item_id", "time", "user_id", "quantity", "price_minor"])
rows = rows.sort_values(["user_id", "time"])
pause = rows["time"] - rows.groupby("user_id")["time"].shift()
new = pause.isna() | (pause > pd.Timedelta(minutes=30))
rows["session_id"] = rows["user_id"].astype("string") + "-" + new.cumsum().astype("string")
bought = rows[rows["event_name"] == "purchase"]
bought = bought[["user_id", "item_id", "time", "transaction_id"]].sort_values("time")
refunds = rows[rows["event_name"] == "refund"].dropna(subset=["user_id"]).sort_values("time")
refunds = pd.merge_asof(refunds, bought.dropna(subset=["user_id"]), on="time",
                        by=["user_id", "item_id"], suffixes=("", "_of"))
rows = pd.concat([rows[rows["event_name"] != "refund"], refunds])
rows["day"] = rows["time"].dt.strftime("%Y-%m-%d")
pq.write_to_dataset(pa.Table.from_pandas(rows, preserve_index=False), sys.argv[2],
                    partition_cols=["day"], max_partitions=5000)
print(json.dumps({"seconds": time.perf_counter() - began, "rows": len(rows),
                  "peak_gb": PEAK}))
"""
# Not what getrusage says, which a process inherits from the one that starts it.
PEAK = """int(next(line.split()[1] for line in open("/proc/self/status")
        if line.startswith("VmHWM"))) / 1e6"""


def make_events(real: Path, path: Path, num_events: int) -> None:
    """Repeat the real log with shifted ids, shoppers and days until it is long enough."""
    with duckdb.connect() as engine:
        engine.execute("SET memory_limit = '3GB'; SET threads = 2")
        (rows,) = engine.execute("SELECT count(*) FROM read_parquet(?)", [str(real)]).fetchone()
        copies = -(-num_events // rows)
        engine.execute(
            f"""COPY (SELECT * FROM (SELECT InvoiceNo || '-' || copy || '-' || row AS event_id,
            CASE WHEN Quantity < 0 THEN 'refund' ELSE 'purchase' END AS event_name,
            InvoiceDate + to_days(7 * copy) AS time, CustomerID || '-' || copy AS user_id,
            InvoiceNo || '-' || copy AS transaction_id, StockCode AS item_id,
            abs(Quantity) AS quantity, UnitPrice AS price, Country AS country
            FROM (SELECT unnest(range({copies})) AS copy),
            (SELECT *, file_row_number AS row FROM read_parquet('{real}', file_row_number = true)))
            LIMIT {num_events}) TO '{path}' (FORMAT parquet)"""
        )


def make_products(real: Path, path: Path, num_products: int, change: int = 0) -> None:
    """Write products with titles of the real shop; a change gives them other prices."""
    with duckdb.connect() as engine:
        engine.execute(
            f"""COPY (SELECT 'p' || row AS id, any_value(Description) || ' no ' || row AS title,
            'A ' || any_value(Description) || ' for the house, number ' || row || '. ' || repeat(
            'It is made to last and comes in a box. ', 6) AS description,
            'Home > Shelf ' || (row % 300) || ' > Kind ' || (row % 3000) AS product_type,
            'Maker ' || (row % 700) AS brand, 1 + (row + {change}) % 90 + 0.99 AS price
            FROM (SELECT unnest(range({num_products})) AS row) JOIN (SELECT Description,
            row_number() OVER (ORDER BY Description) AS number FROM (SELECT DISTINCT Description
            FROM read_parquet('{real}') WHERE length(Description) > 8)) ON number = row % 3900 + 1
            GROUP BY row ORDER BY row) TO '{path}' (HEADER)"""
        )


def make_shop(folder: Path, table: str, file: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "shop.toml").write_text(
        f'[shop]\ncurrency = "GBP"\n\n[data]\ncategories = "off"\n\n[inputs.{table}]\n'
        f'source = "mapped"\nfile = "{file}"\nsettings = {{table = "{table}"}}\n'
    )
    return folder


def run(script: str, *words: object) -> dict:
    """Run a script in a process of its own; its last line is JSON."""
    quiet = os.environ | {"SHOPKEEPER_QUIET": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", script.replace("PEAK", PEAK), *map(str, words)],
        capture_output=True, text=True, env=quiet, check=False,
    )  # fmt: skip
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or [str(done.returncode)])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def events(claims: Claims, real: Path, folder: Path, num_events: int) -> None:
    """Load the log, half of it and twice of it."""
    peaks, rates = {}, {}
    for share in (0.5, 1, 2):
        size = int(num_events * share)
        file = folder / f"events-{size}.parquet"
        make_events(real, file, size)
        shop = make_shop(folder / f"shop-{size}", "events", file)
        done = run(LOAD, shop)
        if "failed" in done:
            sys.exit(f"The load failed: {done['failed']}")
        seconds = done["seconds"] - done["detectors"]
        peaks[share], rates[share] = done["peak_gb"], size / seconds
        print(f"  {size:,} events: {seconds:.0f} s, {rates[share]:,.0f} events/s, and "
              f"{done['detectors']:.0f} s for detectors of unusual behaviour; peak "
              f"{done['peak_gb']:.2f} GB, {done['counts']}")  # fmt: skip
        if share == 1:
            again = run(LOAD, shop)
            assert not again["changed"]
            assert again["counts"] == done["counts"]
            faster = seconds / again["seconds"]
            claims.check("the same log again: times faster", faster, 5)
            _peer(claims, file, folder, size, rates[1])
        if share != 1:
            file.unlink()
    claims.check("events a second, read to stored", rates[1], 200_000, "/s")
    claims.check("peak memory of a load of events", peaks[1], 4, " GB", below=True)
    claims.check("memory of 4 times the events, ratio", peaks[2] / peaks[0.5], 1.2, below=True)


def _peer(claims: Claims, file: Path, folder: Path, size: int, rate: float) -> None:
    """Clean the log in pandas on the largest part that fits 4 GB."""
    for share in (1, 0.5, 0.25, 0.125):
        part = folder / "part.parquet"
        with duckdb.connect() as engine:
            limit = int(size * share)
            engine.execute(
                f"COPY (SELECT * FROM '{file}' LIMIT {limit}) TO '{part}' (FORMAT parquet)"
            )
        script = (
            f"import resource; resource.setrlimit(resource.RLIMIT_DATA, (6 << 30,) * 2)\n{PANDAS}"
        )
        done = run(script, part, folder / f"pandas-{share}")
        if "failed" in done or done["peak_gb"] > 4:
            why = done.get("failed") or f"needs {done['peak_gb']:.2f} GB"
            print(f"  pandas: {limit:,} events: {why[:90]}")
            continue
        own = limit / done["seconds"]
        print(f"  pandas: {limit:,} events in {done['seconds']:.0f} s, {own:,.0f} events/s, peak "
              f"{done['peak_gb']:.2f} GB")  # fmt: skip
        claims.check("events a second against pandas, ratio", rate / own, 1)
        return
    print("  pandas could not hold an eighth of the log in 4 GB")


def products(claims: Claims, real: Path, folder: Path, num_products: int) -> None:
    """Load a feed, the same again, and a change of one product in a hundred."""
    file, change = folder / "products.csv", folder / "change.csv"
    make_products(real, file, num_products)
    make_products(real, change, num_products // 100, change=7)
    shop = make_shop(folder / "shop-products", "products", file)
    done = run(LOAD, shop)
    print(f"  {num_products:,} products: {done}")
    claims.check("a million products loaded", done["seconds"] / 60, 3, " min", below=True)
    step = run(LOAD, shop, change)
    print(f"  {num_products // 100:,} of them changed: {step}")
    claims.check("an increment of 1 % loaded", step["seconds"], 10, " s", below=True)
    again = run(LOAD, shop)
    claims.check("the same feed again: times faster", done["seconds"] / again["seconds"], 5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("--data", type=Path, default=Path("data"), help="holds demo/ and dev/")
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--only", choices=("events", "products"))
    words = parser.parse_args()
    real = words.data / "demo" / "online_retail.parquet"
    print(f"{machine()}; seed {SEED}; {real.name} {hash_of(real)}; {time.strftime('%Y-%m-%d')}")
    scale = 10 if words.quick else 1
    claims = Claims(full=not words.quick and not words.only)
    with tempfile.TemporaryDirectory(prefix="shopkeeper-data-") as scratch:
        if words.only != "products":
            events(claims, real, Path(scratch), words.events // scale)
        if words.only != "events":
            products(claims, real, Path(scratch), 1_000_000 // scale)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"  (the benchmark itself: {own:.2f} GB)")
    claims.finish()


if __name__ == "__main__":
    main()
