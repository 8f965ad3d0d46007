"""What a place on a page is for: the ranker's order, re-weighted by what a sale is worth.

A product's value is its chance times its worth: `chance x sum(weight x worth) / sum(weight)`. Worth
is relative to the middle product of the page, so that weights compare: 1 for a click or a sale,
price, margin, and how few have bought it, for discovery. The trees tell odds, up to a constant; a
list without a ranker tells its order alone, whose chances are taken from its places. One chance
stands for clicks and for sales, as long as no ranker tells them apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.arrays import Picks
from shopkeeper.schema import PRICE, PRODUCT_ID

Floats = NDArray[np.float64]
WORTH_MAX = 10.0
"""A product is worth at most so many times the middle one, or one luxury would fill every page."""
PLAIN = {"clicks", "conversion"}
"""Aims for which every product is worth the same."""
OTHERS = ("revenue", "margin", "discovery")


def neutral(objective: Mapping[str, float]) -> bool:
    """Say whether an objective leaves the order as it is."""
    return not any(objective.get(aim) for aim in OTHERS)


def level(page: Picks) -> Picks:
    """Give scores that fall from place to place, where those of several lists were mixed."""
    if len(page) < 2 or not (np.diff(page.score_E) > 0).any():
        return page
    return replace(page, score_E=(1 / np.log2(2 + np.arange(len(page)))).astype(np.float32))


def weighed(
    page: Picks,
    objective: Mapping[str, float],
    products: Mapping[str, Sequence[Any]],
    sales: Mapping[str, float],
    odds: bool,
) -> Picks:
    """Put a page in the order of what its products are worth to the shop.

    Args:
        page: Candidates of one request, best first.
        objective: Weights by aim; not all 0.
        products: Columns of `schema.PRODUCTS` of the candidates.
        sales: Baskets by product.
        odds: Whether scores are those of the ranker, on a logarithmic scale.

    Returns:
        The same products by value, the score being the value; equal ones keep their order.
    """
    if not len(page):
        return page
    chance = 1 / np.log2(2 + np.arange(len(page), dtype=np.float64))
    if odds and not (np.diff(page.score_E) > 0).any():
        chance = np.exp(np.clip(page.score_E - page.score_E.max(), -30, 0).astype(np.float64))
    value = np.zeros(len(page))
    for aim, weight in objective.items():
        if weight:
            value += weight * _worth(aim, products, sales)
    value *= chance / sum(objective.values())
    order = np.argsort(-value, kind="stable")
    return replace(page.take(order), score_E=value[order].astype(np.float32))


def _worth(
    aim: str, products: Mapping[str, Sequence[Any]], sales: Mapping[str, float]
) -> Floats | float:
    """Return what each product is worth for an aim, 1 for the middle one and for unknown ones."""
    if aim in PLAIN:
        return 1.0
    if aim == "discovery":
        sold = np.array([sales.get(item, 0.0) for item in products[PRODUCT_ID]], np.float64)
        return _relative(1 / (1 + np.log1p(sold)))
    asked = [
        price if sale is None else sale
        for price, sale in zip(products[PRICE], products["sale_price_minor"], strict=True)
    ]
    if aim == "margin":
        costs = products["cost_of_goods_sold_minor"]
        asked = [
            None if price is None or cost is None else price - cost
            for price, cost in zip(asked, costs, strict=True)
        ]
    return _relative(np.array(asked, np.float64))


def _relative(worth: Floats) -> Floats:
    known = worth[np.isfinite(worth)]
    middle = float(np.median(known)) if len(known) else 0.0
    if not middle > 0:
        return np.ones(len(worth))
    return np.clip(np.where(np.isfinite(worth), worth / middle, 1.0), 0, WORTH_MAX)
