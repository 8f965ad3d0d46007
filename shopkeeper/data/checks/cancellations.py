"""Which purchase did this refund take back?"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shopkeeper import schema
from shopkeeper.data.checks._memory import Remembering

if TYPE_CHECKING:
    import ibis


class Cancellations(Remembering):
    """Gives each refund the transaction it takes back; purchases stay as they happened.

    The latest earlier purchase of the same product by the same shopper counts, of at least as many
    pieces where there is one. A refund without one keeps null, and is counted.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """How far back a refund may reach."""

        days_max: int = 400
        """Days between a purchase and its refund."""

        def __post_init__(self) -> None:
            if self.days_max < 1:
                raise ValueError(f"days_max must be at least 1, but is {self.days_max}")

    def mend(self, rows: "ibis.Table") -> "tuple[ibis.Table, dict[str, ibis.BooleanValue]]":
        """Return the rows with matched refunds, and which are matched and which not."""
        import ibis

        refund = rows[schema.EVENT_NAME] == "refund"
        taken = rows.filter(refund).select(
            "line", schema.USER, schema.ITEM, schema.TIME, schema.QUANTITY
        )
        bought = _bought(rows, rows.line)
        if self._known is not None:
            # Every line of this load is newer than what was loaded before.
            bought = bought.union(_bought(self._known, ibis.literal(-1)))
        pairs = taken.inner_join(bought, [schema.USER, schema.ITEM])
        back_s = pairs[schema.TIME].epoch_seconds() - pairs._time.epoch_seconds()
        pairs = pairs.filter((back_s >= 0) & (back_s <= 86_400 * self.config.days_max))
        enough = (pairs._pieces >= pairs[schema.QUANTITY]).cast("int64")
        pairs = pairs.mutate(
            _rank=enough * 10**15 + pairs._time.epoch_seconds() * 10**5, _tie=pairs._line
        )
        order = ibis.row_number().over(
            ibis.window(group_by=pairs.line, order_by=[pairs._rank.desc(), pairs._tie.desc()])
        )
        best = pairs.mutate(_order=order).filter(ibis._._order == 0).select("line", "_bought_in")
        joined = rows.left_join(best, "line").drop("line_right")
        is_refund = joined[schema.EVENT_NAME] == "refund"
        transaction = is_refund.ifelse(joined._bought_in, joined[schema.TRANSACTION])
        mended = joined.mutate(**{schema.TRANSACTION: transaction}).drop("_bought_in")
        is_refund = mended[schema.EVENT_NAME] == "refund"
        return mended, {
            "refund matched to its purchase": is_refund & mended[schema.TRANSACTION].notnull(),
            "refund without a known purchase": is_refund & mended[schema.TRANSACTION].isnull(),
        }


def _bought(rows: "ibis.Table", line: Any) -> "ibis.Table":
    """Return what was bought, by whom, when, and in which transaction."""
    return rows.filter(rows[schema.EVENT_NAME] == "purchase").select(
        schema.USER, schema.ITEM, _time=rows[schema.TIME], _line=line.cast("int64"),
        _pieces=rows[schema.QUANTITY].cast("int32"), _bought_in=rows[schema.TRANSACTION],
    )  # fmt: skip
