"""Many recommenders, one list: the union of their candidates, ordered by the ranker.

The same three steps serve training, evaluation and the live request: `propose`, `matrix`, `rank`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shopkeeper.arrays import Asked, Ids, Picks, Rows
from shopkeeper.contracts import Feature, Moment, Ranker, Recommender
from shopkeeper.features import PURCHASE, moment

OWN = "repeat"
"""The recommender of products bought before; the others bring what is new to the shopper."""
OWN_TIMES = 2
"""How many times as many candidates it may bring."""
OWN_TIMES_LEARNING = 4
"""The same for lessons: what must come last teaches too, and costs no shopper any time."""

CHUNK = 256
"""Requests that are fused at once; bounds memory."""


@dataclass
class Fusion:
    """Recommenders, features and a ranker that belong together."""

    recommenders: Mapping[str, Recommender]
    """The fused ones, by name; the first named wins the credit for a product at equal rank."""
    features: Sequence[Feature]
    ranker: Ranker
    ids: Ids
    """The products of the catalogue, as the features number them."""
    pool: int
    """How many candidates each recommender brings."""
    last_basket: Sequence[str] = ()
    """Recommenders that are also asked what they say of the last basket alone."""

    def propose(self, asked: Asked, own_times: int = OWN_TIMES) -> tuple[Picks, Moment]:
        """Unite the candidates of all recommenders and let each one score all of them.

        Products bought before come from `repeat` alone, so that the places of the others in the
        pool go to products that are new to the shopper. What a request excludes may be among them:
        scores are relative to all candidates, so `rank` takes it out at the end.

        Args:
            asked: The requests, numbering products by `ids`.
            own_times: How many times as many candidates `repeat` brings as another.

        Returns:
            The candidates, each once, sorted by request and product, their scores not to be used;
            and the moment with every score.
        """
        anything, fresh = self._views(asked)
        lists = self._proposals(anything, fresh, own_times)
        united = self._united(list(lists.values()))
        owner_N, item_N = united.owner_E, united.item_E
        scores = {
            name: part.judge(anything if name == OWN else fresh, owner_N, item_N)
            for name, part in self.recommenders.items()
        }
        last = asked.events(_last_basket(asked))
        for name in self.last_basket:
            scores[f"{name}_last"] = self.recommenders[name].judge(last, owner_N, item_N)
        return united, moment(asked, owner_N, item_N, scores)

    def proposals(self, asked: Asked) -> dict[str, Picks]:
        """Return what each recommender proposes to `rank`, by name."""
        return self._proposals(*self._views(asked), OWN_TIMES)

    def _views(self, asked: Asked) -> tuple[Asked, Asked]:
        """Return the requests as `repeat` sees them, and as the others do."""
        bought = asked.event_H == PURCHASE
        owner_X = np.append(asked.owner_X, asked.owner_H[bought])
        item_X = np.append(asked.item_X, asked.item_H[bought])
        fresh = asked.excluding(*_pairs(owner_X, item_X, self.ids))
        return asked.excluding(asked.owner_X[:0], asked.item_X[:0]), fresh

    def _proposals(self, anything: Asked, fresh: Asked, own_times: int) -> dict[str, Picks]:
        return {
            name: part.propose(anything, self.pool * own_times)
            if name == OWN
            else part.propose(fresh, self.pool)
            for name, part in self.recommenders.items()
        }

    def _united(self, lists: Sequence[Picks]) -> Picks:
        """Keep each product of a request where it ranks highest."""
        places = np.concatenate([one.place_E for one in lists])
        every = Picks.joined(lists, self.ids)
        assert len(places) == len(every), "recommenders know no product that the catalogue lacks"
        pair = every.owner_E * len(self.ids) + every.item_E
        order = np.lexsort((places, pair))
        pair = pair[order]
        first = np.ones(len(order), np.bool_)
        first[1:] = pair[1:] != pair[:-1]
        return every.take(order[first])

    def matrix(self, at: Moment) -> NDArray[np.float32]:
        """Return every feature of every candidate, [N, F]."""
        return np.concatenate([part.compute(at) for part in self.features], axis=1)

    def names(self) -> list[str]:
        """Name the columns of `matrix`."""
        return [name for part in self.features for name in part.names()]

    def rank(self, asked: Asked, k: int) -> Picks:
        """Answer requests with the ranker's order.

        Args:
            asked: The requests, numbering products by `ids`.
            k: How many products per request at most.

        Returns:
            Best first; the source is the recommender that ranked the product highest.
        """
        answers = []
        for begin, chunk in chunks(asked):
            united, at = self.propose(chunk)
            score = self.ranker.score(self.matrix(at))
            wanted = np.ones(len(united), np.bool_)
            if len(chunk.item_X):
                banned = chunk.owner_X * len(self.ids) + chunk.item_X
                wanted = ~np.isin(united.owner_E * len(self.ids) + united.item_E, banned)
            order = np.flatnonzero(wanted)
            order = order[np.lexsort((united.item_E[order], -score[order], united.owner_E[order]))]
            found = replace(united, score_E=score).take(order)
            found = found.take(np.flatnonzero(found.place_E < k))
            answers.append(replace(found, owner_E=found.owner_E + begin))
        return Picks.joined(answers, self.ids)


def chunks(asked: Asked, size: int = CHUNK) -> Iterator[tuple[int, Asked]]:
    """Yield runs of requests, each numbered from 0, with the number of its first request."""
    if asked.size <= size:
        yield 0, asked
        return
    for begin in range(0, asked.size, size):
        yield begin, asked.slice(begin, min(begin + size, asked.size))


def _pairs(owner: Rows, item: Rows, ids: Ids) -> tuple[Rows, Rows]:
    """Return each pair of request and product once, sorted."""
    pair = np.unique(owner * len(ids) + item)
    return pair // max(len(ids), 1), pair % max(len(ids), 1)


def _last_basket(asked: Asked) -> NDArray[np.bool_]:
    """Say which events are purchases of their shopper's newest basket, [H]."""
    bought = asked.event_H == PURCHASE
    newest_B = np.full(asked.size, np.iinfo(np.int64).min)
    np.maximum.at(newest_B, asked.owner_H[bought], asked.time_us_H[bought])
    return np.asarray(bought & (asked.time_us_H == newest_B[asked.owner_H]))
