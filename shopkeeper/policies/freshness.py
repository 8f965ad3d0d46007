"""Only what the shop has touched lately: for offers, news, and what is out of date soon."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from shopkeeper.arrays import Asked, Picks, Rows

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Freshness:
    """Drops products that were not updated for long."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """How old a product may be."""

        days: float = 365.0
        """A product last `updated` longer ago is not shown."""
        unsaid: bool = True
        """Whether a product may be shown of which nobody knows."""

        def __post_init__(self) -> None:
            if not self.days > 0:
                raise ValueError(f"days must be above 0, got {self.days}.")

    def __init__(self, config: Config) -> None:
        self.config = config

    def apply(self, page: Picks, asked: Asked, products: Mapping[str, Sequence[Any]]) -> Rows:
        """Keep products that are new enough at the time of their request."""
        kept = []
        for place, updated in enumerate(products["updated"]):
            if updated is None:
                fresh = self.config.unsaid
            else:
                now_us = int(asked.now_us_B[page.owner_E[place]])
                age = EPOCH + timedelta(microseconds=now_us) - updated
                fresh = age <= timedelta(days=self.config.days)
            if fresh:
                kept.append(place)
        return np.array(kept, np.int64)
