"""Nothing that the shopper bought, looked at, or was shown in vain a moment ago."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shopkeeper.arrays import Asked, Picks, Rows
from shopkeeper.schema import EVENT_NAMES

BOUGHT = EVENT_NAMES.index("purchase")
SHOWN = EVENT_NAMES.index("view_item_list")
LOOKED = np.isin([*EVENT_NAMES, ""], ("view_item", "select_item"))


class Seen:
    """Drops products that the shopper bought or saw lately."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """How long what was seen stays away."""

        bought_days: float = 14.0
        """A product bought in the last so many days is not shown; 0 shows it again at once."""
        looked_days: float = 0.0
        """The same for one that was looked at."""
        shown_max: int = 0
        """A product that was shown in a list so often, and never looked at since, is not shown
        again; 0 for any number. Needs `view_item_list` events."""
        shown_days: float = 7.0
        """How long a showing counts."""

        def __post_init__(self) -> None:
            for name in ("bought_days", "looked_days", "shown_max", "shown_days"):
                if not getattr(self, name) >= 0:
                    raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}.")

    def __init__(self, config: Config) -> None:
        self.config = config

    def apply(
        self,
        page: Picks,
        asked: Asked,
        products: Mapping[str, Sequence[Any]],  # noqa: ARG002
    ) -> Rows:
        """Keep products that the shopper of their request has not had enough of."""
        config, age_H = self.config, asked.age_days_H
        pair_H = asked.owner_H * len(asked.ids) + asked.item_H
        bought = (asked.event_H == BOUGHT) & (age_H < config.bought_days)
        looked = LOOKED[asked.event_H] & (age_H < config.looked_days)
        enough = [pair_H[bought | looked]]
        if config.shown_max:
            enough.append(self._in_vain(asked, pair_H))
        pair_E = page.owner_E * len(asked.ids) + page.item_E
        return np.flatnonzero(~np.isin(pair_E, np.concatenate(enough)))

    def _in_vain(self, asked: Asked, pair_H: Rows) -> Rows:
        """Return the pairs shown often enough since they were last looked at."""
        shown = (asked.event_H == SHOWN) & (asked.age_days_H <= self.config.shown_days)
        pairs, number_H = np.unique(pair_H, return_inverse=True)
        last = np.full(len(pairs), np.iinfo(np.int64).min)
        wanted = LOOKED[asked.event_H] | (asked.event_H == BOUGHT)
        np.maximum.at(last, number_H[wanted], asked.time_us_H[wanted])
        since = shown & (asked.time_us_H > last[number_H])
        times = np.bincount(number_H[since], minlength=len(pairs))
        return pairs[times >= self.config.shown_max]
