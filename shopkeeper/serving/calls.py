"""Runs the shop's work in threads, so that a slow answer never holds up the next `/healthz`.

Three small pools: answers are work for the processor, and more threads than cores would only make
each other late; events wait for the disk, and the more wait together the fewer flushes it takes;
a recording takes a second, and one is heard at a time, so that others still get answers.
"""

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

P = ParamSpec("P")
T = TypeVar("T")

ANSWERS_AT_ONCE = 4
WRITES_AT_ONCE = 32
HEARD_AT_ONCE = 1


class Calls:
    """The pools of one running server."""

    def __init__(self) -> None:
        self._answers = CapacityLimiter(ANSWERS_AT_ONCE)
        self._writes = CapacityLimiter(WRITES_AT_ONCE)
        self._heard = CapacityLimiter(HEARD_AT_ONCE)

    async def answer(self, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """Run work that reads and computes."""
        return await run_sync(partial(work, *given, **named), limiter=self._answers)

    async def write(self, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """Run work that waits for the disk."""
        return await run_sync(partial(work, *given, **named), limiter=self._writes)

    async def hear(self, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """Run work that listens to a recording."""
        return await run_sync(partial(work, *given, **named), limiter=self._heard)
