"""Turns events as web shops send them into rows of the event table, or says what is wrong.

Source: the event and item fields of GA4 (`event_name` or `name`, `items[]`, the `params` of the
Measurement Protocol), with a flat `item_id` allowed; time may be ISO 8601 or an epoch in
milliseconds or microseconds. A batch is taken whole or refused whole, at its first mistake.
Knows no shop: whether a product exists is asked of `catalogue_ids`. No message repeats an id of
a person.
"""

import difflib
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from shopkeeper import schema
from shopkeeper.errors import BadRequest
from shopkeeper.streaming._fields import decimal, minor, moment, text, whole

Row = dict[str, Any]
"""One row of `schema.EVENTS`: every column a key."""

BATCH_EVENTS_MAX = 1000
EVENT_ITEMS_MAX = 500
SEARCH_CHARS_MAX = 500
FUTURE_MAX = timedelta(minutes=5)
"""Clocks of browsers run ahead; further than this an event is refused."""

_WITHOUT_ITEM = ("view_item_list", "view_cart", "begin_checkout", "search", "view_search_results")
NEEDS_ITEM = frozenset(schema.EVENT_NAMES) - {*_WITHOUT_ITEM, "view_promotion", "select_promotion"}
"""Events that mean nothing without a product."""

_ITEM_TEXTS = ("coupon", "item_list_id")
_EVENT_TEXTS = (schema.SESSION, schema.TRANSACTION, "request_id", "country", "location_id")


def normalise(
    events: Sequence[Mapping[str, Any]],
    now: datetime,
    catalogue_ids: Callable[[str], bool] | None = None,
    *,
    allow_unknown: bool = False,
    currency: str | None = None,
) -> list[Row]:
    """Return one row per event and product, in the order given.

    Args:
        events: The batch as parsed from JSON, at most `BATCH_EVENTS_MAX`.
        now: The moment of arrival; the time of events that carry none.
        catalogue_ids: Says whether the shop has a product; None to take every id.
        allow_unknown: Take events on products that the shop does not have.
        currency: ISO 4217 code for prices that come without one.

    Returns:
        Rows with every column of `schema.EVENTS`; `time` is an aware UTC datetime. An event with
        the id of an earlier one of the batch is left out; one without an id is given one.

    Raises:
        BadRequest: The first mistake, its `field` such as `events[3].items[0].quantity`.
    """
    if isinstance(events, str | bytes | Mapping) or not isinstance(events, Sequence):
        raise BadRequest("events", "Events must be a list of objects.")
    if not 1 <= len(events) <= BATCH_EVENTS_MAX:
        raise BadRequest(
            "events",
            f"A batch holds 1 to {BATCH_EVENTS_MAX} events, but has {len(events)}. Split it.",
        )
    known = None if allow_unknown else catalogue_ids
    seen: set[str] = set()
    rows: list[Row] = []
    for number, event in enumerate(events):
        found = _event(event, f"events[{number}]", now, known, currency)
        if found[0][schema.EVENT_ID] not in seen:
            seen.add(found[0][schema.EVENT_ID])
            rows.extend(found)
    return rows


def _event(
    given: Any,
    at: str,
    now: datetime,
    known: Callable[[str], bool] | None,
    currency: str | None,
) -> list[Row]:
    if not isinstance(given, Mapping):
        raise BadRequest(at, "Each event must be an object with an event_name.")
    params = given.get("params")
    event = {**params, **given} if isinstance(params, Mapping) else given
    head: Row = dict.fromkeys(schema.EVENTS)
    head[schema.EVENT_NAME] = _name(event, at)
    head[schema.EVENT_ID] = text(event, schema.EVENT_ID, at) or uuid.uuid4().hex
    for field in (schema.USER, schema.VISITOR, *_EVENT_TEXTS):
        head[field] = text(event, field, at)
    if head[schema.USER] is None and head[schema.VISITOR] is None:
        raise BadRequest(f"{at}.visitor_id", "An event needs a user_id or a visitor_id.")
    head[schema.TIME] = _time(event, at, now)
    head["search_term"] = text(event, "search_term", at, SEARCH_CHARS_MAX)
    if head[schema.EVENT_NAME] == "search" and head["search_term"] is None:
        raise BadRequest(f"{at}.search_term", "A search event needs a search_term.")
    head[schema.CURRENCY] = _currency(event, at) or currency
    decimal(event, "value", at)
    items = _items(event, at, head[schema.EVENT_NAME])
    if not items:
        return [head]
    return [_item(item, where, head, known) for where, item in items]


def _name(event: Mapping[str, Any], at: str) -> str:
    field = "name" if schema.EVENT_NAME not in event and "name" in event else schema.EVENT_NAME
    name = text(event, field, at)
    if name is None:
        raise BadRequest(f"{at}.{field}", "An event needs an event_name, such as view_item.")
    if name not in schema.EVENT_NAMES:
        close = difflib.get_close_matches(name[:50], schema.EVENT_NAMES, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise BadRequest(
            f"{at}.{field}",
            f"There is no event '{name[:50]}'.{hint} Known: {', '.join(schema.EVENT_NAMES)}.",
        )
    return name


def _time(event: Mapping[str, Any], at: str, now: datetime) -> datetime:
    names = (schema.TIME, "event_timestamp", "timestamp_micros")
    field = next((name for name in names if event.get(name) is not None), None)
    if field is None:
        return now.astimezone(UTC)
    time = moment(event[field], f"{at}.{field}")
    if time > now + FUTURE_MAX:
        raise BadRequest(
            f"{at}.{field}",
            f"The event is from the future: {time:%Y-%m-%d %H:%M} UTC, now is {now:%Y-%m-%d %H:%M}."
            " Check the clock, or leave the time out.",
        )
    return time


def _currency(event: Mapping[str, Any], at: str) -> str | None:
    code = text(event, schema.CURRENCY, at)
    if code is None:
        return None
    if not (len(code) == 3 and code.isascii() and code.isalpha()):
        raise BadRequest(
            f"{at}.currency", f"Currency must be three letters such as EUR, but is '{code[:20]}'."
        )
    return code.upper()


def _items(event: Mapping[str, Any], at: str, name: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the products of an event, each with the field that an error names."""
    given = event.get("items")
    if given is None:
        if event.get(schema.ITEM) is not None:
            return [(at, event)]
        given = []
    if not isinstance(given, list):
        raise BadRequest(f"{at}.items", "Items must be a list of objects.")
    if len(given) > EVENT_ITEMS_MAX:
        raise BadRequest(
            f"{at}.items", f"An event has at most {EVENT_ITEMS_MAX} items, but has {len(given)}."
        )
    if not given and name in NEEDS_ITEM:
        raise BadRequest(f"{at}.items", f"A {name} event needs at least one item with an item_id.")
    return list(_objects(given, at))


def _objects(given: Iterable[Any], at: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    for number, item in enumerate(given):
        if not isinstance(item, Mapping):
            raise BadRequest(f"{at}.items[{number}]", "Each item must be an object with item_id.")
        yield f"{at}.items[{number}]", item


def _item(item: Mapping[str, Any], at: str, head: Row, known: Callable[[str], bool] | None) -> Row:
    item_id = text(item, schema.ITEM, at)
    if item_id is None:
        raise BadRequest(f"{at}.item_id", "An item needs an item_id.")
    if known is not None and not known(item_id):
        raise BadRequest(f"{at}.item_id", f"The shop has no product '{item_id[:50]}'.")
    row = head | {schema.ITEM: item_id, schema.QUANTITY: whole(item, "quantity", at, 1)}
    row["index"] = whole(item, "index", at, 0)
    for field in _ITEM_TEXTS:
        row[field] = text(item, field, at)
    row[schema.CURRENCY] = _currency(item, at) or head[schema.CURRENCY]
    for field, column in (("price", schema.PRICE), ("discount", "discount_minor")):
        amount = decimal(item, field, at)
        if amount is None:
            continue
        if row[schema.CURRENCY] is None:
            raise BadRequest(f"{at}.currency", f"A {field} needs a currency, such as EUR.")
        row[column] = minor(amount, row[schema.CURRENCY], f"{at}.{field}")
    return row
