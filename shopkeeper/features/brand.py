"""How much of what this shopper buys is of the candidate's brand, in all and within its category.

Source: as category affinity. A shop without brands gets no columns. Knows no product line within a
brand, and takes two spellings of one brand for two.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.contracts import Moment
from shopkeeper.features._cells import Cells, ratio
from shopkeeper.features._purchases import kinds, purchases, restore_arrays, save_arrays

NAMES = (
    "brand_taste",
    "brand_last_days",
    "brand_kind_share",
    "brand_kind_usual",
    "brand_loyalty",
)


class Brand:
    """The shopper's taste for the candidate's brand."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings under [features.brand] in shop.toml."""

        half_life_days: float = 180.0
        """Age at which a purchase counts half."""
        prior: float = 2.0
        """Imagined purchases, as the shop usually buys, that a shopper's own are mixed with."""

        def __post_init__(self) -> None:
            if not (self.half_life_days > 0 and self.prior > 0):
                raise ValueError("half_life_days and prior must be above 0.")

    def __init__(self, config: Config) -> None:
        self.config = config
        self._arrays: dict[str, NDArray[Any]] = {}

    def fit(self, events: pl.DataFrame, products: pl.DataFrame, now: datetime) -> Self:
        """Number the brands, and measure each one's share of its category's sales."""
        brand, kind = kinds(products, "brand"), kinds(products)
        self._arrays = {}
        if brand.max(initial=-1) < 0:
            return self
        item = purchases(events, products, now)["item"].to_numpy()
        lines = np.bincount(item, minlength=products.height).astype(np.float64)
        # -1 is a kind, or a brand, of its own here; what lacks either is NaN in the end.
        pair = (kind + 1) * (products.height + 1) + brand + 1
        _, place = np.unique(pair, return_inverse=True)
        of_pair, of_kind = np.bincount(place, lines)[place], np.bincount(kind + 1, lines)[kind + 1]
        usual = np.divide(of_pair, of_kind, out=np.full(lines.size, np.nan), where=of_kind > 0)
        usual[(kind < 0) | (brand < 0)] = np.nan
        self._arrays = {"brand": brand, "kind": kind, "pair": place.astype(np.int64)}
        self._arrays["usual"] = usual
        return self

    def names(self) -> tuple[str, ...]:
        """Name the columns of `compute`; none in a shop without brands."""
        return NAMES if self._arrays else ()

    def compute(self, moment: Moment) -> NDArray[np.float32]:
        """Return [N, F]: taste and shares in [0, 1]; loyalty is how far the share beats the usual.

        NaN for a product without brand, and where the shopper bought nothing to judge by.
        """
        if not self._arrays:
            return np.empty((moment.owner_N.size, 0), np.float32)
        weight_H = 2.0 ** (-moment.age_H / self.config.half_life_days)
        total_B = np.bincount(moment.owner_H, weight_H, minlength=moment.now_B.size)
        brands, kind, pairs = (self._cells(moment, name) for name in ("brand", "kind", "pair"))
        usual_N = self._arrays["usual"][moment.item_N].astype(np.float64)
        own_N, of_kind_N = pairs.sums(weight_H), kind.sums(weight_H)
        prior = self.config.prior
        columns = [
            ratio(brands.sums(weight_H), total_B[moment.owner_N]),
            brands.least(moment.age_H),
            ratio(own_N, of_kind_N),
            usual_N,
            (own_N + prior * usual_N) / (of_kind_N + prior) - usual_N,
        ]
        columns[2] = np.where(self._arrays["kind"][moment.item_N] < 0, np.nan, columns[2])
        found = np.column_stack(columns).astype(np.float32)
        found[self._arrays["brand"][moment.item_N] < 0] = np.nan
        return found

    def _cells(self, moment: Moment, name: str) -> Cells:
        code, stride = self._arrays[name], moment.size + 1
        return Cells.of(
            moment.owner_H * stride + code[moment.item_H] + 1,
            moment.owner_N * stride + code[moment.item_N] + 1,
        )

    def save(self, folder: Path) -> None:
        """Write the snapshot into an empty `folder`."""
        save_arrays(folder, self._arrays)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        self._arrays = restore_arrays(folder)
        return self
