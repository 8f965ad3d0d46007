"""Where the vectors of new products begin: near the known products that are most like them.

Knows nothing of how vectors were learned. What a product is like tells its `vector` in the
catalogue; a product without one begins in the middle of all that are known.
"""

from dataclasses import replace

import numpy as np
import polars as pl

from shopkeeper.arrays import Floats, Ids, Rows
from shopkeeper.recommenders._sequences.encoder import Encoder
from shopkeeper.schema import PRODUCT_ID, VECTOR

ALIKE = 10
"""So many known products say where a new one begins."""
BLOCK_ROWS = 512
"""New products that are compared at once."""


def grown(before: Encoder, known: Ids, ids: Ids, products: pl.DataFrame | None) -> Encoder:
    """Return what was learned for the products `ids`, whatever number each had before.

    Args:
        before: What was learned, as `known` numbers products.
        known: The products that were known.
        ids: The products that are known now, N of them.
        products: The catalogue, perhaps with `vector`.

    Returns:
        The same with a vector for each of `ids`, [N, D]: the old one of a known product, and for
        a new one the mean of those of the known products most like it. Its `bias_V`, [N], is NaN
        for new products.
    """
    rows = known.rows(ids.names)
    old, fresh = np.flatnonzero(rows >= 0), np.flatnonzero(rows < 0)
    start_ND = np.zeros((len(ids), before.items_VD.shape[1]), np.float32)
    bias_N = np.full(len(ids), np.nan, np.float32)
    start_ND[old], bias_N[old] = before.items_VD[rows[old]], before.bias_V[rows[old]]
    if len(old) and len(fresh):
        start_ND[fresh] = start_ND[old].mean(axis=0)
        _beside(start_ND, old, fresh, _content(ids, products))
    return replace(before, items_VD=start_ND, bias_V=bias_N)


def _beside(start_ND: Floats, old: Rows, fresh: Rows, content_NC: Floats) -> None:
    """Move new products to the mean of the known products most like them, where that is told."""
    told = np.asarray(content_NC.any(axis=1))
    old, fresh = old[told[old]], fresh[told[fresh]]
    if not len(old):
        return
    many = min(ALIKE, len(old))
    for begin in range(0, len(fresh), BLOCK_ROWS):
        some = fresh[begin : begin + BLOCK_ROWS]
        likeness = content_NC[some] @ content_NC[old].T
        near = old[np.argpartition(-likeness, many - 1, axis=1)[:, :many]]
        start_ND[some] = start_ND[near].mean(axis=1)


def _content(ids: Ids, products: pl.DataFrame | None) -> Floats:
    """Return the content of each product as a vector of length 1, zeros where none is told."""
    if products is None or VECTOR not in products.columns:
        return np.zeros((len(ids), 1), np.float32)
    told = products.select(PRODUCT_ID, VECTOR).drop_nulls()
    told = told.unique(PRODUCT_ID, keep="first", maintain_order=True)
    row = ids.rows(told[PRODUCT_ID])
    told, row = told.filter(pl.Series(row >= 0)), row[row >= 0]
    if told.is_empty():
        return np.zeros((len(ids), 1), np.float32)
    numbers = told[VECTOR].explode().cast(pl.Float32).to_numpy().reshape(len(row), -1)
    vector_HC = np.nan_to_num(numbers, posinf=0, neginf=0)
    length_H1 = np.linalg.norm(vector_HC, axis=1, keepdims=True)
    content_NC = np.zeros((len(ids), vector_HC.shape[1]), np.float32)
    content_NC[row] = vector_HC / np.maximum(length_H1, 1e-12)
    return content_NC
