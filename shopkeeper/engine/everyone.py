"""A page for every shopper at once, as a file: for a newsletter, or for another system to show.

Answers as a live request does, many shoppers at a time; the file stands under its name only when
it is whole. Knows no shopper that did nothing.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import polars as pl

from shopkeeper.config import Placement
from shopkeeper.engine.files import whole_file
from shopkeeper.engine.live import Live
from shopkeeper.engine.recommending import Question, pages, worded
from shopkeeper.engine.trace import Trace
from shopkeeper.errors import BadRequest
from shopkeeper.schema import ITEM, RANK, SCORE, SOURCE, USER
from shopkeeper.tracing import progress, stage

REASON = "reason"
COLUMNS = {
    USER: pl.String,
    RANK: pl.UInt32,
    ITEM: pl.String,
    SCORE: pl.Float32,
    SOURCE: pl.String,
    REASON: pl.String,
}
"""What a row says: one product for one shopper, best first."""


def recommend_all(live: Live, placement: str, k: int, out: Path) -> dict[str, Any]:
    """Write a page for every shopper, in the order of their ids.

    Args:
        live: The shop; it must not take another bundle meanwhile.
        placement: A name under [placements].
        k: Products per shopper at most, from 1.
        out: A file that ends in .parquet or .csv; one that is there is replaced in one step.

    Returns:
        `file`, `bundle`, `shoppers`, `without` (those with nothing to show), `rows`, `seconds` and
        `shoppers_per_second`.

    Raises:
        BadRequest: The file cannot be written as named.
    """
    opened = _writer(out)
    shoppers = live.state.shoppers()
    place, batch = live.config.placements[placement], live.config.serving.batch_shoppers
    began, rows, served = time.perf_counter(), 0, 0
    with stage("recommend", f"{len(shoppers):,} shoppers"), opened as write:
        write(pl.DataFrame(schema=COLUMNS))
        for begin in progress(range(0, len(shoppers), batch), f"batches of {batch} shoppers"):
            batch_pages = _pages(live, placement, place, k, shoppers[begin : begin + batch])
            write(batch_pages)
            rows, served = rows + batch_pages.height, served + batch_pages[USER].n_unique()
    seconds = time.perf_counter() - began
    return {
        "file": str(out),
        "bundle": live.version,
        "placement": placement,
        "k": k,
        "shoppers": len(shoppers),
        "without": len(shoppers) - served,
        "rows": rows,
        "seconds": round(seconds, 2),
        "shoppers_per_second": round(len(shoppers) / max(seconds, 1e-9), 1),
    }


def _pages(
    live: Live, placement: str, place: Placement, k: int, shoppers: Sequence[str]
) -> pl.DataFrame:
    """Answer some shoppers."""
    questions = [Question(name=placement, placement=place, k=k, user_id=user) for user in shoppers]
    found = pages(live, questions, [Trace(placement) for _ in questions])
    known = live.products(item for _, page in found for item in [*page.items, *page.because])
    rows: list[tuple[Any, ...]] = []
    for user, (asked, page) in zip(shoppers, found, strict=True):
        reasons, ranks = worded(asked, page, known), range(1, len(page.items) + 1)
        users = [user] * len(page.items)
        rows += zip(users, ranks, page.items, page.scores, page.sources, reasons, strict=True)
    return pl.DataFrame(rows, COLUMNS, orient="row")


def _writer(out: Path) -> Any:
    """Return what opens the file; says BadRequest before any work where that cannot be."""
    kinds = {".parquet": _parquet, ".csv": _csv}
    if out.suffix not in kinds:
        raise BadRequest("out", f"'{out}' must end in .parquet or .csv. Name such a file by --out.")
    if out.is_dir() or not out.absolute().parent.is_dir():
        what = "is a folder" if out.is_dir() else "lies in a folder that is not there"
        raise BadRequest("out", f"'{out}' {what}. Name a file in a folder that is there by --out.")
    return kinds[out.suffix](out)


@contextmanager
def _parquet(out: Path) -> Iterator[Callable[[pl.DataFrame], None]]:
    import pyarrow.parquet as pq

    schema = pl.DataFrame(schema=COLUMNS).to_arrow().schema
    with whole_file(out) as partial, pq.ParquetWriter(partial, schema) as table:
        yield lambda rows: table.write_table(rows.to_arrow()) if rows.height else None


@contextmanager
def _csv(out: Path) -> Iterator[Callable[[pl.DataFrame], None]]:
    with whole_file(out) as partial, partial.open("wb") as stream:
        yield _Lines(stream)


class _Lines:
    """Writes tables one below the other, the names of the columns once."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def __call__(self, rows: pl.DataFrame) -> None:
        rows.write_csv(self._stream, include_header=self._stream.tell() == 0)
