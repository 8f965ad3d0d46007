"""User events of Google's Vertex AI Search for commerce, one JSON object a line.

Source: `UserEvent` of the Retail API v2, and the older event types of Recommendations AI. An
event's id is a digest of what it says. Search results and category pages become
`view_search_results` and `view_item_list` with the place of each product, from `offset` on; a
search that shows nothing is `search`. Events name revenue but seldom prices. Does not know custom
attributes, experiments and panels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shopkeeper.data.sources import _events, _files, _money, _records
from shopkeeper.data.sources._records import TEXT, RecordFiles

if TYPE_CHECKING:
    import ibis

NAMES = {
    "add-to-cart": "add_to_cart",
    "add-to-list": "like",
    "category-page-view": "view_item_list",
    "checkout-start": "begin_checkout",
    "detail-page-view": "view_item",
    "promotion-offered": "view_promotion",
    "purchase-complete": "purchase",
    "refund": "refund",
    "remove-from-cart": "remove_from_cart",
    "shopping-cart-page-view": "view_cart",
}
LEFT_OUT = ("home-page-view", "page-visit", "promotion-not-offered")
"""Events that are left out unread, for they say nothing of products."""
LISTS = ("search", "category-page-view")
"""Events whose products stand in the order in which they were shown."""

SHAPE = {
    **dict.fromkeys(
        (
            "eventType", "visitorId", "sessionId", "eventTime", "searchQuery", "offset",
            "attributionToken", "referrerUri", "cartId", "pageViewId", "entity",
        ),
        TEXT,
    ),
    "userInfo": {"userId": TEXT},
    "pageCategories": [TEXT],
    "productDetails": [
        {
            "product": {
                "id": TEXT, "name": TEXT, "priceInfo": {"price": TEXT, "currencyCode": TEXT},
            },
            "quantity": TEXT,
        }
    ],
    "purchaseTransaction": {"id": TEXT, "revenue": TEXT, "currencyCode": TEXT},
}  # fmt: skip
NEEDED = {"eventType": ("eventType",)}


class GoogleRetail(RecordFiles):
    """Reads user events as they are imported into Google's catalogue."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """How to read the events."""

        currency: str = ""
        """ISO 4217 code of money in events that name none; empty to leave them without price."""
        spread_revenue: bool = True
        """Whether a purchase whose products name no price shares its revenue evenly among its
        pieces; if not, such purchases are refused for want of a price."""

        def __post_init__(self) -> None:
            _money.known(self.currency)

    advice = "Give the file or folder of events that you import there."

    def read(self, backend: Any, files: Sequence[Path]) -> "dict[str, ibis.Table]":
        """Return `events` as the files have them.

        A file that is missing, empty, broken as a whole or of another kind is BadData.
        """
        rows = _records.open_records(backend, files, SHAPE, NEEDED)
        kind = rows.eventType.strip().lower()
        rows = rows.mutate(_kind=kind).filter(~kind.isin(LEFT_OUT).fill_null(False))
        heads = _heads(rows)
        if not self.config.spread_revenue:
            heads = heads.drop("value")
        return {"events": _events.rows(heads, "retail-", self.config.currency)}


def _heads(rows: "ibis.Table") -> "ibis.Table":
    """Put events under our names."""
    items = rows.productDetails
    shows = (items.length() > 0).fill_null(False)
    search = shows.ifelse("view_search_results", "search")
    name = (rows._kind == "search").ifelse(search, _events.name_of(rows._kind, NAMES))
    bought, page = rows.purchaseTransaction, rows.pageCategories
    return rows.select(
        "line",
        "problem",
        event_name=name,
        time=_events.from_iso(rows.eventTime),
        raw_time=rows.eventTime,
        user_id=_events.known(rows.userInfo.userId),
        visitor_id=_events.known(rows.visitorId),
        session_id=_events.known(rows.sessionId),
        transaction_id=_events.known(bought["id"]),
        search_term=_events.known(rows.searchQuery),
        request_id=_events.known(rows.attributionToken),
        item_list_id=_events.known(page[0]),
        referrer=_events.known(rows.referrerUri),
        location_id=_events.known(rows.entity),
        currency=_events.known(bought.currencyCode),
        value=bought.revenue,
        mark=_events.known(rows.cartId).fill_null("").concat("/", rows.pageViewId.fill_null("")),
        items=_items(rows),
    )


def _items(rows: "ibis.Table") -> Any:
    """Put products under our names, numbered where they stand in a list."""
    import ibis

    details = rows.productDetails
    first = _files.as_whole(_files.as_float(rows.offset)).fill_null(0)
    in_list = rows._kind.isin(LISTS)
    places = ibis.range(0, details.length())

    def item(place: Any) -> Any:
        detail = details[place]
        product = detail.product
        index = in_list.ifelse((first + place).cast("string"), ibis.null("string"))
        return ibis.struct(
            {
                # A resource name ends in the id: projects/.../branches/0/products/ID.
                "item_id": product["id"].coalesce(product["name"].re_extract(r"([^/]+)$", 1)),
                "quantity": detail.quantity,
                "price": product.priceInfo.price,
                "currency": product.priceInfo.currencyCode,
                "index": index,
            }
        )

    return places.map(item)
