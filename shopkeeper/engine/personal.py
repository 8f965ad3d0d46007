"""How far each product of a search suits the shopper who asks, from what they did until now.

Four things speak for a product: that they bought it, its brand, its category, and that its price is
what they usually choose in its category. Each is a share of what they did, newer and stronger deeds
counting more as in `leanings`, and all of it counts little as long as little is known. Knows
nothing of words; a search bounds what it makes of this.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shopkeeper.arrays import DAY_US
from shopkeeper.engine.leanings import HALF_LIFE_DAYS, WEIGHTS
from shopkeeper.schema import CATEGORY, EVENT_NAMES
from shopkeeper.search.filters import PATH, Attributes, Rows
from shopkeeper.streaming.state import Steps

Floats = NDArray[np.float32]

BOUGHT, BRAND, KIND, PRICED = range(4)
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


@dataclass(frozen=True)
class Taste:
    """What one shopper did, H deeds that tell of taste."""

    items: list[str]
    weight_H: NDArray[np.float64]
    bought_H: NDArray[np.bool_]

    @classmethod
    def of(cls, items: list[str], steps: Steps, now_us: int) -> "Taste | None":
        """Weigh a history, or return None where it tells nothing.

        Args:
            items: The product of each step.
            steps: The history.
            now_us: When ages are counted from, in microseconds since 1970.

        Returns:
            The taste.
        """
        age_days = np.maximum(now_us - steps.time_us, 0) / DAY_US
        weight = _WORTH[steps.event] * 0.5 ** (age_days / HALF_LIFE_DAYS)
        told = np.flatnonzero(weight > 0)
        if not len(told):
            return None
        return cls(
            [items[at] for at in told.tolist()], weight[told], steps.event[told] == _PURCHASE
        )

    def __call__(self, attributes: Attributes, rows: Rows) -> Floats:
        """Return how far each of some products suits, from 0 to 1."""
        found: Floats = self.parts(attributes, rows).sum(axis=1, dtype=np.float32)
        return found

    def parts(self, attributes: Attributes, rows: Rows) -> Floats:
        """Return what each of the four brings for some products, [N, 4]; at most 1 in all."""
        found = np.zeros((len(rows), len(PARTS)), np.float32)
        item_H = attributes.rows(self.items)
        there = item_H >= 0
        item_H, weight_H, bought_H = item_H[there], self.weight_H[there], self.bought_H[there]
        if not len(item_H):
            return found
        whole = float(weight_H.sum())
        mine = np.isin(rows, item_H[bought_H])
        found[:, BOUGHT] = mine
        for part, name in ((BRAND, "brand"), (KIND, CATEGORY)):
            codes = attributes.column(name).codes
            shares = np.bincount(codes[item_H], weight_H) / whole
            shares[0] = 0
            known = codes[rows] < len(shares)
            found[known, part] = shares[codes[rows[known]]]
        found[:, PRICED] = _suits(attributes.usual_ratio(), item_H, weight_H, rows)
        sure = np.float32(whole / (whole + ENOUGH))
        found *= sure * np.array(PARTS, np.float32)
        return found

    def why(self, attributes: Attributes, rows: Rows) -> list[str]:
        """Return the strongest reason for each of some products, empty where there is none."""
        parts = self.parts(attributes, rows)
        said = []
        for row, brought in zip(rows.tolist(), parts, strict=True):
            part = int(brought.argmax())
            said.append(_said(attributes, row, part) if brought[part] >= SAID_MIN else "")
        return said


def _suits(
    ratio_N: NDArray[np.float64], item_H: Rows, weight_H: NDArray[np.float64], rows: Rows
) -> NDArray[np.float64]:
    """Return how near prices are to what is usually chosen, from 0 to 1."""
    ratio_H = ratio_N[item_H]
    priced = np.isfinite(ratio_H)
    if not priced.any():
        return np.zeros(len(rows))
    usual = np.average(ratio_H[priced], weights=weight_H[priced])
    return np.nan_to_num(np.exp(-(((ratio_N[rows] - usual) / PRICE_WIDTH) ** 2)))


def _said(attributes: Attributes, row: int, part: int) -> str:
    if part == BOUGHT:
        return "you bought it before"
    if part == PRICED:
        return "at a price that you often choose"
    column = attributes.column("brand" if part == BRAND else CATEGORY)
    return f"you often choose {column.values[column.codes[row]].rsplit(PATH, 1)[-1]}"
