"""Measures encoders: speed, what smaller ones cost, ways to tune them, and typing noise.

    python benchmarks/encoders.py --data DIR [--quick] [--only speed|compress|methods|noise]

Speed: every encoder in a process of its own, one thread, by the CPU clock, beside
sentence-transformers with the same weights in float32. The rest is search by meaning alone on
PriceRunner (Akritidis, UCI Machine Learning Repository, CC BY 4.0): queries are the canonical names
of products, right are the offers of that name. Compressing is chosen on half of the queries and
reported on the other half; it learns from titles without names. Each method of tuning learns from
the names of some products for equal time, best epoch by 150 held-back names, and is reported on the
held-back names, so its absolute figures lean a little to the good. Noise: see `evaluation.noise`.
A peer that is not installed is said so.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import polars as pl
from claims import Claims, hash_of, machine

from shopkeeper import registry, schema
from shopkeeper.encoders import VectorCache, _weights
from shopkeeper.engine.compress import Wish, compress
from shopkeeper.engine.compress_ground import ground
from shopkeeper.engine.judged_search import unit_words
from shopkeeper.engine.search_lessons import tune_encoder
from shopkeeper.engine.search_tuning import shown
from shopkeeper.evaluation.judged import Judged
from shopkeeper.evaluation.noise import kinds, robustness
from shopkeeper.search.text import product_text
from shopkeeper.training.text_methods import METHODS
from shopkeeper.training.texts import Tuning

SEED = 0
TARGET_SPEED, TARGET_FASTER, TARGET_LOSS = 1.0, 1.5, 0.02
HEAD = """
import json, sys, time
from pathlib import Path
given = json.loads(sys.argv[1])
def told(ready, run, count, rounds=3):
    run()
    spent = []
    for _ in range(rounds):
        began = time.process_time()
        run()
        spent.append(time.process_time() - began)
    peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(json.dumps({"rate": count / min(spent), "peak_mb": int(peak) / 1e3}))
"""
OURS = """
from shopkeeper import registry
made = registry.build("encoders", given["name"], **given["settings"])
made = made.restore(Path(given["folder"])) if given["folder"] else made
told(made, lambda: made.encode(given["texts"]), len(given["texts"]))
"""
PEER = """
import torch
torch.set_num_threads(1)
from sentence_transformers import SentenceTransformer
made = SentenceTransformer(given["folder"], device="cpu")
made.max_seq_length = 64
told(made, lambda: made.encode(given["texts"], batch_size=32, show_progress_bar=False,
                               normalize_embeddings=True), len(given["texts"]))
"""
PICTURES = """
from PIL import Image
from shopkeeper import registry
made = registry.build("encoders.images", given["name"]).ensure(Path(given["folder"]))
pictures = [Image.open(file).convert("RGB") for file in given["files"]]
told(made, lambda: made.encode(pictures), len(pictures))
"""
SPEECH = """
from shopkeeper import registry
made = registry.build("encoders.speech", given["name"])
clip = Path(given["file"]).read_bytes()
told(made, lambda: made.transcribe(clip), 1)
"""


def apart(script: str, **given: object) -> dict:
    """Run a script in a process of its own; its last line is JSON."""
    quiet = os.environ | {"SHOPKEEPER_QUIET": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", HEAD + script, json.dumps(given)],
        capture_output=True, text=True, env=quiet, check=False,
    )  # fmt: skip
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["?"])[-1][:150]}
    return json.loads(done.stdout.splitlines()[-1])


def size_mb(folder: Path, pattern: str = "*.onnx") -> float:
    return sum(file.stat().st_size for file in folder.glob(pattern)) / 1e6


def show(name: str, found: dict, unit: str, mb: float = 0.0) -> float:
    if "failed" in found:
        print(f"             {name:34} not run: {found['failed']}", flush=True)
        return 0.0
    print(f"             {name:34} {found['rate']:8.1f} {unit}/s   {mb:7.1f} MB   "
          f"peak {found['peak_mb']:6.0f} MB", flush=True)  # fmt: skip
    return float(found["rate"])


def offers(args: argparse.Namespace, names: int, others: int) -> tuple[pl.DataFrame, Judged]:
    """Return products, and the names of some of them with their offers."""
    rows = pl.read_parquet(args.data / "demo" / "pricerunner.parquet")
    products = schema.conform(
        rows.select(id="product_id", title="product_title", product_type="category_label"),
        schema.PRODUCTS,
    )
    labels = sorted(set(rows["cluster_label"]))
    np.random.default_rng(args.seed).shuffle(labels)
    asked, grades = set(labels[:names]), {}
    for label, offer in zip(rows["cluster_label"], rows["product_id"], strict=True):
        if label in asked:
            grades.setdefault(label, {})[offer] = 1.0
    right = {offer for graded in grades.values() for offer in graded}
    rest = products.filter(~pl.col("id").is_in(right)).sample(others, seed=args.seed)
    few = pl.concat([products.filter(pl.col("id").is_in(right)), rest]).sort("id")
    return few, Judged(few, {label: label for label in sorted(grades)}, grades)


def measure_speed(args: argparse.Namespace, claims: Claims, folder: Path) -> None:
    products, _ = offers(args, 10, 128 if args.quick else 512)
    texts = product_text(products).to_list()
    print(f"             {len(texts)} texts; vectors of one thread, by the CPU clock")
    for name in registry.names("encoders"):
        ours = {}
        for precision in ("auto", "float32"):
            settings = {"precision": precision} if name != "hashing" else {}
            made = folder / f"{name}-{precision}"
            registry.build("encoders", name, **settings).ensure(made)
            where = str(made) if name != "hashing" else ""
            found = apart(OURS, name=name, settings=settings, folder=where, texts=texts)
            ours[precision] = show(f"{name} {precision}", found, "texts", size_mb(made))
            if name == "hashing":
                break
        if name == "hashing":
            continue
        claim = f"texts/s against sentence-transformers, {name}"
        if find_spec("sentence_transformers") is None:
            claims.not_run(claim, "sentence-transformers is not installed")
            continue
        source = _weights.fetch(registry.build("encoders", name).config.model, folder / "source")
        found = apart(PEER, folder=str(source), texts=texts)
        peer = show(f"sentence-transformers {name}", found, "texts",
                    size_mb(source, "*.safetensors"))  # fmt: skip
        if peer:
            claims.check(claim, ours["auto"] / peer, TARGET_SPEED, " times")
            claims.check(f"{claim}, both float32", ours["float32"] / peer, TARGET_SPEED, " times")
    measure_other_speed(args, folder)


def measure_other_speed(args: argparse.Namespace, folder: Path) -> None:
    files = sorted((args.data / "demo" / "clothing_photos" / "test").rglob("*.jpg"))
    for name in registry.names("encoders.images"):
        made = folder / f"images-{name}"
        found = apart(PICTURES, name=name, folder=str(made),
                      files=[str(file) for file in files[: 8 if args.quick else 32]])  # fmt: skip
        show(f"{name}, pictures", found, "pictures", size_mb(made))
    if shutil.which("espeak-ng") is None:
        print("             whisper                            not run: espeak-ng is not installed")
        return
    clip = folder / "clip.wav"
    clip.write_bytes(
        subprocess.run(
            ["espeak-ng", "-s", "130", "--stdout", "do you have running shoes in size ten"],
            capture_output=True, check=True,
        ).stdout
    )  # fmt: skip
    for name in registry.names("encoders.speech"):
        found = apart(SPEECH, name=name, file=str(clip))
        show(f"{name}, clips of 3 s", found, "clips")


def measure_compress(args: argparse.Namespace, claims: Claims, folder: Path) -> None:
    products, judged = offers(args, 100 if args.quick else 1_200, 1_000 if args.quick else 2_000)
    encoder = registry.build("encoders", "minilm").ensure(folder / "minilm-auto")
    wish = Wish(loss=TARGET_LOSS, minutes=args.minutes, layers=(3, 2), seed=args.seed)
    began = time.perf_counter()
    told = ground(products, judged, (), args.seed)
    found = compress(encoder, told, wish, folder / "compress")
    print(f"             {len(told.passages) + len(told.queries):,} texts teach, {found.queries} "
          f"{found.by} are reported; {(time.perf_counter() - began) / 60:.1f} minutes")  # fmt: skip
    for row in found.rows:
        print(
            f"             {'*' if row['chosen'] else ' '} {row['layers']} layers "
            f"{row['precision']:8} {row['width']:4} wide {row['onnx_mb']:6.1f} MB "
            f"{row['vector_bytes']:5} B {row['texts_per_s']:7.1f} texts/s  nDCG@10 "
            f"{row['ndcg@10']:.4f} loss {row['loss']:+.2%} ({row['low']:+.2%} to "
            f"{row['high']:+.2%}) same ten {row['same_nearest']:.2f}", flush=True,
        )  # fmt: skip
    best = next(row for row in found.rows if row["chosen"])
    faster = best["texts_per_s"] / found.rows[0]["texts_per_s"]
    claims.check("compressed minilm, times faster", faster, TARGET_FASTER, " times")
    claims.check("compressed minilm, share of nDCG@10 lost", best["loss"], TARGET_LOSS, below=True)


def measure_methods(args: argparse.Namespace, claims: Claims, folder: Path) -> None:
    products, judged = offers(args, 150 if args.quick else 900, 200)
    teach, held = judged.split(0.6, args.seed)
    cache = VectorCache(folder / "vectors")
    encoder = registry.build("encoders", "minilm").ensure(folder / "minilm-auto")
    lexical = registry.build("search.indexes", "lexical").build(products, None)
    minutes = args.minutes / 4
    print(f"             {len(teach.queries)} names teach, {len(held.queries)} are asked among "
          f"{products.height} offers; {minutes:.2f} minutes each")  # fmt: skip
    for name in METHODS:
        tuning = Tuning(method=name, minutes=minutes, batch=32, rounds=1, seed=args.seed)
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as scratch:
            lift = tune_encoder(
                encoder, teach, held, lexical, Path(scratch), tuning, cache
            )[1]  # fmt: skip
        spent = (time.perf_counter() - began) / 60
        gain = f"{lift.gain.mean:+.4f} ({lift.gain.low:+.4f} to {lift.gain.high:+.4f})"
        print(f"             {name:10} {spent:4.1f} min  nDCG@10 {lift.before:.4f} -> "
              f"{lift.after:.4f}  {gain}", flush=True)  # fmt: skip
        claims.check(f"nDCG@10 gained by tuning, {name}", lift.gain.mean, 0.0)


def measure_noise(args: argparse.Namespace, claims: Claims, folder: Path) -> None:
    products, judged = offers(args, 100 if args.quick else 400, 1_000 if args.quick else 3_000)
    cache = VectorCache(folder / "vectors")
    encoder = registry.build("encoders", "minilm").ensure(folder / "minilm-auto")
    vectors = cache.encode(encoder, product_text(products).to_list())
    lost = {}
    for name in ("lexical", "dense", "hybrid"):
        index = registry.build("search.indexes", name).build(products, vectors)

        def ask(asked: Judged, index: object = index) -> dict[str, list[str]]:
            queries = cache.encode(encoder, list(asked.queries.values()), "query")
            return shown(index, asked, queries)

        for row in robustness(judged, ask, kinds(unit_words()), args.seed):
            lost[name, row["noise"]] = row["loss"]
            print(f"             {name:8} {row['noise']:24} {row['changed']:4.0%} of queries  "
                  f"nDCG@10 {row['ndcg@10']:.4f}  loss {row['loss']:.4f} ({row['low']:.4f} to "
                  f"{row['high']:.4f})", flush=True)  # fmt: skip
    worst = "typos in 20% of words"
    claims.check(f"nDCG@10 lost by hybrid, {worst}", lost["hybrid", worst], 0.1, below=True)


PARTS = {
    "speed": measure_speed,
    "compress": measure_compress,
    "methods": measure_methods,
    "noise": measure_noise,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds demo/")
    parser.add_argument("--cache", type=Path, help="where models and vectors are kept between runs")
    parser.add_argument("--quick", action="store_true", help="fewer texts, less time to learn")
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--minutes", type=float, help="time to teach each smaller model")
    parser.add_argument("--seed", type=int, default=SEED)
    args = parser.parse_args()
    args.minutes = args.minutes or (0.5 if args.quick else 3.0)
    file = args.data / "demo" / "pricerunner.parquet"
    print(f"machine: {machine()}; seed: {args.seed}; data: {file.name} {hash_of(file)}")
    claims = Claims(full=not args.quick)
    with tempfile.TemporaryDirectory() as temporary:
        for name, measure in PARTS.items():
            if args.only in (None, name):
                print(name, flush=True)
                measure(args, claims, args.cache or Path(temporary))
    claims.finish()


if __name__ == "__main__":
    main()
