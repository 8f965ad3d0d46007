"""What both forms of GA4 events share: names that say nothing of products, and the items.

Source: Google's reference of GA4 events and of its BigQuery export. An item's `price` is what one
piece cost after its `discount`, as our `price_minor`. Ids of lists, promotions and coupons count
from the item, else from the event.
"""

from typing import TYPE_CHECKING, Any

from shopkeeper import schema
from shopkeeper.data.sources import _events
from shopkeeper.data.sources._records import TEXT

if TYPE_CHECKING:
    import ibis

LEFT_OUT = (
    # Collected by Google's tag and its enhanced measurement.
    "click", "file_download", "first_visit", "form_start", "form_submit", "page_view", "scroll",
    "session_start", "user_engagement", "video_complete", "video_progress", "video_start",
    # Collected from apps.
    "app_clear_data", "app_exception", "app_remove", "app_update", "error", "first_open",
    "notification_dismiss", "notification_foreground", "notification_open",
    "notification_receive", "os_update", "screen_view",
    # Recommended to every shop, and about no product.
    "add_payment_info", "add_shipping_info", "exception", "generate_lead", "login", "sign_up",
    "timing_complete",
)  # fmt: skip
"""Events that are left out unread, for they say nothing of products."""

NAMES = {"add_to_wishlist": "like", "view_search_result": "view_search_results"}
"""Our names for events that GA4 calls otherwise."""

CATEGORIES = tuple(f"item_category{number}" for number in ("", 2, 3, 4, 5))
ITEM = dict.fromkeys(
    (
        "item_id", "item_name", "item_brand", *CATEGORIES, "price", "quantity", "discount",
        "currency", "coupon", "index", "item_list_id", "location_id", "promotion_id",
    ),
    TEXT,
)  # fmt: skip
"""What is read of an item."""
NAMED = ("item_name", "item_brand", *CATEGORIES)


def wanted(rows: "ibis.Table", names: Any, left_out: str) -> "ibis.Table":
    """Return the rows that are not left out, nor by a person's `left_out`; broken ones stay."""
    given = (*LEFT_OUT, *left_out.split())
    return rows.filter(~names.isin(given).fill_null(False))


def session(visitor: Any, number: Any) -> Any:
    """Name a visit: GA4 numbers them for each visitor by the second they began in."""
    return visitor.concat(".", number.nullif(""))


def tables(
    events: "ibis.Table", prefix: str, currency: str, products: bool
) -> "dict[str, ibis.Table]":
    """Return `events` and, where wanted, the `products` that they name."""
    found = {"events": _events.rows(events, prefix, currency)}
    if products:
        found["products"] = _products(_events.rows(events, prefix, currency, kept=NAMED))
    return found


def _products(items: "ibis.Table") -> "ibis.Table":
    """Return each named product as the latest event has it.

    One that is seen in events counts as in stock; what is not says its catalogue.
    """
    import ibis

    path = items["item_category"]
    for name in CATEGORIES[1:]:
        path = path.concat(ibis.literal(" > ").concat(items[name]).fill_null(""))
    said = items.filter(items[schema.ITEM].notnull(), items["item_name"].notnull())
    latest = said.group_by(schema.ITEM).agg(
        _latest=ibis.struct(
            {
                "updated": said[schema.TIME],
                "line": said["line"],
                "title": said["item_name"],
                "brand": said["item_brand"],
                "product_type": path,
                schema.PRICE: said[schema.PRICE],
                schema.CURRENCY: said[schema.CURRENCY],
            }
        ).max()
    )
    return latest.select(
        id=latest[schema.ITEM],
        availability=ibis.literal("in_stock"),
        **{name: latest._latest[name] for name in latest._latest.type().names},
    )
