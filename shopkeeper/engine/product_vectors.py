"""What recommenders by likeness know of products: one vector of text, picture and behaviour.

Behaviour is learned from the events that are known at a moment, so no held-back period tells of
itself; a product with few events, or none, leans to what products like it were wanted with. How
much each part counts is chosen once, on the newest baskets before the first of these moments.
A shop without pictures, or without events, does without that part.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from shopkeeper import registry
from shopkeeper.arrays import Asked, Floats, Ids, Rows
from shopkeeper.config import Config
from shopkeeper.encoders import behaviour_vectors, joined, shrunk
from shopkeeper.evaluation.metrics import ndcg_at
from shopkeeper.evaluation.splits import BEFORE, TARGETS, next_basket, requests_at
from shopkeeper.recommenders._learning import Learned, strongest, weights_of
from shopkeeper.schema import EXCLUDE, ITEM, PICTURE_VECTOR, PRODUCT_ID, TIME, USER, VECTOR
from shopkeeper.tracing import stage

if TYPE_CHECKING:
    from shopkeeper.engine.learn import Known

JUDGE = "content"
"""The recommender whose lists choose the weights, and whose settings say what actions count."""
HALF_LIFE_DAYS = 180.0
"""Age at which a want counts half in what products are wanted with."""
SHOPPERS_COUNT = 0.5
"""What all that a shopper wanted counts, beside 1 for a basket."""
EVENTS_MAX = 500_000
"""So many of the newest events tell what products are wanted with; bounds the time."""
CHOOSING_MAX = 4000
"""Weights are chosen among so many products, the most wanted."""
REQUESTS_MAX, REQUESTS_MIN = 400, 50
"""Shoppers whose baskets choose the weights; with fewer the usual weights hold."""
USUAL = (0.5, 0.5, 1.0)
"""What text, picture and behaviour count where nothing is chosen."""
TEXTS, PICTURES = (0.1, 0.25, 0.5, 1.0), (0.0, 0.25, 1.0)
"""What text and pictures may count beside 1 for behaviour."""
K = 10


@dataclass
class ProductVectors:
    """Makes the vectors of one shop, again and again as the clock moves on."""

    config: Config
    weights: tuple[float, ...] = field(init=False)
    """What text, picture and behaviour count; empty until they are chosen."""

    def __post_init__(self) -> None:
        self.weights = self.config.vectors.weights

    def products(self, known: "Known", readers: Iterable[Any]) -> pl.DataFrame | None:
        """Return the products with one vector for each, or None where nobody would read it.

        Args:
            known: What is known at a moment; its products have the vectors of texts in `vector`.
            readers: The recommenders to be fitted.

        Returns:
            `known.products` with another `vector`, null where nothing is known of a product.
        """
        if not any(getattr(reader, "joined_vectors", False) for reader in readers):
            return None
        if VECTOR not in known.products.columns or not self.config.vectors.behaviour:
            return None
        with stage("product-vectors"):
            if not self.weights:
                self.weights = self._chosen(known)
            return _with(known.products, joined(self._parts(known), self.weights))

    def _parts(self, known: "Known") -> list[Floats]:
        """Return the vectors of text, picture and behaviour, each [P, D]."""
        products, vectors = known.products, self.config.vectors
        told = [_column(products, name) for name in (VECTOR, PICTURE_VECTOR)]
        ids = Ids.of(products[PRODUCT_ID])
        learned = Learned(known.events.tail(EVENTS_MAX), weights_of(self._judge().config), ids)
        value = learned.weight * np.exp2(-learned.age_days / HALF_LIFE_DAYS)
        kinds = ((learned.baskets(), 1.0), (learned.shoppers(), SHOPPERS_COUNT))
        tables = [(*strongest(who, learned.item, value, len(ids)), part) for who, part in kinds]
        behaviour = behaviour_vectors(tables, len(ids), vectors.behaviour)
        events = np.bincount(learned.item, minlength=len(ids)).astype(np.float32)
        row = ids.rows(products[PRODUCT_ID])
        content = np.concatenate(told, axis=1)
        return [*told, shrunk(behaviour[row], events[row], content, vectors.few_events)]

    def _chosen(self, known: "Known") -> tuple[float, ...]:
        """Return the weights that find most of what shoppers had next that was new to them."""
        if known.events.is_empty():
            return USUAL
        known = _most_wanted(known)
        last: datetime = known.events[TIME].max()  # type: ignore[assignment]
        moment = last - timedelta(days=self.config.train.period_days)
        past = known.before(moment)
        targets = next_basket(known.events, moment, new_only=True)
        if targets.height < REQUESTS_MIN:
            return USUAL
        if targets.height > REQUESTS_MAX:
            targets = targets.sample(REQUESTS_MAX, seed=0, shuffle=True).sort(USER)
        requests = requests_at(
            known.events, moment, targets[USER].to_list(), self.config.train.history_max
        ).with_columns(targets[BEFORE].alias(EXCLUDE))
        parts = self._parts(past)
        pictures = PICTURES if parts[1].any() else PICTURES[:1]
        grid = [(1.0, 0.0, 0.0), *((text, seen, 1.0) for text, seen in product(TEXTS, pictures))]
        found = []
        for weights in grid:
            judge = self._judge().fit(past.events, _with(past.products, joined(parts, weights)))
            found.append(_ndcg(judge, requests, targets[TARGETS]))
        return grid[int(np.argmax(found))]

    def _judge(self) -> Any:
        return registry.build("recommenders", JUDGE, **self.config.part("recommenders", JUDGE))


def described(known: "Known", texts: Floats, pictures: pl.DataFrame | None = None) -> "Known":
    """Return what is known with the vectors of texts, and of pictures where there are any.

    Args:
        known: Events and products.
        texts: One vector per product, [P, D].
        pictures: `id` and `picture_vector` of the products that have one.

    Returns:
        The same with columns `vector`, and perhaps `picture_vector`, in its products.
    """
    products = known.products.with_columns(_series(VECTOR, texts))
    if pictures is not None:
        products = products.join(pictures, on=PRODUCT_ID, how="left", maintain_order="left")
    return replace(known, products=products)


def _most_wanted(known: "Known") -> "Known":
    """Return what is known of the most wanted products alone, where there are many."""
    counts = known.events.group_by(ITEM).len().sort(["len", ITEM], descending=[True, False])
    kept = counts.head(CHOOSING_MAX)
    return replace(
        known,
        events=known.events.join(kept, on=ITEM, how="semi", maintain_order="left"),
        products=known.products.join(
            kept, left_on=PRODUCT_ID, right_on=ITEM, how="semi", maintain_order="left"
        ),
    )


def _ndcg(judge: Any, requests: pl.DataFrame, targets: pl.Series) -> float:
    asked = Asked.of(requests, judge.ids)
    found, num_items = judge.propose(asked, K), len(judge.ids)
    sizes: Rows = targets.list.len().to_numpy().astype(np.int64)
    wanted = np.repeat(np.arange(len(sizes)), sizes) * num_items + judge.ids.rows(targets.explode())
    rank = np.arange(len(found.owner_E)) - np.searchsorted(found.owner_E, found.owner_E)
    hit_BK = np.zeros((len(sizes), K))
    hit_BK[found.owner_E, rank] = np.isin(found.owner_E * num_items + found.item_E, wanted)
    return float(ndcg_at(hit_BK, sizes, K).mean())


def _with(products: pl.DataFrame, vectors: Floats) -> pl.DataFrame:
    known = pl.Series(vectors.any(axis=1))
    return products.with_columns(
        pl.when(known).then(_series(VECTOR, vectors)).alias(VECTOR),
    )


def _series(name: str, vectors: Floats) -> pl.Series:
    return pl.Series(name, vectors, dtype=pl.Array(pl.Float32, vectors.shape[1]))


def _column(products: pl.DataFrame, name: str) -> Floats:
    """Return a column of vectors as an array, 0 where there is none, [P, D]."""
    if name not in products.columns or products[name].null_count() == products.height:
        return np.zeros((products.height, 0), np.float32)
    width = len(products[name].drop_nulls()[0])
    has = products[name].is_not_null().to_numpy()
    found = np.zeros((products.height, width), np.float32)
    kept = products[name].drop_nulls().cast(pl.Array(pl.Float32, width))
    found[has] = kept.to_numpy()
    return found
