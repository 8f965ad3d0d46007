"""How a shop's models learn: recommenders, features and the ranker that fuses them.

The ranker learns on held-back periods: at each of several moments before `end`, everything is
fitted on what was known then, and asked for the basket that came next. Then all is fitted up to
`end`. Nothing ever sees an event of its own future.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper import registry
from shopkeeper.arrays import Asked, Ids
from shopkeeper.config import Config
from shopkeeper.contracts import Feature, Moment, Recommender, Updatable
from shopkeeper.engine.fusion import OWN_TIMES_LEARNING, Fusion, chunks
from shopkeeper.engine.product_vectors import ProductVectors
from shopkeeper.errors import TooLittle
from shopkeeper.evaluation.splits import next_basket, requests_at
from shopkeeper.schema import PRODUCT_ID, TIME, USER
from shopkeeper.tracing import progress, stage


@dataclass(frozen=True)
class Known:
    """What a shop knows: events in time order, and the catalogue."""

    events: pl.DataFrame
    """`schema.LEARN` columns, `transaction_id`, `price_minor` and perhaps `country`."""
    products: pl.DataFrame
    """`schema.PRODUCTS`, perhaps with `vector`; its order numbers the products."""
    judged: pl.DataFrame | None = None
    """All events, those that anomalies mask too, where these differ from what is learned from."""

    @property
    def everything(self) -> pl.DataFrame:
        """The events that evaluation judges by: nothing is masked in them."""
        return self.events if self.judged is None else self.judged

    def before(self, moment: datetime) -> "Known":
        """Return what was known just before a moment."""
        return Known(self.events.filter(pl.col(TIME) < moment), self.products)


@dataclass
class Learner:
    """Fits the parts of one shop, again and again as the clock moves on."""

    config: Config
    seed: int
    recommenders: dict[str, Recommender]
    checkpoints: Path | None = None
    """Where long learning keeps its state, so that a run that was killed goes on."""
    fitted: set[str] = field(default_factory=set)
    vectors: ProductVectors = field(init=False)

    def __post_init__(self) -> None:
        self.vectors = ProductVectors(self.config)

    @classmethod
    def of(
        cls, config: Config, seed: int | None = None, checkpoints: Path | None = None
    ) -> "Learner":
        """Build every recommender with the shop's settings; nothing is learned yet."""
        seed = config.train.seed if seed is None else seed
        names = dict.fromkeys((*config.train.fused, *config.train.recommenders))
        made = {name: seeded("recommenders", name, config, seed) for name in names}
        return cls(config, seed, made, checkpoints)

    def fit(self, known: Known, names: Iterable[str]) -> None:
        """Fit recommenders to what is known; one that can be updated is, after its first time."""
        names = list(names)
        whole = self.vectors.products(known, [self.recommenders[name] for name in names])
        for name in names:
            part = self.recommenders[name]
            products = known.products
            if whole is not None and getattr(part, "joined_vectors", False):
                products = whole
            with stage(name):
                if isinstance(part, Updatable):
                    learn_on = part.update if name in self.fitted else part.fit
                    state = self._checkpoint(name, known)
                    learn_on(known.events, products, checkpoint=state)
                else:
                    part.fit(known.events, products)
            self.fitted.add(name)

    def _checkpoint(self, name: str, known: Known) -> Path | None:
        if self.checkpoints is None:
            return None
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        last: datetime = known.events[TIME].max()  # type: ignore[assignment]
        return self.checkpoints / f"{name}-{self.seed}-{last:%Y%m%d%H%M%S}.safetensors"

    def fusion(self, known: Known, now: datetime) -> Fusion:
        """Join the recommenders, as they are fitted now, with features and an empty ranker."""
        train = self.config.train
        features: list[Feature] = [
            registry.build("features", name, **self.config.part("features", name))
            for name in train.features
        ]
        with stage("features"):
            products = known.products.sort(PRODUCT_ID)
            for feature in features:
                feature.fit(known.events, products, now)
        return Fusion(
            recommenders={name: self.recommenders[name] for name in train.fused},
            features=features,
            ranker=seeded("ranking", train.ranker, self.config, self.seed),
            ids=Ids.of(products[PRODUCT_ID]),
            pool=train.candidates,
            last_basket=train.last_basket,
        )


def learn(
    config: Config,
    known: Known,
    end: datetime,
    seed: int | None = None,
    checkpoints: Path | None = None,
) -> tuple[Learner, Fusion]:
    """Learn everything that the ranked page needs from what was known before `end`.

    Args:
        config: The shop's settings.
        known: Events and products; events at `end` or later are not looked at.
        end: The first moment that is not learned from.
        seed: Overrules the seed in the settings.
        checkpoints: A folder where long learning keeps its state.

    Returns:
        The learner with all recommenders fitted up to `end`, and the fusion.

    Raises:
        TooLittle: There is too little before `end` to learn from.
    """
    past = known.before(end)
    if past.events.is_empty():
        raise TooLittle(f"There is no event before {end:%Y-%m-%d} to learn from. Load more events.")
    learner = Learner.of(config, seed, checkpoints)
    lessons: list[Lesson] = []
    for back in progress(moments(config), "held-back periods"):
        moment = end - timedelta(days=back)
        until = min(moment + timedelta(days=config.train.period_days), end)
        with stage(f"period-{moment:%Y-%m-%d}"):
            lesson = lesson_at(learner, past, moment, until)
        lessons += [lesson] if lesson else []
    with stage("refit"):
        learner.fit(past, learner.recommenders)
        fusion = learner.fusion(past, end)
    with stage("ranker"):
        if not lessons:
            raise TooLittle(
                f"No shopper bought again in the periods before {end:%Y-%m-%d}; the ranker has "
                f"nothing to learn from. Load more events, or shorten [train] period_days."
            )
        fusion.ranker.fit(*joined(lessons))
    return learner, fusion


Lesson = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]
"""Features [N, F], labels [N], weights [N], and the request of each row, from 0, [N]."""


def lesson_at(learner: Learner, past: Known, moment: datetime, until: datetime) -> Lesson | None:
    """Fit all at `moment`, and compare the candidates with the baskets that came next."""
    before = past.before(moment)
    if before.events.is_empty():
        return None
    window = past.events.filter(pl.col(TIME) < until)
    train = learner.config.train
    targets = next_basket(window, moment, baskets=train.label_baskets)
    if targets.height > train.requests_max:
        targets = targets.sample(train.requests_max, seed=learner.seed, shuffle=True).sort(USER)
    if targets.is_empty():
        return None
    learner.fit(before, train.fused)
    fusion = learner.fusion(before, moment)
    requests = requests_at(window, moment, targets[USER].to_list(), train.history_max)
    later = next_basket(window, moment, baskets=max(train.label_baskets, train.label_baskets_new))
    both = targets.select(USER, near="targets").join(
        later.select(USER, far="targets"), on=USER, maintain_order="left"
    )
    with stage("candidates"):
        return _compare(fusion, Asked.of(requests, fusion.ids), both, train.new_weight)


def joined(lessons: list[Lesson]) -> Lesson:
    """Write lessons one below the other; empties the list, for they are large."""
    firsts = np.cumsum([0, *(int(lesson[3].max(initial=-1)) + 1 for lesson in lessons)])
    size = sum(len(lesson[1]) for lesson in lessons)
    whole: Lesson = (
        np.empty((size, lessons[0][0].shape[1]), np.float32),
        np.empty(size, np.float32),
        np.empty(size, np.float32),
        np.empty(size, np.int64),
    )
    begin = 0
    for first in firsts[:-1]:
        features, labels, weights, owners = lessons.pop(0)
        rows = slice(begin, begin := begin + len(labels))
        whole[0][rows], whole[1][rows], whole[2][rows] = features, labels, weights
        whole[3][rows] = owners + first
    return whole


def _compare(fusion: Fusion, asked: Asked, targets: pl.DataFrame, new_weight: float) -> Lesson:
    """Label the candidates: those bought before by `near`, those new to the shopper by `far`.

    What is new is bought so seldom that more baskets must tell of it; its hits are weighed down
    so that they count as much as if the near baskets alone had told.
    """
    features, nears, fars, owns, owners = [], [], [], [], []
    for first, chunk in chunks(asked):
        _, at = fusion.propose(chunk, OWN_TIMES_LEARNING)
        part = targets.slice(first, chunk.size)
        own = np.isin(at.owner_N * at.size + at.item_N, np.unique(at.owner_H * at.size + at.item_H))
        features.append(fusion.matrix(at))
        nears.append(_hits(at, part["near"], fusion.ids))
        fars.append(_hits(at, part["far"], fusion.ids))
        owns.append(own)
        owners.append(at.owner_N + first)
    near, far, own = (np.concatenate(parts) for parts in (nears, fars, owns))
    owner = np.concatenate(owners)
    share = near[~own].sum() / max(far[~own].sum(), 1)
    weights = np.where(own, 1.0, np.where(far, new_weight * share, new_weight))
    labels = np.where(own, near, far)
    # A shopper with large baskets has many hits; without this the ranker would be theirs.
    hits_B = np.maximum(np.bincount(owner, labels, minlength=asked.size), 1)
    evened = weights / np.sqrt(hits_B)[owner]
    evened *= weights.mean() / evened.mean()
    return np.concatenate(features), labels.astype(np.float32), evened.astype(np.float32), owner


def _hits(at: Moment, targets: pl.Series, ids: Ids) -> NDArray[np.bool_]:
    """Tell which candidates are among the targets of their request, [N]."""
    owner = np.repeat(np.arange(len(targets)), targets.list.len().to_numpy())
    bought = owner * at.size + ids.rows(targets.explode())
    return np.isin(at.owner_N * at.size + at.item_N, bought)


def moments(config: Config) -> list[int]:
    """Return how many days before the end each held-back period begins, oldest first."""
    train = config.train
    return [train.period_days + train.period_step_days * n for n in range(train.periods)][::-1]


def seeded(shelf: str, name: str, config: Config, seed: int) -> Any:
    """Build a part with the shop's settings; where it takes a seed, the run's is added to it."""
    settings = dict(config.part(shelf, name))
    fields = registry.find(shelf, name).Config.__dataclass_fields__
    if "seed" in fields:
        # shop.toml names every default, so a seed that stands there is no reason to ignore a run's.
        settings["seed"] = settings.get("seed", fields["seed"].default) + seed
    return registry.build(shelf, name, **settings)
