"""Who was this visitor? The shopper who signed in on the same device."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shopkeeper import schema
from shopkeeper.data.checks._memory import Remembering

if TYPE_CHECKING:
    import ibis


class Visitors(Remembering):
    """Gives events before the login to the shopper who signed in as that visitor.

    A device that several shoppers share says nothing of who used it before the login; its events
    stay those of the visitor. What was loaded before counts as well.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """When a visitor is a shopper."""

        merge: bool = True
        """Whether visitors become the shoppers they turned out to be."""

    def mend(self, rows: "ibis.Table") -> "tuple[ibis.Table, dict[str, ibis.BooleanValue]]":
        """Return the rows with shoppers in the place of visitors, and which were merged."""
        if not self.config.merge:
            return rows, {}
        pairs = _pairs(rows)
        if self._known is not None:
            pairs = pairs.union(_pairs(self._known)).distinct()
        users = pairs.group_by(schema.VISITOR).agg(
            _users=pairs[schema.USER].nunique(), _only=pairs[schema.USER].min()
        )
        clear = users.filter(users._users == 1).select(schema.VISITOR, "_only")
        joined = rows.left_join(clear, schema.VISITOR).drop(f"{schema.VISITOR}_right")
        merged = joined[schema.USER].isnull() & joined._only.notnull()
        joined = joined.mutate(
            **{schema.USER: joined[schema.USER].coalesce(joined._only)}, _merged=merged
        )
        return joined.drop("_only"), {"visitor known as a shopper": joined._merged}


def _pairs(rows: "ibis.Table") -> "ibis.Table":
    both = rows.filter(rows[schema.VISITOR].notnull(), rows[schema.USER].notnull())
    return both.select(schema.VISITOR, schema.USER).distinct()
