"""Numbers a page again after rows were dropped. Knows no rule."""

import polars as pl

from shopkeeper.schema import RANK, REQUEST, RESULTS


def numbered(page: pl.DataFrame) -> pl.DataFrame:
    """Return `page` with ranks from 1 within each request, in the order of the rows."""
    rank = pl.int_range(1, pl.len() + 1).over(REQUEST).cast(RESULTS[RANK])
    return page.with_columns(rank.alias(RANK))
