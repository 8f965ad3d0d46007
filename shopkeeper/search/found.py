"""What a search found, on its way to a page: found, ruled, ranked, shown. Knows no words."""

from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.schema import ITEM, RANK, SCORE, SOURCE
from shopkeeper.search.filters import Attributes, Rows

PAGE = {ITEM: pl.String, SCORE: pl.Float32, RANK: pl.UInt32, SOURCE: pl.String}
"""Columns of a page's rows; rank counts from 1 over all pages."""
BY_RULE = "rule"
"""The source of what nothing but a rule brought."""


class Ruling(Protocol):
    """What people decided on what one search finds; products are rows of its table."""

    def kept(self, rows: Rows) -> NDArray[np.bool_]:
        """Say which of some products may be shown, [K]."""

    def pinned(self) -> Rows:
        """Return the products that have a place of their own."""

    def order(self, rows: Rows) -> Rows:
        """Return the places of products, best first, in the order that they are to be shown."""

    def placed(self, rows: Rows) -> Rows:
        """Put those with a place of their own there, if they are among these rows."""


@dataclass(frozen=True)
class SearchPage:
    """A page of found products and what a shopper may do next; K products."""

    ids: list[str]
    """Best first."""
    scores: list[float]
    sources: list[str]
    """Who found each product."""
    places: list[int]
    """The row of each in the table of products."""
    raised: list[bool]
    """Whether each stands higher than without `lift`."""
    first_rank: int
    """The rank of the first product over all pages, from 1."""
    total: int
    """How many products there are to page through."""
    facets: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    """Values and counts by attribute, most frequent first."""
    notes: list[str] = field(default_factory=list)
    """What the shopper should know, such as that a word was not found."""

    @property
    def rows(self) -> pl.DataFrame:
        """`item_id`, `score`, `rank`, `source`, best first."""
        ranks = range(self.first_rank, self.first_rank + len(self.ids))
        columns = {ITEM: self.ids, SCORE: self.scores, RANK: ranks, SOURCE: self.sources}
        return pl.DataFrame(columns, schema=PAGE)


@dataclass(frozen=True)
class Found:
    """K products that match the words, before filters; best first."""

    rows: Rows
    scores: NDArray[np.float32]
    source: Rows
    """Who found each: a place in `sources`. Shape [K]."""
    sources: tuple[str, ...]
    notes: list[str] = field(default_factory=list)
    num_hits: int = 0
    """How many products were found, also those that are no longer sold."""
    complete: bool = True
    """Whether these are all; False if more were cut off."""

    def ruled(self, ruling: Ruling | None) -> "Found":
        """Leave out what a ruling hides, and put behind the others what it has a place for."""
        if ruling is None:
            return self
        kept = ruling.kept(self.rows)
        more = np.setdiff1d(ruling.pinned(), self.rows[kept])
        by_rule = np.full(len(more), len(self.sources))
        return replace(
            self,
            rows=np.concatenate([self.rows[kept], more]),
            scores=np.concatenate([self.scores[kept], np.zeros(len(more), np.float32)]),
            source=np.concatenate([self.source[kept], by_rule]),
            sources=(*self.sources, BY_RULE),
        )

    def sources_of(self, rows: Rows) -> list[str]:
        """Name who found each of some rows."""
        if len(self.sources) == 1:
            return [self.sources[0]] * len(rows)
        return [self.sources[at] for at in self.source[places_of(rows, self.rows)]]


@dataclass(frozen=True)
class Ranked:
    """M products that match and pass, in their order."""

    before: Rows
    """Without `lift`."""
    rows: Rows
    scores: NDArray[np.float32]

    def ruled(self, ruling: Ruling | None) -> "Ranked":
        """Move what a ruling moves; nothing of that counts as moved by `lift`."""
        if ruling is None:
            return self
        before = self.before[ruling.order(self.before)]
        at = ruling.order(self.rows)
        return Ranked(before, self.rows[at], self.scores[at])

    def page(
        self,
        shown: Rows,
        part: tuple[int, int],
        attributes: Attributes,
        found: Found,
        facets: dict[str, list[tuple[str, int]]],
        notes: list[str],
    ) -> SearchPage:
        """Tell what a shopper sees of these rows, some skipped and so many shown."""
        offset, k = part
        page = shown[offset : offset + k]
        at = places_of(page, self.rows)
        return SearchPage(
            ids=attributes.ids(page),
            scores=self.scores[at].tolist(),
            sources=found.sources_of(page),
            places=page.tolist(),
            raised=(at < places_of(page, self.before)).tolist(),
            first_rank=offset + 1,
            total=len(shown),
            facets=facets,
            notes=notes,
        )


def places_of(rows: Rows, among: Rows) -> Rows:
    """Return where each of `rows` stands in `among`, which has them all, each once."""
    if rows is among or not len(rows):
        return np.arange(len(rows))
    order = np.argsort(among)
    places: Rows = order[np.searchsorted(among, rows, sorter=order)]
    return places
