"""Many recommenders, one list: the union of their candidates, ordered by the ranker.

The same three steps serve training, evaluation and the live request: `propose`, `matrix`, `rank`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.contracts import Feature, Moment, Ranker, Recommender
from shopkeeper.features import moment
from shopkeeper.schema import (
    BECAUSE,
    EVENT_NAME,
    EXCLUDE,
    HISTORY,
    ITEM,
    RANK,
    REQUEST,
    RESULTS,
    SCORE,
    SOURCE,
    TIME,
    conform,
)

OWN = "repeat"
"""The recommender of products bought before; the others bring what is new to the shopper."""
OWN_TIMES = 2
"""How many times as many candidates it may bring."""

CHUNK = 256
"""Requests that are fused at once; bounds memory."""


@dataclass
class Fusion:
    """Recommenders, features and a ranker that belong together."""

    recommenders: Mapping[str, Recommender]
    """The fused ones, by name; the first named wins the credit for a product at equal rank."""
    features: Sequence[Feature]
    ranker: Ranker
    rows: Mapping[str, int]
    """The row of each product in the catalogue."""
    pool: int
    """How many candidates each recommender brings."""
    last_basket: Sequence[str] = ()
    """Recommenders that are also asked what they say of the last basket alone."""

    def propose(self, requests: pl.DataFrame) -> tuple[pl.DataFrame, Moment]:
        """Unite the candidates of all recommenders and let each one score all of them.

        Products of the history come from `repeat` alone, so that the places of the others in the
        pool go to products that are new to the shopper. What a request excludes may be among them:
        scores are relative to all candidates, so `rank` takes it out at the end.

        Args:
            requests: `schema.REQUESTS`, numbered from 0 in order.

        Returns:
            One row per request and product, sorted by both (`request`, `item_id`, `source`,
            `because`), and the moment with every score.
        """
        fresh = requests.with_columns(
            pl.concat_list(EXCLUDE, pl.col(HISTORY).list.eval(pl.element().struct.field(ITEM)))
            .list.unique()
            .alias(EXCLUDE)
        )
        anything = requests.with_columns(pl.lit([], pl.List(pl.String)).alias(EXCLUDE))
        lists = [
            part.recommend(anything, self.pool * OWN_TIMES)
            if name == OWN
            else part.recommend(fresh, self.pool)
            for name, part in self.recommenders.items()
        ]
        united = (
            pl.concat(lists)
            .sort(REQUEST, ITEM, RANK, maintain_order=True)
            .unique([REQUEST, ITEM], keep="first", maintain_order=True)
            .select(REQUEST, ITEM, SOURCE, BECAUSE)
        )
        scores = {
            name: part.score(anything if name == OWN else fresh, united)
            for name, part in self.recommenders.items()
        }
        name_of, when = pl.element().struct.field(EVENT_NAME), pl.element().struct.field(TIME)
        bought = pl.col(HISTORY).list.eval(pl.element().filter(name_of == "purchase"))
        last = fresh.with_columns(
            bought.list.eval(pl.element().filter(when == when.max())).alias(HISTORY)
        )
        for name in self.last_basket:
            scores[f"{name}_last"] = self.recommenders[name].score(last, united)
        return united, moment(requests, united, self.rows, scores)

    def matrix(self, at: Moment) -> NDArray[np.float32]:
        """Return every feature of every candidate, [N, F]."""
        return np.concatenate([part.compute(at) for part in self.features], axis=1)

    def names(self) -> list[str]:
        """Name the columns of `matrix`."""
        return [name for part in self.features for name in part.names()]

    def rank(self, requests: pl.DataFrame, k: int) -> pl.DataFrame:
        """Answer requests with the ranker's order.

        Args:
            requests: `schema.REQUESTS`, numbered from 0 in order.
            k: How many products per request at most.

        Returns:
            `schema.RESULTS`; `source` is the recommender that ranked the product highest.
        """
        answers = []
        for first, chunk in chunks(requests):
            united, at = self.propose(chunk)
            scored = united.with_columns(pl.Series(SCORE, self.ranker.score(self.matrix(at))))
            unwanted = chunk.select(REQUEST, pl.col(EXCLUDE).alias(ITEM)).explode(ITEM)
            scored = scored.join(unwanted, [REQUEST, ITEM], "anti")
            best = (
                scored.sort([REQUEST, SCORE, ITEM], descending=[False, True, False])
                .with_columns(pl.int_range(1, pl.len() + 1).over(REQUEST).alias(RANK))
                .filter(pl.col(RANK) <= k)
            )
            answers.append(conform(best.with_columns(pl.col(REQUEST) + first), RESULTS))
        return pl.concat(answers) if answers else pl.DataFrame(schema=dict(RESULTS))


def chunks(requests: pl.DataFrame, size: int = CHUNK) -> Iterator[tuple[int, pl.DataFrame]]:
    """Yield runs of requests, each numbered from 0, with the number of its first request."""
    for first in range(0, requests.height, size):
        part = requests.slice(first, size)
        yield first, part.with_columns(pl.col(REQUEST) - first)
