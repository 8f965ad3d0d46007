"""Click fraud: few shoppers click one product or promotion again and again, and nothing follows.

Windows of an hour, half an hour apart, are looked at for each product and promotion, over the
clicks of those who clicked it several times. A shopper of a crowded window is found who did
little else meanwhile, came back to it again and again, and never put it in the cart. Limits are
numbers and no quantiles of the shop's own clicks, which fraud would raise. Knows nothing of
networks or devices; a crowd of accounts that click once each is not seen.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from shopkeeper import schema
from shopkeeper.data.detectors import _findings as findings
from shopkeeper.data.detectors._findings import WHO

if TYPE_CHECKING:
    import ibis

CLICKS = ("select_item", "select_promotion")
LANDINGS = ("view_item", "view_promotion")
"""What a page may log by itself when a click arrives."""
WINDOW_S = 3600
STEP_S = WINDOW_S // 2
WINDOWS_MAX = 200_000
TARGET, HALF = "target", "half_hour"


class ClickFraud:
    """Finds who clicks to cost or to lift, not to buy."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """From where on clicking is no longer interest."""

        action: str = "mask"
        """What models do with it: `mask` learns nothing of it, `down_weight` of a part, `watch`
        of all."""
        keep_share: float = 0.1
        """Share of events that count under `down_weight`."""
        clicks_min: int = 12
        """Clicks on one product or promotion in an hour below which nothing is said."""
        clicks_each: int = 4
        """Clicks in that hour by one shopper, from which on the shopper may be one of a few."""
        focus: float = 0.7
        """Least share of the shopper's events of that hour that were this one click."""
        dwell_s: float = 240.0
        """Seconds from one such click to the next, the middle one; more may be interest."""

        def __post_init__(self) -> None:
            findings.check_acting(self)
            findings.check_above(self, clicks_min=2, clicks_each=2, focus=0, dwell_s=0)

    def __init__(self, config: Config) -> None:
        self.config = config

    def find(self, events: "ibis.Table", products: "ibis.Table") -> pl.DataFrame:  # noqa: ARG002
        """Return the shoppers of crowded windows, as `schema.ANOMALIES` rows."""
        import ibis

        hours = self._windows(events)
        if hours.is_empty():
            return schema.empty(schema.ANOMALIES)
        rows = findings.by_shopper(events)
        whose = rows.semi_join(ibis.memtable(hours.select(WHO).unique()), WHO)
        pairs = hours.select(*WHO, TARGET).unique()
        doubted = hours.join(_bought(whose, pairs), on=[*WHO, TARGET], how="anti")
        if doubted.is_empty():
            return schema.empty(schema.ANOMALIES)
        doubted = doubted.join(_all_events(whose, doubted), on=[*WHO, HALF, TARGET])
        spans = whose.group_by(*WHO).agg(**findings.span(whose)).to_polars()
        return findings.found(self._judge(doubted).join(spans, on=WHO), "click_fraud")

    def _windows(self, events: "ibis.Table") -> pl.DataFrame:
        """Return clicks by shopper, target and window, in windows crowded by few shoppers."""
        settings = self.config
        clicks = _clicks(events)
        often = clicks.group_by(*WHO, TARGET).agg(clicks=clicks.count())
        often = often.filter(often.clicks >= settings.clicks_each)
        mine = clicks.semi_join(often, [*WHO, TARGET])
        half = mine[schema.TIME].epoch_seconds() // STEP_S
        halves = mine.mutate(half_hour=half)
        both = halves.union(halves.mutate(half_hour=halves.half_hour - 1))
        by_hour = both.group_by(*WHO, TARGET, HALF).agg(
            clicks=both.count(),
            dwell_s=(
                both[schema.TIME].max().delta(both[schema.TIME].min(), unit="second")
                / (both.count() - 1).nullif(0)
            ),
        )
        by_hour = by_hour.filter(by_hour.clicks >= settings.clicks_each)
        hours: pl.DataFrame = by_hour.order_by(by_hour.clicks.desc()).limit(WINDOWS_MAX).to_polars()
        window = [TARGET, HALF]
        hours = hours.with_columns(
            in_window=pl.col("clicks").sum().over(window), shoppers=pl.len().over(window)
        )
        return hours.filter(
            pl.col("in_window") >= settings.clicks_min, pl.col("dwell_s") <= settings.dwell_s
        )

    def _judge(self, hours: pl.DataFrame) -> pl.DataFrame:
        """Score each shopper by the plainest hour, and keep those who did little else."""
        focus = pl.col("clicks") / pl.col("events")
        rows = hours.with_columns(focus.alias("focus")).filter(focus >= self.config.focus)
        rows = rows.with_columns(
            findings.beyond(pl.col("in_window"), float(self.config.clicks_min)).alias(schema.SCORE)
        )
        rows = rows.sort(
            [schema.SCORE, "clicks", TARGET, HALF], descending=[True, True, False, False]
        )
        worst = rows.unique(WHO, keep="first", maintain_order=True)
        evidence = pl.format(
            "{} clicks on {} in an hour (with others like it: {} clicks, {} shoppers), {} s apart, "
            "{}% of all the shopper did then; it was never put in the cart or bought.",
            "clicks", TARGET, "in_window", "shoppers", pl.col("dwell_s").round(0).cast(pl.Int64),
            (100 * pl.col("focus")).round(0).cast(pl.Int64),
        )  # fmt: skip
        return worst.with_columns(evidence.alias("evidence"))


def _clicks(events: "ibis.Table") -> "ibis.Table":
    """Return clicks by `subject`, `id` and `target`: the promotion, or the product."""
    import ibis

    rows = findings.by_shopper(events.filter(events[schema.EVENT_NAME].isin(CLICKS)))
    promoted = (rows[schema.EVENT_NAME] == "select_promotion") & rows.promotion_id.notnull()
    target = ibis.ifelse(promoted, rows.promotion_id, rows[schema.ITEM].coalesce(rows.promotion_id))
    clicks = rows.select(*WHO, schema.TIME, target=target)
    return clicks.filter(clicks.target.notnull())


def _bought(whose: "ibis.Table", pairs: pl.DataFrame) -> pl.DataFrame:
    """Return the pairs of shopper and target that led to a cart or a sale."""
    import ibis

    buys = whose.filter(whose[schema.EVENT_NAME].isin(findings.BUYS))
    buys = buys.filter(buys[schema.ITEM].notnull() | buys.promotion_id.notnull())
    targets = buys.select(*WHO, target=buys[schema.ITEM]).union(
        buys.select(*WHO, target=buys.promotion_id)
    )
    known = ibis.memtable(pairs)
    bought: pl.DataFrame = known.semi_join(targets, [*WHO, TARGET]).to_polars()
    return bought


def _all_events(whose: "ibis.Table", hours: pl.DataFrame) -> pl.DataFrame:
    """Count all that a shopper did in a window but the landings on the target itself."""
    import ibis

    wanted = ibis.memtable(hours.select(*WHO, HALF, TARGET))
    half = whose[schema.TIME].epoch_seconds() // STEP_S
    acts = whose.select(*WHO, schema.ITEM, schema.EVENT_NAME, "promotion_id", half_hour=half)
    both = acts.union(acts.mutate(half_hour=acts.half_hour - 1))
    rows = both.inner_join(wanted, [*WHO, HALF])
    landing = rows[schema.EVENT_NAME].isin(LANDINGS) & (
        (rows[schema.ITEM] == rows.target) | (rows.promotion_id == rows.target)
    )
    rows = rows.filter(~landing.fill_null(False))
    counted: pl.DataFrame = rows.group_by(*WHO, HALF, TARGET).agg(events=rows.count()).to_polars()
    return counted
