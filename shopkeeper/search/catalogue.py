"""One search of a shop: words to a page of products, with filters, facets, order and notes.

Ties an index to what is known of the products. An empty query browses by sales. Nothing is
frozen: prices and stock come with every call. Knows nothing of shoppers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.contracts import Index
from shopkeeper.errors import BadRequest
from shopkeeper.schema import ITEM, RANK, SCORE, SOURCE
from shopkeeper.search import filters as narrowing
from shopkeeper.search import text
from shopkeeper.search.filters import Attributes, Filters, Rows

K_MAX = 1_000
DEEPER = 10
"""How many times more matches are looked at where a filter leaves too few."""
QUOTED_CHARS_MAX = 60

PAGE = {ITEM: pl.String, SCORE: pl.Float32, RANK: pl.UInt32, SOURCE: pl.String}
"""Columns of a page's rows; rank counts from 1 over all pages."""


@dataclass(frozen=True)
class SearchPage:
    """A page of found products and what a shopper may do next."""

    rows: pl.DataFrame
    """`item_id`, `score`, `rank`, `source`, best first."""
    total: int
    """How many products there are to page through."""
    facets: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    """Values and counts by attribute, most frequent first."""
    notes: list[str] = field(default_factory=list)
    """What the shopper should know, such as that a word was not found."""


@dataclass(frozen=True)
class _Found:
    """Products that match the words, before filters; best first."""

    rows: Rows
    scores: NDArray[np.float32]
    sources: NDArray[np.object_]
    notes: list[str] = field(default_factory=list)
    complete: bool = True
    """Whether these are all; False if more were cut off."""


class ProductSearch:
    """Searches one catalogue by an `index` that is built or restored already."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings."""

        popularity_weight: float = 0.1
        """How far the best seller moves up beside equal texts, as a share of the best score."""
        matches_max: int = 1_000
        """How many matches are looked at, counted and paged through."""
        group: bool = True
        """Whether variants of one product (`item_group_id`) are shown as one."""

        def __post_init__(self) -> None:
            if not 0 <= self.popularity_weight <= 1:
                raise ValueError(
                    f"popularity_weight must be from 0 to 1, but is {self.popularity_weight}."
                )
            if self.matches_max < 1:
                raise ValueError(f"matches_max must be at least 1, but is {self.matches_max}.")

    def __init__(self, index: Index, config: Config | None = None) -> None:
        self.index = index
        self.config = config or self.Config()
        self._seen: Attributes | None = None
        self._sales: tuple[object, Attributes, NDArray[np.float32]] | None = None
        self._shelves: tuple[NDArray[np.float32], _Found] | None = None

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

        Returns:
            The page; empty with a note where nothing was found. BadRequest names the field that is
            out of range, or the attribute or order that is not there.
        """
        _check(k, offset, sort)
        chosen = filters or {}
        attributes = self._attributes(products)
        prior = self._prior(attributes, popularity)
        limits = (chosen, price_min, price_max)
        browsing = not query.strip()
        found = self._browse(prior) if browsing else self._find(query, vector, attributes)
        rows = narrowing.narrow(attributes, found.rows, *limits)
        if not found.complete and len(rows) < min(len(found.rows), offset + k):
            # The filter left too few of the best matches: look deeper once.
            found = self._find(query, vector, attributes, deep=True)
            rows = narrowing.narrow(attributes, found.rows, *limits)
        notes = [*found.notes, *self._excuse(query, found, rows)]
        counted = narrowing.facets(attributes, found.rows, *limits)
        scores = self._weigh(found, attributes, prior, browsing)
        if not browsing:
            rows = rows[np.argsort(-scores[rows], kind="stable")]
        rows = narrowing.arrange(attributes, rows, sort)
        if self.config.group if group is None else group:
            rows = narrowing.one_per_group(attributes, rows)
        page = rows[offset : offset + k]
        return SearchPage(
            _table(attributes, page, scores, found, offset), len(rows), counted, notes
        )

    def _find(
        self,
        query: str,
        vector: NDArray[np.float32] | None,
        attributes: Attributes,
        deep: bool = False,
    ) -> _Found:
        """Ask the index, and drop what is no longer sold."""
        if not text.words(query, text.QUERY_CHARS_MAX):
            note = f"There are no words in '{_quoted(query)}' to search for."
            return _Found(*_nothing(), notes=[note])
        depth = self.config.matches_max * (DEEPER if deep else 1)
        hits = self.index.search(query, vector, depth)
        rows = attributes.rows(hits[ITEM].to_list())
        sold = rows >= 0
        scores = hits[SCORE].to_numpy()[sold]
        name = type(self.index).__name__.lower()
        sources = hits[SOURCE].to_numpy() if SOURCE in hits.columns else np.full(len(rows), name)
        sources = sources[sold].astype(object)
        notes: list[str] = getattr(self.index, "notes", lambda _: [])(query)
        if len(sources) and set(sources) == {"dense"} and name != "dense":
            notes = [f"No product has the words '{_quoted(query)}'; these are near in meaning."]
        return _Found(rows[sold], scores, sources, notes, hits.height < depth or deep)

    def _browse(self, prior: NDArray[np.float32]) -> _Found:
        """Return every product, best sellers first; kept while sales are the same."""
        kept = self._shelves
        if kept is None or kept[0] is not prior:
            rows = np.argsort(-prior, kind="stable")
            sources = np.full(len(prior), "browse", dtype=object)
            self._shelves = kept = (prior, _Found(rows, prior[rows], sources))
        return kept[1]

    def _excuse(self, query: str, found: _Found, rows: Rows) -> list[str]:
        """Say why a page is empty."""
        if len(rows) or (found.notes and not len(found.rows)):
            return []
        quoted = f" matches '{_quoted(query)}'" if query.strip() else " matches"
        if len(found.rows):
            return [f"No product{quoted} with these filters; {len(found.rows)} do without them."]
        return [f"No product{quoted}."]

    def _weigh(
        self,
        found: _Found,
        attributes: Attributes,
        prior: NDArray[np.float32],
        browsing: bool,
    ) -> NDArray[np.float32]:
        """Return a score per product of the shop: share of the best score, and sales. Shape [N]."""
        if browsing:
            return prior
        scores = np.zeros(len(attributes), dtype=np.float32)
        best = max(float(found.scores.max(initial=0.0)), 1e-9)
        relevance = found.scores / np.float32(best)
        boost = np.float32(self.config.popularity_weight)
        scores[found.rows] = relevance + boost * prior[found.rows]
        return scores

    def _attributes(self, products: pl.DataFrame) -> Attributes:
        """Return what is known of `products`, kept while it is the same table."""
        seen = self._seen
        if seen is None or seen.products is not products:
            self._seen = seen = Attributes(products)
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


def _nothing() -> tuple[Rows, NDArray[np.float32], NDArray[np.object_]]:
    return np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, object)


def _table(
    attributes: Attributes, page: Rows, scores: NDArray[np.float32], found: _Found, offset: int
) -> pl.DataFrame:
    """Return the rows of a page as `PAGE`."""
    place_of = np.zeros(len(attributes), dtype=np.int64)
    place_of[found.rows] = np.arange(len(found.rows))
    place = place_of[page]
    return pl.DataFrame(
        {
            ITEM: attributes.ids(page),
            SCORE: scores[page],
            RANK: range(offset + 1, offset + 1 + len(page)),
            SOURCE: found.sources[place].tolist(),
        },
        schema=PAGE,
    )


def _quoted(query: str) -> str:
    plain = text.clean(query, QUOTED_CHARS_MAX + 1)
    return plain if len(plain) <= QUOTED_CHARS_MAX else plain[:QUOTED_CHARS_MAX] + "..."
