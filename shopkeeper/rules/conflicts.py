"""Rules that contradict each other, and rules that can do nothing.

Two rules that can hold in one answer contradict each other if one shows what the other hides, one
moves up what the other moves down, or both want one place. With one priority nobody could tell
which of them is meant, so that is refused; with two the higher one holds, and people are told.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from shopkeeper.rules.book import Shelves, below, places, said
from shopkeeper.rules.rule import Rule, minutes

EVER = datetime.max.replace(tzinfo=UTC)
NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Conflict:
    """Two rules that contradict each other."""

    first: str
    """The id of one."""
    second: str
    why: str
    """What both want."""
    holds: str
    """Which of them holds; empty where nobody can tell."""

    def __str__(self) -> str:
        """Say it to people."""
        solved = f"'{self.holds}' holds, by its priority." if self.holds else "which is meant?"
        return f"'{self.first}' and '{self.second}': {self.why}; {solved}"


def conflicts(
    rules: Sequence[Rule], shelves: Shelves, among: Collection[str] | None = None
) -> list[Conflict]:
    """Compare rules with each other.

    Args:
        rules: All rules.
        shelves: The products as they are.
        among: Ids of rules; of each pair one must be among them. All by default.

    Returns:
        Every pair that contradicts itself, once.
    """
    found = []
    for number, one in enumerate(rules):
        for other in rules[number + 1 :]:
            if among is not None and not {one.id, other.id} & set(among):
                continue
            why = may_meet(one, other) and contradiction(one, other, shelves)
            if why:
                first = max(one, other, key=lambda rule: rule.priority)
                holds = "" if one.priority == other.priority else first.id
                found.append(Conflict(one.id, other.id, why, holds))
    return found


def contradiction(one: Rule, other: Rule, shelves: Shelves) -> str:
    """Return what two rules want that cannot both be, empty for nothing."""
    kinds = {one.action: one, other.action: other}
    if one.action == other.action == "pin":
        return _two_pins(one, other)
    if kinds.keys() == {"boost", "bury"}:
        both = shelves.matching(one.target) & shelves.matching(other.target)
        return "one moves up what the other moves down" if both.any() else ""
    hides = kinds.get("hide") or kinds.get("filter")
    if hides is None or not kinds.keys() & {"pin", "boost"}:
        return ""
    gone = shelves.matching(hides.target)[:-1]
    gone = gone if hides.action == "hide" else ~gone
    if "pin" in kinds:
        rows = shelves.rows(kinds["pin"].target.items)
        return "one pins what the other hides" if gone[rows[rows >= 0]].any() else ""
    wanted = shelves.matching(kinds["boost"].target)[:-1]
    return "one moves up what the other hides" if wanted.any() and gone[wanted].all() else ""


def _two_pins(one: Rule, other: Rule) -> str:
    mine, theirs = dict(one.pins()), dict(other.pins())
    for place in sorted(mine.keys() & theirs.keys()):
        if mine[place] != theirs[place]:
            return f"both pin to place {place}"
    for place, item in sorted(mine.items()):
        if item in theirs.values() and theirs.get(place) != item:
            return f"both pin '{item}', to two places"
    return ""


def may_meet(one: Rule, other: Rule) -> bool:
    """Say whether two rules can hold in one answer."""
    mine, theirs = one.when, other.when
    begin = max(one.start or NEVER, other.start or NEVER)
    here, there = places(one), places(other)
    return (
        one.enabled
        and other.enabled
        and begin < min(one.end or EVER, other.end or EVER)
        and (here is None or there is None or bool({*here} & {*there}))
        and _queries_meet(one, other)
        and _paths_meet(mine.category, theirs.category)
        and (not mine.brand or not theirs.brand or mine.brand.casefold() == theirs.brand.casefold())
        and (
            not mine.weekdays or not theirs.weekdays or bool({*mine.weekdays} & {*theirs.weekdays})
        )
        and bool((_minutes(mine.hours) & _minutes(theirs.hours)).any())
    )


def _queries_meet(one: Rule, other: Rule) -> bool:
    queries = {query for query in (one.when.query, other.when.query) if query}
    words = [words for words in (one.when.contains, other.when.contains) if words]
    return len(queries) < 2 and all(said(w, query) for query in queries for w in words)


def _paths_meet(one: str, other: str) -> bool:
    return not one or not other or below(one, other) or below(other, one)


def _minutes(hours: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Mark the minutes of a day."""
    begin, end = minutes(hours) or (0, 24 * 60)
    minute = np.arange(24 * 60)
    inside = (minute >= begin) & (minute < end)
    return inside if begin < end else (minute >= begin) | (minute < end)


def idle(rule: Rule, shelves: Shelves, placements: Collection[str], now: datetime) -> list[str]:
    """Say why a rule can do nothing, or less than it says; empty where all is well."""
    found = []
    if not rule.enabled:
        found.append("it is turned off")
    if rule.end is not None and rule.end <= now:
        found.append(f"it ended on {rule.end:%Y-%m-%d %H:%M} UTC")
    if rule.start is not None and rule.start > now:
        found.append(f"it begins on {rule.start:%Y-%m-%d %H:%M} UTC")
    missing = [
        item
        for item, row in zip(
            rule.target.items, shelves.rows(rule.target.items).tolist(), strict=True
        )
        if row < 0
    ]
    if missing:
        found.append(f"the shop has no product {', '.join(missing[:5])}")
    elif not shelves.matching(rule.target)[:-1].any():
        found.append("no product is like that")
    strange = sorted({*rule.when.placements} - {*placements})
    if strange:
        found.append(f"there is no placement {', '.join(strange)}")
    return found
