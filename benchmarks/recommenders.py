"""Measures recommenders on the last product of each shopper, beside peers and published figures.

    python benchmarks/recommenders.py [--data DIR] [--quick] [--seeds 3] [--minutes 12]

DIR holds `dev/beauty.txt` (Amazon Beauty, the file of S3-Rec) and `dev/ml1m_sequences.parquet`
(MovieLens-1M). All products are ranked, those the shopper had are left out, ties count against
us, ids are random; within a day the order of the file is kept, which tells a little. Settings
were chosen on validation, and one set of them holds for all files. Each recommender runs in a
process of its own through `shopkeeper benchmark`. Beside us: popularity, neighbours, EASE and
iALS on the same split, and the time of `implicit` for iALS where that is installed. `--quick`
measures the counting recommenders alone, with one seed, and claims nothing that needs learning.
`--only cold` and `--only transfer` measure products without events, and shops that start from
another one, on the gift shop; see `cold.py` and `transfer.py`.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from claims import Claims, hash_of, machine
from cold import cold
from transfer import transfer

COUNTING = ("popular", "item_knn", "ease", "ials")
LEARNED = ("sequential", "hstu", "gru", "two_tower", "generative")
PUBLISHED = {
    "beauty.txt": {
        "SASRec, one negative": (0.0605, 0.0318),
        "TIGER": (0.0648, 0.0384),
        "HSTU, re-run": (0.0788, 0.0439),
        "SASRec, cross-entropy": (0.0897, 0.0539),
        "eSASRec": (0.0928, 0.0523),
    },
    "ml1m_sequences.parquet": {
        "BERT4Rec": (0.2843, 0.1537),
        "gSASRec": (0.3003, 0.1726),
        "SASRec, cross-entropy": (0.3152, 0.1821),
        "LRURec": (0.3264, 0.1930),
    },
}
TARGETS = {"beauty.txt": (0.0928, 0.0566), "ml1m_sequences.parquet": (0.3159, 0.1857)}
IALS = """
import json, sys, time
from pathlib import Path
import numpy as np
from shopkeeper import registry
from shopkeeper.evaluation.leave_one_out import read
from threadpoolctl import threadpool_limits
from scipy.sparse import csr_matrix
import polars as pl
from datetime import UTC, datetime
rows = read(Path(sys.argv[1]))
events = rows.select(user_id="user", item_id="item", event_name=pl.lit("purchase"),
                     time=pl.lit(datetime(2020, 1, 1, tzinfo=UTC)).dt.cast_time_unit("us"))
def seconds(make):
    took = []
    for turns in (1, 6):
        began = time.perf_counter()
        make(turns)
        took.append(time.perf_counter() - began)
    return (took[1] - took[0]) / 5
with threadpool_limits(1):
    ours = seconds(lambda turns: registry.build(
        "recommenders", "ials", width=128, iterations=turns).fit(events))
    import implicit
    user = rows["user"].rank("dense").to_numpy().astype(int) - 1
    item = rows["item"].rank("dense").to_numpy().astype(int) - 1
    table = csr_matrix((np.ones(len(user), np.float32), (user, item)))
    theirs = seconds(lambda turns: implicit.als.AlternatingLeastSquares(
        factors=128, iterations=turns, num_threads=1, use_gpu=False
    ).fit(table, show_progress=False))
print(json.dumps([ours, theirs]))
"""


def shopkeeper(*words: object) -> dict[str, Any]:
    """Run `shopkeeper benchmark` with these words, and return what it found."""
    start = [sys.executable, "-c", "from shopkeeper.cli.main import main; main()", "benchmark"]
    done = subprocess.run(
        [*start, *map(str, words), "--json"], check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def line(name: str, recall: float, ndcg: float, more: str = "") -> None:
    print(f"             {name:32} R@10 {recall:.4f}  N@10 {ndcg:.4f}  {more}", flush=True)


def content_of(file: Path, into: Path) -> Path:
    """Write vectors of the attributes of Beauty's products: a row of 0 and 1, cut to 64 numbers."""
    given = json.loads(file.read_text())
    table = np.zeros((len(given), 1 + max(max(held, default=0) for held in given.values())))
    for row, held in enumerate(given.values()):
        table[row, held] = 1
    left, size, _ = np.linalg.svd(table / np.sqrt(1 + table.sum(axis=0)), full_matrices=False)
    vectors = (left[:, :64] * size[:64]).tolist()
    pl.DataFrame({"item": list(given), "vector": vectors}).write_parquet(into)
    return into


def measure(
    file: Path, name: str, seeds: int, minutes: float, more: tuple[object, ...] = ()
) -> dict[str, Any]:
    began = time.perf_counter()
    found = shopkeeper(name, file, "--seeds", seeds, "--minutes", minutes * seeds, *more)
    mean, spread = found["mean"], found["spread"]
    valid = [run["validation_ndcg@10"] for run in found["runs"] if "validation_ndcg@10" in run]
    told = f"spread {spread['recall@10']:.4f}/{spread['ndcg@10']:.4f}, {seeds} seeds, "
    told += f"validation N@10 {sum(valid) / len(valid):.4f}, " if valid else ""
    told += f"{(time.perf_counter() - began) / seeds:.0f} s each, {found['peak_memory_mb']:.0f} MB"
    line(name, mean["recall@10"], mean["ndcg@10"], told)
    found["fit_minutes"] = max(run["fit_seconds"] for run in found["runs"]) / 60
    return found


def claim(claims: Claims, file: Path, found: dict[str, Any]) -> None:
    recall, ndcg = TARGETS[file.name]
    label = f"{file.stem}: sequential"
    claims.check(f"{label}, R@10", found["mean"]["recall@10"], recall)
    claims.check(f"{label}, N@10", found["mean"]["ndcg@10"], ndcg)
    claims.check(f"{label}, minutes to learn", found["fit_minutes"], 40, below=True)
    claims.check(f"{label}, memory", found["peak_memory_mb"], 4000, " MB", below=True)


def ials_time(claims: Claims, file: Path) -> None:
    name = "iALS, seconds an iteration in shares of implicit's"
    if importlib.util.find_spec("implicit") is None:
        claims.not_run(name, "`implicit` is not installed")
        return
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IALS, str(file)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    ours, theirs = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"             128 numbers, one core: ours {ours:.2f} s, implicit {theirs:.2f} s")
    claims.check(name, ours / theirs, 1.5, below=True)


def generative(claims: Claims, file: Path, minutes: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        about = content_of(
            file.with_name("beauty_item2attributes.json"), Path(folder) / "v.parquet"
        )
        for candidates, target in ((0, 0.070), (200, 0.085)):
            more = ("--products", about, "--set", f"candidates={candidates}")
            found = measure(file, "generative", 1, minutes, more)
            label = f"beauty: generative, R@10, {candidates} put in order"
            claims.check(label, found["mean"]["recall@10"], target)


def measure_file(claims: Claims, file: Path, args: argparse.Namespace) -> None:
    print(f"\n{file.name} {hash_of(file)}")
    for peer, (recall, ndcg) in PUBLISHED[file.name].items():
        line(f"published: {peer}", recall, ndcg)
    seeds = 1 if file.stem != "beauty" else args.seeds
    names = COUNTING if args.quick else (*COUNTING, *LEARNED)
    for part in [name for name in names if args.only is None or name in args.only]:
        if part != "generative":
            found = measure(file, part, 1 if part in COUNTING else seeds, args.minutes)
        if part == "sequential":
            claim(claims, file, found)
    if "generative" in (args.only or names) and file.stem == "beauty" and not args.quick:
        generative(claims, file, args.minutes)
    if args.quick:
        claims.not_run(f"{file.stem}: sequential, R@10", "--quick")
        claims.not_run(f"{file.stem}: sequential, N@10", "--quick")
    if file.stem == "beauty" and args.only is None:
        ials_time(claims, file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds dev/")
    parser.add_argument("--quick", action="store_true", help="counting recommenders alone")
    parser.add_argument("--seeds", type=int, default=3, help="of Beauty; MovieLens takes one")
    parser.add_argument("--minutes", type=float, default=12, help="to learn, a seed")
    parser.add_argument("--file", help="only this one of the files")
    parser.add_argument("--only", nargs="*", help="only these recommenders, cold or transfer")
    args = parser.parse_args()
    claims = Claims(full=not args.quick)
    print(f"machine: {machine()}; leave-one-out, all products ranked")
    if args.only is None or "cold" in args.only:
        cold(claims, args.data, 1 if args.quick else args.seeds, args.quick)
    if not args.quick and (args.only is None or "transfer" in args.only):
        transfer(claims, args.data, args.seeds)
    for name in [] if set(args.only or ()) & {"cold", "transfer"} else PUBLISHED:
        file = args.data / "dev" / name
        if args.file in (None, name) and file.exists():
            measure_file(claims, file, args)
    claims.finish()


if __name__ == "__main__":
    main()
