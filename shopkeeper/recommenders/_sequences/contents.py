"""Sequences whose products are also known by what they are: the catalogue's vectors.

Knows nothing of where the vectors come from; those that are not finite count as none.
"""

from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from shopkeeper.arrays import Floats, Ids, Rows
from shopkeeper.recommenders._sequences import Sequence
from shopkeeper.schema import ITEM, PRODUCT_ID, VECTOR


class WithContent(Sequence):
    """Learns products that nobody has wanted yet, too; `content_numbers` is among its settings."""

    config: Any

    def update(
        self,
        events: pl.DataFrame,
        products: pl.DataFrame | None = None,
        *,
        checkpoint: Path | None = None,
    ) -> Self:
        """Learn all events afresh: what content tells is worked out anew each time."""
        self._known(self._encoder)
        return self.fit(events, products, checkpoint=checkpoint)

    def _learned_ids(self, events: pl.DataFrame, products: pl.DataFrame | None) -> Ids:
        known = events[ITEM].unique()
        told = self._told(products)[PRODUCT_ID]
        spare = max(0, self.config.items_max - len(known))
        fresh = told.filter(~told.is_in(known.implode())).sort().head(spare)
        return Ids(pl.concat([known, fresh.cast(pl.String)]))

    def _content(self, ids: Ids, products: pl.DataFrame | None) -> Floats | None:
        told = self._told(products)
        row = ids.rows(told[PRODUCT_ID])
        told, row = told.filter(pl.Series(row >= 0)), row[row >= 0]
        if told.is_empty():
            return None
        vector_HC = np.array(told[VECTOR].to_list(), np.float32)
        return _telling(vector_HC, row, len(ids), self.config.content_numbers)

    def _told(self, products: pl.DataFrame | None) -> pl.DataFrame:
        """Return the products that have a vector of finite numbers."""
        none = pl.DataFrame(schema={PRODUCT_ID: pl.String, VECTOR: pl.List(pl.Float32)})
        if products is None or VECTOR not in products.columns or not self.config.content_numbers:
            return none
        rows = products.unique(PRODUCT_ID, keep="first", maintain_order=True)
        rows = rows.select(PRODUCT_ID, pl.col(VECTOR).cast(pl.List(pl.Float32))).drop_nulls()
        return rows.filter(pl.col(VECTOR).list.eval(pl.element().is_finite()).list.all())


def _telling(vector_HC: Floats, has: Rows, num_items: int, most: int) -> Floats:
    """Return the `most` principal numbers of vectors, 0 where a product has none, [V, most]."""
    vector_HC = vector_HC - vector_HC.mean(axis=0)
    spread, axes_CC = np.linalg.eigh(vector_HC.T @ vector_HC / len(vector_HC))
    order = np.argsort(-spread)[:most]
    order = order[spread[order] > max(float(spread.max()), 1e-12) * 1e-6]
    found = np.zeros((num_items, max(1, len(order))), np.float32)
    if len(order):
        found[has] = vector_HC @ axes_CC[:, order] / np.sqrt(spread[order])
    return found
