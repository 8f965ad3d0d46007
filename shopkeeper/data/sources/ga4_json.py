"""Events under GA4's names as plain JSON, as shops log what they send to gtag or to Google.

One event a line or one list, as the Measurement Protocol, a data layer or our own HTTP interface
has it: its fields in `params`, in `ecommerce` or flat; products in `items`, or one flat `item_id`.
A line may also be a whole request of the Measurement Protocol with its `events`. Times are epochs
in milliseconds or microseconds, or ISO 8601. Without an `event_id` an event's id is a digest of
what it says. Does not know arrays of gtag calls such as `["event", "purchase", {}]`.
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

NAMES = ("event_name", "name", "event")
TIMES = ("timestamp_micros", "event_timestamp", "time", "timestamp")
ALSO = {
    schema.VISITOR: ("client_id", "user_pseudo_id", "app_instance_id"),
    "country": (),
    "device": ("device_category",),
    "referrer": ("page_referrer",),
    "own_id": (schema.EVENT_ID,),
}
"""Other names of a column, looked for after our own."""
COLUMNS = ("own_id", schema.CURRENCY, *_events.HEAD, *_events.EITHER)
FIELDS = [name for column in COLUMNS for name in (column, *ALSO.get(column, ()))]
HELD = {
    **dict.fromkeys((*FIELDS, "ga_session_id", *TIMES, *_ga4.ITEM), TEXT),
    "items": [_ga4.ITEM],
}
EVENT = {**HELD, **dict.fromkeys(NAMES, TEXT), "params": HELD, "ecommerce": HELD}
SHAPE = {**EVENT, "events": [EVENT]}
NEEDED = {"event_name": (*NAMES, "events")}


class Ga4Json(RecordFiles):
    """Reads events of GA4's vocabulary, one a line or one list."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """How to read the events."""

        currency: str = ""
        """ISO 4217 code of prices in events that name none; empty to leave them without price."""
        leave_out: str = ""
        """Events of your own that say nothing of products, with spaces between; those that GA4
        collects by itself, such as page_view, are left out always."""
        products: bool = False
        """Whether products are made of the names, brands and categories in items, too."""

        def __post_init__(self) -> None:
            _money.known(self.currency)

    advice = "Give the file or folder that your events were logged to."

    def read(self, backend: Any, files: Sequence[Path]) -> "dict[str, ibis.Table]":
        """Return `events`, and `products` where the settings want them, as the files have them.

        A file that is missing, empty, broken as a whole or of another kind is BadData.
        """
        rows = _laid_out(_records.open_records(backend, files, SHAPE, NEEDED))
        name = rows.event[NAMES[0]].coalesce(*(rows.event[other] for other in NAMES[1:]))
        rows = settled(rows.mutate(_name=name.strip()))
        rows = _ga4.wanted(rows, rows._name, self.config.leave_out)
        return _ga4.tables(_heads(rows), "ga4-", self.config.currency, self.config.products)


def _laid_out(rows: "ibis.Table") -> "ibis.Table":
    """Return one row per event: the line itself, or each of the events that it holds."""
    import ibis

    alone = ibis.array([ibis.struct({name: rows[name] for name in EVENT})])
    several = rows.events.length().fill_null(0)
    events = (several > 0).ifelse(rows.events, alone)
    too_many = several > _events.EVENTS_MAX
    return settled(
        rows.mutate(
            problem=rows.problem.coalesce(
                too_many.ifelse(f"the line holds more than {_events.EVENTS_MAX} events", None)
            ),
            event=too_many.ifelse(alone, events).unnest(),
            place=ibis.range(0, too_many.ifelse(1, several.nullif(0).fill_null(1))).unnest(),
        )
    )


def _heads(rows: "ibis.Table") -> "ibis.Table":
    """Put events under our names; what an event says counts before what its line says."""
    holders = (rows.event.params, rows.event.ecommerce, rows.event, rows)

    def field(*names: str) -> Any:
        first, *others = (_events.known(holder[name]) for name in names for holder in holders)
        return first.coalesce(*others)

    heads = settled(
        rows.select(
            "line",
            "problem",
            "place",
            event_name=_events.name_of(rows._name, _ga4.NAMES),
            raw_time=field(*TIMES),
            items=_items(rows.event),
            _number=field("ga_session_id"),
            **{name: field(name, *ALSO.get(name, ())) for name in COLUMNS},
        )
    )
    said = heads.raw_time
    number = _ga4.session(heads[schema.VISITOR], heads._number)
    return heads.mutate(
        time=_events.from_epoch(said).coalesce(_events.from_iso(said)),
        session_id=heads[schema.SESSION].coalesce(number),
    ).drop("_number")


def _items(event: Any) -> Any:
    """Return the products of an event, or the one that it names flat."""
    import ibis

    lists = [event.params["items"], event.ecommerce["items"], event["items"]]
    flat = [
        (holder.item_id.notnull(), ibis.array([ibis.struct({n: holder[n] for n in _ga4.ITEM})]))
        for holder in (event.params, event)
    ]
    listed = [(given.length() > 0, given) for given in lists]
    return ibis.cases(*listed, *flat, else_=None)
