"""One search, from what was typed to a page: understood, asked, and relaxed where nothing is found.

What the shopper chose by hand holds; what was only understood gives way, step by step, and the
page says each step. Knows no HTTP and no shoppers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.contracts import Encoder
from shopkeeper.engine.catalogue import minor_price
from shopkeeper.search.catalogue import ProductSearch
from shopkeeper.search.filters import PATH
from shopkeeper.search.found import BY_RULE, SearchPage
from shopkeeper.search.understanding import Understanding, Understood

DROPS_MAX = 3
"""How many words of a query are given up before it counts as unanswerable."""
WHY = {
    "lexical": "Matches your words",
    "dense": "Close in meaning",
    "browse": "Popular in this shop",
    BY_RULE: "Chosen by the shop",
}
PRICE = "price"
QUERIES_KEPT = 4_096
"""How many queries' vectors are kept: some megabytes."""


@dataclass(frozen=True)
class Found:
    """A page, and what was understood of the query that led to it."""

    page: SearchPage
    understood: Understood | None

    def sentences(self) -> list[str]:
        """Return the reason of each product for the shopper."""
        words = "Matches your words and their meaning"
        return [WHY.get(source, words) for source in self.page.sources]


class QueryVectors:
    """Turns queries into vectors; the newest are kept, for pages and filters ask them again."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.of = lru_cache(QUERIES_KEPT)(self._encode)

    def _encode(self, query: str) -> NDArray[np.float32]:
        (vector,) = self._encoder.encode([query], "query")
        vector.flags.writeable = False
        found: NDArray[np.float32] = vector
        return found


@dataclass(frozen=True)
class Finder:
    """Searches one shop's catalogue with the models of one bundle; threads may share it."""

    search: ProductSearch
    vectors: QueryVectors
    understanding: Understanding | None
    sales: Mapping[str, float]

    def find(
        self,
        query: str,
        products: pl.DataFrame,
        currency: str,
        *,
        filters: Mapping[str, Sequence[str]] | None = None,
        price_min: float | None = None,
        price_max: float | None = None,
        ignore: Sequence[str] | None = None,
        **page: Any,
    ) -> Found:
        """Answer one search.

        Args:
            query: What the shopper typed; empty to browse.
            products: The catalogue as it is now.
            currency: Of its prices.
            filters: What the shopper chose by hand, by attribute.
            price_min: Lowest price by hand.
            price_max: Highest price by hand.
            ignore: Keys of chips that were taken back; None to take the query by its letters.
            **page: `k`, `offset`, `sort` and `lift`, as for `ProductSearch.search`.

        Returns:
            The first page that holds something, or that of the whole query.
        """
        bounds = (
            _minor(price_min, currency, "price_min"),
            _minor(price_max, currency, "price_max"),
        )
        chosen = {name: list(values) for name, values in (filters or {}).items()}
        asking = (products, currency, chosen, bounds)
        if self.understanding is None or ignore is None or not query.strip():
            return Found(self._ask(Understood.plain(query), asking, page), None)
        vector = self.vectors.of(query)
        understood = self.understanding.understand(query, vector, ignore)
        understood = _without_chosen(understood, chosen, bounds)
        first = self._ask(understood, asking, page)
        said = list(understood.notes)
        best = Found(replace(first, notes=said + first.notes), understood)
        if first.total:
            return best
        for eased, step in self._eased(understood):
            said.append(step)
            found = self._ask(eased, asking, page)
            if found.total:
                return Found(replace(found, notes=said + found.notes), eased)
        return best

    def _ask(
        self,
        wanted: Understood,
        asking: tuple[pl.DataFrame, str, dict[str, list[str]], tuple[int | None, int | None]],
        page: Mapping[str, Any],
    ) -> SearchPage:
        """Search for one reading of the query, under what was chosen by hand."""
        products, currency, chosen, (low, high) = asking
        if wanted.price_min is not None:
            low = _minor(wanted.price_min, currency, "price_min")
        if wanted.price_max is not None:
            high = _minor(wanted.price_max, currency, "price_max")
        return self.search.search(
            wanted.words,
            self.vectors.of(wanted.text) if wanted.text.strip() else None,
            products,
            filters={**wanted.filters, **chosen},
            price_min=low,
            price_max=high,
            popularity=self.sales,
            **page,
        )

    def _eased(self, understood: Understood) -> Iterator[tuple[Understood, str]]:
        """Yield readings that ask for less and less, each with what was given up."""
        now = understood
        if now.filters:
            values = [value for found in now.filters.values() for value in found]
            names = ", ".join(f"'{value.rsplit(PATH, 1)[-1]}'" for value in values)
            kept = tuple(chip for chip in now.chips if chip.kind not in now.filters)
            now = replace(now, filters={}, chips=kept)
            yield now, f"No product matches with {names} as a filter; searched without it."
        if now.price_min is not None or now.price_max is not None:
            kept = tuple(chip for chip in now.chips if chip.kind != PRICE)
            now = replace(now, price_min=None, price_max=None, chips=kept)
            yield now, "No product matches at that price; searched at any price."
        if now.corrections:
            typed = now.original
            now = replace(now, text=typed, words=typed, corrections=(), chips=())
            yield now, "No product matches the corrected words; searched for what you typed."
        assert self.understanding is not None
        for _ in range(DROPS_MAX):
            rarest = self.understanding.rarest(now.text)
            if rarest is None:
                return
            shorter = " ".join(word for word in now.text.split() if word != rarest)
            if not shorter:
                return
            now = replace(now, text=shorter, words=shorter)
            yield now, f"No product matches all words; searched without '{rarest[:30]}'."


def _without_chosen(
    understood: Understood,
    chosen: Mapping[str, Sequence[str]],
    bounds: tuple[int | None, int | None],
) -> Understood:
    """Let what was chosen by hand take the place of what was understood of the same kind."""
    filters = {name: v for name, v in understood.filters.items() if name not in chosen}
    by_hand = {*chosen, *([PRICE] if bounds != (None, None) else [])}
    chips = tuple(chip for chip in understood.chips if chip.kind not in by_hand)
    understood = replace(understood, filters=filters, chips=chips)
    if PRICE in by_hand:
        understood = replace(understood, price_min=None, price_max=None)
    return understood


def _minor(price: float | None, currency: str, field: str) -> int | None:
    return None if price is None else minor_price(price, currency, field)
