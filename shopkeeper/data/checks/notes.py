"""Stock adjustments with a clerk's note in place of a product's name: `?`, `damaged`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shopkeeper import schema
from shopkeeper.data.descriptions import is_note

if TYPE_CHECKING:
    import ibis


class Notes:
    """Refuses events that carry a note and earned nothing; a paid line stays, whatever is said."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What counts as earning nothing."""

        paid_minor: int = 1
        """A line whose piece cost at least this much is a sale, whatever is written beside it."""
        share_max: float = 0.05
        """Largest share of a table's rows that this may refuse in a strict load."""

        def __post_init__(self) -> None:
            if self.paid_minor < 1:
                raise ValueError(f"paid_minor must be at least 1, but is {self.paid_minor}")

    tables = ("events",)

    def __init__(self, config: Config) -> None:
        self.config = config

    def refuse(self, rows: "ibis.Table") -> "dict[str, ibis.BooleanValue]":
        """Return which rows to refuse, by reason."""
        if "title" not in rows.columns:
            return {}
        import ibis

        unpaid = rows[schema.PRICE].isnull() | (rows[schema.PRICE] < self.config.paid_minor)
        # Words are looked at where it matters alone: they take longest, and few lines are unpaid.
        note = unpaid.ifelse(is_note(rows.title), ibis.literal(False))
        return {"the description is a note, not a product": note}
