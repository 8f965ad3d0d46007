"""A small shop that starts from a large one: is it better than learning alone?

Both are cut out of the gift shop, with other shoppers and other products: half of the shoppers and
70 % of the products are the large shop, a few hundred shoppers and the other products the small
one. `sequential` learns the large shop, then the small one from there (`start_from`); beside it the
same network that learns the small shop alone, with content and without. The next basket on or after
the split is to be found, of shoppers whom neither has seen, among all products of the small shop.
Settings were chosen at an earlier split.
"""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from claims import Claims, hash_of
from cold import gift_shop

from shopkeeper import registry
from shopkeeper.arrays import Asked
from shopkeeper.engine.learn import Known
from shopkeeper.evaluation.bootstrap import paired_difference
from shopkeeper.evaluation.metrics import ndcg_at, recall_at
from shopkeeper.evaluation.splits import next_basket, requests_at
from shopkeeper.schema import ITEM, PRODUCT_ID, TIME, USER

SMALL_SHOPPERS = 200
CONTENT = {"content_numbers": 64}
ALONE, FROM, PLAIN = "content, alone", "content, from the large shop", "no content, alone"


def parted(known: Known, seed: int) -> dict[str, tuple[pl.Series, pl.Series]]:
    """Return shoppers and products of the large and the small shop, and who is asked about."""
    random = np.random.default_rng(seed)
    users = known.events[USER].drop_nulls().unique().sort()
    users = users.gather(random.permutation(len(users)))
    items = known.products[PRODUCT_ID].sort()
    items = items.gather(random.permutation(len(items)))
    half, large = len(users) // 2, round(0.7 * len(items))
    small = slice(half, half + SMALL_SHOPPERS)
    return {
        "large": (users[:half], items[:large]),
        "small": (users[small], items[large:]),
        "asked": (users[half + SMALL_SHOPPERS :], items[large:]),
    }


def events_of(known: Known, part: tuple[pl.Series, pl.Series]) -> pl.DataFrame:
    users, items = part
    return known.events.filter(
        pl.col(USER).is_in(users.implode()) & pl.col(ITEM).is_in(items.implode())
    )


def products_of(known: Known, part: tuple[pl.Series, pl.Series]) -> pl.DataFrame:
    return known.products.filter(pl.col(PRODUCT_ID).is_in(part[1].implode()))


def judge(model: Any, events: pl.DataFrame, split: datetime) -> np.ndarray:
    """Return recall and NDCG at 10 of each shopper's next basket, [2, B]."""
    targets = next_basket(events, split)
    requests = requests_at(events, split, targets[USER].to_list(), 1000)
    found = model.propose(Asked.of(requests, model.ids), 10)
    num, sizes = len(model.ids), targets["targets"].list.len().to_numpy().astype(np.int64)
    wanted = np.repeat(np.arange(len(sizes)), sizes) * num
    wanted += model.ids.rows(targets["targets"].explode())
    rank = np.arange(len(found.owner_E)) - np.searchsorted(found.owner_E, found.owner_E)
    hits = np.zeros((len(sizes), 10))
    hits[found.owner_E, rank] = np.isin(found.owner_E * num + found.item_E, wanted)
    return np.stack([recall_at(hits, sizes, 10), ndcg_at(hits, sizes, 10)])


def learned(known: Known, split: datetime, seed: int, folder: Path) -> dict[str, Any]:
    """Learn the large shop, and the small one from it and alone."""
    parts = parted(known, seed)
    before = Known(known.events.filter(pl.col(TIME) < split), known.products)

    def fit(name: str, shop: str, **settings: Any) -> Any:
        model = registry.build("recommenders", name, **settings)
        return model.fit(events_of(before, parts[shop]), products_of(known, parts[shop]))

    large = fit("sequential", "large", seed=seed, **CONTENT)
    registry.save(large, folder / "large")
    start = {"start_from": str(folder / "large")}
    return {
        FROM: fit("sequential", "small", seed=seed, **CONTENT, **start),
        ALONE: fit("sequential", "small", seed=seed, **CONTENT),
        PLAIN: fit("sequential", "small", seed=seed),
        "popular": fit("popular", "small"),
    }


def transfer(claims: Claims, data: Path, seeds: int, split: str = "2011-11-09") -> None:
    moment = datetime.fromisoformat(split).replace(tzinfo=UTC)
    print(f"\ntransfer: online_retail {hash_of(data / 'demo' / 'online_retail.parquet')}")
    found: dict[str, list[np.ndarray]] = {}
    with tempfile.TemporaryDirectory() as folder:
        known, _ = gift_shop(data, Path(folder) / "gifts")
        for seed in range(seeds):
            models = learned(known, moment, seed, Path(folder) / str(seed))
            events = events_of(known, parted(known, seed)["asked"])
            for name, model in models.items():
                found.setdefault(name, []).append(judge(model, events, moment))
    for name, runs in found.items():
        means = np.array([run.mean(axis=1) for run in runs])
        mean, spread = means.mean(axis=0), means.std(axis=0, ddof=1 if seeds > 1 else 0)
        print(
            f"             {name:32} R@10 {mean[0]:.4f}  N@10 {mean[1]:.4f}  "
            f"spread {spread[0]:.4f}/{spread[1]:.4f}, {seeds} seeds",
            flush=True,
        )
    gains = [paired_difference(a[1], b[1]) for a, b in zip(found[FROM], found[ALONE], strict=True)]
    for seed, gain in enumerate(gains):
        between = f"[{gain.low:.4f}, {gain.high:.4f}]"
        print(f"             gain of seed {seed}: {gain.mean:+.4f} {between}")
    low = min(gain.low for gain in gains)
    claims.check("small shop: N@10 from another shop above alone, least low end", low, 0.0)
