"""One search of a shop: words to a page of products, with filters, facets, order and notes.

Ties an index to what is known of the products. An empty query browses by sales. Nothing is
frozen: prices and stock come with every call. Knows nothing of shoppers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.contracts import Hits, Index, Numbered
from shopkeeper.errors import BadRequest
from shopkeeper.schema import ITEM, SCORE, SOURCE
from shopkeeper.search import filters as narrowing
from shopkeeper.search import text
from shopkeeper.search.filters import Attributes, Filters, Rows
from shopkeeper.search.found import Found, Ranked, Ruling, SearchPage, places_of

K_MAX = 1_000
DEEPER = 10
"""How many times more matches are looked at where a filter leaves too few."""
ENOUGH = 50
"""So many matches that pass are enough. With fewer, as most of the best are gone or do not pass, a
search looks deeper once, whatever page is asked for, or pages would not join."""
Lift = Callable[[Rows], NDArray[np.float32]]
"""What else speaks for each of some rows of the products, from 0 to 1."""
QUOTED_CHARS_MAX = 60


@dataclass(frozen=True)
class _Known:
    """A table of products and what was derived from it; N products."""

    attributes: Attributes
    row_of: Rows
    """The row of each product of the index, -1 for one that is no longer sold."""

    @classmethod
    def of(cls, index: Index, attributes: Attributes) -> "_Known":
        """Look up the products of an index; nothing for one that does not number them."""
        ids = index.ids.tolist() if isinstance(index, Numbered) else []
        return cls(attributes, attributes.rows(ids))


class ProductSearch:
    """Searches one catalogue by an `index` that is built or restored already."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings."""

        popularity_weight: float = 0.1
        """How far the best seller moves up beside equal texts, as a share of the best score."""
        lift_weight: float = 0.1
        """How far `lift` moves a product up beside equal texts, as a share of the best score."""
        matches_max: int = 1_000
        """How many matches are looked at, counted and paged through."""
        group: bool = True
        """Whether variants of one product (`item_group_id`) are shown as one."""

        def __post_init__(self) -> None:
            if not 0 <= self.popularity_weight <= 1:
                raise ValueError(
                    f"popularity_weight must be from 0 to 1, but is {self.popularity_weight}."
                )
            if not 0 <= self.lift_weight <= 1:
                raise ValueError(f"lift_weight must be from 0 to 1, but is {self.lift_weight}.")
            if self.matches_max < 1:
                raise ValueError(f"matches_max must be at least 1, but is {self.matches_max}.")

    def __init__(self, index: Index, config: Config | None = None) -> None:
        self.index = index
        self.config = config or self.Config()
        self._seen: _Known | None = None
        self._sales: tuple[object, Attributes, NDArray[np.float32]] | None = None
        self._shelves: tuple[NDArray[np.float32], Found] | None = None

    def moved(
        self, index: Index, products: pl.DataFrame, popularity: Mapping[str, float] | None
    ) -> Self:
        """Return the same search of another index or table; this one may go on answering.

        All that its first search would wait for is done, and what did not change is taken over.
        """
        made = type(self)(index, self.config)
        made._sales, made._shelves, seen = self._sales, self._shelves, self._seen
        if seen is not None and seen.attributes.products is products:
            made._seen = _Known.of(index, seen.attributes)
        attributes = made._known(products).attributes
        for name in narrowing.FACETS:
            if name in products.columns:
                attributes.column(name)
        attributes.usual_ratio()
        attributes.titled(np.zeros(0, np.int64), "")
        made._browse(made._prior(attributes, popularity))
        return made

    def attributes(self, products: pl.DataFrame) -> Attributes:
        """Return what is known of a table of products."""
        return self._known(products).attributes

    def search(  # noqa: PLR0913
        self,
        query: str,
        vector: NDArray[np.float32] | None,
        products: pl.DataFrame,
        *,
        k: int = 20,
        offset: int = 0,
        filters: Filters | None = None,
        price_min: int | None = None,
        price_max: int | None = None,
        sort: str = "relevance",
        group: bool | None = None,
        popularity: Mapping[str, float] | None = None,
        lift: Lift | None = None,
        ruling: Ruling | None = None,
    ) -> SearchPage:
        """Answer one search.

        Args:
            query: What the shopper typed; empty to browse by sales.
            vector: The query's vector [D], or None to go by words alone.
            products: `schema.PRODUCTS` as they are now; pass the same table object while nothing
                changed, since what is derived from it is kept as long as it is the same.
            k: Products on the page, from 1 to 1,000.
            offset: Products to skip, at least 0.
            filters: Values by attribute; see `filters.narrow`.
            price_min: Lowest price in minor units.
            price_max: Highest price in minor units.
            sort: `relevance`, `price_asc`, `price_desc` or `newest`.
            group: Whether variants are shown as one; the setting if None.
            popularity: Pieces sold by product id; pass the same object while nothing changed.
            lift: What else speaks for each of some products, from 0 to 1. It moves none past
                another that is `lift_weight` better, and none whose title or id is the query.
            ruling: What people decided on what is found.

        Returns:
            The page; empty with a note where nothing was found. BadRequest names the field that is
            out of range, or the attribute or order that is not there.
        """
        _check(k, offset, sort)
        known = self._known(products)
        attributes, prior = known.attributes, self._prior(known.attributes, popularity)
        limits = (filters or {}, price_min, price_max)
        found = self._find(query, vector, known) if query.strip() else self._browse(prior)
        found = found.ruled(ruling)
        rows = narrowing.narrow(attributes, found.rows, *limits)
        if not found.complete and len(rows) < min(found.num_hits, ENOUGH):
            found = self._find(query, vector, known, deep=True).ruled(ruling)
            rows = narrowing.narrow(attributes, found.rows, *limits)
        notes = [*found.notes, *self._excuse(query, found, rows)]
        counted = narrowing.facets(attributes, found.rows, *limits)
        # An order that was asked for is not to be overruled.
        ruling = ruling if sort == narrowing.SORTS[0] else None
        ranked = self._ranked(query, attributes, found, rows, prior, lift).ruled(ruling)
        shown = narrowing.arrange(attributes, ranked.rows, sort)
        if self.config.group if group is None else group:
            shown = narrowing.one_per_group(attributes, shown)
        shown = shown if ruling is None else ruling.placed(shown)
        return ranked.page(shown, (offset, k), attributes, found, counted, notes)

    def _find(
        self, query: str, vector: NDArray[np.float32] | None, known: _Known, deep: bool = False
    ) -> Found:
        """Ask the index, and drop what is no longer sold."""
        if not text.words(query, text.QUERY_CHARS_MAX):
            note = f"There are no words in '{_quoted(query)}' to search for."
            nothing = np.zeros(0, np.int64)
            return Found(nothing, np.zeros(0, np.float32), nothing, ("",), notes=[note])
        depth = self.config.matches_max * (DEEPER if deep else 1)
        if isinstance(self.index, Numbered):
            hits = self.index.hits(query, vector, depth)
            rows = known.row_of[hits.rows]
        else:
            hits, ids = _hits(self.index, self.index.search(query, vector, depth))
            rows = known.attributes.rows(ids)
        sold = rows >= 0
        source = hits.source[sold]
        notes: list[str] = getattr(self.index, "notes", lambda _: [])(query)
        if len(source) and len(hits.sources) > 1 and (source == _place(hits, "dense")).all():
            notes = [f"No product has the words '{_quoted(query)}'; these are near in meaning."]
        return Found(
            rows=rows[sold],
            scores=hits.scores[sold],
            source=source,
            sources=hits.sources,
            notes=notes,
            num_hits=len(rows),
            complete=len(rows) < depth or deep,
        )

    def _browse(self, prior: NDArray[np.float32]) -> Found:
        """Return every product, best sellers first; kept while sales are the same."""
        kept = self._shelves
        if kept is None or kept[0] is not prior:
            rows = np.argsort(-prior, kind="stable")
            found = Found(rows, prior[rows], np.zeros(len(rows), np.int64), ("browse",))
            self._shelves = kept = (prior, found)
        return kept[1]

    def _excuse(self, query: str, found: Found, rows: Rows) -> list[str]:
        """Say why a page is empty."""
        if len(rows) or (found.notes and not len(found.rows)):
            return []
        quoted = f" matches '{_quoted(query)}'" if query.strip() else " matches"
        if len(found.rows):
            return [f"No product{quoted} with these filters; {len(found.rows)} do without them."]
        return [f"No product{quoted}."]

    def _ranked(
        self,
        query: str,
        attributes: Attributes,
        found: Found,
        rows: Rows,
        prior: NDArray[np.float32],
        lift: Lift | None,
    ) -> Ranked:
        """Order found rows by the share of the best score, and what sales and `lift` add to it."""
        if not query.strip():
            return Ranked(rows, rows, prior[rows])
        scores = found.scores[places_of(rows, found.rows)] / max(
            float(found.scores.max(initial=0.0)), 1e-9
        )
        scores = scores + np.float32(self.config.popularity_weight) * prior[rows]
        order = np.argsort(-scores, kind="stable")
        rows, scores = rows[order], scores[order]
        if lift is None or not len(rows):
            return Ranked(rows, rows, scores)
        lifted = scores + np.float32(self.config.lift_weight) * lift(rows)
        named = _named(query, attributes, rows)
        order = np.arange(len(rows))
        by_lift = np.argsort(-lifted, kind="stable")
        order[~named] = by_lift[~named[by_lift]]
        return Ranked(rows, rows[order], lifted[order])

    def _known(self, products: pl.DataFrame) -> _Known:
        """Return what is derived from `products`, kept while it is the same table."""
        seen = self._seen
        if seen is None or seen.attributes.products is not products:
            self._seen = seen = _Known.of(self.index, Attributes(products))
        return seen

    def _prior(
        self, attributes: Attributes, popularity: Mapping[str, float] | None
    ) -> NDArray[np.float32]:
        """Return log sales of every product, 1 for the best seller. Shape [N]."""
        kept = self._sales
        if kept is not None and kept[0] is popularity and kept[1] is attributes:
            return kept[2]
        sold = np.zeros(len(attributes), dtype=np.float32)
        for name, pieces in (popularity or {}).items():
            row = attributes.row_of.get(name)
            if row is not None and pieces > 0:
                sold[row] = pieces
        prior = np.log1p(sold)
        prior /= max(float(prior.max(initial=0.0)), 1e-9)
        self._sales = (popularity, attributes, prior)
        return prior


def _check(k: int, offset: int, sort: str) -> None:
    if not 1 <= k <= K_MAX:
        raise BadRequest("k", f"k must be from 1 to {K_MAX:,}, but is {k:,}.")
    if offset < 0:
        raise BadRequest("offset", f"offset must be at least 0, but is {offset}.")
    narrowing.check_sort(sort)


def _named(query: str, attributes: Attributes, rows: Rows) -> NDArray[np.bool_]:
    """Say which rows have the query as their title or id, spelled alike."""
    named = attributes.titled(rows, query[: text.QUERY_CHARS_MAX])
    by_id = attributes.row_of.get(query.strip())
    return named if by_id is None else named | (rows == by_id)


def _hits(index: Index, table: pl.DataFrame) -> tuple[Hits, list[str]]:
    """Read the table of an index that does not number its products; their ids come beside."""
    rows = np.arange(table.height)
    scores, name = table[SCORE].to_numpy(), type(index).__name__.lower()
    if SOURCE not in table.columns:
        return Hits(rows, scores, np.zeros(len(rows), np.int64), (name,)), table[ITEM].to_list()
    column = narrowing.Column(table[SOURCE])
    return Hits(rows, scores, column.codes.astype(np.int64), tuple(column.values)), table[
        ITEM
    ].to_list()


def _place(hits: Hits, source: str) -> int:
    return hits.sources.index(source) if source in hits.sources else -1


def _quoted(query: str) -> str:
    plain = text.clean(query, QUOTED_CHARS_MAX + 1)
    return plain if len(plain) <= QUOTED_CHARS_MAX else plain[:QUOTED_CHARS_MAX] + "..."
