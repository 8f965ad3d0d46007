"""What shoppers lean to: shares of what they did, by category, brand, price, size, colour and time.

One table serves a live request and a whole shop: a row for each shopper, kind and value, with its
share and the evidence it rests on. Events count by what they are, and half as much for every
`HALF_LIFE_DAYS` of age. Knows nothing of what shoppers say of themselves: attributes such as
age, gender or income are not read.
"""

from datetime import datetime

import polars as pl

from shopkeeper.schema import CATEGORY, EVENT_NAME, ITEM, PRICE, PRODUCT_ID, TIME

ACTOR, KIND, VALUE, SHARE = "actor", "kind", "value", "share"
CATEGORIES, SEPARATOR = "category", " > "

WEIGHTS = {
    "purchase": 1.0,
    "like": 0.7,
    "add_to_cart": 0.5,
    "view_item": 0.2,
    "select_item": 0.2,
}
"""What an event tells of taste, beside 1 for a purchase."""
HALF_LIFE_DAYS = 120.0
BUDGET_BELOW, PREMIUM_ABOVE = 0.75, 1.33
"""Prices in shares of what is usual in the category: between these a product is `mid`."""
PRICED_MIN = 5
"""A category with fewer prices has no usual price; that of the one above holds, if it has one.
Products without a category are compared with the whole shop."""
LEVELS_MAX = 4
TIMES_OF_DAY = ("night", "morning", "afternoon", "evening", "night")
TIME_ENDS = (5, 12, 17, 22)
"""The hour, UTC, at which each part of the day but the last ends."""
Z = 1.64
"""How sure a share must be: one-sided 95 %."""


def facets(products: pl.DataFrame) -> pl.DataFrame:
    """Return what of each product a shopper may lean to.

    Args:
        products: `schema.PRODUCTS` rows.

    Returns:
        `item_id`, `paths` (the category and all above it, a list), `brand`, `size`, `color`,
        `price_minor` and `usual_minor`, the median price of its category.
    """
    parts = pl.col(CATEGORY).str.split(">").list.eval(pl.element().str.strip_chars())
    known = products.unique(PRODUCT_ID, keep="last", maintain_order=True).select(
        pl.col(PRODUCT_ID).alias(ITEM), parts.alias("parts"), "brand", "size", "color", PRICE
    )
    levels = [
        pl.when(pl.col("parts").list.len() >= level).then(
            pl.col("parts").list.head(level).list.join(SEPARATOR)
        )
        for level in range(1, LEVELS_MAX + 1)
    ]
    known = known.with_columns(
        path.alias(f"path_{level}") for level, path in enumerate(levels, start=1)
    )
    usual = [
        pl.when(
            pl.col(f"path_{level}").is_not_null()
            & (pl.col(PRICE).count().over(f"path_{level}") >= PRICED_MIN)
        ).then(pl.col(PRICE).median().over(f"path_{level}"))
        for level in range(LEVELS_MAX, 0, -1)
    ]
    whole = pl.when(pl.col("paths").list.len() == 0).then(pl.col(PRICE).median())
    paths = pl.concat_list(f"path_{level}" for level in range(1, LEVELS_MAX + 1)).list.drop_nulls()
    return known.with_columns(paths.alias("paths")).select(
        ITEM, "paths", "brand", "size", "color", PRICE,
        pl.coalesce(*usual, whole).alias("usual_minor"),
    )  # fmt: skip


def leanings(events: pl.DataFrame, about: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """Return the shares of what shoppers did.

    Args:
        events: `actor`, `item_id`, `event_name`, `time` and `price_minor` of some shoppers, all
            that is known of each.
        about: What `facets` returned.
        now: When ages are counted from.

    Returns:
        `actor`, `kind`, `value`, `share` of the kind, `num_events`, `num_days`, `last`, and
        `lower`, what the share is at least. Sorted.
    """
    rows = _weighed(events, now).join(about, on=ITEM, how="left", suffix="_now")
    paid = pl.coalesce(PRICE, f"{PRICE}_now") / pl.col("usual_minor")
    band = (
        pl.when(paid < BUDGET_BELOW).then(pl.lit("budget"))
        .when(paid > PREMIUM_ABOVE).then(pl.lit("premium"))
        .when(paid.is_not_null()).then(pl.lit("mid"))
    )  # fmt: skip
    rows = rows.with_columns(band.alias("price"))
    found = [_summed(rows.explode("paths"), CATEGORIES, "paths")]
    found += [_summed(rows, name, name) for name in ("brand", "price", "size", "color")]
    visits = rows.unique([ACTOR, "day"], keep="first", maintain_order=True)
    found.append(_summed(visits, "weekday", "weekday"))
    visits = rows.unique([ACTOR, "day", "time_of_day"], keep="first", maintain_order=True)
    found.append(_summed(visits, "time_of_day", "time_of_day"))
    table = pl.concat(found)
    # A category counts for those above it too, so only the roots add up to a whole.
    whole = (pl.col(KIND) != CATEGORIES) | ~pl.col(VALUE).str.contains(SEPARATOR, literal=True)
    total = pl.col("weight").filter(whole).sum().over(ACTOR, KIND)
    counted = total**2 / pl.col("squares").filter(whole).sum().over(ACTOR, KIND)
    table = table.with_columns((pl.col("weight") / total).alias(SHARE), counted.alias("counted"))
    table = table.with_columns(lower=_lower(pl.col(SHARE), pl.col("counted")))
    columns = (ACTOR, KIND, VALUE, SHARE, "num_events", "num_days", "last", "lower")
    return table.select(columns).sort(ACTOR, KIND, VALUE)


def shares(table: pl.DataFrame) -> pl.DataFrame:
    """Add up the shares of `leanings` by kind and value, to be divided by `shoppers` at last."""
    return table.group_by(KIND, VALUE).agg(pl.col(SHARE).sum()).sort(KIND, VALUE)


def _weighed(events: pl.DataFrame, now: datetime) -> pl.DataFrame:
    age_days = (pl.lit(now) - pl.col(TIME)).dt.total_seconds() / 86_400
    worth = pl.col(EVENT_NAME).replace_strict(WEIGHTS, default=0.0, return_dtype=pl.Float64)
    number = pl.sum_horizontal(pl.col(TIME).dt.hour() >= end for end in TIME_ENDS)
    part = number.replace_strict(dict(enumerate(TIMES_OF_DAY)), return_dtype=pl.String)
    return events.filter(worth > 0).select(
        ACTOR, ITEM, TIME, PRICE,
        (worth * 0.5 ** (age_days.clip(0) / HALF_LIFE_DAYS)).alias("weight"),
        pl.col(TIME).dt.date().alias("day"),
        pl.col(TIME).dt.to_string("%A").alias("weekday"),
        part.alias("time_of_day"),
    )  # fmt: skip


def _summed(rows: pl.DataFrame, kind: str, column: str) -> pl.DataFrame:
    """Add up events by shopper, kind and value."""
    known = rows.filter(pl.col(column).is_not_null() & (pl.col(column) != ""))
    known = known.with_columns(pl.lit(kind).alias(KIND), pl.col(column).alias(VALUE))
    return known.group_by(ACTOR, KIND, VALUE).agg(
        pl.col("weight").sum(),
        (pl.col("weight") ** 2).sum().alias("squares"),
        pl.len().cast(pl.Int64).alias("num_events"),
        pl.col("day").n_unique().cast(pl.Int64).alias("num_days"),
        pl.col(TIME).max().alias("last"),
    )


def _lower(share: pl.Expr, counted: pl.Expr) -> pl.Expr:
    """Return the lower end of Wilson's interval of a share of so many events."""
    middle = share + Z**2 / (2 * counted)
    half = Z * (share * (1 - share) / counted + Z**2 / (4 * counted**2)).sqrt()
    return ((middle - half) / (1 + Z**2 / counted)).clip(0.0)
