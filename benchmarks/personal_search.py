"""Measures whether an order for who asks helps: searches for what shoppers bought soon after.

    python benchmarks/personal_search.py [--quick] [--cache DIR] [--seed N]

Shoppers of The Complete Journey (84.51 degrees, installs as a package) search for the first two
words of the title of a product that they bought in the last four weeks; their history is what they
bought before. Every second search chooses, the others report: the mean reciprocal rank, among the
first ten, of the first product that the shopper went on to buy, with everyone's order as the peer.
The queries are made from titles, so the figure says little of queries that name no product.
"""

import argparse
import tempfile
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from claims import Claims, hash_of, machine
from search import journey

from shopkeeper import registry, schema
from shopkeeper.config import SearchSection
from shopkeeper.encoders import VectorCache
from shopkeeper.engine.personal import Taste
from shopkeeper.search.catalogue import ProductSearch
from shopkeeper.search.text import product_text
from shopkeeper.streaming.state import Steps

WEIGHTS = (0.02, 0.05, 0.1, 0.2, 0.3)
PURCHASE = schema.EVENT_NAMES.index("purchase")
DAYS = 28


@dataclass
class Case:
    shopper: str
    query: str


@dataclass
class Journey:
    products: pl.DataFrame
    past: dict[str, pl.DataFrame]
    bought: dict[str, set[str]]
    sales: dict[str, float]
    cases: list[Case]
    now_us: int


def read(args: argparse.Namespace) -> Journey:
    products, file = journey()
    rows = pl.read_parquet(file.parent / "transactions.parquet").select(
        user=pl.col("household_id").cast(pl.String),
        item=pl.col("product_id").cast(pl.String),
        time=pl.col("transaction_timestamp").dt.cast_time_unit("us"),
    )
    print(f"data {file.name} {hash_of(file)}; seed: {args.seed}; {machine()}")
    end = rows["time"].max() - timedelta(days=DAYS)
    before, after = rows.filter(pl.col("time") < end), rows.filter(pl.col("time") >= end)
    recent = before.filter(pl.col("time") >= end - timedelta(days=3 * DAYS))
    sales = dict(recent.group_by("item").len().iter_rows())
    rng = np.random.default_rng(args.seed)
    shoppers = after["user"].unique().sort().to_list()
    rng.shuffle(shoppers)
    found = Journey(products, {}, {}, sales, [], int(end.replace(tzinfo=UTC).timestamp() * 1e6))
    titles = dict(products.select("id", "title").drop_nulls().iter_rows())
    for shopper in shoppers[: 100 if args.quick else 400]:
        past = before.filter(pl.col("user") == shopper).sort("time").tail(1_000)
        items = after.filter(pl.col("user") == shopper)["item"].unique().sort().to_list()
        items = [item for item in items if item in titles]
        if past.height < 10 or not items:
            continue
        found.past[shopper], found.bought[shopper] = past, set(items)
        for item in rng.permutation(items)[:3].tolist():
            found.cases.append(Case(shopper, " ".join(titles[item].split()[:2])))
    return found


class Asking:
    """Asks every search with everyone's order or the shopper's own."""

    def __init__(self, data: Journey, encoder: Any, index: Any) -> None:
        self.data, self.index = data, index
        queries = sorted({case.query for case in data.cases})
        vectors = encoder.encode(queries, "query")
        self.vector = dict(zip(queries, vectors, strict=True))
        attributes = ProductSearch(index).attributes(data.products)
        self.taste = {}
        for shopper, past in data.past.items():
            times, zeros = past["time"].to_physical().to_numpy(), np.zeros(past.height)
            codes = np.full(past.height, PURCHASE, np.int8)
            steps = Steps(zeros.astype(np.int32), codes, times)
            self.taste[shopper] = Taste(attributes, past["item"].to_list(), steps, data.now_us)

    def ranks(self, weight: float, half: int) -> tuple[np.ndarray, np.ndarray]:
        """Return reciprocal ranks of the first bought product, and of the first new one."""
        search = ProductSearch(self.index, ProductSearch.Config(lift_weight=weight))
        any_, new = [], []
        for case in self.data.cases[half::2]:
            page = search.search(
                case.query,
                self.vector[case.query],
                self.data.products,
                k=10,
                popularity=self.data.sales,
                lift=self.taste[case.shopper] if weight else None,
            )
            bought = self.data.bought[case.shopper]
            known = set(self.data.past[case.shopper]["item"])
            any_.append(_first([item in bought for item in page.ids]))
            new.append(_first([item in bought and item not in known for item in page.ids]))
        return np.array(any_), np.array(new)


def _first(hits: list[bool]) -> float:
    return 1 / (1 + hits.index(True)) if any(hits) else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, help="where vectors are kept between runs")
    parser.add_argument("--quick", action="store_true", help="fewer shoppers, another encoder")
    parser.add_argument("--data", type=Path, help="not used: the data comes as a package")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    claims, data = Claims(full=not args.quick), read(args)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.cache or Path(temporary)
        name = "hashing" if args.quick else "minilm"
        encoder = registry.build("encoders", name).ensure(folder / "minilm")
        texts = product_text(data.products).to_list()
        vectors = VectorCache(folder / "vectors").encode(encoder, texts)
    asking = Asking(
        data, encoder, registry.build("search.indexes", "hybrid").build(data.products, vectors)
    )
    for weight in (0.0, *WEIGHTS):
        found, new = asking.ranks(weight, 0)
        about = f"{found.mean():.4f}, new to the shopper {new.mean():.4f}"
        print(f"             choosing: personal {weight:.2f}  {about}")
    weight = SearchSection().personal
    (mine, new), (plain, new_plain) = asking.ranks(weight, 1), asking.ranks(0.0, 1)
    gap = mine - plain
    draws = np.random.default_rng(args.seed).choice(gap, (2_000, len(gap))).mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    print(f"             {len(gap)} searches: {mine.mean():.4f}, everyone's {plain.mean():.4f}")
    print(f"             gain {gap.mean():+.4f}, 95 % from {low:+.4f} to {high:+.4f}")
    print(f"             new to the shopper: {new.mean():.4f}, everyone's {new_plain.mean():.4f}")
    claims.check(f"gain of personal = {weight}, low end", float(low), 0.0)
    claims.finish()


if __name__ == "__main__":
    main()
