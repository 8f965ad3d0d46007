"""What time it is in the shop.

A shop that replays an old log lives on from where the log ended: its clock runs as ours does, but
so many years behind. The offset is fixed when a bundle is published.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True)
class Clock:
    """The shop's time, behind ours by `behind`."""

    behind: timedelta = timedelta(0)

    def now(self) -> datetime:
        """Return the shop's present moment, UTC."""
        return datetime.now(UTC) - self.behind

    def shop_time(self, ours: datetime) -> datetime:
        """Turn a moment of our clock into one of the shop's."""
        return ours - self.behind
