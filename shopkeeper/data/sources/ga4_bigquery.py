"""Events of Google Analytics 4 as BigQuery exports them, a file a day: JSON lines or Parquet.

Source: Google's "[GA4] BigQuery Export schema". An event's id is a digest of what it says, for the
export has none. A visit is the visitor with `ga_session_id`; `referrer` is `page_referrer`, else
where the shopper first came from as `source / medium`; countries are names, as Google writes them.
A custom parameter `request_id` is read. Does not know the revenue and refunds in US dollars.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shopkeeper import schema
from shopkeeper.data.sources import _events, _ga4, _money, _records
from shopkeeper.data.sources._files import settled
from shopkeeper.data.sources._records import TEXT, RecordFiles

if TYPE_CHECKING:
    import ibis

VALUE = dict.fromkeys(("string_value", "int_value", "double_value", "float_value"), TEXT)
SHAPE = {
    **dict.fromkeys(("event_name", "event_timestamp", "user_id", "user_pseudo_id"), TEXT),
    **dict.fromkeys(("event_bundle_sequence_id", "batch_ordering_id", "batch_event_index"), TEXT),
    "event_params": [{"key": TEXT, "value": VALUE}],
    "items": [{**_ga4.ITEM, "item_list_index": TEXT}],
    "ecommerce": {"transaction_id": TEXT},
    "device": {"category": TEXT},
    "geo": {"country": TEXT},
    "traffic_source": {"source": TEXT, "medium": TEXT},
}
NEEDED = {name: (name,) for name in ("event_name", "event_timestamp", "event_params", "items")}
PARAMS = (
    "ga_session_id", "currency", "transaction_id", "search_term", "page_referrer", *_events.EITHER
)  # fmt: skip


class Ga4Bigquery(RecordFiles):
    """Reads exported tables `events_YYYYMMDD`, nested as they are."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """How to read the export."""

        currency: str = ""
        """ISO 4217 code of prices in events that name none; empty to leave them without price."""
        leave_out: str = ""
        """Events of your own that say nothing of products, with spaces between; those that GA4
        collects by itself, such as page_view, are left out always."""
        products: bool = False
        """Whether products are made of the names, brands and categories in items, too."""

        def __post_init__(self) -> None:
            _money.known(self.currency)

    advice = "Export the tables events_* from BigQuery as JSON or Parquet and give their folder."

    def read(self, backend: Any, files: Sequence[Path]) -> "dict[str, ibis.Table]":
        """Return `events`, and `products` where the settings want them, as the files have them.

        A file that is missing, empty, broken as a whole or of another kind is BadData.
        """
        rows = _records.open_records(backend, files, SHAPE, NEEDED)
        rows = _ga4.wanted(rows, rows.event_name, self.config.leave_out)
        return _ga4.tables(_heads(rows), "ga4-", self.config.currency, self.config.products)


def _heads(rows: "ibis.Table") -> "ibis.Table":
    """Put events under our names."""
    rows = settled(rows.mutate(_params=rows.event_params.filter(lambda one: one.key.isin(PARAMS))))
    values = {
        name: rows._params.filter(lambda one, name=name: one.key == name)[0].value
        for name in PARAMS
    }
    rows = settled(rows.mutate(**{f"_{name}": value for name, value in values.items()}))

    def param(name: str) -> Any:
        first, *others = (rows[f"_{name}"][kind] for kind in VALUE)
        return _events.known(first.coalesce(*others))

    visitor = _events.known(rows.user_pseudo_id)
    source = rows.traffic_source
    first_touch = (
        _events.known(source.source)
        .nullif("(direct)")
        .concat(" / ", source.medium.fill_null("(none)"))
    )
    batch = ("event_bundle_sequence_id", "batch_ordering_id", "batch_event_index")
    first, *others = (rows[name].fill_null("") for name in batch)
    bought = _events.known(rows.ecommerce.transaction_id)
    return rows.select(
        "line",
        "problem",
        "items",
        event_name=_events.name_of(rows.event_name.strip(), _ga4.NAMES),
        time=_events.from_micros(rows.event_timestamp),
        raw_time=rows.event_timestamp,
        user_id=_events.known(rows.user_id),
        visitor_id=visitor,
        session_id=_ga4.session(visitor, param("ga_session_id")),
        transaction_id=bought.coalesce(param("transaction_id")),
        search_term=param("search_term"),
        country=_events.known(rows.geo.country),
        device=_events.known(rows.device.category),
        referrer=param("page_referrer").coalesce(first_touch),
        currency=param(schema.CURRENCY),
        **{name: param(name) for name in _events.EITHER},
        mark=first.concat(*("/" + part for part in others)),
    )
