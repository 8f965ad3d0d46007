"""Wholesale buyers: baskets and quantities far beyond those of other shoppers.

Far is measured on logarithms by median and MAD, of pieces in an order and of pieces on a line,
and the two add up. A wholesale buyer is a good customer whose history
says little to a household: models go on learning from them unless the shop says otherwise.
Knows nothing of companies or addresses.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from shopkeeper import schema
from shopkeeper.data.detectors import _findings as findings
from shopkeeper.data.detectors._findings import WHO

if TYPE_CHECKING:
    import ibis

WIDTH_MIN = 0.25
"""Least robust standard deviation of log pieces; a quarter up or down is no news in any shop."""


class Wholesale:
    """Finds buyers of quantities no household needs."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """From where on a buyer is a wholesale buyer."""

        action: str = "watch"
        """What models do with it: `mask` learns nothing of it, `down_weight` of a part, `watch`
        of all."""
        keep_share: float = 0.25
        """Share of events that count under `down_weight`."""
        orders_min: int = 2
        """Orders below which nothing is said of anyone."""
        pieces_min: float = 20.0
        """Pieces in the middle order below which nobody buys wholesale."""
        spreads: float = 4.0
        """Robust standard deviations of log pieces, of an order or of a line, above others."""

        def __post_init__(self) -> None:
            findings.check_acting(self)
            findings.check_above(self, orders_min=1, pieces_min=0, spreads=0.5)

    def __init__(self, config: Config) -> None:
        self.config = config

    def find(self, events: "ibis.Table", products: "ibis.Table") -> pl.DataFrame:  # noqa: ARG002
        """Return buyers beyond the limit, as `schema.ANOMALIES` rows."""
        buyers = self._buyers(events)
        if buyers.is_empty():
            return schema.empty(schema.ANOMALIES)
        away = {name: _away(buyers[name]) for name in ("order_pieces", "line_pieces")}
        rows = buyers.with_columns(
            pl.Series(f"{name}_away", values) for name, values in away.items()
        )
        how_far = findings.together(
            *(pl.col(f"{name}_away") / self.config.spreads for name in away)
        )
        rows = rows.with_columns(findings.beyond(how_far, 1.0).alias(schema.SCORE))
        middle = {name: float(buyers[name].median() or 0) for name in away}  # type: ignore[arg-type]
        evidence = pl.format(
            "{} orders with {} pieces in the middle one, where other shoppers have {}; {} pieces a "
            "line, where others have {}.",
            "orders", pl.col("order_pieces").round(0).cast(pl.Int64),
            pl.lit(round(middle["order_pieces"], 1)),
            pl.col("line_pieces").round(1), pl.lit(round(middle["line_pieces"], 1)),
        )  # fmt: skip
        rows = rows.filter(
            pl.col(schema.SCORE) >= 0.5,
            pl.col("orders") >= self.config.orders_min,
            pl.col("order_pieces") >= self.config.pieces_min,
        )
        return findings.found(rows.with_columns(evidence.alias("evidence")), "wholesale")

    def _buyers(self, events: "ibis.Table") -> pl.DataFrame:
        """Return what each shopper buys: orders, pieces in the middle order, pieces a line."""
        bought = events.filter(events[schema.EVENT_NAME] == "purchase")
        rows = findings.by_shopper(bought)
        rows = rows.mutate(pieces=rows[schema.QUANTITY].fill_null(1).cast("int64"))
        orders = rows.group_by(*WHO, schema.TRANSACTION).agg(
            pieces=rows.pieces.sum(),
            lines=rows.count(),
            first=rows[schema.TIME].min(),
            last=rows[schema.TIME].max(),
        )
        buyers: pl.DataFrame = (
            orders.group_by(*WHO)
            .agg(
                orders=orders.count(),
                order_pieces=orders.pieces.median(),
                line_pieces=orders.pieces.sum() / orders.lines.sum(),
                num_events=orders.lines.sum(),
                first=orders.first.min(),
                last=orders.last.max(),
            )
            .to_polars()
        )
        return buyers


def _away(values: pl.Series) -> np.ndarray:
    """Return how many robust standard deviations each log value is above the middle, [N]."""
    logs = np.log(np.maximum(values.cast(pl.Float64).to_numpy(), 0.5))
    middle, width = findings.usual(logs)
    return np.asarray((logs - middle) / max(width, WIDTH_MIN))
