"""Shoppers and products as vectors whose inner products tell what is wanted, solved in turns.

Source: implicit ALS of Hu, Koren and Volinsky, ICDM 2008, with the regularisation that grows with
the number of events of Rendle et al., RecSys 2022. We solve many rows of about the same length at
once, on axes that make the part of the equations that all rows share diagonal: short rows exactly,
by a matrix of their own products (Woodbury), long ones by a few steps of conjugate gradients
(Takács et al., RecSys 2011) that the diagonal speeds up. A request's shopper is solved exactly,
from the request, so nobody needs to be known. Knows nothing of what a product is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.arrays import Asked, Floats, Ids, Picks, Rows
from shopkeeper.recommenders._base import Base
from shopkeeper.recommenders._evidence import Flat, best, chunks, evidence
from shopkeeper.recommenders._learning import (
    Learned,
    catalogue,
    check_settings,
    strongest,
    weights_of,
)
from shopkeeper.recommenders._memory import refuse_beyond_memory
from shopkeeper.tracing import progress

CELLS_MAX = 250_000
"""Numbers of a block of equations held at once."""
FEW = 24
"""Rows with so many wants at most are cheaper to solve exactly."""
TINY = np.float32(1e-30)


class Ials(Base):
    """Recommends what lies near the vector of a request's seeds, or else of its history."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """How long vectors are, how strongly they are held down, and which actions count."""

        width: int = 128
        """Length of a vector."""
        iterations: int = 12
        """How often shoppers and products are solved in turn."""
        steps: int = 3
        """Steps of conjugate gradients towards each solution, from where it was before."""
        unseen_weight: float = 0.01
        """What a product counts that a shopper never wanted, against 1 for a purchase."""
        regularisation: float = 0.003
        """How strongly vectors are held down, for each event or its share of `unseen_weight`."""
        frequency_power: float = 1.0
        """Vectors with many events are held down by their number to this power, in [0, 1]."""
        learn_half_life_days: float = 120.0
        """Age at which an action counts half in learning."""
        history_half_life_days: float = 60.0
        """Age at which an action counts half in a request's history."""
        history_max: int = 150
        """Products of a request's history that count, the weightiest first; bounds the time."""
        purchase_weight: float = 1.0
        """What a purchase counts."""
        cart_weight: float = 0.5
        """What putting a product into the cart counts."""
        view_weight: float = 0.2
        """What looking at a product counts."""
        like_weight: float = 0.7
        """What liking a product counts."""
        seed: int = 0
        """Decides where the vectors start."""

        def __post_init__(self) -> None:
            check_settings(
                self,
                above_0=(
                    "unseen_weight",
                    "regularisation",
                    "learn_half_life_days",
                    "history_half_life_days",
                ),
                width=1,
                iterations=1,
                steps=1,
                frequency_power=0,
                history_max=1,
            )

    def __init__(self, config: Config) -> None:
        self.config = config
        self._vectors_VD: Floats | None = None

    def fit(self, events: pl.DataFrame, products: pl.DataFrame | None = None) -> Self:
        """Learn from `schema.LEARN` rows in any order. A second call forgets the first.

        Says BadConfig where the vectors would not fit into memory.
        """
        config = self.config
        ids = catalogue(events, products)
        learned = Learned(events, weights_of(config), ids)
        value = learned.weight * np.exp2(-learned.age_days / config.learn_half_life_days)
        actor, item, value = strongest(learned.shoppers(), learned.item, value, len(ids))
        num_actors = int(actor.max(initial=-1)) + 1
        rows = num_actors + len(ids)
        what = f"width {config.width} for {rows:,} shoppers and products"
        refuse_beyond_memory(self.name, what, 8.0 * rows * config.width, "Lower width")
        by_actor = Wants.of(actor, item, value, num_actors)
        by_item = Wants.of(item, actor, value, len(ids))
        random = np.random.default_rng(config.seed)
        scale = 0.1 / np.sqrt(config.width)
        items_VD = random.standard_normal((len(ids), config.width)).astype(np.float32) * scale
        items_VD[np.diff(by_item.start) == 0] = 0
        actors_UD = np.zeros((num_actors, config.width), np.float32)
        for _ in progress(range(config.iterations), "solve in turns"):
            items_VD, turn_DD = _principal(items_VD)
            actors_UD = self._solved(by_actor, items_VD, actors_UD @ turn_DD)
            actors_UD, turn_DD = _principal(actors_UD)
            items_VD = self._solved(by_item, actors_UD, items_VD @ turn_DD)
        self._ids, self._vectors_VD = ids, _principal(items_VD)[0]
        self._prepare()
        return self

    def propose(self, asked: Asked, k: int) -> Picks:
        """Return products near each request's vector; see the contract."""
        ids = self.ids
        asked = asked.within(ids)
        vectors_VD = self._known(self._vectors_VD)
        parts = []
        for begin, end in chunks(asked.size, len(ids)):
            some = asked.slice(begin, end)
            shopper_BD, says = self._read(some)
            scores_BV = shopper_BD @ vectors_VD.T
            scores_BV[~says] = -np.inf
            scores_BV[:, ~self._learned_V] = -np.inf
            scores_BV[some.owner_X, some.item_X] = -np.inf
            scores_BV[some.owner_S, some.item_S] = -np.inf
            request, item, score = best(scores_BV, k)
            parts.append((request + begin, item, score))
        if not parts:
            return Picks.none(ids)
        request, item, score = (np.concatenate(column) for column in zip(*parts, strict=True))
        return self.picks(asked, (request, item, score), k)

    def judge(self, asked: Asked, owner_N: Rows, item_N: Rows) -> Floats:
        """Return inner products, NaN where nothing is known of shopper or product, [N]."""
        item_N = asked.ids.within(self.ids, item_N)
        shopper_BD, says = self._read(asked.within(self.ids))
        vectors_VD = self._known(self._vectors_VD)
        scores = np.einsum("nd,nd->n", shopper_BD[owner_N], vectors_VD[item_N])
        usable = says[owner_N] & (item_N >= 0) & self._learned_V[item_N]
        return np.where(usable, scores, np.nan).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write products and their vectors into `folder`."""
        self.ids.save(folder)
        np.save(folder / "vectors.npy", self._known(self._vectors_VD), allow_pickle=False)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        self._ids = Ids.load(folder)
        self._vectors_VD = np.load(folder / "vectors.npy", allow_pickle=False)
        self._prepare()
        return self

    def _prepare(self) -> None:
        vectors_VD = self._known(self._vectors_VD)
        self._gram_D = np.einsum("vd,vd->d", vectors_VD, vectors_VD)
        self._learned_V = np.asarray(vectors_VD.any(axis=1))

    def _read(self, asked: Asked) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the vector of each request, [B, D], and whether it says anything, [B]."""
        config = self.config
        past: Flat = evidence(
            asked, weights_of(config), config.history_half_life_days, config.history_max
        )
        wants = Wants.of(past.request, past.item, past.weight, asked.size)
        gram_D, says_B = self._gram_D, np.diff(wants.start) > 0
        return self._solved(wants, self._known(self._vectors_VD), None, gram_D), says_B

    def _solved(
        self,
        wants: "Wants",
        given_VD: Floats,
        before_UD: Floats | None,
        gram_D: Floats | None = None,
    ) -> Floats:
        """Return the least-squares vector of each row of `wants`, 0 for one without wants.

        Args:
            wants: The rows.
            given_VD: Vectors of what they want, on axes that make their gram matrix diagonal.
            before_UD: Where long rows go on from; None solves them exactly too.
            gram_D: That diagonal, if it is known already.

        Returns:
            Vectors, [U, D].
        """
        if gram_D is None:
            gram_D = np.einsum("vd,vd->d", given_VD, given_VD)
        shared_D = np.float32(self.config.unseen_weight) * gram_D
        held_U = self._held(wants, len(given_VD))
        solved_UD = np.zeros((len(held_U), given_VD.shape[1]), np.float32)
        for rows, item_RS, value_RS in wants.blocks(given_VD.shape[1]):
            table_RSD = given_VD[item_RS]
            alone_RD = shared_D + held_U[rows, None]
            if before_UD is None or item_RS.shape[1] <= FEW:
                solved_UD[rows] = _exactly(table_RSD, value_RS, alone_RD)
            else:
                some = (table_RSD, value_RS, alone_RD)
                solved_UD[rows] = _towards(*some, before_UD[rows], self.config.steps)
        return solved_UD

    def _held(self, wants: "Wants", num_given: int) -> Floats:
        """Return how strongly the vector of each row is held down, [U]."""
        config = self.config
        weight_U = np.diff(wants.start) + config.unseen_weight * num_given
        held: Floats = (config.regularisation * weight_U**config.frequency_power).astype(np.float32)
        return held


@dataclass(frozen=True)
class Wants:
    """What U rows want: products and what each counts, laid end to end."""

    start: Rows
    item: Rows
    value: Floats

    @classmethod
    def of(cls, row: Rows, item: Rows, value: Floats, num_rows: int) -> "Wants":
        """Lay out pairs, each once, in any order."""
        order = np.lexsort((item, row))
        start = np.searchsorted(row[order], np.arange(num_rows + 1))
        return cls(start, item[order], value[order].astype(np.float32))

    def blocks(self, cells: int) -> Iterator[tuple[Rows, Rows, Floats]]:
        """Yield rows of about the same size, R at a time, and their wants, [R, S].

        Padding counts 0. A row of S wants takes at least `cells * S` or `cells` numbers.
        """
        sizes = np.diff(self.start)
        order = np.argsort(sizes, kind="stable")
        order = order[sizes[order] > 0]
        end = len(order)
        while end:
            longest = int(sizes[order[end - 1]])
            many = max(1, CELLS_MAX // (cells * longest))
            rows = order[max(0, end - many) : end]
            place_S = np.arange(longest)
            inside_RS = place_S < sizes[rows][:, None]
            at_RS = np.where(inside_RS, self.start[rows][:, None] + place_S, 0)
            yield rows, self.item[at_RS], np.where(inside_RS, self.value[at_RS], 0)
            end -= len(rows)


def _principal(vectors_VD: Floats) -> tuple[Floats, Floats]:
    """Turn vectors so that their gram matrix is diagonal; return them and the turn, [D, D]."""
    _, turn_DD = np.linalg.eigh((vectors_VD.T @ vectors_VD).astype(np.float64))
    turn_DD = turn_DD.astype(np.float32)
    return vectors_VD @ turn_DD, turn_DD


def _exactly(table_RSD: Floats, value_RS: Floats, alone_RD: Floats) -> Floats:
    """Solve `(diag(alone) + T' diag(value) T) x = T' value` for each row, [R, D]."""
    inside_RS = value_RS > 0
    table_RSD = table_RSD * inside_RS[:, :, None].astype(np.float32)
    eased_RSD = table_RSD / alone_RD[:, None, :]
    kernel_RSS = eased_RSD @ table_RSD.transpose(0, 2, 1)
    np.einsum("rss->rs", kernel_RSS)[:] += 1 / np.where(inside_RS, value_RS, 1)
    share_RS1 = np.linalg.solve(kernel_RSS, np.ones((*value_RS.shape, 1), np.float32))
    return np.asarray((share_RS1.transpose(0, 2, 1) @ eased_RSD)[:, 0], np.float32)


def _towards(
    table_RSD: Floats, value_RS: Floats, alone_RD: Floats, x_RD: Floats, steps: int
) -> Floats:
    """Return `x_RD` some steps of conjugate gradients nearer to what `_exactly` returns."""

    def times(p_RD: Floats) -> Floats:
        seen_RS = (table_RSD @ p_RD[:, :, None])[:, :, 0] * value_RS
        return np.asarray(p_RD * alone_RD + (seen_RS[:, None, :] @ table_RSD)[:, 0], np.float32)

    rest_RD = (value_RS[:, None, :] @ table_RSD)[:, 0] - times(x_RD)
    along_RD = rest_RD / alone_RD
    size_R1 = (rest_RD * along_RD).sum(1, keepdims=True)
    for _ in range(steps):
        turned_RD = times(along_RD)
        bend_R1 = (along_RD * turned_RD).sum(1, keepdims=True)
        length_R1 = size_R1 / np.maximum(bend_R1, TINY)
        x_RD = x_RD + length_R1 * along_RD
        rest_RD = rest_RD - length_R1 * turned_RD
        eased_RD = rest_RD / alone_RD
        smaller_R1 = (rest_RD * eased_RD).sum(1, keepdims=True)
        along_RD = eased_RD + smaller_R1 / np.maximum(size_R1, TINY) * along_RD
        size_R1 = smaller_R1
    return x_RD
