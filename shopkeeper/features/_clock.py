"""The shop's own time of day: UTC moments in the time zone that its shoppers live in."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.arrays import DAY_US


def local_us(time_days: NDArray[np.float64], zone: str) -> NDArray[np.int64]:
    """Return what the clock on the wall says, in microseconds since its own 1970, [N].

    Args:
        time_days: Days since 1970 by UTC, right to the microsecond.
        zone: An IANA name such as Europe/London.

    Returns:
        Local times; whole days are from midnight to midnight.
    """
    time_us = np.rint(time_days * DAY_US).astype(np.int64)
    if zone == "UTC":
        return time_us
    there = pl.Series(time_us).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(zone)
    return there.dt.replace_time_zone(None).to_physical().to_numpy()


def hour_of(time_us: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return hours since midnight, with their parts, [N]."""
    return np.asarray(time_us % DAY_US * (24 / DAY_US))


def weekday_of(time_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the day of the week, 0 for Monday, [N]."""
    # The first of January 1970 was a Thursday.
    return np.asarray((time_us // DAY_US + 3) % 7)


def check_zone(zone: str) -> None:
    """Raise ValueError unless there is such a time zone."""
    try:
        local_us(np.zeros(1), zone)
    except pl.exceptions.PolarsError as error:
        raise ValueError(
            f"zone must be an IANA name such as Europe/London, got '{zone}'."
        ) from error
