"""Measures how fast search is as a shopper meets it, and how far it scales.

    python benchmarks/search_speed.py --data DIR [--quick] [--seed N] [--only NAME]

`shop`: 35,311 products of PriceRunner (Akritidis, UCI, CC BY 4.0) in a trained shop with
understanding, personal order and events, asked over HTTP on loopback: an open loop at 20 queries a
second, then eight clients; no query comes twice. In process: the time of a search beside the sum of
its kernels (encode, BM25, dense), in CPU time, for the machine may be shared. `suggest`: 92,000
products of The Complete Journey. `million`: a million vectors of 384 numbers, made as v + (a - b)/2
of real title vectors, saved, and restored by a fresh process; queries are other titles. `encode`:
100,000 different titles encoded and indexed on two threads.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import polars as pl
from claims import Claims, hash_of, machine
from demo import serving
from search import journey, offers

from shopkeeper import Shop, registry
from shopkeeper.encoders import VectorCache
from shopkeeper.search.suggest import Suggest
from shopkeeper.search.text import product_text

PARTS = ("shop", "suggest", "million", "encode")
SETTINGS = """
[shop]
name = "PriceRunner"
currency = "GBP"
languages = ["en"]

[inputs.feed]
source = "merchant_center"
file = "{file}"
"""
RATE = 20
CLIENTS = 8
SEARCHERS = 40
"""Visitors with a history, whose order is personal."""


def make_shop(data: Path, folder: Path) -> None:
    rows = pl.read_parquet(data / "demo" / "pricerunner.parquet").with_row_index("n")
    price = ((pl.col("n") * 7_919 % 50_000 + 500) / 100).cast(pl.String) + " GBP"
    feed = rows.select(
        id="product_id",
        title="product_title",
        product_type="category_label",
        brand=pl.col("product_title").str.split(" ").list.first().str.to_titlecase(),
        price=price,
        availability=pl.lit("in_stock"),
        link=pl.format("https://shop.example/{}", "product_id"),
    )
    file = folder / "feed.tsv"
    feed.write_csv(file, separator="\t")
    (folder / "shop.toml").write_text(SETTINGS.format(file=file))
    with Shop.open(folder) as shop:
        shop.ingest()
        began, busy = time.perf_counter(), time.process_time()
        shop.train()
        spent, busy = time.perf_counter() - began, time.process_time() - busy
        print(f"             trained in {spent:.0f} s, {busy:.0f} s of CPU; {_load()}")
        looked = np.random.default_rng(0).choice(rows["product_id"].to_numpy(), (SEARCHERS, 10))
        for number, items in enumerate(looked.tolist()):
            events = [
                {
                    "event_name": "view_item",
                    "visitor_id": f"v{number}",
                    "items": [{"item_id": item}],
                }
                for item in items
            ]
            shop.add_events(events)


def queries(data: Path, seed: int) -> list[str]:
    """Return the names of products, cut to 1 to 6 words, each once."""
    names = sorted(offers(data)[1])
    np.random.default_rng(seed).shuffle(names)
    cut = (" ".join(name.split()[: 1 + at % 6]) for at, name in enumerate(names))
    return list(dict.fromkeys(cut))


def _path(query: str, number: int, what: str = "search") -> str:
    asked = {"q": query} | ({"visitor_id": f"v{number % SEARCHERS}"} if what == "search" else {})
    return f"/v1/{what}?{urllib.parse.urlencode(asked)}"


def open_loop(address: str, paths: list[str], rate: float) -> list[float]:
    """Ask at fixed times; what waits for an earlier answer counts from when it was due."""
    client = http.client.HTTPConnection(address.removeprefix("http://"))
    spent, began = [], time.perf_counter()
    for number, path in enumerate(paths):
        due = began + number / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        client.request("GET", path)
        client.getresponse().read()
        spent.append((time.perf_counter() - due) * 1e3)
    return spent


def closed_loop(address: str, paths: list[str], clients: int) -> float:
    """Return how many of `paths` were answered a second, by clients that ask one after another."""
    left, lock = iter(paths), threading.Lock()

    def run() -> None:
        client = http.client.HTTPConnection(address.removeprefix("http://"))
        while True:
            with lock:
                path = next(left, None)
            if path is None:
                return
            client.request("GET", path)
            client.getresponse().read()

    threads = [threading.Thread(target=run) for _ in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(paths) / (time.perf_counter() - began)


def measure_shop(args: argparse.Namespace, claims: Claims, folder: Path) -> None:
    shop = folder / "shop"
    if not (shop / "bundles" / "current").is_file():
        shop.mkdir(exist_ok=True)
        make_shop(args.data, shop)
    asked = queries(args.data, args.seed)
    size = 200 if args.quick else 1_000
    with serving(shop) as (address, server, _):
        open_loop(address, [_path(q, at) for at, q in enumerate(asked[:50])], 50)
        paths = [_path(query, at) for at, query in enumerate(asked[50 : 50 + size])]
        spent, load = open_loop(address, paths, RATE), _load()
        print(f"             over HTTP at {RATE}/s, one client; {load}")
        claims.check("search over HTTP, p50", np.percentile(spent, 50), 10, " ms", below=True)
        claims.check("search over HTTP, p99", np.percentile(spent, 99), 25, " ms", below=True)
        paths = [_path(query, at) for at, query in enumerate(asked[50 + size : 50 + 3 * size])]
        busy = _cpu(server.pid)
        rate = closed_loop(address, paths, CLIENTS)
        busy_ms = (_cpu(server.pid) - busy) / len(paths) * 1e3
        print(f"             {busy_ms:.1f} ms of the server's CPU a query; {_load()}")
        claims.check(f"queries a second, {CLIENTS} clients", rate, 120)
        typed = [_path(q[: 1 + at % 9], at, "suggest") for at, q in enumerate(asked[:size])]
        spent = open_loop(address, typed, RATE)
        claims.check("suggest over HTTP, p99", np.percentile(spent, 99), 10, " ms", below=True)
    measure_kernels(claims, shop, asked[-size:])


def measure_kernels(claims: Claims, folder: Path, asked: list[str]) -> None:
    """Compare a whole search in process with its kernels, in CPU time."""
    with Shop.open(folder) as shop:
        shop.warm()
        now = shop.live.now
        index, encoder = now.finder.search.index, now.models.encoder
        for query in asked[:20]:
            shop.search(query + " ?")
        spent: dict[str, list[float]] = {}
        for number, query in enumerate(asked):
            vector = _timed(spent, "encode", encoder.encode, [query], "query")[0]
            _timed(spent, "BM25", index._lexical.hits, query, None, 1_000)
            _timed(spent, "dense", index._dense.hits, query, vector, 1_000)
            visitor = f"v{number % SEARCHERS}"
            _timed(spent, "search", shop.search, query, visitor_id=visitor)
    for name, times in spent.items():
        p50, p99 = np.percentile(times, [50, 99])
        print(f"             CPU of {name:7} p50 {p50:5.2f}  p99 {p99:5.2f} ms")
    kernels = sum(float(np.mean(spent[name])) for name in ("encode", "BM25", "dense"))
    share = float(np.mean(spent["search"])) / kernels
    claims.check("search beside the sum of its kernels", share, 1.5, " times", below=True)


def _timed(spent: dict[str, list[float]], name: str, call: Any, *given: Any, **named: Any) -> Any:
    began = time.thread_time()
    found = call(*given, **named)
    spent.setdefault(name, []).append((time.thread_time() - began) * 1e3)
    return found


def measure_suggest(args: argparse.Namespace, claims: Claims) -> None:
    products, file = journey()
    rng = np.random.default_rng(args.seed)
    sold = dict(zip(products["id"], rng.pareto(1.0, products.height) * 10, strict=True))
    suggest = Suggest().build(products, sold)
    print(
        f"data {file.name} {hash_of(file)}: {products.height:,} products, {len(suggest):,} entries"
    )
    names = products["title"].drop_nulls().to_list()
    spent: dict[str, list[float]] = {}
    for at, row in enumerate(rng.integers(len(names), size=2_000).tolist()):
        typed = " ".join(names[row].split()[: 1 + at % 4])[: 1 + at % 14]
        if at % 3 == 2 and len(typed) > 5:
            wrong = 2 + int(rng.integers(len(typed) - 3))
            typed = typed[:wrong] + "x" + typed[wrong + 1 :]
        _timed(spent, "suggest", suggest.complete, typed)
    p50, p99 = np.percentile(spent["suggest"], [50, 99])
    print(f"             one of three with an error; p50 {p50:.2f} ms of CPU")
    claims.check("suggest in process, p99 of CPU", float(p99), 10, " ms", below=True)


def titles_vectors(args: argparse.Namespace, folder: Path) -> tuple[Any, np.ndarray]:
    encoder = registry.build("encoders", "minilm", threads=2).ensure(folder / "minilm")
    texts = product_text(offers(args.data)[0]).unique(maintain_order=True).to_list()
    texts = texts[:6_000] if args.quick else texts
    return encoder, VectorCache(folder / "vectors").encode(encoder, texts)


def measure_million(args: argparse.Namespace, claims: Claims, folder: Path) -> None:
    size = 50_000 if args.quick else 1_000_000
    _, real = titles_vectors(args, folder)
    rng = np.random.default_rng(args.seed)
    real = real[rng.permutation(len(real))]
    asked, real = real[:500], real[500:]
    made = np.concatenate(list(_made(real, size, rng)))
    index = registry.build("search.indexes", "dense", exact_max=10_000)
    began, busy = time.perf_counter(), time.process_time()
    index.build(pl.DataFrame({"id": [f"{n}" for n in range(size)]}), made)
    spent, busy = time.perf_counter() - began, time.process_time() - busy
    print(f"             {size:,} vectors: built in {spent:.0f} s, {busy:.0f} s of CPU; {_load()}")
    saved = folder / "million"
    subprocess.run(["rm", "-rf", str(saved)], check=True)
    registry.save(index, saved)
    best = [np.argpartition(-(made @ query), 10)[:10].tolist() for query in asked]
    np.save(folder / "asked.npy", asked)
    done = subprocess.run(
        [sys.executable, __file__, "--probe", str(saved), "--data", str(args.data)],
        check=True,
        stdout=subprocess.PIPE,
    )
    told = json.loads(done.stdout)
    hit = [
        len(set(map(int, ids)) & set(row)) / 10 for ids, row in zip(told["ids"], best, strict=True)
    ]
    print(f"             10 nearest: p50 {told['p50']:.2f}, p99 {told['p99']:.2f} ms of CPU")
    print(f"             1,000 nearest: p50 {told['p50_deep']:.2f}, p99 {told['p99_deep']:.2f} ms")
    claims.check(f"recall@10 against exact, {size:,} vectors", float(np.mean(hit)), 0.97)
    claims.check("VmHWM of a fresh process that restored it", told["gb"], 3, " GB", below=True)


def _made(real: np.ndarray, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    for begin in range(0, size, 50_000):
        many = min(50_000, size - begin)
        one, other, third = (real[rng.integers(len(real), size=many)] for _ in range(3))
        vectors = one + 0.5 * (other - third)
        yield (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def probe(folder: Path) -> None:
    """Restore an index in this fresh process, ask it, and tell how that went."""
    index = registry.load(folder)
    asked = np.load(folder.parent / "asked.npy")
    ids = [index.search("", vector, 10)["item_id"].to_list() for vector in asked]
    spent: dict[str, list[float]] = {}
    for vector in asked:
        _timed(spent, "ten", index.hits, "", vector, 10)
        _timed(spent, "deep", index.hits, "", vector, 1_000)
    status = Path("/proc/self/status").read_text()
    peak_kb = next(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line)
    (p50, p99), (deep, deepest) = (np.percentile(spent[n], [50, 99]) for n in ("ten", "deep"))
    told = {"ids": ids, "gb": peak_kb / 1e6, "p50": p50, "p99": p99}
    print(json.dumps(told | {"p50_deep": deep, "p99_deep": deepest}))


def measure_encode(args: argparse.Namespace, claims: Claims, folder: Path) -> None:
    size = 4_000 if args.quick else 100_000
    products = offers(args.data)[0]
    colours = ("black", "white", "refurbished")
    made = [
        products.with_columns(id=pl.col("id") + f"-{c}", title=pl.col("title") + f" {c}")
        for c in colours
    ]
    products = pl.concat(made).unique("title", maintain_order=True).head(size)
    encoder = registry.build("encoders", "minilm", threads=2).ensure(folder / "minilm")
    began, busy = time.perf_counter(), time.process_time()
    vectors = encoder.encode(product_text(products).to_list())
    encoded = time.perf_counter() - began
    registry.build("search.indexes", "hybrid").build(products, vectors)
    spent, busy = time.perf_counter() - began, time.process_time() - busy
    print(f"             encode {encoded:.0f} s, index {spent - encoded:.0f} s; {_load()}")
    print(f"             {busy / 60:.1f} min of CPU, half of that on two free cores")
    name = f"{products.height:,} products encoded and indexed"
    claims.check(name, spent / 60, 6 * products.height / 100_000, " min", below=True)


def _cpu(pid: int) -> float:
    """Return the CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _load() -> str:
    return f"load {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds demo/")
    parser.add_argument("--cache", type=Path, help="where shop and vectors are kept between runs")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller")
    parser.add_argument("--only", choices=PARTS, help="one part of it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--probe", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.probe:
        probe(args.probe)
        return
    file = args.data / "demo" / "pricerunner.parquet"
    claims = Claims(full=not args.quick and not args.only)
    print(f"machine: {machine()}; seed: {args.seed}; data: {file.name} {hash_of(file)}; {_load()}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.cache or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        run = {
            "shop": lambda: measure_shop(args, claims, folder),
            "suggest": lambda: measure_suggest(args, claims),
            "million": lambda: measure_million(args, claims, folder),
            "encode": lambda: measure_encode(args, claims, folder),
        }
        for part in [args.only] if args.only else PARTS:
            run[part]()
    claims.finish()


if __name__ == "__main__":
    main()
