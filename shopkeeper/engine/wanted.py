"""What a page is asked for, what it is made with, and what it is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from shopkeeper.config import Placement
from shopkeeper.contracts import Policy, Recommender
from shopkeeper.engine.catalogue import Catalogue
from shopkeeper.engine.fusion import Fusion
from shopkeeper.engine.shelves import Mask, Shelves
from shopkeeper.rules.book import Decision
from shopkeeper.schema import CATEGORY

HARD = ("stock", "dismissed")
"""Policies that nothing overrules: neither a pin nor a fallback shows what they drop."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What one answer is asked for."""

    placement: Placement
    k: int
    category: str = ""
    """Only products of this category, and below it."""
    country: str = ""
    window_days: float = 0.0
    """For what is hot: the window; 0 for the recommender's own."""
    decision: Decision | None = None
    """The rules in force."""

    @property
    def narrow(self) -> bool:
        """Whether not every product may be shown."""
        return bool(self.category or self.placement.filters)

    def passing(self, shelves: Shelves) -> Mask:
        """Say which products pass the placement's filters and the category, [N + 1]."""
        found = shelves.passing(self.placement.filters)
        return found & shelves.passing({CATEGORY: [self.category]}) if self.category else found


@dataclass(frozen=True)
class Parts:
    """What pages are made with, at one moment."""

    recommenders: Mapping[str, Recommender]
    """All that are trained, by name."""
    fusion: Fusion | None
    """None where there is no ranker yet."""
    policies: Mapping[str, Policy]
    catalogue: Catalogue
    shelves: Callable[[], Shelves]
    """Made when a rule or a filter asks."""
    sales: Mapping[str, float]
    """Baskets by product."""
    admitted: Callable[[Sequence[str], Sequence[str]], list[str]]
    """Which of some products the named policies let through, for this request."""
    explored: Callable[[], Sequence[str]]
    """Products that few know, in the order of this request's dice."""


@dataclass(frozen=True)
class Page:
    """What is shown, best first."""

    items: Sequence[str]
    scores: Sequence[float]
    sources: Sequence[str]
    because: Sequence[str | None]
    fallback: str = ""
    """What was given up so that anything can be shown; empty for nothing."""


def hard_of(placement: Placement) -> list[str]:
    """Name the policies of a placement that nothing overrules."""
    return [name for name in placement.policies if name in HARD]
