"""What was understood of a query: plain values that pages and HTTP can show. Knows no rules."""

from dataclasses import dataclass, field

OUT_OF_SCOPE = "out_of_scope"
"""The intent of what a shop cannot answer."""


@dataclass(frozen=True)
class Chip:
    """One thing that was understood, and that a shopper may take back."""

    kind: str
    """`spelling`, `join`, `split`, `synonym`, `price` or the name of a product attribute."""
    text: str
    """What a page shows."""
    key: str
    """What takes it back when it stands in `ignore`."""


@dataclass(frozen=True)
class Correction:
    """One word that is read as another."""

    typed: str
    meant: str


@dataclass(frozen=True)
class PriceWish:
    """What a shopper wants to pay, in the shop's money as shoppers see it."""

    low: float | None = None
    high: float | None = None
    typed: str = ""
    """The words that said so."""
    currency: str = ""
    """The ISO 4217 code that was named; empty where none was."""


@dataclass(frozen=True)
class Understood:
    """A query, read."""

    original: str
    """What the shopper typed."""
    text: str
    """The query as it was meant: mended, without the words of a price."""
    words: str
    """What to search for: `text` and the words that mean the same."""
    corrections: tuple[Correction, ...] = ()
    filters: dict[str, list[str]] = field(default_factory=dict)
    """Values by product attribute."""
    price_min: float | None = None
    price_max: float | None = None
    """Bounds of the price, in the shop's money as shoppers see it."""
    intent: str = ""
    """One of the intents, `out_of_scope`, or empty where none was asked for."""
    intent_chance: float = 0.0
    """How likely the intent is, in [0, 1]."""
    chips: tuple[Chip, ...] = ()
    notes: tuple[str, ...] = ()
    """What the shopper should know, such as that a price in other money was not used."""

    @classmethod
    def plain(cls, query: str) -> "Understood":
        """Return a query that is taken by its letters."""
        return cls(query, query, query)
