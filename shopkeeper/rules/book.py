"""All rules of a shop, and what those in force say of one answer.

Knows no products: `Shelves` tells which a target means. Of two rules that contradict each other
the one of higher priority holds, hiding before showing, then the first by id.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from shopkeeper.rules.rule import BOOST_PLACES, PATH, SEARCH, WEEKDAYS, Rule, Target, minutes

Rows = NDArray[np.int64]
T = TypeVar("T")
FIRST = ("hide", "filter", "pin", "boost", "bury")
"""Who holds among rules of one priority."""


class Shelves(Protocol):
    """The products as they are now, N of them, by row."""

    def rows(self, items: Sequence[str]) -> Rows:
        """Return the row of each product, -1 for one nobody knows."""

    def matching(self, target: Target) -> NDArray[np.bool_]:
        """Say which products a target means, [N + 1]; the last stands for an unknown one."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What an answer is asked for."""

    placement: str
    now: datetime
    query: str = ""
    """As `rule.spelled` writes it."""
    categories: Sequence[str] = ()
    """What is looked at: the page's category, that of the product at hand."""
    brands: Sequence[str] = ()
    segments: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Pin:
    """A product that has its place."""

    place: int
    """From 1."""
    item: str
    rule: Rule


@dataclass(frozen=True)
class Verdict:
    """What the rules say of N products in their order."""

    kept_N: NDArray[np.bool_]
    """Whether each may be shown."""
    rule_N: NDArray[np.object_]
    """Who decided on each: a rule, or None."""
    key_N: NDArray[np.float64]
    """Those that stay are shown by this, smallest first."""

    @property
    def hiders(self) -> dict[int, Rule]:
        """Which rule hides what may not be shown, by place."""
        return {place: self.rule_N[place] for place in np.flatnonzero(~self.kept_N).tolist()}

    @property
    def movers(self) -> dict[int, Rule]:
        """Which rule moves what may be shown, by place."""
        kept = np.flatnonzero(self.kept_N).tolist()
        return {place: self.rule_N[place] for place in kept if self.rule_N[place] is not None}

    @property
    def order(self) -> Rows:
        """The places that stay, in their new order."""
        order = np.argsort(self.key_N, kind="stable")
        found: Rows = order[self.kept_N[order]]
        return found


@dataclass(frozen=True)
class Decision:
    """The rules in force for one answer, those that hold first in front."""

    rules: tuple[Rule, ...]

    @property
    def narrow(self) -> bool:
        """Whether few of the products proposed may be left."""
        return any(
            rule.action == "filter" or (rule.action == "hide" and not rule.target.items)
            for rule in self.rules
        )

    def judge(self, row_N: Rows, shelves: Shelves) -> Verdict:
        """Say what becomes of products in their order.

        Args:
            row_N: Their rows, -1 for one nobody knows.
            shelves: The products.

        Returns:
            Who stays and in which order; pins come later.
        """
        kept = np.ones(len(row_N), np.bool_)
        rule: NDArray[np.object_] = np.full(len(row_N), None, object)
        key = np.arange(len(row_N), dtype=np.float64)
        for one in self.rules:
            means = shelves.matching(one.target)[row_N]
            if one.action in ("hide", "filter"):
                gone = kept & (means if one.action == "hide" else ~means)
                kept[gone], rule[gone] = False, one
            elif one.action in ("boost", "bury"):
                moved = means & np.array([held is None for held in rule], np.bool_)
                key[moved] += _way(one, len(row_N))
                rule[moved] = one
        return Verdict(kept, rule, key)

    def pins(self, shelves: Shelves) -> list[Pin]:
        """Return the products that have their place, by place; none that a rule hides."""
        found: dict[int, Pin] = {}
        for rule in self.rules:
            for place, item in rule.pins():
                known = item in {pin.item for pin in found.values()}
                if place not in found and not known and not self.hidden(item, rule, shelves):
                    found[place] = Pin(place, item, rule)
        return [found[place] for place in sorted(found)]

    def hidden(self, item: str, beside: Rule, shelves: Shelves) -> Rule | None:
        """Return the rule that hides a product though another one shows it, None for none."""
        (row,) = shelves.rows([item])
        for rule in self.rules:
            if rule.priority < beside.priority or rule.action not in ("hide", "filter"):
                continue
            if bool(shelves.matching(rule.target)[row]) == (rule.action == "hide"):
                return rule
        return None


@dataclass(frozen=True)
class RuleBook:
    """All rules of a shop; nothing in it changes, so threads may share it."""

    rules: tuple[Rule, ...] = ()
    _by_place: dict[str, list[Rule]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, rules: Iterable[Rule]) -> "RuleBook":
        """Order the rules; those that hold stand in front."""
        return cls(tuple(sorted(rules, key=lambda r: (-r.priority, FIRST.index(r.action), r.id))))

    def at(self, context: Context) -> Decision | None:
        """Return what is in force for one answer, None where nothing is."""
        if not self.rules:
            return None
        mine = self._by_place.get(context.placement)
        if mine is None:
            reach = [(rule, places(rule)) for rule in self.rules]
            mine = [rule for rule, at in reach if at is None or context.placement in at]
            self._by_place[context.placement] = mine
        found = tuple(rule for rule in mine if fits(rule, context))
        return Decision(found) if found else None


def places(rule: Rule) -> tuple[str, ...] | None:
    """Return the placements that a rule may act on, None for all."""
    if rule.when.query or rule.when.contains:
        return (SEARCH,)
    return rule.when.placements or None


def fits(rule: Rule, context: Context) -> bool:
    """Say whether all conditions of a rule hold, but for its placements."""
    when = rule.when
    return (
        rule.valid(context.now)
        and (not when.query or when.query == context.query)
        and (not when.contains or said(when.contains, context.query))
        and (not when.category or any(below(c, when.category) for c in context.categories))
        and (not when.brand or when.brand.casefold() in {b.casefold() for b in context.brands})
        and (not when.segment or when.segment in context.segments)
        and (not when.weekdays or WEEKDAYS[context.now.weekday()] in when.weekdays)
        and (not when.hours or within(when.hours, context.now))
    )


def said(words: str, query: str) -> bool:
    """Say whether words stand together in a query; scripts without spaces by their letters."""
    return f" {words} " in f" {query} " or (not words.isascii() and words in query)


def below(path: str, wanted: str) -> bool:
    """Say whether a category is the wanted one or below it."""
    path, wanted = path.casefold(), wanted.casefold()
    return path == wanted or path.startswith(wanted + PATH)


def within(hours: str, now: datetime) -> bool:
    """Say whether a moment is in times of the day, which may go over midnight."""
    begin, end = minutes(hours) or (0, 24 * 60)
    minute = now.hour * 60 + now.minute
    return begin <= minute < end if begin < end else minute >= begin or minute < end


def _way(rule: Rule, size: int) -> float:
    """Return what a rule adds to a product's place; halves let it pass who stands there."""
    if rule.action == "boost":
        return -(rule.by or BOOST_PLACES) - 0.5
    return rule.by + 0.5 if rule.by else float(size)


def placed(names: Sequence[T], taken: Sequence[tuple[int, T]]) -> list[T]:
    """Return products with some of them in given places; at the end where a page is shorter.

    Args:
        names: Products in their order.
        taken: Place, from 1, and product, by place.

    Returns:
        Each product once.
    """
    own = {item for _, item in taken}
    found = [name for name in names if name not in own]
    for place, item in taken:
        found.insert(min(place - 1, len(found)), item)
    return found
