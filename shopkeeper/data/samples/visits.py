"""The one simulator: visits that might lie behind real purchases.

Our shops' logs have purchases but no searches, lists or clicks. Here each basket gets a visit: for
some of its products a search, a list of results in random order, clicks, a look, an add to cart,
all before the real purchase. A product is clicked when it is looked at, which depends on its
position alone, and liked, which depends on the shopper's planted tastes alone (the examination
model of Craswell et al., WSDM 2008). Because order is random, a click's position is spread
as looks are, and the bought product stands where such a click would be.

Every row says `simulated` in `item_list_id`; a figure that rests on it must say so too. Knows
nothing of true visits.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper import schema
from shopkeeper.errors import BadData

LIST_ID = "simulated-search"
"""`item_list_id` of every simulated row."""

STEP_S = 120
"""Seconds from one search of a visit to the next."""


@dataclass(frozen=True, kw_only=True)
class VisitSettings:
    """What the simulated shoppers are like."""

    seed: int = 0
    """The same seed and purchases make the same visits."""
    baskets_max: int = 10_000
    """Baskets that get a visit, drawn at random from those there are."""
    searches_max: int = 2
    """Products of a basket that were searched for."""
    list_length: int = 10
    """Results in a list."""
    position_bias: float = 1.0
    """Chance to look at position p, from 1, is p to the power of minus this; 0 for no bias."""
    liked: float = 0.4
    """Chance that a shopper who looks at a product of a favourite group clicks it."""
    other: float = 0.1
    """The same for a product of another group."""
    num_groups: int = 8
    """Groups into which the catalogue falls."""
    num_tastes: int = 2
    """Favourite groups of each shopper."""

    def __post_init__(self) -> None:
        for name in ("baskets_max", "searches_max", "list_length", "num_groups"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, but is {getattr(self, name)}")
        if not 0 <= self.other <= self.liked <= 1:
            raise ValueError(
                "other and liked must be chances with other at most liked, but are "
                f"{self.other} and {self.liked}"
            )
        if not 0 <= self.num_tastes <= self.num_groups or self.position_bias < 0:
            raise ValueError("num_tastes must be 0 to num_groups, and position_bias at least 0")


@dataclass(frozen=True)
class Truth:
    """What was planted."""

    looks: NDArray[np.float64]
    """Chance to look at each position, [list_length]; the first is 1."""
    groups: pl.DataFrame
    """`item_id`, `group`."""
    tastes: pl.DataFrame
    """`user_id`, `group`: the favourite groups of each known shopper."""


@dataclass(frozen=True)
class _Lists:
    """Searches with their results, as row numbers; -1 where nothing stands."""

    place: NDArray[np.int64]
    items: NDArray[np.int64]
    clicked: NDArray[np.bool_]
    at: NDArray[np.int64]


def visits(
    purchases: pl.DataFrame,
    products: pl.DataFrame | None = None,
    settings: VisitSettings | None = None,
) -> tuple[pl.DataFrame, Truth]:
    """Simulate the visits behind purchases.

    Args:
        purchases: `schema.EVENTS` rows; only purchases with a transaction count.
        products: `schema.PRODUCTS` rows, whose titles give the words of searches; without them a
            search is for the id.
        settings: What the shoppers are like.

    Returns:
        The simulated events as `schema.EVENTS` rows in order of time, without the purchases, and
        what was planted.

    Raises:
        BadData: There is no purchase.
    """
    settings = settings or VisitSettings()
    rng = np.random.default_rng(settings.seed)
    bought = schema.conform(purchases, schema.EVENTS).filter(
        pl.col(schema.EVENT_NAME) == "purchase",
        pl.col(schema.ITEM).is_not_null() & pl.col(schema.TRANSACTION).is_not_null(),
    )
    if bought.is_empty():
        raise BadData("There are no purchases with a transaction to simulate visits behind.")
    catalogue = bought[schema.ITEM].unique().sort()
    truth, likes = _plant(bought, catalogue, settings, rng)
    chosen = _choose(bought, settings, rng)
    lists = _lists(chosen, catalogue, truth, likes, settings, rng)
    return _events(chosen, catalogue, products, lists, settings.seed), truth


def _plant(
    bought: pl.DataFrame,
    catalogue: pl.Series,
    settings: VisitSettings,
    rng: np.random.Generator,
) -> tuple[Truth, NDArray[np.bool_]]:
    """Draw groups and tastes; the last row of the tastes is of nobody known and has none."""
    shoppers = bought[schema.USER].drop_nulls().unique().sort()
    group_of = rng.integers(0, settings.num_groups, len(catalogue))
    order = rng.random((len(shoppers), settings.num_groups)).argsort(axis=1)
    likes = np.zeros((len(shoppers) + 1, settings.num_groups), bool)
    favourites = order[:, : settings.num_tastes]
    np.put_along_axis(likes[:-1], favourites, True, axis=1)
    user, group = np.nonzero(likes)
    place = np.arange(1, settings.list_length + 1, dtype=np.float64)
    truth = Truth(
        looks=place**-settings.position_bias,
        groups=pl.DataFrame({schema.ITEM: catalogue, "group": group_of}),
        tastes=pl.DataFrame({schema.USER: shoppers.gather(user), "group": group}),
    )
    return truth, likes


def _choose(
    bought: pl.DataFrame, settings: VisitSettings, rng: np.random.Generator
) -> pl.DataFrame:
    """Return the products searched for: `basket`, `place`, item, user, session, time."""
    baskets = bought[schema.TRANSACTION].unique().sort()
    if len(baskets) > settings.baskets_max:
        picked = np.sort(rng.permutation(len(baskets))[: settings.baskets_max])
        baskets = baskets.gather(picked)
    numbered = pl.DataFrame({schema.TRANSACTION: baskets}).with_row_index("basket")
    rows = bought.join(numbered, on=schema.TRANSACTION).sort("basket", schema.TIME, schema.EVENT_ID)
    rows = rows.unique(["basket", schema.ITEM], keep="first", maintain_order=True)
    place = pl.int_range(pl.len()).over("basket").alias("place")
    rows = rows.with_columns(place, pl.col(schema.TIME).min().over("basket"))
    return rows.filter(pl.col("place") < settings.searches_max)


def _lists(
    chosen: pl.DataFrame,
    catalogue: pl.Series,
    truth: Truth,
    likes: NDArray[np.bool_],
    settings: VisitSettings,
    rng: np.random.Generator,
) -> _Lists:
    """Draw what each search showed and what was clicked."""
    number = pl.DataFrame({schema.ITEM: catalogue}).with_row_index("item")
    numbered = chosen.join(number, on=schema.ITEM, maintain_order="left")["item"]
    target = numbered.cast(pl.Int64).to_numpy()
    shape = (len(target), len(truth.looks))
    items = rng.integers(0, len(catalogue), shape)
    at = rng.choice(shape[1], shape[0], p=truth.looks / truth.looks.sum())
    rows = np.arange(shape[0])
    items[items == target[:, None]] = -1
    items[rows, at] = target
    shoppers = truth.tastes[schema.USER].unique().sort()
    known = pl.DataFrame({schema.USER: shoppers}).with_row_index("user")
    joined = chosen.join(known, on=schema.USER, how="left", maintain_order="left")["user"]
    user = joined.fill_null(len(likes) - 1).cast(pl.Int64).to_numpy()
    group = truth.groups["group"].to_numpy()[items]
    liked = likes[user[:, None], group]
    chance = truth.looks * np.where(liked, settings.liked, settings.other)
    clicked = (rng.random(shape) < chance) & (items >= 0)
    clicked[rows, at] = True
    return _Lists(chosen["place"].cast(pl.Int64).to_numpy(), items, clicked, at)


def _events(
    chosen: pl.DataFrame,
    catalogue: pl.Series,
    products: pl.DataFrame | None,
    lists: _Lists,
    seed: int,
) -> pl.DataFrame:
    """Write the lists and clicks as events, all before the purchase."""
    wait_s = STEP_S * (lists.place - int(lists.place.max()) - 1)
    name = pl.concat_str(pl.lit(f"visit-{seed}-"), schema.TRANSACTION, pl.lit("-"), "place")
    searches = chosen.select(
        pl.Series("_wait_s", wait_s),
        pl.col(schema.TIME, schema.USER, schema.VISITOR),
        pl.coalesce(schema.SESSION, schema.TRANSACTION).alias(schema.SESSION),
        name.alias("request_id"),
        _terms(chosen, products).alias("search_term"),
        pl.lit(LIST_ID).alias("item_list_id"),
    )
    every = np.arange(len(wait_s))
    shown, clicked = np.nonzero(lists.items >= 0), np.nonzero(lists.clicked)
    steps: list[tuple[str, NDArray[Any], NDArray[Any], float]] = [
        ("view_item_list", shown[0], shown[1], 1.0),
        ("select_item", clicked[0], clicked[1], 4.0),
        ("view_item", clicked[0], clicked[1], 5.0),
        ("add_to_cart", every, lists.at, 60.0),
    ]
    parts = [_step(searches, "search", every, None, None, 0.0)]
    for kind, rows, at, after_s in steps:
        item = catalogue.gather(lists.items[rows, at])
        parts.append(_step(searches, kind, rows, at, item, after_s))
    return pl.concat(parts).sort(schema.TIME, schema.EVENT_ID)


def _step(
    searches: pl.DataFrame,
    kind: str,
    rows: NDArray[Any],
    at: NDArray[Any] | None,
    item: pl.Series | None,
    after_s: float,
) -> pl.DataFrame:
    """Write one kind of event for the given searches; clicks come in order of position."""
    place = np.zeros(len(rows), np.int64) if at is None else at + 1
    late_s = 4.0 * place * (kind in ("select_item", "view_item"))
    step = searches[rows].with_columns(
        pl.Series("_late_us", ((after_s + late_s) * 1e6).astype(np.int64)),
        pl.Series("index", place, pl.Int32),
        pl.lit(kind).alias(schema.EVENT_NAME),
        pl.concat_str("request_id", pl.lit(f"-{kind}-"), pl.Series(place)).alias(schema.EVENT_ID),
        pl.col(schema.TIME) + pl.duration(seconds="_wait_s"),
    )
    step = step.with_columns(pl.col(schema.TIME) + pl.duration(microseconds="_late_us"))
    step = step.drop("index") if item is None else step.with_columns(item.alias(schema.ITEM))
    return schema.conform(step, schema.EVENTS)


def _terms(chosen: pl.DataFrame, products: pl.DataFrame | None) -> pl.Series:
    """Make up what was typed: the first two long words of the title, or the id."""
    if products is None:
        return chosen[schema.ITEM]
    titles = products.select(pl.col(schema.PRODUCT_ID).alias(schema.ITEM), "title")
    titled = chosen.select(schema.ITEM).join(
        titles.unique(schema.ITEM), on=schema.ITEM, how="left", maintain_order="left"
    )
    words = pl.col("title").str.to_lowercase().str.extract_all(r"\p{L}{3,}").list.head(2)
    typed = words.list.join(" ").replace("", None)
    return titled.select(pl.coalesce(typed, schema.ITEM).alias("term"))["term"]
