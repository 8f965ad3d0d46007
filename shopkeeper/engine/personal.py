"""How far each product of a search suits the shopper who asks, from what they did until now.

Four things speak for a product: that they bought it, its brand, its category, and that its price is
what they usually choose in its category. Each is a share of what they did, newer and stronger deeds
counting more as in `leanings`, and all of it counts little as long as little is known. Knows
nothing of words; a search bounds what it makes of this.
"""

import numpy as np
from numpy.typing import NDArray

from shopkeeper.arrays import DAY_US
from shopkeeper.engine.leanings import HALF_LIFE_DAYS, WEIGHTS
from shopkeeper.schema import CATEGORY, EVENT_NAMES
from shopkeeper.search.filters import PATH, Attributes, Rows
from shopkeeper.streaming.state import Steps

Floats = NDArray[np.float32]

BOUGHT, BRAND, KIND, PRICED = range(4)
"""Brand and category stand side by side."""
PARTS = (0.35, 0.3, 0.2, 0.15)
"""What each of the four counts; 1 in all."""
ENOUGH = 2.0
"""So much done, in purchases, counts half of what any amount could."""
PRICE_WIDTH = 0.5
"""How far from the usual price, as a logarithm, a price still suits."""
SAID_MIN = 0.05
"""What a part must bring to be given as the reason."""

_WORTH = np.array([WEIGHTS.get(name, 0.0) for name in EVENT_NAMES])
_PURCHASE = EVENT_NAMES.index("purchase")


class Taste:
    """What one shopper leans to, among the products of one moment. N products."""

    def __init__(self, attributes: Attributes, items: list[str], steps: Steps, now_us: int) -> None:
        """Weigh a history.

        Args:
            attributes: What is known of the products.
            items: The product of each step.
            steps: The history.
            now_us: When ages are counted from, in microseconds since 1970.
        """
        age_days = np.maximum(now_us - steps.time_us, 0) / DAY_US
        weight_H = _WORTH[steps.event] * 0.5 ** (age_days / HALF_LIFE_DAYS)
        item_H = attributes.rows(items)
        told = (weight_H > 0) & (item_H >= 0)
        item_H, weight_H = item_H[told], weight_H[told]
        whole = float(weight_H.sum())
        self.sure = whole / (whole + ENOUGH)
        """How much all of it counts, from 0 for nothing known up to 1."""
        self._attributes = attributes
        self._bought_N = np.zeros(len(attributes), np.bool_)
        self._bought_N[item_H[steps.event[told] == _PURCHASE]] = True
        self._shares = []
        for name in ("brand", CATEGORY) if whole else ():
            column = attributes.column(name)
            shares = np.bincount(column.codes[item_H], weight_H / whole, len(column.values))
            shares[0] = 0
            self._shares.append((column.codes, shares))
        self._usual = _usual(attributes.usual_ratio()[item_H], weight_H)

    def __call__(self, rows: Rows) -> Floats:
        """Return how far each of some products suits, from 0 to 1."""
        found: Floats = self.parts(rows).sum(axis=1)
        return found

    def parts(self, rows: Rows) -> Floats:
        """Return what each of the four brings for some products, [N, 4]; at most 1 in all."""
        found = np.zeros((len(rows), len(PARTS)), np.float32)
        found[:, BOUGHT] = self._bought_N[rows]
        for part, (codes, shares) in enumerate(self._shares, BRAND):
            found[:, part] = shares[codes[rows]]
        if self._usual is not None:
            away = (self._attributes.usual_ratio()[rows] - self._usual) / PRICE_WIDTH
            found[:, PRICED] = np.where(np.isnan(away), 0, np.exp(-(away**2)))
        found *= np.array(PARTS, np.float32) * np.float32(self.sure)
        return found

    def why(self, rows: Rows) -> list[str]:
        """Return the strongest reason for each of some products, empty where there is none."""
        parts = self.parts(rows)
        best = parts.argmax(axis=1)
        brought = parts[np.arange(len(rows)), best] >= SAID_MIN
        return [
            _said(self._attributes, row, part) if enough else ""
            for row, part, enough in zip(rows.tolist(), best.tolist(), brought, strict=True)
        ]


def _usual(ratio_H: NDArray[np.float64], weight_H: NDArray[np.float64]) -> float | None:
    """Return the price that is usually chosen beside what is usual, as a logarithm."""
    priced = np.isfinite(ratio_H)
    if not priced.any():
        return None
    return float((ratio_H[priced] * weight_H[priced]).sum() / weight_H[priced].sum())


def _said(attributes: Attributes, row: int, part: int) -> str:
    if part == BOUGHT:
        return "you bought it before"
    if part == PRICED:
        return "at a price that you often choose"
    column = attributes.column("brand" if part == BRAND else CATEGORY)
    return f"you often choose {column.values[column.codes[row]].rsplit(PATH, 1)[-1]}"
