"""The same line twice: same basket, product, moment, shopper, quantity and price."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shopkeeper import schema

if TYPE_CHECKING:
    import ibis

_SAME = (
    schema.EVENT_NAME, schema.TRANSACTION, schema.ITEM, schema.TIME, schema.USER,
    schema.QUANTITY, schema.PRICE, "title",
)  # fmt: skip
_TELLING = (schema.TRANSACTION, schema.ITEM, schema.QUANTITY)
"""Columns whose hashes find suspects; the others only confirm."""


class Duplicates:
    """Keeps the first of equal sales lines, and the first row of an id; refuses the others."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What is looked at."""

        equal_lines: bool = True
        """Whether a basket's equal lines are one line; if not, only repeated ids are refused."""
        share_max: float = 0.2
        """Largest share of a table's rows that this may refuse in a strict load."""

    tables = ("events", "products", "reviews")

    def __init__(self, config: Config) -> None:
        self.config = config

    def refuse(self, rows: "ibis.Table") -> "dict[str, ibis.BooleanValue | ibis.Table]":
        """Return which rows to refuse, by reason."""
        ids = (schema.EVENT_ID, "review_id", schema.PRODUCT_ID)
        name = next(name for name in ids if name in rows.columns)
        reasons = {f"the {name} came before": _repeats(rows, [name])}
        if name == schema.EVENT_ID and self.config.equal_lines:
            sales = rows.filter(rows[schema.TRANSACTION].notnull())
            same = [column for column in _SAME if column in rows.columns]
            reasons["the line is an exact duplicate"] = _repeats(sales, same)
        return reasons


def _repeats(rows: "ibis.Table", same: list[str]) -> "ibis.Table":
    """Return the `line` of all but the first of equal rows.

    Equal rows are counted by hash first, for few are equal and a window over all is slow.
    """
    import ibis

    mark = rows[same[0]].hash()
    for column in same[1:]:
        if column in _TELLING:
            mark = mark ^ rows[column].hash()
    marked = rows.select("line", _mark=mark)
    several = marked.group_by("_mark").agg(_rows=marked.count()).filter(ibis._._rows > 1)
    suspects = rows.select("line", *same).semi_join(marked.semi_join(several, "_mark"), "line")
    order = ibis.row_number().over(ibis.window(group_by=same, order_by=suspects.line))
    return suspects.mutate(_place=order).filter(ibis._._place > 0).select("line")
