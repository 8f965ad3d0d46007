"""What a shop may say of a shopper, readable, each line with what it rests on.

An interest is a category or brand whose share is surely above that of the average shopper, so what
everybody buys is none. The same code makes one profile for a page and all of them for a file; a
profile is plain JSON, so that a person can correct or delete a line of it.
Knows only events and products: what shoppers say of themselves (age, income) is never read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import polars as pl

from shopkeeper.engine.leanings import (
    ACTOR,
    CATEGORIES,
    KIND,
    SEPARATOR,
    SHARE,
    VALUE,
    leanings,
)
from shopkeeper.engine.segments import (
    Clusters,
    Rhythm,
    cluster_of,
    ruled,
    staged,
    sums,
)
from shopkeeper.schema import EVENT_NAME, ITEM, TIME

Profile = dict[str, Any]
Line = dict[str, Any]

ABOVE_SHOP = 1.2
"""The lower end of a shopper's share must be so many times the average shopper's."""
DAYS_MIN = 2
"""What was done on fewer days is no interest, size or usual time yet."""
MOST_OF = 0.6
"""A category that makes up so much of the one above is told in its place."""
LINES_MAX = {"category": 6, "brand": 4}
PREFERRED_MIN = 0.3
"""A size, colour or time is told if its share is surely at least this."""
PRODUCTS_MAX = 5
PRICE_BANDS = ("budget", "mid", "premium")


@dataclass(frozen=True)
class Averages:
    """What is usual among the shoppers of a shop."""

    num_shoppers: int
    shares: Mapping[str, Mapping[str, float]]
    """Of the average shopper, by kind and value."""
    rhythm: Rhythm
    clusters: Clusters | None

    def to_json(self) -> dict[str, Any]:
        """Return it in plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Averages":
        """Make it of what `to_json` returned."""
        groups = told["clusters"]
        return cls(
            told["num_shoppers"],
            told["shares"],
            Rhythm(**told["rhythm"]),
            Clusters(**groups) if groups else None,
        )

    def table(self) -> pl.DataFrame:
        """Return the shares as rows of `kind`, `value` and `shop_share`."""
        rows = [(k, v, share) for k, known in self.shares.items() for v, share in known.items()]
        shape = {KIND: pl.String, VALUE: pl.String, "shop_share": pl.Float64}
        return pl.DataFrame(rows, schema=shape, orient="row")


def profiles(
    events: pl.DataFrame,
    about: pl.DataFrame,
    titles: Mapping[str, str],
    averages: Averages,
    now: datetime,
) -> Iterator[Profile]:
    """Yield the profile of every shopper of `events`, by id.

    Args:
        events: All that is known of some shoppers; see `segments.sums`.
        about: What `leanings.facets` returned.
        titles: Of products, by id.
        averages: What is usual in the shop.
        now: The shop's present moment.

    Yields:
        Plain JSON; see `profile` in the reference.
    """
    table = staged(sums(events), averages.rhythm, now)
    groups = cluster_of(table, averages.clusters, now) if averages.clusters else []
    found = leanings(events, about, now).join(averages.table(), on=[KIND, VALUE], how="left")
    found = found.with_columns(pl.col("shop_share").fill_null(0.0)).sort(ACTOR, maintain_order=True)
    told = {who: rows.to_dicts() for (who,), rows in found.group_by(ACTOR, maintain_order=True)}
    bought = _products(events)
    for place, row in enumerate(table.iter_rows(named=True)):
        lines = told.get(row[ACTOR], [])
        segments = ruled(row, averages.rhythm)
        if averages.clusters:
            segments.insert(0, _cluster_line(averages.clusters.names[groups[place]], row))
        yield {
            "user_id": row[ACTOR],
            "as_of": now.isoformat(timespec="seconds"),
            "evidence": _evidence(row),
            "stage": _stage(row),
            "interests": _interests(lines),
            "price": _price(lines),
            "segments": segments,
            "usual_times": _preferred(lines, ("weekday", "time_of_day")),
            "preferences": _preferred(lines, ("size", "color")),
            "products": [
                line | {"title": titles.get(line["item_id"], line["item_id"])}
                for line in bought.get(row[ACTOR], [])
            ],
        }


def _evidence(row: Line) -> Line:
    return {
        "num_events": row["num_events"],
        "num_visits": row["num_visits"],
        "num_purchases": row["num_purchases"],
        "first": row["first"].isoformat(timespec="seconds"),
        "last": row["last"].isoformat(timespec="seconds"),
    }


def _stage(row: Line) -> Line:
    silent, expected = row["silent_days"], row["expected_days"]
    return {
        "name": row["stage"],
        "silent_days": round(silent, 1),
        "expected_days": round(expected, 1),
        "num_events": row["num_events"],
        "because": f"{row['num_visits']} visits, the last {silent:.0f} days ago; "
        f"one is expected every {expected:.0f} days",
    }


def _cluster_line(name: str, row: Line) -> Line:
    because = "most like these shoppers in recency, frequency and money"
    return {"name": name, "because": because, "num_events": row["num_events"]}


def _interests(lines: list[Line]) -> list[Line]:
    """Return categories and brands whose share is surely above the average shopper's."""
    sure = [
        line
        for line in lines
        if line["lower"] > ABOVE_SHOP * line["shop_share"] and line["num_days"] >= DAYS_MIN
    ]
    categories = [line for line in sure if line[KIND] == CATEGORIES]
    brands = [line for line in sure if line[KIND] == "brand"]
    found = []
    for kind, chosen in (("category", _told_once(categories)), ("brand", brands)):
        chosen.sort(key=lambda line: (line["shop_share"] - line[SHARE], line[VALUE]))
        found += [_line(line, kind) for line in chosen[: LINES_MAX[kind]]]
    return found


def _told_once(categories: list[Line]) -> list[Line]:
    """Keep one line of each branch: a category, or what makes up most of it."""
    told: dict[str, Line] = {}
    passed: set[str] = set()
    for line in sorted(categories, key=lambda line: (line[VALUE].count(SEPARATOR), line[VALUE])):
        path = line[VALUE]
        above = path.rpartition(SEPARATOR)[0]
        if above in told and line[SHARE] >= MOST_OF * told[above][SHARE]:
            del told[above]
            passed.add(above)
        elif any(_inside(path, other) for other in told) or any(_inside(path, p) for p in passed):
            continue
        told[path] = line
    return list(told.values())


def _inside(path: str, above: str) -> bool:
    return path.startswith(above + SEPARATOR)


def _line(line: Line, kind: str) -> Line:
    return {
        "kind": kind,
        "value": line[VALUE],
        "share": round(line[SHARE], 3),
        "shop_share": round(line["shop_share"], 4),
        "num_events": line["num_events"],
        "last": line["last"].isoformat(timespec="seconds"),
    }


def _price(lines: list[Line]) -> Line | None:
    """Return the price band; None where no price is known."""
    known = {line[VALUE]: line for line in lines if line[KIND] == "price"}
    if not known:
        return None
    shares = {band: known[band][SHARE] if band in known else 0.0 for band in PRICE_BANDS}
    return {
        "band": max(PRICE_BANDS, key=lambda band: (shares[band], band == "mid")),
        "shares": {band: round(share, 3) for band, share in shares.items()},
        "num_events": sum(line["num_events"] for line in known.values()),
    }


def _preferred(lines: list[Line], kinds: tuple[str, ...]) -> list[Line]:
    """Return the value of each kind that surely has a good share, if one has."""
    found = []
    for kind in kinds:
        sure = [
            line
            for line in lines
            if line[KIND] == kind
            and line["lower"] >= PREFERRED_MIN
            and line["num_days"] >= DAYS_MIN
        ]
        best = max(sure, key=lambda line: (line[SHARE], line[VALUE]), default=None)
        if best is not None:
            found.append(_line(best, kind))
    return found


def _products(events: pl.DataFrame) -> dict[str, list[Line]]:
    """Return what each shopper bought most often, or else looked at most."""
    bought = (pl.col(EVENT_NAME) == "purchase").sum().alias("num_purchases")
    counted = events.group_by(ACTOR, ITEM).agg(
        bought.cast(pl.Int64),
        pl.len().cast(pl.Int64).alias("num_events"),
        pl.col(TIME).max().dt.to_string("iso:strict").alias("last"),
    )
    order = ("num_purchases", "num_events", "last")
    counted = counted.sort(ACTOR, *order, ITEM, descending=[False, True, True, True, False])
    top = counted.group_by(ACTOR, maintain_order=True).head(PRODUCTS_MAX)
    return {
        who: rows.drop(ACTOR).to_dicts()
        for (who,), rows in top.group_by(ACTOR, maintain_order=True)
    }
