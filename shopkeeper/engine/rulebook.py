"""The rules of a shop: kept in the records, checked against each other and against the products."""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shopkeeper.config import Config
from shopkeeper.engine import changes
from shopkeeper.engine.catalogue import Catalogue
from shopkeeper.engine.known import records_of
from shopkeeper.engine.models import clock_of
from shopkeeper.engine.shelves import Shelves
from shopkeeper.errors import BadRequest, NotFitted, NotFound, ShopkeeperError
from shopkeeper.operations.bundles import Bundles
from shopkeeper.rules.book import RuleBook
from shopkeeper.rules.conflicts import Conflict, conflicts, idle
from shopkeeper.rules.rule import SEARCH, Rule, loads, read
from shopkeeper.search.filters import Attributes
from shopkeeper.store.records import Records

RULES_MAX = 10_000
_log = logging.getLogger(__name__)


def book_of(records: Records) -> RuleBook:
    """Read all rules; one that this code cannot read is logged and left out."""
    found = []
    for row in records.rules().iter_rows(named=True):
        try:
            found.append(loads(row["rule"]))
        except (ShopkeeperError, ValueError) as error:
            _log.error("rule %s cannot be read: %s", row["id"], error)
    return RuleBook.of(found)


class Rules:
    """What people do with the rules of one shop.

    Args:
        folder: The shop's folder.
        config: Its settings.
        records: Where they are kept.
        shelves: The products as they are now.
        now: The shop's time.
    """

    def __init__(
        self, folder: Path, config: Config, records: Records, shelves: Shelves, now: datetime
    ) -> None:
        self._folder, self._config, self._records = folder, config, records
        self._shelves, self._now = shelves, now

    def put(self, given: Sequence[Any], force: bool = False) -> list[Conflict]:
        """Add rules, or replace those of their ids; all or none.

        Args:
            given: Rules as `rules.rule.read` takes them.
            force: Take rules that contradict others of the same priority, too.

        Returns:
            Contradictions that priorities solve, or that were forced.

        Raises:
            BadRequest: One is wrong, or contradicts another of the same priority.
        """
        if not isinstance(given, Sequence) or isinstance(given, str) or not given:
            raise BadRequest("rules", "rules must be a list of at least one rule.")
        fresh = {}
        for number, one in enumerate(given):
            rule = read(one, f"rules[{number}]")
            if rule.id in fresh:
                raise BadRequest(
                    f"rules[{number}].id", f"Two of these rules are called '{rule.id}'."
                )
            self._check(rule, f"rules[{number}]")
            fresh[rule.id] = rule
        old = {rule.id: rule for rule in book_of(self._records).rules}
        every = old | fresh
        if len(every) > RULES_MAX:
            raise BadRequest("rules", f"A shop may have up to {RULES_MAX:,} rules.")
        found = conflicts(list(every.values()), self._shelves, fresh)
        open_ones = [conflict for conflict in found if not conflict.holds]
        if open_ones and not force:
            raise BadRequest(
                "rules",
                f"These rules contradict each other: {open_ones[0]} Give one a higher priority, "
                "narrow its conditions, or force it.",
            )
        self._records.put_rules({id: json.dumps(rule.to_json()) for id, rule in fresh.items()})
        changes.tell(self._folder, changes.RULES)
        return found

    def remove(self, ids: Sequence[str]) -> int:
        """Delete rules; NotFound if one of them is not there, and none is deleted."""
        known = {rule.id for rule in book_of(self._records).rules}
        known |= {*self._records.rules()["id"]}
        for id in ids:
            if id not in known:
                raise NotFound(
                    f"There is no rule '{id[:80]}'. `shopkeeper rules list` names them all."
                )
        gone = self._records.remove_rules(ids)
        changes.tell(self._folder, changes.RULES)
        return gone

    def listed(self, ids: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """Return rules as plain values, those that hold first.

        Args:
            ids: Which; all by default.

        Returns:
            What `Rule.to_json` says, with `does` in words, whether it is `active` now, and
            `warnings`: why it can do nothing, and what contradicts it.

        Raises:
            NotFound: There is none of these ids.
        """
        rules = book_of(self._records).rules
        wanted = None if ids is None else {*ids}
        strange = (wanted or set()) - {rule.id for rule in rules}
        if strange:
            raise NotFound(
                f"There is no rule '{min(strange)[:80]}'. `shopkeeper rules list` names them all."
            )
        found = conflicts(rules, self._shelves, wanted)
        return [
            rule.to_json() | self._state(rule, found)
            for rule in rules
            if wanted is None or rule.id in wanted
        ]

    def _state(self, rule: Rule, found: Sequence[Conflict]) -> dict[str, Any]:
        mine = [str(one) for one in found if rule.id in (one.first, one.second)]
        names = [SEARCH, *self._config.placements]
        why = idle(rule, self._shelves, names, self._now)
        return {"does": rule.said(), "active": rule.valid(self._now), "warnings": why + mine}

    def _check(self, rule: Rule, at: str) -> None:
        """Refuse what can only be a slip: a placement that is not there."""
        known = [SEARCH, *self._config.placements]
        for name in rule.when.placements:
            if name not in known:
                raise BadRequest(
                    f"{at}.when.placements",
                    f"There is no placement '{name}'. Known: {', '.join(known)}.",
                )


@contextmanager
def opened(folder: Path, config: Config) -> Iterator[Rules]:
    """Open the rules of a shop, which need not be trained."""
    with closing(records_of(folder, config)) as records:
        catalogue = Catalogue(records.all())
        shelves = Shelves(Attributes(catalogue.all()), catalogue.currency)
        bundles = Bundles(folder / "bundles")
        try:
            now = clock_of(config, bundles.manifest(bundles.current())).now()
        except NotFitted:
            now = datetime.now(UTC)
        yield Rules(folder, config, records, shelves, now)
