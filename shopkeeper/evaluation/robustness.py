"""What does a recommender lose when its log is not to be trusted?

Wants that nobody had are mixed in, and fake shoppers push chosen products; then everything is
learned again and asked for the last thing of the same users, as `leave_one_out` does. Source:
attacks of Lam and Riedl (WWW 2004) and Mobasher et al. (2007), for wants in the place of ratings:
a fake shopper wants products like anybody's (`average`), the best known ones (`bandwagon`) or any
(`random`), and at last the pushed one, which is the most that a method that reads order can be
told. Knows no method.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper import registry
from shopkeeper.errors import BadConfig
from shopkeeper.evaluation import leave_one_out as loo
from shopkeeper.evaluation.bootstrap import paired_difference
from shopkeeper.schema import ITEM, LEARN, TIME, USER
from shopkeeper.tracing import stage

SHARES = (0.05, 0.1, 0.2)
"""Wants that nobody had, as shares of those that are in the log."""
ATTACKS = ("random", "average", "bandwagon")
FAKE_SHARE = 0.05
"""Fake shoppers, as a share of the real ones."""
TARGETS = 10
"""How many products are pushed at once, each by a tenth of the fake shoppers."""
KNOWN_SHARE = 0.02
"""The best known products that `bandwagon` names, as a share of all."""
K = 10


def benchmark_robustness(
    name: str,
    file: Path,
    *,
    seed: int = 0,
    minutes: float | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Measure what noise and attacks cost the recommender `name`.

    Args:
        name: A recommender of the shelf.
        file: As `leave_one_out.benchmark` reads it.
        seed: Decides ids, noise, attacks, and learning where the recommender has a `seed`.
        minutes: For all runs of learning together.
        settings: Of the recommender.

    Returns:
        One object that JSON can say. `noise`: a row for each share, `ndcg@10`, `loss` beside the
        log as it is, and `low` and `high` of the loss with 95 % confidence, by user. `attacks`: the
        same, and `hit_rate@10`, the share of users who never had a pushed product that find it
        among ten, beside `clean_hit_rate@10`, before the attack.

    Raises:
        BadConfig: There is no such recommender or setting.
        BadData: The file is missing, empty or has other columns, or no user has enough items.
    """
    part = registry.find("recommenders", name)
    runs = 1 + len(SHARES) + len(ATTACKS)
    chosen = loo.chosen_settings(part, dict(settings or {}), minutes, runs)
    if "seed" in part.Config.__dataclass_fields__:
        chosen = {"seed": seed} | chosen
    began = time.perf_counter()
    _, kept = loo.enough(file)
    rows = loo.relabelled(kept, seed)
    course = _Course(name, chosen, rows, seed)
    with stage("clean"):
        clean, seen = course.measure(rows, None)
    return {
        "benchmark": "robustness",
        "recommender": name,
        "settings": chosen,
        "file": file.name,
        "users": rows["user"].n_unique(),
        "items": rows["item"].n_unique(),
        "events": rows.height,
        "seed": seed,
        "ndcg@10": float(clean.mean()),
        "noise": course.noise(clean),
        "attacks": course.attacks(clean, seen),
        "seconds": round(time.perf_counter() - began, 2),
        "peak_memory_mb": loo.peak_memory_mb(),
    }


def with_noise(rows: pl.DataFrame, share: float, seed: int) -> pl.DataFrame:
    """Mix wants that nobody had into histories, each at any place before the newest want.

    Args:
        rows: `user`, `item` and `pos`, the order inside a user from 0.
        share: How many, as a share of the rows.
        seed: Decides which.

    Returns:
        Rows by user, the newest of each as before; no user has what is to be found twice.

    Raises:
        BadConfig: The share is below 0.
    """
    if not share >= 0:
        raise BadConfig(f"The share of noise must be at least 0, got {share}.")
    random = np.random.default_rng((seed, 17))
    sizes = rows.group_by("user").agg(pl.len().alias("size"), pl.col("item").last().alias("last"))
    sizes = sizes.sort("user")
    num = round(share * rows.height)
    drawn = sizes[random.integers(0, sizes.height, num).tolist()]
    items = rows["item"].unique().sort()
    place = random.random(num) * (drawn["size"].to_numpy() - 1) - 0.5
    noise = drawn.with_columns(
        items.gather(random.integers(0, len(items), num)).alias("item"), pos=pl.Series(place)
    ).filter(pl.col("item") != pl.col("last"))
    mixed: pl.DataFrame = pl.concat(
        [rows.with_columns(pl.col("pos").cast(pl.Float64)), noise.select("user", "item", "pos")]
    )
    mixed = mixed.sort("user", "pos", maintain_order=True)
    return mixed.with_columns(pos=pl.int_range(pl.len()).over("user"))


def fake_shoppers(
    rows: pl.DataFrame, attack: str, pushed: list[str], seed: int, share: float = FAKE_SHARE
) -> pl.DataFrame:
    """Make shoppers who want what seems usual, and at last one of the pushed products.

    Args:
        rows: `user`, `item` and `pos` of the real ones.
        attack: One of `ATTACKS`.
        pushed: The products, each pushed by as many.
        seed: Decides the rest.
        share: How many, as a share of the real ones; at least one for each product.

    Returns:
        `user`, `item` and `pos`, as long as the median of the real ones.

    Raises:
        BadConfig: There is no such attack.
    """
    if attack not in ATTACKS:
        raise BadConfig(f"attack must be one of {', '.join(ATTACKS)}, got '{attack}'.")
    random = np.random.default_rng((seed, 19))
    counts = rows.group_by("item").len().sort(["len", "item"], descending=[True, False])
    chance = counts["len"].to_numpy().astype(float)
    if attack == "random":
        chance[:] = 1
    if attack == "bandwagon":
        chance[max(5, round(KNOWN_SHARE * len(chance))) :] = 0
    sizes = rows.group_by("user").len()["len"]
    usual = min(int(sizes.median()), int((chance > 0).sum()))  # type: ignore[arg-type]
    found = []
    for number in range(max(len(pushed), round(share * len(sizes)))):
        drawn = random.choice(len(chance), usual, replace=False, p=chance / chance.sum())
        wanted = [*counts["item"].gather(drawn), pushed[number % len(pushed)]]
        found.append({"user": f"fake{number:06d}", "item": wanted})
    table = pl.DataFrame(found).explode("item")
    return table.with_columns(pos=pl.int_range(pl.len()).over("user"))


class _Course:
    """The same question, asked after learning from one log or another."""

    def __init__(self, name: str, settings: dict[str, Any], rows: pl.DataFrame, seed: int) -> None:
        self.name, self.settings, self.rows, self.seed = name, settings, rows, seed
        counts = rows.group_by("item").len().sort("len", "item")
        # Products that a few want: nobody pushes what sells by itself.
        lesser = counts["item"].slice(counts.height // 4, max(1, counts.height // 4))
        chosen = np.random.default_rng((seed, 23)).permutation(len(lesser))[:TARGETS]
        self.pushed: list[str] = lesser.gather(np.sort(chosen)).to_list()

    def noise(self, clean: NDArray[np.float64]) -> list[dict[str, Any]]:
        """Return a row for each share of noise; `clean` is the NDCG of each user without, [B]."""
        told = []
        for share in SHARES:
            with stage(f"noise-{share:.0%}"):
                found, _ = self.measure(with_noise(self.rows, share, self.seed), None)
            told.append({"noise": share, **_loss(clean, found)})
        return told

    def attacks(self, clean: NDArray[np.float64], seen: float) -> list[dict[str, Any]]:
        """Return a row for each attack; `seen` is how often pushed products are found without."""
        told = []
        for attack in ATTACKS:
            with stage(f"attack-{attack}"):
                fake = fake_shoppers(self.rows, attack, self.pushed, self.seed)
                found, after = self.measure(self.rows, fake)
            hits = {"hit_rate@10": after, "clean_hit_rate@10": seen}
            told.append({"attack": attack, "fake": FAKE_SHARE, **hits, **_loss(clean, found)})
        return told

    def measure(
        self, rows: pl.DataFrame, fake: pl.DataFrame | None
    ) -> tuple[NDArray[np.float64], float]:
        """Return the NDCG of each user, and how often a pushed product is found, of 1."""
        events = loo.events_of(rows)
        past = events.filter(pl.col("left") > 0)
        learned = past.select(*LEARN)
        if fake is not None:
            pushing = loo.events_of(fake).with_columns(pl.col(TIME).dt.offset_by("-1h"))
            learned = pl.concat([learned, pushing.select(*LEARN)])
        model = registry.build("recommenders", self.name, **self.settings).fit(learned)
        requests = loo.requests_of(past)
        wanted = events.filter(pl.col("left") == 0).sort(USER)[ITEM].to_numpy()
        gains, shown = [], []
        for begin in range(0, requests.height, loo.REQUESTS_MAX):
            some = loo.from_zero(requests.slice(begin, loo.REQUESTS_MAX))
            found = model.recommend(some, loo.DEPTH)
            rank = loo.ranks(found, wanted[begin : begin + loo.REQUESTS_MAX])
            gains.append(np.where(rank <= K, 1 / np.log2(rank + 1.0), 0.0))
            first = found.filter((pl.col("rank") <= K) & pl.col(ITEM).is_in(self.pushed))
            shown.append(first.height)
        had = past.filter(pl.col(ITEM).is_in(self.pushed)).select(USER, ITEM).unique().height
        asked = requests.height * len(self.pushed) - had
        return np.concatenate(gains), sum(shown) / max(1, asked)


def _loss(clean: NDArray[np.float64], found: NDArray[np.float64]) -> dict[str, float]:
    loss = paired_difference(clean, found)
    return {
        "ndcg@10": float(found.mean()), "loss": loss.mean, "low": loss.low, "high": loss.high,
    }  # fmt: skip
