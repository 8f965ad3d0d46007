"""What the engine answers: plain values that the CLI prints and HTTP sends alike."""

from dataclasses import dataclass, field
from typing import Any

from shopkeeper.contracts import Heard
from shopkeeper.search.understanding import Understood


@dataclass(frozen=True)
class Result:
    """One product of an answer."""

    id: str
    score: float
    rank: int
    source: str
    """Which index or recommender proposed it first, such as `repeat` or `lexical+dense`."""
    reason: str
    """One sentence for the shopper."""
    product: dict[str, Any] = field(default_factory=dict)
    """`title`, `price` (decimal string), `currency`, `availability`, `product_type`, `brand`..."""


@dataclass(frozen=True)
class Answer:
    """A page of results and how it came to be."""

    request_id: str
    results: list[Result]
    total: int
    """How many products there are to page through."""
    bundle: str
    """Version of the models that answered."""
    took_ms: float
    notes: list[str] = field(default_factory=list)
    """What the caller should know, such as `No results for ...; showing similar words.`"""
    facets: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    """For searches: values and counts by attribute, most frequent first."""
    understood: Understood | None = None
    """For searches: how the query was read, with what a shopper may take back."""
    heard: Heard | None = None
    """For searches by voice: what was said."""
    fallback: str = ""
    """What was given up so that anything can be shown: `sources`, `filters` or `policies` of the
    placement; empty for nothing."""
    timings: dict[str, float] = field(default_factory=dict)
    """Milliseconds by stage."""


@dataclass(frozen=True)
class Receipt:
    """What became of posted events."""

    accepted: int
    duplicates: int
    """Events whose `event_id` was known already; they changed nothing."""
