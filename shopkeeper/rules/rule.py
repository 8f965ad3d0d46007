"""One decision by hand: under which conditions what becomes of which products, and until when.

The shape is that of Algolia's rules: a condition, a consequence, a validity window; here each rule
has one consequence. Knows no products: `book` applies rules, `conflicts` compares them.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from shopkeeper.errors import BadRequest, unknown

ACTIONS = ("pin", "boost", "bury", "hide", "filter")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SEARCH = "search"
"""The placement of rules that act on what a search finds."""
BOOST_PLACES = 10
"""So many places a boost moves products up unless it says otherwise."""
PLACE_MAX = 1_000
ITEMS_MAX = 1_000
CHARS_MAX = 200
PRICE_MAX = 1e9
PATH = " > "


@dataclass(frozen=True, kw_only=True)
class Target:
    """Products: those of `items`, or all that meet every other field that is set."""

    items: tuple[str, ...] = ()
    category: str = ""
    """A path such as `Home > Candles`, with all below it."""
    brand: str = ""
    price_min: float | None = None
    """As shoppers see prices."""
    price_max: float | None = None

    def __bool__(self) -> bool:
        return self != Target()


@dataclass(frozen=True, kw_only=True)
class When:
    """Conditions; all that are set must hold."""

    placements: tuple[str, ...] = ()
    """Names of placements, `search` for searches; empty for all."""
    query: str = ""
    """The whole query, whatever its capitals and signs."""
    contains: str = ""
    """Words that stand together in the query."""
    category: str = ""
    """The category that is looked at, or one below it."""
    brand: str = ""
    """The brand that is looked at."""
    segment: str = ""
    """A group that the shopper is in."""
    weekdays: tuple[str, ...] = ()
    """Names from `WEEKDAYS`, by UTC."""
    hours: str = ""
    """Times of the day such as `18:00-22:00`, by UTC; the last is not included."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One decision."""

    id: str
    action: str
    """One of `ACTIONS`. A filter shows nothing but its products."""
    target: Target
    place: int = 0
    """Of a pin, from 1; its further products stand behind the first."""
    by: int = 0
    """How many places a boost moves up or a bury down; a bury by 0 moves behind all others."""
    when: When = When()
    start: datetime | None = None
    """The rule holds from then on."""
    end: datetime | None = None
    """The rule holds no longer from then on."""
    priority: int = 0
    """Where two rules contradict each other, the higher one holds."""
    enabled: bool = True
    note: str = ""
    """Why, for people."""

    def valid(self, now: datetime) -> bool:
        """Say whether the rule is on and the moment in its window."""
        begun = self.start is None or self.start <= now
        return self.enabled and begun and (self.end is None or now < self.end)

    def pins(self) -> list[tuple[int, str]]:
        """Return place and product of what it pins."""
        return list(enumerate(self.target.items, self.place)) if self.action == "pin" else []

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `read` understands, without what is not set."""
        target, when = (_set(part) for part in (self.target, self.when))
        found: dict[str, Any] = {"id": self.id, "action": self.action, "target": target}
        found |= {"when": when} if when else {}
        for name in ("place", "by", "priority", "note"):
            found |= {name: value} if (value := getattr(self, name)) else {}
        for name in ("start", "end"):
            moment = getattr(self, name)
            found |= {name: moment.isoformat()} if moment else {}
        return found | ({} if self.enabled else {"enabled": False})

    def said(self) -> str:
        """Return the consequence in words, such as `pin 85123A to place 1`."""
        what = ", ".join(self.target.items[:3]) + ("..." if len(self.target.items) > 3 else "")
        bounds = {"from": self.target.price_min, "to": self.target.price_max}
        named = [f"brand {self.target.brand}"] if self.target.brand else []
        named += [f"category {self.target.category}"] if self.target.category else []
        named += [f"price {word} {price:g}" for word, price in bounds.items() if price is not None]
        what = what or ", ".join(named)
        if self.action == "pin":
            return f"pin {what} to place {self.place}"
        if self.action == "filter":
            return f"show only {what}"
        return f"{self.action} {what}" + (f" by {self.by} places" if self.by else "")


def spelled(text: str) -> str:
    """Return the words of a text in small letters, one space between."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def read(given: Any, at: str = "rule") -> Rule:
    """Check a rule that came as plain values.

    Args:
        given: `id`, `action`, `target` and what else `Rule` has; times in ISO 8601, UTC if they
            say nothing else.
        at: Where it stood, such as `rules[2]`.

    Returns:
        The rule.

    Raises:
        BadRequest: A field is unknown, lacks, or has a wrong value; `field` names it.
    """
    fields = _Fields(given, at, Rule)
    id, action = fields.text("id"), fields.text("action")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", id):
        raise BadRequest(f"{at}.id", f"{at}.id must be 1 to 100 letters, digits, -, _ or '.'.")
    if action not in ACTIONS:
        raise BadRequest(f"{at}.action", str(unknown("action", action[:40], ACTIONS)))
    target = _target(given.get("target"), f"{at}.target")
    place = fields.number("place", 1, PLACE_MAX) if action == "pin" else 0
    if action == "pin" and (not target.items or target != Target(items=target.items)):
        raise BadRequest(f"{at}.target", f"{at}.target must name products by items to pin them.")
    if action in ("boost", "bury"):
        least, usual = (1, BOOST_PLACES) if action == "boost" else (0, 0)
        by = fields.number("by", least, PLACE_MAX, usual)
    else:
        by = 0
    for name, used in (("place", action == "pin"), ("by", action in ("boost", "bury"))):
        if given.get(name) and not used:
            raise BadRequest(f"{at}.{name}", f"{at}.{name} means nothing to {action}. Leave it.")
    start, end = fields.moment("start"), fields.moment("end")
    if start and end and end <= start:
        raise BadRequest(f"{at}.end", f"{at}.end must be after its start, {start.isoformat()}.")
    return Rule(
        id=id,
        action=action,
        target=target,
        place=place,
        by=by,
        when=_when(given.get("when"), f"{at}.when"),
        start=start,
        end=end,
        priority=fields.number("priority", -1_000, 1_000, 0),
        enabled=fields.switch("enabled"),
        note=fields.text("note"),
    )


def loads(text: str) -> Rule:
    """Read a rule that was written as JSON."""
    return read(json.loads(text))


def _target(given: Any, at: str) -> Target:
    fields = _Fields(given, at, Target)
    target = Target(
        items=fields.texts("items"),
        category=fields.text("category"),
        brand=fields.text("brand"),
        price_min=fields.price("price_min"),
        price_max=fields.price("price_max"),
    )
    if not target:
        raise BadRequest(at, f"{at} must name products: items, a category, a brand or a price.")
    if target.items and target != Target(items=target.items):
        raise BadRequest(at, f"{at} must name either items or what they have in common, not both.")
    low, high = target.price_min, target.price_max
    if low is not None and high is not None and high < low:
        raise BadRequest(f"{at}.price_max", f"{at}.price_max is {high:g}, below price_min.")
    return target


def _when(given: Any, at: str) -> When:
    fields = _Fields({} if given is None else given, at, When)
    when = When(
        placements=fields.texts("placements"),
        query=spelled(fields.text("query")),
        contains=spelled(fields.text("contains")),
        category=fields.text("category"),
        brand=fields.text("brand"),
        segment=fields.text("segment"),
        weekdays=fields.texts("weekdays"),
        hours=fields.text("hours"),
    )
    for day in when.weekdays:
        if day not in WEEKDAYS:
            raise BadRequest(f"{at}.weekdays", str(unknown("weekday", day[:20], WEEKDAYS)))
    if when.hours and minutes(when.hours) is None:
        raise BadRequest(f"{at}.hours", f"{at}.hours must be like 18:00-22:00, got {when.hours!r}.")
    if (when.query or when.contains) and when.placements and SEARCH not in when.placements:
        raise BadRequest(f"{at}.placements", f"{at} names a query, so placements needs 'search'.")
    return when


def minutes(hours: str) -> tuple[int, int] | None:
    """Read `18:00-22:00` as minutes of the day; None for anything else."""
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)", hours)
    if not found:
        return None
    first, second, third, fourth = map(int, found.groups())
    begin, end = 60 * first + second, 60 * third + fourth
    return (begin, end) if begin != end <= 24 * 60 else None


@dataclass(frozen=True)
class _Fields:
    """Values of an object that somebody sent, each checked as it is taken."""

    given: Any
    at: str
    shape: type[Any]
    known: Sequence[str] = field(init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.given, Mapping):
            raise BadRequest(self.at, f"{self.at} must be an object.")
        known = list(self.shape.__dataclass_fields__)
        for name in self.given:
            if name not in known:
                said = unknown(f"field of {self.at}", str(name)[:40], known)
                raise BadRequest(f"{self.at}.{str(name)[:40]}", str(said))

    def text(self, name: str) -> str:
        return str(self._taken(name, "", lambda v: isinstance(v, str) and _sound(v), "short text"))

    def texts(self, name: str) -> tuple[str, ...]:
        def right(value: Any) -> bool:
            several = isinstance(value, list | tuple) and len(value) <= ITEMS_MAX
            return several and all(isinstance(v, str) and v and _sound(v) for v in value)

        return tuple(dict.fromkeys(self._taken(name, (), right, "a list of short texts")))

    def number(self, name: str, low: int, high: int, usual: int | None = None) -> int:
        def right(value: Any) -> bool:
            whole = isinstance(value, int) and not isinstance(value, bool)
            return whole and low <= value <= high

        return int(self._taken(name, usual, right, f"a whole number from {low} to {high}"))

    def price(self, name: str) -> float | None:
        def right(value: Any) -> bool:
            number = isinstance(value, int | float) and not isinstance(value, bool)
            return value is None or (number and 0 <= value <= PRICE_MAX)

        found = self._taken(name, None, right, "a price of at least 0", none=True)
        return None if found is None else float(found)

    def switch(self, name: str) -> bool:
        return bool(self._taken(name, True, lambda v: isinstance(v, bool), "true or false"))

    def moment(self, name: str) -> datetime | None:
        value = self.given.get(name)
        if value is None or value == "":
            return None
        try:
            found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        except (TypeError, ValueError, OverflowError) as error:
            raise BadRequest(
                f"{self.at}.{name}", f"{self.at}.{name} must be a time like 2026-12-01T08:00Z."
            ) from error

    def _taken(
        self, name: str, usual: Any, right: Callable[[Any], bool], wanted: str, none: bool = False
    ) -> Any:
        value = self.given.get(name, usual)
        if value is None and not none:
            value = usual
        if not right(value):
            raise BadRequest(f"{self.at}.{name}", f"{self.at}.{name} must be {wanted}.")
        return value


def _sound(text: str) -> bool:
    """Tell whether a text is short and can be written down."""
    return len(text) <= CHARS_MAX and not re.search("[\0\ud800-\udfff]", text)


def _set(part: Target | When) -> dict[str, Any]:
    values = {name: getattr(part, name) for name in type(part).__dataclass_fields__}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if value not in ("", (), None)
    }
