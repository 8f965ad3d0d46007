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

    @classmethod
    def replaying(cls, last_event: datetime, replay: bool) -> "Clock":
        """Return a clock that stands at the last event now, or ours if nothing is replayed."""
        return cls(max(datetime.now(UTC) - last_event, timedelta(0))) if replay else cls()

    def now(self) -> datetime:
        """Return the shop's present moment, UTC."""
        return datetime.now(UTC) - self.behind

    def shop_time(self, ours: datetime) -> datetime:
        """Turn a moment of our clock into one of the shop's."""
        return ours - self.behind
