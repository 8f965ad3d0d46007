"""Nothing that the shopper does not want to see: what was dismissed, what the request excludes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shopkeeper.arrays import Asked, Picks, Rows
from shopkeeper.schema import EVENT_NAMES

TAKEN_BACK_BY = ("like", "add_to_cart", "purchase")
"""Events after which a product that was dismissed may be shown again."""
DISMISS = EVENT_NAMES.index("dismiss")
TELLING = np.isin([*EVENT_NAMES, ""], ("dismiss", *TAKEN_BACK_BY))


class Dismissed:
    """Drops products of the request's `exclude`, and those its history says were dismissed."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """How long a dismissal holds."""

        days: float = 365.0
        """A product dismissed longer ago may be shown again."""

        def __post_init__(self) -> None:
            if not self.days > 0:
                raise ValueError(f"days must be above 0, got {self.days}.")

    def __init__(self, config: Config) -> None:
        self.config = config

    def apply(
        self,
        page: Picks,
        asked: Asked,
        products: Mapping[str, Sequence[Any]],  # noqa: ARG002
    ) -> Rows:
        """Keep products that their request does not exclude and their shopper did not dismiss."""
        num_items = len(asked.ids)
        if not (len(asked.item_X) or (asked.event_H == DISMISS).any()):
            return np.arange(len(page))
        told = TELLING[asked.event_H] & (asked.age_days_H <= self.config.days)
        pair_H = asked.owner_H[told] * num_items + asked.item_H[told]
        # The last word counts: events are oldest first, so the first one from the end.
        last, at = np.unique(pair_H[::-1], return_index=True)
        dismissed = last[asked.event_H[told][::-1][at] == DISMISS]
        excluded = asked.owner_X * num_items + asked.item_X
        unwanted = np.concatenate([excluded, dismissed])
        return np.flatnonzero(~np.isin(page.owner_E * num_items + page.item_E, unwanted))
