"""What the recommenders that read histories share: lessons, learning, and answering.

A network reads a history moment by moment (a basket, a view) and foretells the products of the
next one, over the whole catalogue; products bought before may be foretold again. Which network
looks back is the one thing that differs; see `training/networks`. Learning needs torch; answering
does not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.arrays import Asked, Floats, Ids, Picks, Rows
from shopkeeper.errors import BadData
from shopkeeper.recommenders._base import Base
from shopkeeper.recommenders._evidence import best, chunks
from shopkeeper.recommenders._memory import refuse_beyond_memory
from shopkeeper.recommenders._sequences import moments
from shopkeeper.recommenders._sequences.encoder import Encoder
from shopkeeper.recommenders._sequences.newcomers import grown
from shopkeeper.recommenders._sequences.substitutes import similar_products
from shopkeeper.schema import EVENT_NAME, ITEM, LEARN, PRODUCT_ID, TIME, USER, WANTS, check
from shopkeeper.training.augment_sequences import AUGMENTERS

if TYPE_CHECKING:
    from shopkeeper.recommenders._sequences.teacher import Teacher

PAIRS_MAX = 1 << 16
"""Candidates scored at a time."""
REPLAY_MAX = 100
"""More old lessons for each new one are no update."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings that every network over histories has, and how it learns."""

    width: int = 64
    """Length of a product's vector."""
    blocks: int = 2
    """How many blocks look back, one on the other."""
    history_max: int = 64
    """How many of the newest moments (baskets, views) of a shopper are read."""
    items_max: int = 8000
    """The most wanted products are learned, so many at most; others are never proposed."""
    dropout: float = 0.2
    """Share of the numbers left out while learning, in [0, 1)."""
    negatives: int = 0
    """Products drawn for each batch that its targets compete with; 0 for all products."""
    start_nearby: float = 0.0
    """Length of the vectors that products start with, near those wanted about the same time; 0
    starts anywhere."""
    average: float = 0.0
    """Share of the mean weights that each step keeps, in [0, 1); 0 takes the newest ones."""
    measure_every: int = 1
    """Epochs from one look at what was kept back to the next."""
    forget: float = 0.0
    """Share of past products left out while learning, in [0, 1)."""
    augment: tuple[str, ...] = ()
    """How histories are changed while learning: any of crop, mask, reorder, substitute. What
    `repeats` tells of the past stays as it was."""
    augment_share: float = 0.2
    """How much of a history each of `augment` touches at most, in [0, 1)."""
    perturb: float = 0.0
    """Size of the worst small change of the products in a history that learning has to bear, as a
    share of the length of their vectors; 0 for none. Takes twice the time."""
    repeats: bool = True
    """Whether a product may gain or lose by when and how often the shopper had it before."""
    plain_share: float = 0.4
    """Share of the epochs, the first ones, that do without `repeats`, in [0, 1)."""
    popularity: bool = True
    """Whether each product has a number of its own, at first by how often it was wanted."""
    times: bool = True
    """Whether the time between moments, and since the last, is read."""
    basket_power: float = 0.5
    """A basket of n products weighs n to this power: 0 all alike, 1 each product alike."""
    half_life_days: float = 60.0
    """Age at which a moment counts half as a lesson."""
    epochs_max: int = 8
    """How often at most each lesson is learned."""
    steps_max: int = 1400
    """How many batches at most are learned; bounds the time on any machine alike."""
    minutes_max: float = 20.0
    """Where a slow machine stops; results then depend on the machine."""
    batch_positions: int = 128
    """About how many moments are foretold in a batch."""
    lr: float = 0.002
    """Learning rate at its highest."""
    weight_decay: float = 2.0
    """How fast what is not confirmed is forgotten, in shares of the learning rate."""
    holdout_share: float = 0.0
    """Share of shoppers whose newest moment is kept back to decide when to stop, in [0, 1]."""
    patience_epochs: int = 10
    """Stop after so many epochs without gain on what was kept back."""
    update_steps: int = 300
    """How many batches at most `update` learns."""
    replay: float = 1.0
    """How many old lessons `update` learns again for each new one, so that nothing is forgotten."""
    chunk_mb: int = 8
    """Memory for scores while learning."""
    precision: str = "float32"
    """`float32`, `bfloat16`, or `auto`: bfloat16 where the processor multiplies it fast."""
    seed: int = 0
    """Decides every chance of learning."""

    def __post_init__(self) -> None:
        counts = (self.width, self.blocks, self.history_max, self.items_max)
        more = (self.epochs_max, self.steps_max, self.batch_positions, self.chunk_mb)
        if min(*counts, *more, self.update_steps, self.patience_epochs) < 1:
            raise ValueError("sizes, counts and steps must be at least 1.")
        shares = (self.dropout, self.forget, self.plain_share, self.augment_share)
        if not all(0 <= share < 1 for share in shares):
            raise ValueError("dropout, forget, plain_share, augment_share must be in [0, 1).")
        if not 0 <= self.holdout_share <= 1:
            raise ValueError(f"holdout_share must be in [0, 1], got {self.holdout_share}.")
        if self.weight_decay < 0 or not self.perturb >= 0:
            raise ValueError("weight_decay and perturb must be at least 0.")
        if not min(self.half_life_days, self.minutes_max, self.lr) > 0:
            raise ValueError("half_life_days, minutes_max and lr must be above 0.")
        if self.negatives < 0 or self.measure_every < 1 or not 0 <= self.average < 1:
            raise ValueError("negatives must be at least 0, measure_every 1, average in [0, 1).")
        if not 0 <= self.replay <= REPLAY_MAX:
            raise ValueError(f"replay must be in [0, {REPLAY_MAX}], got {self.replay}.")
        _check_names("augment", self.augment, AUGMENTERS)
        _check_names("precision", [self.precision], ("float32", "bfloat16", "auto"))


class Sequence(Base):
    """Foretells the products of a shopper's next moment."""

    kind: ClassVar[str]
    """What looks back; see `training/networks/histories.Shape`."""

    thorough: ClassVar[Mapping[str, Any]] = {
        "holdout_share": 1.0,
        "steps_max": 1_000_000,
        "epochs_max": 200,
        "minutes_max": 40.0,
        "measure_every": 3,
        "patience_epochs": 12,
        "items_max": 100_000,
        "history_max": 200,
        "batch_positions": 512,
        "negatives": 2048,
        "start_nearby": 1.0,
        "average": 0.998,
        "lr": 0.002,
        "dropout": 0.35,
        "weight_decay": 0.0,
        "times": False,
        "repeats": False,
        "popularity": False,
    }
    """Settings for benchmarks: learn until what is kept back gets no better."""

    def __init__(self, config: Settings) -> None:
        self.config = config
        self._encoder: Encoder | None = None
        self.learned: dict[str, Any] = {}
        """How learning went: steps, epochs, seconds, the curve of what was kept back."""

    def fit(
        self,
        events: pl.DataFrame,
        products: pl.DataFrame | None = None,
        *,
        checkpoint: Path | None = None,
    ) -> Self:
        """Learn from `schema.LEARN` rows in any order. A second call forgets the first.

        Says BadData if a column is missing or nothing can be learned, Missing without torch.

        Args:
            events: `schema.LEARN` rows; those of `schema.WANTS` are learned.
            products: Only these are learned and proposed; one without events never is.
            checkpoint: File of the state while learning; a run that was killed goes on from it.

        Returns:
            Itself.
        """
        teacher = self._teacher()
        kept = _kept(self.name, events, products, self.config.items_max)
        self._learn(teacher, (kept, products), checkpoint, None)
        return self

    def update(
        self,
        events: pl.DataFrame,
        products: pl.DataFrame | None = None,
        *,
        checkpoint: Path | None = None,
    ) -> Self:
        """Go on learning where `fit` ended, from what happened since.

        Args:
            events: All `schema.LEARN` rows up to now: those after the newest moment of the last
                `fit` or `update` are learned, and beside them a sample of the old ones, which are
                also read as history. Products are known by their ids; new ones start near those
                whose content is alike, others no longer among the most wanted are dropped.
            products: As for `fit`.
            checkpoint: File of the state while learning.

        Returns:
            Itself.
        """
        before = self._known(self._encoder)
        kept = _kept(self.name, events, products, self.config.items_max)
        self._learn(self._teacher(), (kept, products), checkpoint, before)
        return self

    def propose(self, asked: Asked, k: int) -> Picks:
        """Return what the history foretells, nothing without one; see the contract.

        Seeds count as wanted now; `score` is a logit.
        """
        ids = self.ids
        asked = asked.within(ids)
        parts = []
        for begin, end in chunks(asked.size, len(ids)):
            some = asked.slice(begin, end)
            request, item, score = best(self._scores(some), k)
            parts.append((request + begin, item, score))
        if not parts:
            return Picks.none(ids)
        request, item, score = (np.concatenate(column) for column in zip(*parts, strict=True))
        return self.picks(asked, (request, item, score), k)

    def judge(self, asked: Asked, owner_N: Rows, item_N: Rows) -> Floats:
        """Return one logit per product, comparable inside a request, [N].

        NaN where the product is unknown or the history says nothing.
        """
        ids = self.ids
        assert self._encoder is not None
        item_N = asked.ids.within(ids, item_N)
        vector_BD, past, usable = self._read(asked.within(ids))
        scores = np.full(len(item_N), np.nan, np.float32)
        for begin in range(0, len(item_N), PAIRS_MAX):
            part = slice(begin, begin + PAIRS_MAX)
            owner, item = owner_N[part], item_N[part]
            pair = np.einsum("nd,nd->n", vector_BD[owner], self._encoder.items_VD[item])
            pair += self._encoder.bias_V[item]
            scores[part] = np.where((item >= 0) & usable[owner], pair, np.nan)
        key, wanted = past.asking * len(ids) + past.item, owner_N * len(ids) + item_N
        at = np.minimum(np.searchsorted(key, wanted), max(len(key) - 1, 0))
        again = np.flatnonzero((key[at] == wanted) & (item_N >= 0)) if len(key) else at[:0]
        scores[again] += self._encoder.bonus(past)[at[again]]
        return scores

    def save(self, folder: Path) -> None:
        """Write the network as ONNX, the vectors, and the ids into an empty `folder`."""
        self.ids.save(folder)
        self._known(self._encoder).save(folder)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote. Needs no torch."""
        self._ids, self._encoder = Ids.load(folder), Encoder.load(folder)
        return self

    def _scores(self, asked: Asked) -> NDArray[np.float32]:
        assert self._encoder is not None
        vector_BD, past, usable = self._read(asked)
        scores_BV = vector_BD @ self._encoder.items_VD.T + self._encoder.bias_V
        scores_BV[past.asking, past.item] += self._encoder.bonus(past)
        scores_BV[~usable] = -np.inf
        scores_BV[asked.owner_X, asked.item_X] = -np.inf
        return scores_BV

    def _read(self, asked: Asked) -> tuple[Floats, moments.Seen, NDArray[np.bool_]]:
        """Return the vector of each request, what it had before, and whether that is anything."""
        return asked.once(self, lambda: self._read_now(asked))

    def _read_now(self, asked: Asked) -> tuple[Floats, moments.Seen, NDArray[np.bool_]]:
        assert self._encoder is not None
        laid = moments.of_requests(asked)
        now = asked.now_us_B // moments.MINUTE_US
        vector_BD = self._encoder.encode(moments.newest(laid, self.config.history_max), now)
        past = moments.seen(laid, laid.start[:-1], laid.start[1:], now, len(asked.ids))
        return vector_BD, past, np.diff(laid.start) > 0

    def _shape(self) -> dict[str, Any]:
        """Return what the network's shape has beyond what all of them have."""
        return {"kind": self.kind}

    def _begin(self, taught: "Teacher") -> None:
        """Change what learning starts with."""

    def _take_over(self, taught: "Teacher", ids: Ids) -> None:
        """Keep what was learned."""
        self._ids, self._encoder = ids, taught.encoder()

    def _learned_ids(self, events: pl.DataFrame, products: pl.DataFrame | None) -> Ids:  # noqa: ARG002
        """Return the products that are known after learning."""
        return Ids(events[ITEM])

    def _content(self, ids: Ids, products: pl.DataFrame | None) -> Floats | None:  # noqa: ARG002
        """Return numbers that tell of each product's content, [V, C], or None."""
        return None

    def _teacher(self) -> "type[Teacher]":
        try:
            from shopkeeper.recommenders._sequences.teacher import Teacher
        except ImportError as error:
            from shopkeeper.errors import Missing

            raise Missing(
                f"Learning `{self.name}` needs '{error.name}', which is not installed. "
                "Install it with `pip install 'shopkeeper[train]'`."
            ) from error
        return Teacher

    def _learn(
        self,
        teacher: "type[Teacher]",
        known: tuple[pl.DataFrame, pl.DataFrame | None],
        checkpoint: Path | None,
        before: Encoder | None,
    ) -> None:
        events, products = known
        ids = self._learned_ids(events, products)
        # The vectors, their gradient, the two moments of Adam, their mean, the best, and copies.
        what = f"width {self.config.width} for {len(ids):,} products"
        need_bytes = 4.0 * 8 * len(ids) * self.config.width
        refuse_beyond_memory(self.name, what, need_bytes, "Lower width or items_max")
        laid = moments.of_events(events, ids)
        if before is not None:
            before = grown(before, self.ids, ids, products)
        similar = None
        if products is not None and "substitute" in self.config.augment:
            similar = similar_products(ids, products)
        taught = teacher(
            self.config,
            laid,
            len(ids),
            before,
            similar,
            self._content(ids, products),
            **self._shape(),
        )
        self._begin(taught)
        self.learned = taught.learn(checkpoint)
        self._take_over(taught, ids)


def check_heads(width: int, heads: int) -> None:
    """Raise ValueError where a vector of `width` cannot be shared out among `heads`."""
    if heads < 1 or width % heads:
        raise ValueError(f"width {width} is not a multiple of heads {heads}.")


def _check_names(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    for name in given:
        if name not in known:
            raise ValueError(f"{what} '{name}' is none of {', '.join(known)}.")


def _kept(
    name: str, events: pl.DataFrame, products: pl.DataFrame | None, items_max: int
) -> pl.DataFrame:
    rows = check(events, LEARN, "event").select(*LEARN)
    if products is not None:
        rows = rows.filter(pl.col(ITEM).is_in(products[PRODUCT_ID].implode()))
    rows = rows.filter(pl.col(EVENT_NAME).is_in(WANTS)).drop_nulls([USER, ITEM, TIME])
    counts = rows.group_by(ITEM).len().sort(["len", ITEM], descending=[True, False])
    kept = rows.join(counts.head(items_max), on=ITEM, how="semi")
    if kept.is_empty():
        raise BadData(
            f"None of the {events.height} events names a shopper, a product and a time and shows "
            f"interest ({', '.join(WANTS)}); `{name}` has nothing to learn."
        )
    return kept
