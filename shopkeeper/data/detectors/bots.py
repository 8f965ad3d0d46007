"""Bots and scrapers: those who look at much, buy nothing, and look as no hand and eye would.

A shopper or visitor is a suspect who made many steps and bought next to nothing. Signs are a
rate no hand keeps up, gaps all alike, activity around the clock, a large part of the catalogue,
and steps far beyond those of other suspects; weaker signs add up. Knows no addresses and no names
of browsers; a bot that buys as people do is not seen.
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

SUSPECTS_MAX = 100_000
VISIT_S = 1800
"""A longer gap is between two visits, and says nothing of a rhythm."""
DAY_H = 24


class Bots:
    """Finds shoppers and visitors who are programs."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """From where on looking is no longer that of a person."""

        action: str = "mask"
        """What models do with it: `mask` learns nothing of it, `down_weight` of a part, `watch`
        of all."""
        keep_share: float = 0.1
        """Share of events that count under `down_weight`."""
        steps_min: int = 60
        """Page steps below which nothing is said of anyone."""
        buy_share: float = 0.005
        """Buying and cart events for each step; who has more is a shopper."""
        steps_a_minute: float = 20.0
        """A busy minute (the 90th of 100) with so many steps is too fast for a person."""
        gap_ratio: float = 2.0
        """Gaps whose 90th of 100 is less than so many times the 10th have a machine's rhythm."""
        hours_a_day: int = 17
        """Hours of one day with steps in them that no person has."""
        steps_a_day: int = 500
        """Steps of one day that no person makes and buys nothing."""
        coverage: float = 0.35
        """Share of the catalogue that no person looks at."""
        spreads: float = 4.0
        """Robust standard deviations of log steps above other suspects'."""

        def __post_init__(self) -> None:
            findings.check_acting(self)
            findings.check_above(
                self, steps_min=10, buy_share=0, steps_a_minute=1, steps_a_day=10, gap_ratio=1,
                hours_a_day=1, coverage=0.001, spreads=1,
            )  # fmt: skip

    def __init__(self, config: Config) -> None:
        self.config = config

    def find(self, events: "ibis.Table", products: "ibis.Table") -> pl.DataFrame:
        """Return suspects with at least one sign, as `schema.ANOMALIES` rows."""
        import ibis

        suspects = self._suspects(events)
        if suspects.is_empty():
            return schema.empty(schema.ANOMALIES)
        who = ibis.memtable(suspects.select(WHO))
        looks = findings.by_shopper(events).semi_join(who, WHO)
        looks = looks.filter(looks[schema.EVENT_NAME].isin(findings.LOOKS))
        about = suspects.join(_rhythm(looks), on=WHO).join(_pace(looks), on=WHO)
        # Events may name products that the catalogue has lost.
        seen = looks.group_by(*WHO).agg(items=looks[schema.ITEM].nunique()).to_polars()
        listed = products.agg(items=products.count()).to_polars()
        num_products = max(listed["items"].item(), *seen["items"], 1)
        about = about.join(seen, on=WHO).with_columns(coverage=pl.col("items") / num_products)
        settings = self.config
        about = about.filter(
            pl.col("steps") >= settings.steps_min,
            pl.col("buys") <= settings.buy_share * pl.col("steps"),
        )
        return findings.found(self._judge(about), "bots")

    def _suspects(self, events: "ibis.Table") -> pl.DataFrame:
        """Return who looked at much and bought next to nothing, those who looked most."""
        rows = findings.by_shopper(events)
        name = rows[schema.EVENT_NAME]
        totals = rows.group_by(*WHO).agg(
            looks=findings.any_of(name, findings.LOOKS),
            buys=findings.any_of(name, findings.BUYS),
            **findings.span(rows),
        )
        totals = totals.filter(
            totals.looks >= self.config.steps_min,
            totals.buys <= totals.looks * self.config.buy_share,
        )
        few: pl.DataFrame = totals.order_by(totals.looks.desc()).limit(SUSPECTS_MAX).to_polars()
        return few

    def _judge(self, about: pl.DataFrame) -> pl.DataFrame:
        """Score suspects and keep those with a sign."""
        settings = self.config
        middle, width = findings.usual(about["steps"].log().to_numpy())
        # A third of a natural log is the least width: a handful of suspects may be much alike.
        many = float(np.exp(middle + settings.spreads * max(width, 0.33)))
        how_far = findings.together(
            pl.col("busy_minute") / settings.steps_a_minute,
            settings.gap_ratio / pl.col("gap_ratio").clip(lower_bound=1.0),
            pl.col("hours") / settings.hours_a_day,
            pl.col("day_steps") / settings.steps_a_day,
            pl.col("coverage") / settings.coverage,
            pl.when(pl.col("steps") >= many).then(pl.col("steps") / many),
        )
        scored = about.with_columns(findings.beyond(how_far, 1.0).alias(schema.SCORE))
        evidence = pl.format(
            "{} steps and {} buying events; {} steps on one day, {} in a busy minute, gaps between "
            "steps within a factor of {}, steps in {} hours of one day, {}% of the catalogue.",
            "steps", "buys", "day_steps", pl.col("busy_minute").round(0).cast(pl.Int64),
            pl.col("gap_ratio").round(1), "hours", (100 * pl.col("coverage")).round(1),
        )  # fmt: skip
        return scored.filter(pl.col(schema.SCORE) >= 0.5).with_columns(evidence.alias("evidence"))


def _steps(looks: "ibis.Table") -> "ibis.Table":
    """Return one row a step: the products of a list came in one."""
    return looks.select(*WHO, schema.TIME).distinct()


def _rhythm(looks: "ibis.Table") -> pl.DataFrame:
    """Return `gap_ratio` of each suspect: the 90th of 100 gaps within visits by the 10th."""
    import ibis

    steps = _steps(looks)
    order = ibis.window(group_by=[steps[name] for name in WHO], order_by=steps[schema.TIME])
    before = steps[schema.TIME].lag().over(order)
    steps = steps.mutate(gap_s=steps[schema.TIME].delta(before, unit="millisecond") / 1000.0)
    gaps = steps.filter(steps.gap_s <= VISIT_S)
    about: pl.DataFrame = (
        gaps.group_by(*WHO)
        .agg(
            short=gaps.gap_s.quantile(0.1), long=gaps.gap_s.quantile(0.9), gap_s=gaps.gap_s.median()
        )
        .to_polars()
    )
    ratio = pl.col("long").clip(lower_bound=0.05) / pl.col("short").clip(lower_bound=0.05)
    return about.select(*WHO, "gap_s", ratio.alias("gap_ratio"))


def _pace(looks: "ibis.Table") -> pl.DataFrame:
    """Return `steps`, `busy_minute`, and the most `hours` and `day_steps` of a day."""
    steps = _steps(looks)
    minutes = steps.mutate(minute=steps[schema.TIME].epoch_seconds() // 60)
    minutes = minutes.group_by(*WHO, "minute").agg(steps=minutes.count())
    paces = minutes.group_by(*WHO).agg(
        steps=minutes.steps.sum(), busy_minute=minutes.steps.quantile(0.9)
    )
    hours = minutes.group_by(*WHO, hour=minutes.minute // 60).agg(steps=minutes.steps.sum())
    days = hours.group_by(*WHO, day=hours.hour // DAY_H).agg(
        hours=hours.count(), steps=hours.steps.sum()
    )
    most = days.group_by(*WHO).agg(hours=days.hours.max(), day_steps=days.steps.max())
    joined: pl.DataFrame = paces.to_polars().join(most.to_polars(), on=WHO)
    return joined
