"""How like is the candidate to what the shopper bought or looked at lately, by their texts?

Source: cosine of the catalogue's text vectors, mean and best over the newest products; the
candidate itself is left out, for that it was bought is another feature's word. A shop whose
catalogue has no vectors gets no columns. Vectors are kept in a byte a number, so a cosine is right
to about a thousandth. Knows no pictures.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.contracts import Moment
from shopkeeper.features._purchases import restore_arrays, save_arrays
from shopkeeper.schema import VECTOR

BYTE = 127
STEP_MAX = 262_144
"""Multiplications at once; for more, OpenBLAS wakes threads that a live page would wait for."""
NAMES = tuple(f"like_{past}_{what}" for past in ("bought", "looked") for what in ("mean", "best"))


class TextLikeness:
    """Likeness of texts with the newest products bought, and with those looked at."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings under [features.text_likeness] in shop.toml."""

        bought_max: int = 20
        """How many of the products bought last are looked at."""
        looked_max: int = 20
        """How many of the products seen, put into the cart or liked last are looked at."""

        def __post_init__(self) -> None:
            if min(self.bought_max, self.looked_max) < 1:
                raise ValueError("bought_max and looked_max must be at least 1.")

    def __init__(self, config: Config) -> None:
        self.config = config
        self._arrays: dict[str, NDArray[Any]] = {}

    def fit(self, events: pl.DataFrame, products: pl.DataFrame, now: datetime) -> Self:  # noqa: ARG002
        """Take the catalogue's vectors; events tell nothing here."""
        self._arrays = _vectors(products)
        return self

    def names(self) -> tuple[str, ...]:
        """Name the columns of `compute`; none in a shop without vectors."""
        return NAMES if self._arrays else ()

    def compute(self, moment: Moment) -> NDArray[np.float32]:
        """Return [N, F], cosines; NaN without a vector, or without another product to compare."""
        found = np.full((moment.owner_N.size, len(self.names())), np.nan, np.float32)
        if not self._arrays:
            return found
        pasts = (
            _newest(moment.owner_H, moment.item_H, moment.age_H, self.config.bought_max),
            _newest(moment.owner_V, moment.item_V, moment.age_V, self.config.looked_max),
        )
        owners = np.arange(moment.now_B.size + 1)
        ends = np.searchsorted(moment.owner_N, owners)
        bounds = [np.searchsorted(owner, owners) for owner, _ in pasts]
        for at in range(moment.now_B.size):
            here = slice(ends[at], ends[at + 1])
            items = [
                item[bound[at] : bound[at + 1]]
                for (_, item), bound in zip(pasts, bounds, strict=True)
            ]
            if ends[at] == ends[at + 1] or not items[0].size + items[1].size:
                continue
            found[here] = self._alike(moment.item_N[here], items)
        return found

    def _alike(
        self, item_N: NDArray[np.int64], pasts: list[NDArray[np.int64]]
    ) -> NDArray[np.float32]:
        """Compare the candidates of one request with its pasts, [N, F]."""
        vector_PD, length_P = self._arrays["vectors"], self._arrays["lengths"]
        item_R = np.concatenate(pasts)
        past_DR = vector_PD[item_R].astype(np.float32).T
        cosine_NR = np.empty((item_N.size, item_R.size), np.float32)
        step = max(1, STEP_MAX // past_DR.size)
        for begin in range(0, item_N.size, step):
            rows = slice(begin, begin + step)
            cosine_NR[rows] = vector_PD[item_N[rows]].astype(np.float32) @ past_DR
        cosine_NR /= length_P[item_N][:, None] * length_P[item_R]
        known_NR = np.isfinite(cosine_NR) & (item_N[:, None] != item_R)
        columns = []
        for past in (np.s_[: pasts[0].size], np.s_[pasts[0].size :]):
            cosine, known = cosine_NR[:, past], known_NR[:, past]
            count_N = known.sum(axis=1)
            total_N = np.where(known, cosine, 0).sum(axis=1)
            best_N = np.where(known, cosine, -2).max(axis=1, initial=-2)
            mean_N = total_N / np.maximum(count_N, 1)
            columns += [np.where(count_N > 0, each, np.nan) for each in (mean_N, best_N)]
        return np.column_stack(columns).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write the vectors into an empty `folder`."""
        save_arrays(folder, self._arrays)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        self._arrays = restore_arrays(folder)
        return self


def _vectors(products: pl.DataFrame) -> dict[str, NDArray[Any]]:
    """Return vectors in bytes, [P, D], and their lengths, [P], NaN for a product without.

    Nothing where all products lack one.
    """
    if VECTOR not in products.columns or products[VECTOR].is_null().all():
        return {}
    known: Any = products[VECTOR].drop_nulls()
    rows = (known.arr if isinstance(known.dtype, pl.Array) else known.list).explode().to_numpy()
    vector_ND = rows.astype(np.float32).reshape(known.len(), -1)
    most_N = np.abs(vector_ND).max(axis=1, keepdims=True)
    bytes_ND = np.rint(np.divide(vector_ND * BYTE, most_N, where=most_N > 0, out=vector_ND * 0))
    lengths = np.linalg.norm(bytes_ND, axis=1)
    has = products[VECTOR].is_not_null().to_numpy()
    found = np.zeros((products.height, vector_ND.shape[1]), np.int8)
    length_P = np.full(products.height, np.nan, np.float32)
    found[has] = bytes_ND
    length_P[has] = np.where(lengths > 0, lengths, np.nan)
    return {"vectors": found, "lengths": length_P}


def _newest(
    owner: NDArray[np.int64], item: NDArray[np.int64], age: NDArray[np.float64], most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return owner and product of each owner's newest different products, by owner."""
    order = np.lexsort((item, age, owner))
    owner, item = owner[order], item[order]
    # The first time a product comes is the newest.
    size = int(item.max(initial=0)) + 1
    fresh = np.sort(np.unique(owner * size + item, return_index=True)[1])
    owner, item = owner[fresh], item[fresh]
    kept = np.arange(owner.size) - np.searchsorted(owner, owner) < most
    return owner[kept], item[kept]
