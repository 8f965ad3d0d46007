"""Made-up shops with a planted truth, so that a test can see whether a method found it.

Knows nothing of real shops: no figure that rests on these says anything about the world.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from shopkeeper.schema import (
    CURRENCY,
    EVENT_NAME,
    EXCLUDE,
    HISTORY,
    ITEM,
    LEARN,
    NOW,
    PLACEMENT,
    PRICE,
    PRODUCT_ID,
    PRODUCTS,
    REQUEST,
    REQUESTS,
    SEEDS,
    TIME,
    TRANSACTION,
    USER,
    conform,
)

OPENED = datetime(2025, 3, 1, 9, tzinfo=UTC)
"""When the first purchase of every planted shop may happen."""

KINDS = ("Lamp", "Candle", "Mug", "Plate", "Kettle", "Basket")
COLOURS = ("Red", "Blue", "Green", "White", "Black", "Yellow", "Pink")


def name_of(product: int) -> str:
    """Return the id of a product by its number from 0."""
    return f"p{product:03d}"


def loop_shop(
    shoppers: int = 40, products: int = 12, steps: int = 8, seed: int = 0
) -> pl.DataFrame:
    """Make a shop where everyone buys product i+1 after product i, one a day, from i at random.

    Args:
        shoppers: How many shoppers, named `u000` and so on.
        products: Length of the loop; after the last comes `p000` again.
        steps: Purchases of each shopper.
        seed: Decides where each shopper starts.

    Returns:
        `schema.LEARN` rows, by time. What a shopper buys next is known, and all products are
        about as popular as each other.
    """
    chance = np.random.default_rng(seed)
    starts = chance.integers(0, products, shoppers)
    rows = [
        {
            USER: f"u{shopper:03d}",
            ITEM: name_of((int(starts[shopper]) + step) % products),
            EVENT_NAME: "purchase",
            TIME: OPENED + timedelta(days=step, minutes=shopper),
        }
        for step in range(steps)
        for shopper in range(shoppers)
    ]
    return pl.DataFrame(rows, schema=LEARN)


def basket_shop(
    shoppers: int = 40, products: int = 12, baskets: int = 4, seed: int = 0
) -> pl.DataFrame:
    """Make a shop where products 2i and 2i+1 belong together, and `p000` is in half of all baskets.

    Args:
        shoppers: How many shoppers; every third one is nobody we know (null `user_id`).
        products: Even number of products; each basket holds one pair (never the first).
        baskets: Purchases of each shopper, one a day.
        seed: Decides which pairs are bought, and who adds the favourite `p000`.

    Returns:
        `schema.LEARN` rows with a `transaction_id`, by time. `p000` is the most bought product of
        all and tells nothing about what belongs together.
    """
    chance = np.random.default_rng(seed)
    rows = []
    for day in range(baskets):
        for shopper in range(shoppers):
            pair = int(chance.integers(1, products // 2))
            bought = [2 * pair, 2 * pair + 1] + ([0] if chance.random() < 0.5 else [])
            rows += [
                {
                    USER: None if shopper % 3 == 2 else f"u{shopper:03d}",
                    ITEM: name_of(product),
                    EVENT_NAME: "purchase",
                    TIME: OPENED + timedelta(days=day, minutes=shopper),
                    TRANSACTION: f"t{day:02d}{shopper:03d}",
                }
                for product in bought
            ]
    return pl.DataFrame(rows, schema={**LEARN, TRANSACTION: pl.String})


def products_of(events: pl.DataFrame) -> pl.DataFrame:
    """Return the catalogue of a planted shop: `schema.PRODUCTS` rows, one per product, by id."""
    ids = events[ITEM].drop_nulls().unique().sort().to_list()
    rows = [
        {
            PRODUCT_ID: product,
            "title": f"{COLOURS[at % len(COLOURS)]} {KINDS[at % len(KINDS)]} No. {at}",
            "description": f"A fine {KINDS[at % len(KINDS)].lower()} for every home.",
            "product_type": f"Home > {KINDS[at % len(KINDS)]}s",
            "brand": ("Northwind", "Acme")[at % 2],
            "size": "M",
            "color": COLOURS[at % len(COLOURS)],
            "item_group_id": f"g{at // 2:03d}",
            PRICE: 199 + 100 * at,
            CURRENCY: "GBP",
            "availability": "in_stock",
            "updated": OPENED,
        }
        for at, product in enumerate(ids)
    ]
    return conform(pl.DataFrame(rows, schema_overrides={PRODUCT_ID: pl.String}), PRODUCTS)


def requests(
    histories: Mapping[str, Sequence[str]],
    now: datetime,
    *,
    seeds: Sequence[str] = (),
    exclude: Sequence[str] = (),
    placement: str = "home",
    action: str = "purchase",
) -> pl.DataFrame:
    """Build one request per shopper.

    Args:
        histories: Products by shopper, oldest first; the last one is a day before `now`.
        now: The moment of the requests.
        seeds: The product or cart that is looked at, the same for all.
        exclude: Products that no request wants, the same for all.
        placement: Where the answer is shown.
        action: The event name of every row of the history.

    Returns:
        `schema.REQUESTS` rows, numbered from 0 in the order of `histories`.
    """
    rows = [
        {
            REQUEST: number,
            USER: shopper,
            HISTORY: [
                {ITEM: item, EVENT_NAME: action, TIME: now - timedelta(days=len(items) - at)}
                for at, item in enumerate(items)
            ],
            SEEDS: list(seeds),
            EXCLUDE: list(exclude),
            NOW: now,
            PLACEMENT: placement,
        }
        for number, (shopper, items) in enumerate(histories.items())
    ]
    return pl.DataFrame(rows, schema=REQUESTS)


def histories_of(events: pl.DataFrame) -> dict[str, list[str]]:
    """Return what each known shopper of a shop did, oldest first, as `requests` takes it."""
    known = events.drop_nulls(USER).sort(USER, TIME, ITEM)
    return dict(known.group_by(USER, maintain_order=True).agg(ITEM).iter_rows())
