"""What of a shopper's past led to a product, in a sentence with its date."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from shopkeeper.arrays import Asked
from shopkeeper.explain.sentences import shortened
from shopkeeper.schema import EVENT_NAMES

SAID = {
    "purchase": "You bought {title} on {day}.",
    "add_to_cart": "You put {title} into the cart on {day}.",
    "like": "You liked {title} on {day}.",
    "view_item": "You looked at {title} on {day}.",
    "select_item": "You looked at {title} on {day}.",
}
AT_HAND = "It goes with {title}, which is at hand."
STRONGEST = [*SAID]
"""Of several events on one product the first of these tells."""


def evidence(asked: Asked, because: str, titles: Mapping[str, str]) -> list[dict[str, Any]]:
    """Say what a shopper did with the product that led to another.

    Args:
        asked: One request.
        because: The product that led there.
        titles: Its title, by id.

    Returns:
        `item_id`, `event_name`, `times`, `time` of the last (ISO 8601), `says`; the strongest
        event first; a product at hand has no time.
    """
    title = shortened(titles.get(because, because))
    (row,) = asked.ids.rows([because]).tolist()
    found = []
    mine = (asked.item_H == row) if row >= 0 else np.zeros(len(asked.item_H), np.bool_)
    for name in STRONGEST:
        times_us = asked.time_us_H[mine & (asked.event_H == EVENT_NAMES.index(name))]
        if len(times_us):
            last = datetime.fromtimestamp(int(times_us.max()) / 1e6, UTC)
            day = f"{last.day} {last:%B %Y}"
            found.append(
                {
                    "item_id": because,
                    "event_name": name,
                    "times": len(times_us),
                    "time": last.isoformat(),
                    "says": SAID[name].format(title=title, day=day),
                }
            )
    if row in asked.item_S:
        says = AT_HAND.format(title=title)
        found.insert(0, {"item_id": because, "event_name": "at hand", "says": says})
    return found
