"""What a shop answers from at one moment: models, products, and the index with what changed since.

A change makes another moment, which takes the place of the one before as a whole: whoever searches
meanwhile sees the one or the other. Products that are new, or whose words changed since the bundle
was made, are encoded and stand beside the others in the index; prices, stock and attributes come
from the table of products and need no index. The next bundle has them all.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import polars as pl

from shopkeeper.contracts import Revisable
from shopkeeper.engine.catalogue import Catalogue
from shopkeeper.engine.finding import Finder, Found
from shopkeeper.engine.models import Models
from shopkeeper.engine.shelves import Shelves
from shopkeeper.schema import PRODUCT_ID
from shopkeeper.search.catalogue import ProductSearch
from shopkeeper.search.crossed import Crossed
from shopkeeper.search.text import fingerprints, product_text

LITTLE_KNOWN = 3
"""A product that was in so few baskets of the newest period is one that few know."""
AT_ONCE = 500
"""So many new texts are encoded before they can be found: about a second or two."""


@dataclass(frozen=True)
class Now:
    """One moment of a shop; nothing in it changes."""

    models: Models
    catalogue: Catalogue
    finder: Finder
    indexed: pl.DataFrame
    """Fingerprint of each product as the index has it."""
    pending: pl.DataFrame
    """Products that the index does not know as they are."""

    @classmethod
    def of(cls, models: Models, catalogue: Catalogue, lift_weight: float) -> "Now":
        """Begin with a bundle and the products as they are."""
        index: Any = models.index
        if models.cross is not None:
            index = Crossed.of(index, models.cross, catalogue.all())
        search = ProductSearch(index, ProductSearch.Config(lift_weight=lift_weight))
        reading = models.understanding
        finder = Finder(search, models.query_vectors, reading, models.sales)
        indexed = models.indexed
        if indexed is None or not isinstance(models.index, Revisable):
            indexed = fingerprints(catalogue.all())
        nothing = catalogue.all().clear()
        return cls(models, catalogue, finder, indexed, nothing).with_products(catalogue)

    def with_products(self, catalogue: Catalogue, changed: pl.DataFrame | None = None) -> "Now":
        """Return the moment in which the products are these.

        Args:
            catalogue: The products.
            changed: Those of them that may have changed; all by default.

        Returns:
            A moment whose index knows up to `AT_ONCE` of the products with changed words; others
            are `pending`.
        """
        may = catalogue.all() if changed is None else pl.concat([changed, self.pending])
        if not isinstance(self.models.index, Revisable):
            may = may.clear()
        may = may.unique(PRODUCT_ID, keep="first", maintain_order=True)
        prints = fingerprints(may)
        known = prints.join(self.indexed, on=prints.columns, how="semi")
        stale = may.join(known, on=PRODUCT_ID, how="anti", maintain_order="left")
        return replace(self, catalogue=catalogue, pending=stale).further()

    def further(self) -> "Now":
        """Return the moment in which the next pending products are in the index."""
        fresh, search, indexed = self.pending.head(AT_ONCE), self.finder.search, self.indexed
        index, reading = search.index, self.finder.understanding
        if not fresh.is_empty():
            assert isinstance(index, Revisable)
            vectors = self.models.encoder.encode(product_text(fresh).to_list())
            index = index.revised(fresh, vectors)
            prints = fingerprints(fresh)
            indexed = pl.concat([indexed.join(prints, on=PRODUCT_ID, how="anti"), prints])
            reading = reading and reading.knowing(fresh)
        search = search.moved(index, self.catalogue.all(), self.models.sales)
        return replace(
            self,
            finder=replace(self.finder, search=search, understanding=reading),
            indexed=indexed,
            pending=self.pending.slice(AT_ONCE),
        )

    @cached_property
    def shelves(self) -> Shelves:
        """Which products rules and filters mean."""
        attributes = self.finder.search.attributes(self.catalogue.all())
        return Shelves(attributes, self.catalogue.currency)

    @cached_property
    def little_known(self) -> list[str]:
        """Products that few have bought, by id."""
        sales = self.models.sales
        items = self.catalogue.all()[PRODUCT_ID].to_list()
        return sorted(item for item in items if sales.get(item, 0) <= LITTLE_KNOWN)

    def find(self, query: str, **asked: Any) -> Found:
        """Search the catalogue; see `Finder.find`."""
        return self.finder.find(query, self.catalogue.all(), self.catalogue.currency, **asked)
