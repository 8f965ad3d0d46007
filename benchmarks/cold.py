"""Products that nobody has wanted yet: 5 % of the gift shop's are withheld from learning.

Their events are taken out wholly, from histories too; their texts are known. Each known shopper's
purchases of them in the four weeks from the split on are to be found: among the withheld ones
alone (R@10), and among the whole catalogue (R@50). Recall is divided by the most that fits.
Settings were chosen at an earlier split. Beside: chance, and nearest neighbours by text.
"""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from claims import Claims, hash_of

from shopkeeper import Shop, registry
from shopkeeper.arrays import Asked, Ids
from shopkeeper.engine import demo, settings
from shopkeeper.engine.encoding import encode
from shopkeeper.engine.known import known_of
from shopkeeper.engine.learn import Known
from shopkeeper.engine.product_vectors import ProductVectors, described
from shopkeeper.evaluation.bootstrap import paired_difference
from shopkeeper.evaluation.splits import requests_at
from shopkeeper.schema import EVENT_NAME, ITEM, PRODUCT_ID, TIME, USER

SHARE, DAYS = 0.05, 28
TEXT, OURS = "nearest neighbours by text", "content"


def gift_shop(data: Path, folder: Path) -> tuple[Known, Any]:
    """Load the gift shop and read its texts; return what is known, and the settings."""
    plan, file = demo.SHOPS["gifts"], data / "demo" / "online_retail.parquet"
    settings.init(
        folder,
        plan.parts,
        shop={"name": plan.name, "currency": plan.currency, "clock": "replay"},
        inputs={"gifts": {"source": plan.source, "file": str(file.resolve())}},
        evaluation={"split": plan.split},
    )
    shop = Shop.open(folder)
    shop.ingest(file)
    known = known_of(folder, shop.config)
    _, vectors = encode(folder, shop.config, known.products)
    return described(known, vectors), shop.config


def withheld(known: Known, seed: int) -> pl.Series:
    sold = known.events.filter(pl.col(EVENT_NAME) == "purchase")[ITEM].unique().sort()
    chosen = np.random.default_rng(seed).permutation(len(sold))[: round(SHARE * len(sold))]
    return sold.gather(np.sort(chosen))


def questions(known: Known, split: datetime, cold: pl.Series) -> tuple[Known, pl.DataFrame]:
    """Return what is known before the split without the cold products, and who bought them."""
    is_cold = pl.col(ITEM).is_in(cold.implode())
    past = Known(known.events.filter((pl.col(TIME) < split) & ~is_cold), known.products)
    bought = known.everything.filter((pl.col(EVENT_NAME) == "purchase") & is_cold).filter(
        (pl.col(TIME) >= split) & (pl.col(TIME) < split + timedelta(days=DAYS))
    )
    buyers = past.events.filter(pl.col(EVENT_NAME) == "purchase")[USER].drop_nulls().unique()
    rows = bought.filter(pl.col(USER).is_in(buyers.implode())).group_by(USER)
    return past, rows.agg(pl.col(ITEM).unique().sort().alias("targets")).sort(USER)


def recalls(scores: np.ndarray, wanted: np.ndarray, k: int) -> np.ndarray:
    """Return [B]: the share of the targets [B, N] among the k best; products unscored are last."""
    order = np.argsort(-np.nan_to_num(scores, nan=-np.inf), axis=1, kind="stable")[:, :k]
    return np.take_along_axis(wanted, order, 1).sum(1) / np.minimum(wanted.sum(1), k)


def judged(model: Any, past: Known, split: datetime, asked_of: pl.DataFrame) -> np.ndarray:
    """Return what a recommender says of every product, [B, N]."""
    requests = requests_at(past.events, split, asked_of[USER].to_list(), 1000)
    asked = Asked.of(requests, Ids.of(past.products[PRODUCT_ID]))
    size, found = len(asked.ids), []
    for begin in range(0, asked.size, 64):
        some = asked.slice(begin, min(begin + 64, asked.size))
        owner, item = np.repeat(np.arange(some.size), size), np.tile(np.arange(size), some.size)
        found.append(model.judge(some, owner, item).reshape(some.size, size))
    return np.concatenate(found)


def recommenders(past: Known, config: Any, learned: bool, seed: int) -> dict[str, Any]:
    """Fit all that can show a product nobody wanted."""
    built = {TEXT: registry.build("recommenders", "content").fit(past.events, past.products)}
    vectors = ProductVectors(config)
    ours = registry.build("recommenders", "content")
    built[OURS] = ours.fit(past.events, vectors.products(past, [ours]))
    if learned:
        tower = registry.build("recommenders", "two_tower", seed=seed)
        built["two_tower"] = tower.fit(past.events, past.products)
        reading = registry.build("recommenders", "sequential", seed=seed, content_numbers=64)
        built["sequential, with content"] = reading.fit(past.events, past.products)
    return built


def cold(claims: Claims, data: Path, seeds: int, quick: bool, split: str = "2011-11-09") -> None:
    moment = datetime.fromisoformat(split).replace(tzinfo=UTC)
    print(f"\ncold products: online_retail {hash_of(data / 'demo' / 'online_retail.parquet')}")
    found: dict[str, list[tuple[float, float]]] = {}
    paired = []
    with tempfile.TemporaryDirectory() as folder:
        known, config = gift_shop(data, Path(folder) / "gifts")
    for seed in range(seeds):
        hidden = withheld(known, seed)
        past, asked_of = questions(known, moment, hidden)
        ids = Ids.of(past.products[PRODUCT_ID])
        wanted = np.zeros((asked_of.height, len(ids)), bool)
        sizes = asked_of["targets"].list.len().to_numpy()
        owner = np.repeat(np.arange(asked_of.height), sizes)
        wanted[owner, ids.rows(asked_of["targets"].explode())] = True
        rows, each = ids.rows(hidden), {}
        models = recommenders(past, config, not quick, seed)
        scored = {name: judged(model, past, moment, asked_of) for name, model in models.items()}
        scored["chance"] = np.random.default_rng(seed).random(wanted.shape)
        for name, scores in scored.items():
            each[name] = recalls(scores[:, rows], wanted[:, rows], 10)
            whole = recalls(scores, wanted, 50)
            found.setdefault(name, []).append((float(each[name].mean()), float(whole.mean())))
        paired.append(paired_difference(each[OURS], each[TEXT]))
    for name, runs in found.items():
        mean, spread = np.mean(runs, axis=0), np.std(runs, axis=0, ddof=1 if seeds > 1 else 0)
        print(
            f"             {name:32} R@10 {mean[0]:.4f}  R@50 of all {mean[1]:.4f}  "
            f"spread {spread[0]:.4f}/{spread[1]:.4f}, {seeds} seeds",
            flush=True,
        )
    means = {name: float(np.mean([run[0] for run in runs])) for name, runs in found.items()}
    claims.check("cold products: R@10, in chances", means[OURS] / means["chance"], 3.0)
    above = min(gain.low for gain in paired)
    claims.check("cold products: R@10 above text, least low end", above, 0.0)
