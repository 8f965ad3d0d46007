"""Measures whether explanations are faithful: does a product fall without its named evidence?

    python benchmarks/explanations.py [--data DIR | --shop FOLDER] [--shoppers 60] [--quick]

Of shoppers of the gift shop (UCI Online Retail, `demo/online_retail.parquet` in DIR), spread from
the busiest to the quiet, each product of the page `home` is scored again as if the shopper had
never met the product that its reason names; the share of scores that fall is the figure. The
control takes away another product of the same shopper's past instead, drawn by the seed. Trees'
contributions must add up to each score. `--shop` names a trained shop to ask instead of making one.
"""

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from claims import Claims, hash_of, machine

from shopkeeper import Shop
from shopkeeper.engine.demo import prepare
from shopkeeper.engine.explaining import Explainer
from shopkeeper.engine.ranked import Ranked

SHARE_MIN, GAP_MIN = 0.9, 0.3
PAGE = 40
"""Long pages, for the first places of regulars all go to what they buy again."""


@contextmanager
def opened(args: argparse.Namespace) -> Iterator[Shop]:
    if args.shop:
        with Shop.open(args.shop) as shop:
            yield shop
        return
    with tempfile.TemporaryDirectory() as folder:
        prepare("gifts", args.data / "demo" / "online_retail.parquet", Path(folder) / "shop")
        with Shop.open(Path(folder) / "shop") as shop:
            yield shop


def judge(shop: Shop, user: str, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Score each product of a page without its evidence, and without another product."""
    answer = shop.recommend("home", user_id=user, k=PAGE)
    trace = shop.live.traces.get(answer.request_id)
    assert trace is not None
    assert trace.asked is not None
    explainer = Explainer(shop.live, trace)
    own = Ranked(shop.live, trace.asked)
    past = np.unique(trace.asked.item_H)
    rows = []
    for result in explainer.page(rescore=True)["results"]:
        told = [one for one in result["evidence"] if one.get("lowers") is not None]
        before = own.score(result["item_id"])
        if not told or before is None:
            continue
        (named,) = trace.asked.ids.rows([told[0]["item_id"]]).tolist()
        others = past[past != named]
        if not len(others):
            continue
        other = trace.asked.ids.listed(rng.choice(others, 1))[0]
        after, without = own.without(other).score(result["item_id"]), told[0]["score_without"]
        rows.append(
            {
                "source": result["source"],
                "named": told[0]["lowers"],
                "other": after is None or after < before,
                "fall": None if without is None else before - without,
                "other fall": 0.0 if after is None else before - after,
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path())
    parser.add_argument("--shop", type=Path)
    parser.add_argument("--shoppers", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    claims = Claims(full=not args.quick)
    rng = np.random.default_rng(args.seed)
    with opened(args) as shop:
        file = shop.folder / "shop.db"
        print(f"shop {shop.live.version}, records {hash_of(file)}; seed {args.seed}; {machine()}")
        walkers = [user for user, _ in shop.live.state.walkers(10 if args.quick else args.shoppers)]
        rows = [row for user in walkers for row in judge(shop, user, rng)]
        trees = shop.live.trees
        worst = 0.0
        for user in walkers[:5]:
            ranked = Ranked(shop.live, shop.live.asked(shop.live.state.steps(user)))
            _, features, scores = ranked._found
            mean, parts = trees.contributions(features) if trees else (0.0, features * 0)
            worst = max(worst, float(np.abs(mean + parts.sum(axis=1) - scores).max()))
    by_source = defaultdict(list)
    for row in rows:
        by_source[row["source"]].append(row)
    print(f"{len(rows)} products with evidence on pages of {len(walkers)} shoppers")
    for source, mine in sorted(by_source.items()):
        named, other = (float(np.mean([row[key] for row in mine])) for key in ("named", "other"))
        fall = np.median([row["fall"] for row in mine if row["fall"] is not None] or [np.nan])
        beside = np.median([row["other fall"] for row in mine])
        print(
            f"  {source:18} {len(mine):5}  falls without named {named:.3f}, another {other:.3f}; "
            f"median fall {fall:.3f}, another {beside:.3f}"
        )
    share, control = (float(np.mean([row[key] for row in rows])) for key in ("named", "other"))
    error = np.sqrt(share * (1 - share) / max(len(rows), 1))
    print(f"falls without the named evidence {share:.3f} (standard error {error:.3f})")
    claims.check("explanations: score falls without named evidence", share, SHARE_MIN)
    claims.check("explanations: beyond another product's removal", share - control, GAP_MIN)
    claims.check("explanations: contributions add up, largest error", worst, 1e-3, below=True)
    claims.finish()


if __name__ == "__main__":
    main()
