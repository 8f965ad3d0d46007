"""Two towers: what a shopper did, and what a product is, as vectors to be held side by side.

The product's tower adds a vector of its own to one made of its content (the catalogue's `vector`);
while learning, products lose their own at times, so one that nobody wanted yet is found by its
content alone. The shopper's tower sums up what was done, and needs to know nobody: a session, or
one product looked at, is enough. Source: Covington et al., RecSys 2016, with the softmax over
drawn products of Yi et al., RecSys 2019 (corrected by their chance), and the dropping of ids of
DropoutNet (Volkovs et al., NeurIPS 2017).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl

from shopkeeper.arrays import Floats, Ids, Rows
from shopkeeper.recommenders import _sequences
from shopkeeper.schema import ITEM, PRODUCT_ID, VECTOR


class TwoTower(_sequences.Sequence):
    """Foretells what is wanted next from the sum of what was done, new products among it."""

    kind: ClassVar[str] = "pooling"

    @dataclass(frozen=True, kw_only=True)
    class Config(_sequences.Settings):
        """Settings of the towers and of how they learn."""

        blocks: int = 1
        """How many times the past is summed up, one on the other."""
        heads: int = 4
        """How many sums are made of the past; `width` is a multiple of it."""
        negatives: int = 2048
        """Products drawn for each batch that its targets compete with; 0 for all products."""
        popularity: bool = False
        """Whether each product has a number of its own, at first by how often it was wanted."""
        content_numbers: int = 64
        """How many numbers of the content's vectors are read, the most telling; 0 for none."""
        id_dropout: float = 0.3
        """Share of products that are known by content alone in a step of learning, in [0, 1)."""

        def __post_init__(self) -> None:
            super().__post_init__()
            _sequences.check_heads(self.width, self.heads)
            if self.content_numbers < 0 or not 0 <= self.id_dropout < 1:
                raise ValueError("content_numbers must be at least 0, and id_dropout in [0, 1).")

    config: Config

    def update(
        self,
        events: pl.DataFrame,
        products: pl.DataFrame | None = None,
        *,
        checkpoint: Path | None = None,
    ) -> Self:
        """Learn all events afresh: content is cut to its most telling numbers anew each time."""
        self._known(self._encoder)
        return self.fit(events, products, checkpoint=checkpoint)

    def _shape(self) -> dict[str, Any]:
        config = self.config
        return {"kind": self.kind, "num_heads": config.heads, "id_dropout": config.id_dropout}

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
