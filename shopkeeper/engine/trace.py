"""What happened on the way to an answer: who proposed, what each stage dropped and moved, how long.

A trace holds arrays that the answer made anyway, so that writing one costs microseconds; words are
found for it only when somebody asks. The newest are kept in memory and nowhere else.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from shopkeeper.arrays import Asked, Picks, Rows
from shopkeeper.config import Placement
from shopkeeper.rules.book import Pin
from shopkeeper.rules.rule import Rule
from shopkeeper.search.found import SearchPage
from shopkeeper.tracing import Laps

LONGEST = 200
"""So much of each source's list is kept."""


@dataclass(frozen=True)
class Step:
    """One stage that dropped or moved products, M before it."""

    name: str
    """`policy stock`, `rules`, `filters`, `page`..."""
    items: Sequence[str] | Rows
    """Products before it, in their order: ids of a search, rows of `Asked.ids` else. Shape [M]."""
    kept: Rows
    """Places that stayed, in their new order."""
    rules: Mapping[int, Rule] = field(default_factory=dict)
    """Which rule decided on a place."""


@dataclass
class Trace:
    """The way to one answer."""

    placement: str
    """Its name; `search` for a search."""
    bundle: str = ""
    """The models that answered."""
    laps: Laps = field(default_factory=Laps)
    place: Placement | None = None
    """As `shop.toml` has it; None for a search."""
    asked: Asked | None = None
    """The request; None for a search."""
    query: str = ""
    banned: frozenset[str] = frozenset()
    """Products that the request itself rules out."""
    lists: list[Picks] = field(default_factory=list)
    """What each source proposed, the ranker first where it was asked."""
    ranked: bool = False
    """Whether the ranker was asked."""
    candidates: int = 0
    """How many came to the policies."""
    steps: list[Step] = field(default_factory=list)
    pins: Sequence[Pin] = ()
    """Products that rules gave a place on this page."""
    unpinned: Mapping[str, str] = field(default_factory=dict)
    """Why a product that has a place could not take it."""
    items: Sequence[str] = ()
    """The page."""
    first_rank: int = 1
    """The rank of its first product."""
    again: Callable[..., SearchPage] | None = None
    """Searches anew, at another moment of the shop; None for recommendations."""
    sources: Sequence[str] = ()
    because: Sequence[str | None] = ()
    reasons: Sequence[str] = ()

    def step(
        self, name: str, page: Picks, kept: Rows, rules: Mapping[int, Rule] | None = None
    ) -> None:
        """Note a stage that dropped or moved something."""
        self.steps.append(Step(name, page.item_E, kept, rules or {}))


class Traces:
    """The newest traces by request id; threads may share them.

    Args:
        most: How many are kept; 0 for none.
    """

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self._kept: OrderedDict[str, Trace] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, request_id: str, trace: Trace) -> None:
        """Keep a trace, and let the oldest go."""
        if not self._most:
            return
        if trace.asked is not None:
            # What was derived from a request would be many times larger than the request.
            trace.asked.forget()
        if any(len(one) > LONGEST for one in trace.lists):
            trace.lists = [one.take(np.arange(min(len(one), LONGEST))) for one in trace.lists]
        with self._lock:
            self._kept[request_id] = trace
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def get(self, request_id: str) -> Trace | None:
        """Return a trace, None where it was let go or never was."""
        return self._kept.get(request_id)
