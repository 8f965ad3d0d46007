"""Which products a target of a rule or the filters of a placement mean, by row of the catalogue.

What was worked out stays as long as the products do.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.engine.catalogue import minor_price
from shopkeeper.rules.rule import Target
from shopkeeper.schema import CATEGORY
from shopkeeper.search import filters as narrowing
from shopkeeper.search.filters import Attributes, Rows

Mask = NDArray[np.bool_]
KEPT = 500
"""So many answers are remembered."""
PRICES = ("price_min", "price_max")


class Shelves:
    """The products of one moment, N of them."""

    def __init__(self, attributes: Attributes, currency: str) -> None:
        self._attributes, self._currency = attributes, currency
        self._masks: dict[Any, Mask] = {}

    def rows(self, items: Sequence[str]) -> Rows:
        """Return the row of each product, -1 for one nobody knows."""
        return self._attributes.rows(items)

    def ids(self, rows: Rows) -> list[str]:
        """Return the ids of rows."""
        return self._attributes.ids(rows)

    def matching(self, target: Target) -> Mask:
        """Say which products a target means, [N + 1]; the last stands for an unknown one."""
        found = self._masks.get(target)
        if found is None:
            if target.items:
                found = np.zeros(len(self._attributes) + 1, np.bool_)
                rows = self.rows(target.items)
                found[rows[rows >= 0]] = True
            else:
                named = {CATEGORY: target.category, "brand": target.brand}
                wanted: dict[str, Any] = {name: value for name, value in named.items() if value}
                prices = {name: getattr(target, name) for name in PRICES}
                found = self._narrowed(wanted, prices)
            self._keep(target, found)
        return found

    def passing(self, filters: Mapping[str, Any]) -> Mask:
        """Say which products pass the filters of a placement, [N + 1], the last never.

        BadRequest: Products have no such attribute, or a price cannot be.
        """
        key = tuple((name, _key(value)) for name, value in sorted(filters.items()))
        found = self._masks.get(key)
        if found is None:
            prices = {name: filters.get(name) for name in PRICES}
            wanted = {name: value for name, value in filters.items() if name not in PRICES}
            found = self._narrowed(wanted, prices)
            self._keep(key, found)
        return found

    def _narrowed(self, wanted: Mapping[str, Any], prices: Mapping[str, float | None]) -> Mask:
        low, high = (
            None if price is None else minor_price(price, self._currency, name)
            for name, price in prices.items()
        )
        every = np.arange(len(self._attributes))
        found = np.zeros(len(every) + 1, np.bool_)
        found[narrowing.narrow(self._attributes, every, wanted, low, high)] = True
        return found

    def _keep(self, key: Any, mask: Mask) -> None:
        if len(self._masks) >= KEPT:
            self._masks.clear()
        self._masks[key] = mask


def _key(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else value
