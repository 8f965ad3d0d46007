"""Places on pages that show products; the string below a field is its comment in `shop.toml`."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

AIMS = ("clicks", "conversion", "revenue", "margin", "discovery")
PRICES = ("price_min", "price_max")


def aims(**weights: float) -> dict[str, float]:
    """Return the weight of every aim, 0 for those not named."""
    return {name: weights.get(name, 0.0) for name in AIMS}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Placement:
    """One place on a page that shows products."""

    sources: tuple[str, ...] = ("popular",)
    """Recommenders that bring candidates; without a ranker the first comes first."""
    ranker: bool = False
    """Whether the trained ranker orders the candidates."""
    objective: Mapping[str, float] = dataclasses.field(default_factory=lambda: aims(conversion=1.0))
    """What the place is for: weights of clicks, conversion, revenue, margin and discovery. With
    only the first two the order is the ranker's; others lift what costs or earns more, or what few
    have bought. A product that costs twice the page's middle price counts twice for revenue."""
    filters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Only products like these: values by attribute, such as {brand = ["Acme"], price_max = 20};
    product_type means all below a category."""
    policies: tuple[str, ...] = ("stock", "dismissed")
    """What may be shown; names from `shopkeeper list policies`, applied in this order."""
    size: int = 12
    """How many products to show unless the request says otherwise."""
    fallback: tuple[str, ...] = ("popular",)
    """Recommenders that are asked where filters and policies leave nothing; the answer says so.
    Empty to show nothing then."""
    explore: int = 0
    """Which place, from 1, goes to a product that few know yet; 0 for none. The same shopper sees
    the same one all day."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size must be at least 1, got {self.size}.")
        if self.explore < 0:
            raise ValueError(f"explore must be at least 0, got {self.explore}.")
        if not self.sources:
            raise ValueError("sources must name at least one recommender, but is empty.")
        self._check_objective()
        self._check_filters()

    def _check_objective(self) -> None:
        for aim, weight in self.objective.items():
            if aim not in AIMS:
                raise ValueError(f"objective has no {aim!r}. It knows: {', '.join(AIMS)}.")
            if isinstance(weight, bool) or not isinstance(weight, int | float):
                raise ValueError(f"objective {aim} must be a number, got {weight!r}.")
            if not 0 <= weight < math.inf:
                raise ValueError(f"objective {aim} must be at least 0, got {weight}.")
        if not sum(self.objective.values()) > 0:
            raise ValueError("objective must weigh something above 0: its weights sum to 0.")

    def _check_filters(self) -> None:
        for name, wanted in self.filters.items():
            if name in PRICES:
                number = isinstance(wanted, int | float) and not isinstance(wanted, bool)
                if not number or not 0 <= wanted <= 1e9:
                    raise ValueError(f"filters {name} must be a price, got {wanted!r}.")
            elif (
                not isinstance(wanted, list | tuple)
                or not wanted
                or not all(isinstance(value, str) and value for value in wanted)
            ):
                raise ValueError(f'filters {name} must be like ["Acme"], got {wanted!r}.')
        low, high = (self.filters.get(name) for name in PRICES)
        if low is not None and high is not None and low > high:
            raise ValueError(f"filters price_min is {low}, above price_max, {high}.")


FUSED = ("repeat", "sequential", "ease", "item_knn", "content", "popular")
PLACEMENTS = {
    "home": Placement(sources=FUSED, ranker=True, policies=("stock", "dismissed", "variety")),
    "similar": Placement(sources=("content", "item_knn"), policies=("stock", "dismissed")),
    "bought_together": Placement(sources=("bought_together", "item_knn")),
    "cart": Placement(
        sources=("bought_together", "item_knn", "popular"),
        policies=("stock", "dismissed", "variety"),
        size=6,
    ),
    "category": Placement(sources=FUSED, ranker=True, policies=("stock", "dismissed", "variety")),
    "email": Placement(
        sources=FUSED,
        ranker=True,
        policies=("stock", "dismissed", "seen", "variety", "diversity"),
        size=6,
    ),
    "nothing_found": Placement(sources=("trending", "popular")),
    "trending": Placement(sources=("trending", "popular")),
    "best_sellers": Placement(sources=("best_sellers",)),
    "new_arrivals": Placement(sources=("new_arrivals",), fallback=()),
    "buy_again": Placement(sources=("repeat",), fallback=()),
}
