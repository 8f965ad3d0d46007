"""Test orders: shoppers called test, orders for a cent, undone at once, or placed again and again.

Orders are looked at as wholes. An order for next to nothing, one whose every line was refunded
within the hour, and one basket that the same shopper places many times in a day are tries of a
checkout; so is all that a shopper or an order with a tester's word in its name does. Knows no
accounts of the staff: name them by `words`.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from shopkeeper import schema
from shopkeeper.data.detectors import _findings as findings
from shopkeeper.data.detectors._findings import SUBJECT, WHO

if TYPE_CHECKING:
    import ibis

DAY_S = 86_400
NAMED = (schema.USER, schema.VISITOR, schema.TRANSACTION)


class TestOrders:
    """Finds shoppers and orders that try the shop out."""

    __test__ = False
    """No test of ours, whatever its name says to a test runner."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What is taken for a try."""

        action: str = "mask"
        """What models do with it: `mask` learns nothing of it, `down_weight` of a part, `watch`
        of all."""
        keep_share: float = 0.1
        """Share of events that count under `down_weight`."""
        words: str = "test tester testing testuser testorder dummy fake qa staging sandbox"
        """Words in the id of a shopper, visitor, order, or in a coupon, with spaces between."""
        cents_max: int = 1
        """Price of a piece, in minor units, that no product of an order may exceed."""
        refund_s: int = 900
        """Seconds within which every line of the order was refunded."""
        repeats_min: int = 4
        """Orders of one basket by one shopper in one day."""

        def __post_init__(self) -> None:
            findings.check_acting(self)
            findings.check_above(self, cents_max=0, refund_s=0, repeats_min=2)

    def __init__(self, config: Config) -> None:
        self.config = config

    def find(self, events: "ibis.Table", products: "ibis.Table") -> pl.DataFrame:  # noqa: ARG002
        """Return shoppers, visitors and orders, as `schema.ANOMALIES` rows."""
        parts = [self._named(events, name) for name in NAMED if self.config.words.split()]
        sold = events.filter(
            events[schema.EVENT_NAME] == "purchase",
            events[schema.TRANSACTION].notnull(),
            events[schema.TIME].notnull(),
        )
        parts += [self._cheap(sold), self._undone(events, sold), self._repeated(sold)]
        shape = {key: kind for key, kind in schema.ANOMALIES.items() if key != "kind"}
        return findings.found(
            pl.concat(schema.conform(part, shape) for part in parts), "test_orders"
        )

    def _named(self, events: "ibis.Table", subject: str) -> pl.DataFrame:
        """Return what has a tester's word in its id, or orders with one in the coupon."""
        words = "|".join(re.escape(word) for word in self.config.words.lower().split())
        pattern = rf"(^|[^a-z])({words})([^a-z]|$)"
        rows = events.filter(events[subject].notnull())
        text: Any = rows[subject]
        if subject == schema.TRANSACTION:
            text = text.concat(" ", rows.coupon.fill_null(""))
        named = rows.filter(text.lower().re_search(pattern))
        totals = named.group_by(id=named[subject]).agg(**findings.span(named))
        few: pl.DataFrame = totals.limit(findings.FOUND_MAX).to_polars()
        return few.with_columns(
            pl.lit(subject).alias(SUBJECT),
            pl.lit(1.0).alias(schema.SCORE),
            _evidence("Its id or coupon has a word of testers; events: {}.", "num_events"),
        )  # fmt: skip

    def _cheap(self, sold: "ibis.Table") -> pl.DataFrame:
        """Return orders whose dearest piece costs a cent."""
        orders = sold.group_by(id=sold[schema.TRANSACTION]).agg(
            dearest=sold[schema.PRICE].max(), **findings.span(sold)
        )
        cheap = orders.filter(orders.dearest <= self.config.cents_max)
        few: pl.DataFrame = cheap.limit(findings.FOUND_MAX).to_polars()
        return few.with_columns(
            pl.lit(schema.TRANSACTION).alias(SUBJECT),
            pl.lit(0.9).alias(schema.SCORE),
            _evidence(
                "None of its lines, of {}, costs more than {} minor units a piece.",
                "num_events", "dearest",
            ),
        )  # fmt: skip

    def _undone(self, events: "ibis.Table", sold: "ibis.Table") -> pl.DataFrame:
        """Return orders of which every line was refunded at once."""
        back = events.filter(
            events[schema.EVENT_NAME] == "refund", events[schema.TRANSACTION].notnull()
        )
        refunds = back.group_by(schema.TRANSACTION).agg(
            products_back=back[schema.ITEM].nunique(), back=back[schema.TIME].max()
        )
        rows = sold.semi_join(refunds, schema.TRANSACTION)
        orders = rows.group_by(schema.TRANSACTION).agg(
            products=rows[schema.ITEM].nunique(), **findings.span(rows)
        )
        both = orders.inner_join(refunds, schema.TRANSACTION)
        wait_s = both.back.delta(both["last"], unit="second")
        both = both.mutate(wait_s=wait_s).rename(id=schema.TRANSACTION)
        undone = both.filter(
            both.products_back >= both.products,
            both.wait_s.between(0, self.config.refund_s),
        )
        few: pl.DataFrame = undone.limit(findings.FOUND_MAX).to_polars()
        return few.with_columns(
            pl.lit(schema.TRANSACTION).alias(SUBJECT),
            (1 - 0.4 * pl.col("wait_s") / max(self.config.refund_s, 1)).alias(schema.SCORE),
            _evidence("Refunded as a whole, lines: {}, after {} s.", "num_events", "wait_s"),
        )  # fmt: skip

    def _repeated(self, sold: "ibis.Table") -> pl.DataFrame:
        """Return orders of one basket that a shopper placed many times in one day."""
        rows = findings.by_shopper(sold)
        line = rows[schema.ITEM].concat("*", rows[schema.QUANTITY].cast("string").fill_null(""))
        rows = rows.mutate(line=line)
        orders = rows.group_by(*WHO, schema.TRANSACTION).agg(
            lines=rows.count(), basket=_signature(rows), **findings.span(rows)
        )
        orders = orders.mutate(day=orders["first"].epoch_seconds() // DAY_S)
        same = [*WHO, "day", "basket", "lines"]
        often = orders.group_by(*same).agg(repeats=orders.count())
        often = often.filter(often.repeats >= self.config.repeats_min)
        found = orders.inner_join(often, same)
        few: pl.DataFrame = (
            found.select(
                "num_events", "first", "last", "lines", "repeats", id=found[schema.TRANSACTION]
            )
            .limit(findings.FOUND_MAX)
            .to_polars()
        )
        return few.with_columns(
            pl.lit(schema.TRANSACTION).alias(SUBJECT),
            findings.beyond(pl.col("repeats"), float(self.config.repeats_min)).alias(schema.SCORE),
            _evidence(
                "One of {} equal orders, lines: {}, by one shopper on one day.",
                "repeats", "lines",
            ),
        )  # fmt: skip


def _signature(rows: "ibis.Table") -> Any:
    """Return a number that equal baskets share, whatever the order of their lines."""
    return (rows.line.hash().abs() % 1_000_000_007).sum()


def _evidence(sentence: str, *columns: str) -> pl.Expr:
    return pl.format(sentence, *columns).alias("evidence")
