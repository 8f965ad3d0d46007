"""Price mistakes: sales and list prices far off what the product usually costs.

A product's usual price is the median of its sales, and the room it has their MAD, both on the
logarithm, so that ten times and a tenth are as far. A slipped decimal point, ten or a hundred
times to within some per cent, is told by that name. A far price that a product sells at on many
days is a second price list, not a mistake. Knows no costs and no other shop's prices.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from shopkeeper import schema
from shopkeeper.data.detectors import _findings as findings

if TYPE_CHECKING:
    import ibis

BINS = 50
"""Prices are counted in steps of 2%, so that a product has few, however many its sales."""
LOG10 = float(np.log(10))
DAY_S = 86_400
PRODUCT = [schema.ITEM, "money"]
"""A product and the currency it was sold in."""


class PriceMistakes:
    """Finds sales and products with a price that nobody meant."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """From where on a price is a mistake."""

        action: str = "watch"
        """What models do with it: `mask` learns nothing of it, `down_weight` of a part, `watch`
        of all."""
        keep_share: float = 0.25
        """Share of events that count under `down_weight`."""
        sales_min: int = 5
        """Sales of a product below which nobody knows what it usually costs."""
        spreads: float = 6.0
        """Robust standard deviations of the product's log price, up or down."""
        times_min: float = 2.5
        """Times the usual price, or a part of it, below which a price is a discount or a rise."""
        days_max: int = 3
        """Days with sales at such a price, from more of which on it is a price of its own."""
        slip: float = 0.05
        """How near to ten or a hundred times a price must be to be a slipped point."""

        def __post_init__(self) -> None:
            findings.check_acting(self)
            findings.check_above(self, sales_min=2, spreads=1, times_min=1.01, days_max=1, slip=0)

    def __init__(self, config: Config) -> None:
        self.config = config

    def find(self, events: "ibis.Table", products: "ibis.Table") -> pl.DataFrame:
        """Return sales by `event_id` and products by `item_id`, as `schema.ANOMALIES` rows."""
        sales = events.filter(
            events[schema.EVENT_NAME] == "purchase",
            events[schema.ITEM].notnull(),
            events[schema.PRICE] > 0,
        )
        sales = sales.mutate(
            bin=(sales[schema.PRICE].log() * BINS).round(0).cast("int64"),
            money=sales[schema.CURRENCY].fill_null(""),
            day=sales[schema.TIME].epoch_seconds() // DAY_S,
        )
        levels = self._levels(sales)
        far = _rare(sales, levels.filter("far"), self.config.days_max)
        usual = levels.unique(PRODUCT).select(*PRODUCT, "usual", "room", "sales_in_all")
        rows = pl.concat([_sales_of(sales, far), _list_prices(products)])
        return findings.found(self._judge(rows.join(usual, on=PRODUCT)), "price_mistakes")

    def _levels(self, sales: "ibis.Table") -> pl.DataFrame:
        """Return every price level of each product, and whether it is far from the usual."""
        levels = sales.group_by(*PRODUCT, "bin").agg(
            sales=sales.count(), usual=sales[schema.PRICE].mean()
        )
        counts: pl.DataFrame = levels.to_polars()
        whole = pl.col("sales").sum().over(PRODUCT)
        counts = counts.with_columns(sales_in_all=whole)
        counts = counts.filter(pl.col("sales_in_all") >= self.config.sales_min)
        middle = _middle(counts, "bin").rename({"bin": "middle"})
        counts = (
            counts.drop("usual")
            .join(middle, on=PRODUCT)
            .with_columns(away=(pl.col("bin") - pl.col("middle")).abs())
        )
        width = _middle(counts, "away").select(*PRODUCT, pl.col("away").alias("width"))
        settings = self.config
        spread = findings.NORMAL * pl.col("width").clip(lower_bound=1) / BINS
        least = float(np.log(settings.times_min))
        counts = counts.join(width, on=PRODUCT).with_columns(
            room=pl.max_horizontal(settings.spreads * spread, pl.lit(least)),
        )
        # A slipped point counts within any room; half a step is lost to the counting in steps.
        room = pl.min_horizontal("room", LOG10 - settings.slip) - 0.5 / BINS
        return counts.with_columns(far=pl.col("away") / BINS >= room)

    def _judge(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Score prices beyond their room, and slipped points within it."""
        off = (pl.col(schema.PRICE) / pl.col("usual")).log()
        power = (off.abs() / LOG10).round(0)
        near = (off.abs() - power * LOG10).abs() <= self.config.slip + 1 / BINS
        slipped = near & power.is_between(1, 2)
        rows = rows.with_columns(off.alias("off"), slipped.alias("slipped"))
        score = findings.beyond(pl.col("off").abs(), pl.col("room"))
        score = pl.when("slipped").then(pl.max_horizontal(score, 0.75)).otherwise(score)
        times = pl.col("off").abs().exp().round(1)
        way = pl.when(pl.col("off") > 0).then(pl.lit("above")).otherwise(pl.lit("below"))
        tail = pl.when("slipped").then(pl.lit(", as by a slipped point")).otherwise(pl.lit(""))
        evidence = pl.format(
            "A price of {} (minor units) is {} times {} the usual {} of {} sales{}.",
            schema.PRICE, times, way, pl.col("usual").round(0).cast(pl.Int64),
            "sales_in_all", tail,
        )  # fmt: skip
        scored = rows.with_columns(score.alias(schema.SCORE), evidence.alias("evidence"))
        return scored.filter(pl.col(schema.SCORE) >= 0.5)


def _rare(sales: "ibis.Table", far: pl.DataFrame, days_max: int) -> pl.DataFrame:
    """Return the far price levels that, with the next ones, had sales on few days."""
    import ibis

    around = pl.concat(
        far.select(*PRODUCT, pl.col("bin").alias("level"), pl.col("bin") + step)
        for step in (-1, 0, 1)
    )
    rows = sales.inner_join(ibis.memtable(around), [*PRODUCT, "bin"])
    days = rows.group_by(*PRODUCT, "level").agg(days=rows.day.nunique())
    often: pl.DataFrame = days.filter(days.days > days_max).to_polars()
    return far.join(often.rename({"level": "bin"}), on=[*PRODUCT, "bin"], how="anti")


def _middle(counts: pl.DataFrame, value: str) -> pl.DataFrame:
    """Return the median of a counted value of each product, and the `usual` price there."""
    rows = counts.sort([*PRODUCT, value])
    below = pl.col("sales").cum_sum().over(PRODUCT)
    upper = rows.filter(2 * below >= pl.col("sales_in_all"))
    return upper.group_by(PRODUCT).agg(pl.col(value, "usual").first())


def _sales_of(sales: "ibis.Table", far: pl.DataFrame) -> pl.DataFrame:
    """Return the sales at some price levels, those at the farthest first."""
    import ibis

    far = far.with_columns((pl.col("away") / BINS / pl.col("room")).alias("by"))
    levels = ibis.memtable(far.select(*PRODUCT, "bin", "by"))
    rows = sales.inner_join(levels, [*PRODUCT, "bin"])
    rows = rows.order_by(rows.by.desc(), rows[schema.EVENT_ID]).limit(3 * findings.FOUND_MAX)
    return _as_rows(
        rows.select(
            schema.ITEM, "money", schema.PRICE,
            subject=ibis.literal(schema.EVENT_ID), id=rows[schema.EVENT_ID],
            first=rows[schema.TIME], last=rows[schema.TIME], num_events=ibis.literal(1),
        )
    )  # fmt: skip


def _list_prices(products: "ibis.Table") -> pl.DataFrame:
    """Return what products cost by the catalogue."""
    import ibis

    priced = products.filter(products[schema.PRICE] > 0)
    return _as_rows(
        priced.select(
            schema.PRICE, item_id=priced[schema.PRODUCT_ID],
            money=priced[schema.CURRENCY].fill_null(""),
            subject=ibis.literal(schema.ITEM), id=priced[schema.PRODUCT_ID],
            first=priced.updated, last=priced.updated, num_events=ibis.literal(0),
        )
    )  # fmt: skip


def _as_rows(table: Any) -> pl.DataFrame:
    """Bring candidates to hand in one order and one shape."""
    shape: dict[str, schema.Dtype] = {
        schema.ITEM: pl.String, "money": pl.String, schema.PRICE: pl.Int64,
        "subject": pl.String, "id": pl.String, "first": schema.UTC_TIME, "last": schema.UTC_TIME,
        "num_events": pl.Int64,
    }  # fmt: skip
    return schema.conform(table.to_polars(), shape)
