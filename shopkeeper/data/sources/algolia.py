"""Events of Algolia's Insights API, one JSON object a line or one list.

Source: the `events` of Algolia's Insights API. A view of one product is `view_item`, of several
`view_item_list`; a click is `select_item`; conversions say by `eventSubtype` whether they are
`add_to_cart` or `purchase`. `index` counts from 0 as in GA4, where Algolia's `positions` count from
1; the Algolia index is the `item_list_id`. An event's id is a digest of what it says. Events on
filters alone are left out, for they name no product. Knows no orders: a purchase event is one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shopkeeper import schema
from shopkeeper.data.sources import _events, _files, _money, _records
from shopkeeper.data.sources._records import TEXT, RecordFiles

if TYPE_CHECKING:
    import ibis

SUBTYPES = {"addtocart": "add_to_cart", "purchase": "purchase"}
SHAPE = {
    **dict.fromkeys(
        (
            "eventType", "eventSubtype", "eventName", "index", "userToken",
            "authenticatedUserToken", "timestamp", "queryID", "currency", "value",
        ),
        TEXT,
    ),
    "objectIDs": [TEXT],
    "positions": [TEXT],
    "filters": [TEXT],
    "objectData": [{"price": TEXT, "quantity": TEXT, "discount": TEXT, "queryID": TEXT}],
}  # fmt: skip
NEEDED = {"eventType": ("eventType",)}


class Algolia(RecordFiles):
    """Reads events as they are sent to Algolia."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """How to read the events."""

        currency: str = ""
        """ISO 4217 code of money in events that name none; empty to leave them without price."""
        conversion: str = ""
        """What a conversion without a subtype means, such as add_to_cart; empty to refuse it."""
        spread_revenue: bool = True
        """Whether a purchase whose products name no price shares its value evenly among its
        pieces; if not, such purchases are refused for want of a price."""

        def __post_init__(self) -> None:
            _money.known(self.currency)
            if self.conversion and self.conversion not in schema.EVENT_NAMES:
                raise ValueError(
                    f"conversion must be one of {', '.join(schema.EVENT_NAMES)}, but is "
                    f"'{self.conversion}'"
                )

    advice = "Give the file or folder that your Insights events were logged to."

    def read(self, backend: Any, files: Sequence[Path]) -> "dict[str, ibis.Table]":
        """Return `events` as the files have them.

        A file that is missing, empty, broken as a whole or of another kind is BadData.
        """
        rows = _records.open_records(backend, files, SHAPE, NEEDED)
        no_product = rows.objectIDs.length().fill_null(0) == 0
        rows = rows.filter(~(no_product & (rows.filters.length() > 0).fill_null(False)))
        heads = _heads(rows, self.config.conversion)
        if not self.config.spread_revenue:
            heads = heads.drop("value")
        return {"events": _events.rows(heads, "algolia-", self.config.currency)}


def _heads(rows: "ibis.Table", conversion: str) -> "ibis.Table":
    """Put events under our names."""
    import ibis

    kind = rows.eventType.strip().lower()
    subtype = rows.eventSubtype.strip().lower()
    seen = (rows.objectIDs.length() > 1).ifelse("view_item_list", "view_item")
    name = ibis.cases(
        (kind == "view", seen),
        (kind == "click", "select_item"),
        (
            kind == "conversion",
            _events.name_of(subtype, SUBTYPES).coalesce(conversion or "conversion"),
        ),
        else_=kind,
    )
    bought = name == "purchase"
    return rows.select(
        "line",
        "problem",
        event_name=name,
        time=_events.from_epoch(rows.timestamp),
        raw_time=rows.timestamp,
        user_id=_events.known(rows.authenticatedUserToken),
        visitor_id=_events.known(rows.userToken),
        # Nothing else says which products were bought together.
        transaction_id=bought.ifelse(
            rows.userToken.concat("-", rows.timestamp), ibis.null("string")
        ),
        item_list_id=_events.known(rows["index"]),
        request_id=_events.known(rows.queryID),
        currency=_events.known(rows.currency),
        value=rows.value,
        mark=rows.eventName,
        items=_items(rows),
    )


def _items(rows: "ibis.Table") -> Any:
    """Lay what is said of each product beside its id."""
    import ibis

    def item(place: Any) -> Any:
        said = rows.objectData[place]
        position = _files.as_whole(_files.as_float(rows.positions[place]))
        return ibis.struct(
            {
                "item_id": rows.objectIDs[place],
                "quantity": said.quantity,
                "price": said.price,
                "discount": said.discount,
                "request_id": said.queryID,
                "index": (position - 1).cast("string"),
            }
        )

    return ibis.range(0, rows.objectIDs.length()).map(item)
