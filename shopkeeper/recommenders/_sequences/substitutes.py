"""Which products may stand for one another while learning: those whose texts are most alike.

Knows only the vectors that the catalogue brings.
"""

import numpy as np
import polars as pl

from shopkeeper.arrays import Floats, Ids, Rows
from shopkeeper.schema import ITEM, PRODUCT_ID, VECTOR
from shopkeeper.training.augment_sequences import Similar

NUM_SUBSTITUTES = 5
COSINE_MIN = 0.6
"""Less alike products are no substitutes: rather none than a lamp for a mug."""
CELLS_MAX = 4_000_000
"""Cosines held at once."""


def similar_products(ids: Ids, products: pl.DataFrame) -> Similar | None:
    """Look up what may stand for each product of `ids`; None if products have no vectors."""
    if VECTOR not in products.columns:
        return None
    known = products.unique(PRODUCT_ID, keep="first").select(PRODUCT_ID, VECTOR)
    about = ids.names.to_frame().join(
        known, left_on=ITEM, right_on=PRODUCT_ID, how="left", maintain_order="left"
    )
    has = np.flatnonzero(about[VECTOR].is_not_null().to_numpy())
    if not len(has):
        return None
    vector_HD = np.array(about[VECTOR].drop_nulls().to_list(), np.float32)
    vector_HD /= np.maximum(np.linalg.norm(vector_HD, axis=1, keepdims=True), 1e-12)
    table_VS = np.full((len(ids), NUM_SUBSTITUTES), -1, np.int64)
    for begin in range(0, len(has), step := max(1, CELLS_MAX // len(has))):
        rows = slice(begin, begin + step)
        table_VS[has[rows]] = _nearest(vector_HD, rows, has)
    return lambda item_E: table_VS[item_E]


def _nearest(vector_HD: Floats, rows: slice, has: Rows) -> Rows:
    """Return the most alike others of some products, -1 after the last, [R, S]."""
    cosine_RH = vector_HD[rows] @ vector_HD.T
    here = np.arange(len(cosine_RH))
    cosine_RH[here, here + rows.start] = -np.inf
    best_RS = np.argsort(-cosine_RH, axis=1, kind="stable")[:, :NUM_SUBSTITUTES]
    enough_RS = np.take_along_axis(cosine_RH, best_RS, axis=1) >= COSINE_MIN
    found = np.full((len(here), NUM_SUBSTITUTES), -1, np.int64)
    found[:, : best_RS.shape[1]] = np.where(enough_RS, has[best_RS], -1)
    return found
