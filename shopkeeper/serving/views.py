"""Asks the shop for what a page shows, as plain values for the templates.

Everything here is slow work for a thread; `storefront` holds the routes.
"""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shopkeeper.engine.answers import Answer
from shopkeeper.errors import BadRequest, NotFitted, NotFound
from shopkeeper.serving.metrics import Metrics
from shopkeeper.serving.visits import Visit

if TYPE_CHECKING:
    from shopkeeper.engine.shop import Shop

SHELF_SIZE = 12
STRIP_SIZE = 8
WALKERS = 12
WALKERS_S = 60.0
"""How long the list of shoppers to walk as is kept; every page asks for it."""
PAGE_SIZE = 24

SHELVES = {
    "home": "For you",
    "buy_again": "Buy again",
    "trending": "Trending now",
    "similar": "Similar",
    "bought_together": "Bought together",
}
"""Placements that the storefront shows, and what it calls them."""


@dataclass(frozen=True)
class Shelf:
    """A row of products."""

    placement: str
    title: str
    answer: Answer
    seed: str = ""
    """The product whose page it stands on."""


class Views:
    """Gathers what pages show."""

    def __init__(self, shop: "Shop", metrics: Metrics) -> None:
        self._shop, self._metrics = shop, metrics
        self._walkers: list[dict[str, Any]] = []
        self._walkers_until_s = 0.0

    def walkers(self) -> list[dict[str, Any]]:
        """Return the shoppers that a browser may walk as; none before the shop is trained."""
        if time.monotonic() > self._walkers_until_s:
            try:
                self._walkers = self._shop.shoppers(WALKERS)
            except NotFitted:
                return []
            self._walkers_until_s = time.monotonic() + WALKERS_S
        return self._walkers

    def shelf(self, placement: str, visit: Visit, seed: str = "") -> Shelf:
        """Return one shelf.

        Args:
            placement: A key of `SHELVES`.
            visit: Who looks.
            seed: The product whose page it is.

        Returns:
            The shelf, perhaps without products.

        Raises:
            NotFound: The storefront has no such shelf, or the shop no such product.
        """
        if placement not in SHELVES:
            raise NotFound("There is no such shelf.")
        answer = self._shop.recommend(
            placement, k=SHELF_SIZE, items=[seed] if seed else None, **visit.asks()
        )
        self._metrics.answered(placement, len(answer.results))
        return Shelf(placement, SHELVES[placement], answer, seed)

    def shelves(self, placements: tuple[str, ...], visit: Visit, seed: str = "") -> list[Shelf]:
        """Return those of the shelves that the shop has and that hold something."""
        known = set(self._shop.placements())
        found = [self.shelf(name, visit, seed) for name in placements if name in known]
        return [shelf for shelf in found if shelf.answer.results]

    def strip(self, visit: Visit, size: int = STRIP_SIZE) -> dict[str, Any]:
        """Return what the shop knows of a visit: the last steps, and the shop's own clock."""
        steps = self._shop.history(**visit.who(), k=size)
        now = datetime.fromisoformat(self._shop.ready()["shop_time"])
        return {"steps": steps, "now": now}

    def basket(self, visit: Visit) -> list[dict[str, Any]]:
        """Return the products in the basket that the shop still has."""
        found = []
        for item_id in visit.basket:
            try:
                found.append({"id": item_id, **self._shop.product(item_id)})
            except NotFound:
                continue
        return found

    def product(self, item_id: str) -> dict[str, Any]:
        """Return one product, or raise NotFound."""
        return {"id": item_id, **self._shop.product(item_id)}

    def search(self, visit: Visit, **asked: Any) -> Answer:
        """Return a page of search results and count it."""
        answer = self._shop.search(**asked, k=PAGE_SIZE, **visit.asks())
        self._metrics.answered("search", len(answer.results))
        return answer

    def ways(self) -> list[str]:
        """Name the ways to search besides words; none before the shop is trained."""
        try:
            return self._shop.ways()
        except NotFitted:
            return []

    def looks(self, picture: bytes) -> Answer:
        """Return products that look like a picture file and count them."""
        answer = self._shop.search_by_picture(picture, k=PAGE_SIZE)
        self._metrics.answered("picture", len(answer.results))
        return answer

    def record(self, visit: Visit, name: str, **fields: Any) -> None:
        """Post one event; one that the log refuses is let go, since the page matters more."""
        event = {"event_name": name, **visit.who(), **fields}
        try:
            receipt = self._shop.add_events([event])
        except BadRequest:
            return
        self._metrics.took(receipt.accepted, receipt.duplicates)

    def record_item(self, visit: Visit, name: str, *item_ids: str, **fields: Any) -> None:
        """Post one event on products with their prices of now; NotFound if one is not there."""
        items = []
        for item_id in item_ids:
            product = self._shop.product(item_id)
            item = {"item_id": item_id, "quantity": 1}
            for key in ("index", "item_list_id"):
                if fields.get(key):
                    item[key] = fields.pop(key)
            if product.get("price") and product.get("currency"):
                item["price"], fields["currency"] = product["price"], product["currency"]
            items.append(item)
        self.record(visit, name, items=items, **fields)
