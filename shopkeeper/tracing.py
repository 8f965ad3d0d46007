"""How far is the work, and where did the time go?

Long work opens a `stage`; loops inside it are wrapped in `progress`. A terminal shows both live,
a log file gets a line a stage; the seconds of every stage are kept for `timings`.
"""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

_path: ContextVar[tuple[str, ...]] = ContextVar("stage", default=())
_seconds: dict[str, float] = {}
_loud = [False]
T = TypeVar("T")


class Laps:
    """How long each stage of one answer took, in milliseconds; for one thread."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Say what the time since the last lap was spent on."""
        now = time.perf_counter()
        self.ms[name] = self.ms.get(name, 0.0) + (now - self._last) * 1e3
        self._last = now


def speak(loud: bool = True) -> None:
    """Turn the lines and bars on stderr on or off; off unless the command line asks."""
    _loud[0] = loud


def forget_timings() -> None:
    """Start `timings` afresh."""
    _seconds.clear()


def timings() -> dict[str, float]:
    """Return the seconds spent in each stage so far, by path such as `train/ease`."""
    return dict(_seconds)


@contextmanager
def stage(name: str, note: str = "") -> Iterator[None]:
    """Time a piece of work and name it to the person who waits.

    Args:
        name: A short name; nested stages are joined by `/`.
        note: What to add to the line, such as a count.
    """
    path = (*_path.get(), name)
    token = _path.set(path)
    began = time.perf_counter()
    try:
        yield
    finally:
        _path.reset(token)
        spent_s = time.perf_counter() - began
        key = "/".join(path)
        _seconds[key] = _seconds.get(key, 0.0) + spent_s
        if _loud[0]:
            print(f"{spent_s:8.1f} s  {key} {note}".rstrip(), file=sys.stderr, flush=True)


def progress(steps: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield `steps` and draw a bar where a terminal watches.

    Args:
        steps: What to go through.
        what: The word beside the bar.
        total: How many steps, where `steps` has no length.

    Yields:
        Each step.
    """
    if not (_loud[0] and sys.stderr.isatty()):
        yield from steps
        return
    from tqdm import tqdm

    yield from tqdm(steps, desc=what, total=total, leave=False)
