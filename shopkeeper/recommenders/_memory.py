"""Refuses settings that this machine has no memory for, before work begins."""

import os

from shopkeeper.errors import BadConfig

USABLE_SHARE = 0.8
"""Of the machine's memory; the rest is for what else runs."""


def machine_bytes() -> int:
    """Return the memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def refuse_beyond_memory(name: str, what: str, need_bytes: float, remedy: str) -> None:
    """Raise BadConfig where an estimate is beyond what this machine has.

    Args:
        name: The recommender.
        what: What would take the memory, such as `vectors of 9 products`.
        need_bytes: About how much.
        remedy: What to change, such as `Lower width`.
    """
    usable = USABLE_SHARE * machine_bytes()
    if need_bytes > usable:
        raise BadConfig(
            f"[recommenders.{name}] {what} would take about {need_bytes / 1e9:,.1f} GB; this "
            f"machine can spare {usable / 1e9:,.1f} GB. {remedy}."
        )
