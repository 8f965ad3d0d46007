"""When the shopper asks: hour, weekday, season, day of the month, how far from the year's feasts.

Source: the circle that keeps 23 and 0 o'clock side by side, sine and cosine of a cycle's share.
Knows nothing of shopper or candidate, so it helps a ranker only beside columns that do. A ranker
that learns on moments of one hour and weekday, as held-back periods are, cannot learn from these.
"""

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.arrays import DAY_US
from shopkeeper.contracts import Moment
from shopkeeper.features._clock import check_zone, hour_of, local_us, weekday_of

NO_LEAP_YEAR = 2001
YEAR_DAYS = 365.2425


class VisitTime:
    """The moment of the request on the calendar."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings under [features.visit_time] in shop.toml."""

        zone: str = "UTC"
        """IANA time zone of the shoppers, such as Europe/London."""
        weekend: tuple[int, ...] = (6, 7)
        """Days of the weekend, 1 for Monday to 7 for Sunday."""
        days: tuple[str, ...] = ("12-25",)
        """Days of the year, month-day, from and to which days are counted."""

        def __post_init__(self) -> None:
            check_zone(self.zone)
            if not all(1 <= day <= 7 for day in self.weekend):
                raise ValueError(f"weekend must hold numbers from 1 to 7, got {self.weekend}.")
            if len(set(self.days)) < len(self.days):
                raise ValueError(f"days must name each day once, got {self.days}.")
            for day in self.days:
                try:
                    date.fromisoformat(f"{NO_LEAP_YEAR}-{day}")
                except ValueError:
                    raise ValueError(f"days must be such as 12-25, got '{day}'.") from None

    def __init__(self, config: Config) -> None:
        self.config = config

    def fit(self, events: pl.DataFrame, products: pl.DataFrame, now: datetime) -> Self:  # noqa: ARG002
        """Learn nothing: the clock comes with the request."""
        return self

    def names(self) -> tuple[str, ...]:
        """Name the columns of `compute`."""
        return (
            *(
                f"time_{cycle}_{wave}"
                for cycle in ("hour", "weekday", "season")
                for wave in ("sin", "cos")
            ),
            "time_month_day",
            "time_weekend",
            *(
                f"time_days_{way}_{day.replace('-', '_')}"
                for day in self.config.days
                for way in ("to", "since")
            ),
        )

    def compute(self, moment: Moment) -> NDArray[np.float32]:
        """Return [N, F]; on the day itself, days to and since are 0."""
        local_B = local_us(moment.now_B, self.config.zone)
        weekday_B, today_B = weekday_of(local_B), local_B // DAY_US
        date_B = today_B.astype("M8[D]")
        season_B = (date_B - date_B.astype("M8[Y]")).astype(np.int64)
        columns: list[NDArray[np.generic]] = []
        for place_B, cycle in ((hour_of(local_B), 24), (weekday_B, 7), (season_B, YEAR_DAYS)):
            angle_B = 2 * np.pi * place_B / cycle
            columns += [np.sin(angle_B), np.cos(angle_B)]
        columns.append((date_B - date_B.astype("M8[M]")).astype(np.int64) + 1)
        columns.append(np.isin(weekday_B + 1, self.config.weekend))
        for day in self.config.days:
            columns += _far(today_B, day)
        return np.column_stack(columns)[moment.owner_N].astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write nothing."""

    def restore(self, folder: Path) -> Self:  # noqa: ARG002
        """Read nothing."""
        return self


def _far(today_B: NDArray[np.int64], day: str) -> list[NDArray[np.int64]]:
    """Return days to the next and since the last day of that name, [B] each."""
    years = today_B.astype("M8[D]").astype("M8[Y]").astype(np.int64) + 1970
    if not years.size:
        return [years, years]
    first, last = int(years.min()), int(years.max())
    feasts = np.array([f"{year:04d}-{day}" for year in range(first - 1, last + 2)], "M8[D]")
    days = feasts.astype(np.int64)
    to_B = days[np.searchsorted(days, today_B, "left")] - today_B
    since_B = today_B - days[np.searchsorted(days, today_B, "right") - 1]
    return [to_B, since_B]
