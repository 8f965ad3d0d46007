"""Events at no time or at an impossible one."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shopkeeper import schema

if TYPE_CHECKING:
    import ibis


class Times:
    """Refuses events without a time, from before the shop could be, and from the future."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Which times are possible."""

        year_min: int = 1990
        """First year an event may be from."""
        now: str = ""
        """ISO time after which all is future; empty for the moment of the load."""
        slack_minutes: int = 10
        """Minutes by which a clock may be ahead."""
        share_max: float = 0.02
        """Largest share of a table's rows that this may refuse in a strict load."""

        def __post_init__(self) -> None:
            if self.slack_minutes < 0:
                raise ValueError(f"slack_minutes must be at least 0, but is {self.slack_minutes}")
            if self.now:
                datetime.fromisoformat(self.now)

    tables = ("events",)

    def __init__(self, config: Config) -> None:
        self.config = config

    def refuse(self, rows: "ibis.Table") -> "dict[str, ibis.BooleanValue]":
        """Return which rows to refuse, by reason."""
        import ibis

        now = datetime.fromisoformat(self.config.now) if self.config.now else datetime.now(UTC)
        now = now.replace(tzinfo=UTC) if now.tzinfo is None else now.astimezone(UTC)
        latest = ibis.literal(now.timestamp() + 60 * self.config.slack_minutes)
        time = rows[schema.TIME]
        first = datetime(self.config.year_min, 1, 1, tzinfo=UTC).timestamp()
        return {
            "the time is missing or cannot be read": time.isnull(),
            "the time is in the future": time.epoch_seconds() > latest,
            f"the time is before {self.config.year_min}": time.epoch_seconds() < first,
        }
