"""What rules make of one search: products hidden, moved and pinned among those that were found."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shopkeeper.engine.shelves import Shelves
from shopkeeper.engine.trace import Step, Trace
from shopkeeper.rules.book import Decision, Pin, placed
from shopkeeper.search.filters import Rows

SELLABLE = ("in_stock", "preorder", "backorder")
"""What a rule may pin: a place at the top is no place for what is sold out."""


NOTED = 2_000
"""So many products are noted for explanations; browsing finds all of a shop."""


class SearchRuling:
    """The rules in force for one search, as `search.found.Ruling`."""

    def __init__(
        self,
        decision: Decision,
        shelves: Shelves,
        availability: Sequence[str | None],
        trace: Trace,
    ) -> None:
        """Take the rules and the products.

        Args:
            decision: The rules in force.
            shelves: The products.
            availability: Of each product, by row.
            trace: Told what was hidden and moved.
        """
        self._decision, self._shelves, self._trace = decision, shelves, trace
        self._pins: list[tuple[Pin, int]] = []
        trace.unpinned = {}
        for pin in decision.pins(shelves):
            (row,) = shelves.rows([pin.item]).tolist()
            if row >= 0 and availability[row] in (None, *SELLABLE):
                self._pins.append((pin, row))
            else:
                trace.unpinned = {**trace.unpinned, pin.item: pin.rule.id}

    def kept(self, rows: Rows) -> NDArray[np.bool_]:
        """Say which of some products may be shown, [K]."""
        verdict = self._decision.judge(rows, self._shelves)
        gone = np.flatnonzero(~verdict.kept_N)[:NOTED]
        hiders = {place: verdict.rule_N[at] for place, at in enumerate(gone.tolist())}
        self._note(Step("rules hide", self._shelves.ids(rows[gone]), gone[:0], hiders))
        return verdict.kept_N

    def pinned(self) -> Rows:
        """Return the products that have a place of their own."""
        return np.array([row for _, row in self._pins], np.int64)

    def order(self, rows: Rows) -> Rows:
        """Return the places of products in the order that they are to be shown.

        Pinned ones are in front, so that they stand for their variants; they get their places last.
        """
        verdict = self._decision.judge(rows, self._shelves)
        order = np.argsort(verdict.key_N, kind="stable")
        near = order[order < NOTED]
        if not np.array_equal(near, np.arange(len(near))):
            movers = {at: rule for at, rule in verdict.movers.items() if at < NOTED}
            self._note(Step("rules", self._shelves.ids(rows[:NOTED]), near, movers))
        first = np.isin(rows[order], self.pinned())
        return np.concatenate([order[first], order[~first]])

    def placed(self, rows: Rows) -> Rows:
        """Put those with a place of their own there, if they are among these rows."""
        there = [(pin, row) for pin, row in self._pins if row in rows]
        if not there:
            return rows
        self._trace.pins = [pin for pin, _ in there]
        free = rows[~np.isin(rows, [row for _, row in there])].tolist()
        found = placed(free, [(pin.place, row) for pin, row in there])
        return np.array(found, np.int64)

    def _note(self, step: Step) -> None:
        """Keep the last of each kind: a search may look deeper, or ask for less."""
        others = [one for one in self._trace.steps if one.name != step.name]
        self._trace.steps = [*others, step] if len(step.items) else others
