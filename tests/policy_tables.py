"""Policies work on arrays; their tests are written with tables. This turns one into the other."""

import numpy as np
import polars as pl

from shopkeeper.arrays import Asked, Ids, Picks
from shopkeeper.engine.catalogue import Catalogue
from shopkeeper.schema import EXCLUDE, HISTORY, ITEM, PRODUCT_ID, REQUEST, SCORE, SOURCE


def decide(policy, page: pl.DataFrame, requests: pl.DataFrame, products: pl.DataFrame):
    """Return what a policy leaves of a page, as `schema.RESULTS`."""
    past = requests[HISTORY].explode().drop_nulls().struct.field(ITEM)
    known = [page[ITEM], products[PRODUCT_ID], past, requests[EXCLUDE].explode()]
    ids = Ids(pl.concat([names.alias(ITEM) for names in known]))
    numbers = requests[REQUEST].to_numpy()
    sources = tuple(page[SOURCE].unique(maintain_order=True).to_list())
    picks = Picks(
        ids,
        np.searchsorted(numbers, page[REQUEST].to_numpy()),
        ids.rows(page[ITEM]),
        page[SCORE].to_numpy(),
        np.full(page.height, -1),
        sources,
        np.array([sources.index(name) for name in page[SOURCE]], np.int64),
    )
    rows = Catalogue(products.unique(PRODUCT_ID, keep="first")).aligned(page[ITEM].to_list())
    kept = policy.apply(picks, Asked.of(requests, ids), rows)
    assert len(np.unique(kept)) == len(kept), "a row was shown twice"
    assert ((kept >= 0) & (kept < page.height)).all(), "a row came from nowhere"
    return picks.take(kept).table(numbers)
