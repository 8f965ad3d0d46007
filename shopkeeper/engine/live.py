"""What a running shop holds in memory: the models of one bundle, the products, and who did what.

Models come from a bundle, products from the records, histories from the lake and the event log. A
new bundle or changed products make another `now` in one step; state and log stay.
"""

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from shopkeeper import registry
from shopkeeper.arrays import Asked, Ids, Rows
from shopkeeper.config import Config
from shopkeeper.contracts import Policy, Recommender
from shopkeeper.engine import changes
from shopkeeper.engine.catalogue import Catalogue
from shopkeeper.engine.clock import Clock
from shopkeeper.engine.compact import fold_log, past_events, unfolded
from shopkeeper.engine.fusion import Fusion
from shopkeeper.engine.known import lake_of, records_of
from shopkeeper.engine.models import Models
from shopkeeper.engine.now import Now
from shopkeeper.engine.personal import Taste
from shopkeeper.engine.rulebook import book_of
from shopkeeper.engine.trace import Traces
from shopkeeper.errors import NotFitted, ShopkeeperError
from shopkeeper.explain.trees import Trees
from shopkeeper.operations.bundles import Bundles
from shopkeeper.rules.book import RuleBook
from shopkeeper.schema import CATEGORY, PRODUCTS
from shopkeeper.store.lake import Lake
from shopkeeper.store.records import Records
from shopkeeper.streaming.log import EventLog
from shopkeeper.streaming.state import OnlineState, Steps

_log = logging.getLogger(__name__)

TREES = "fusion/ranker/trees.onnx"
"""Where a bundle has its ranker, if that is made of trees."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Live:
    """One running shop; threads may share it."""

    def __init__(self, folder: Path, models: Models, config: Config, catalogue: Catalogue) -> None:
        """Hold models and products; `load` adds records, log and state."""
        self.folder, self.config = folder, config
        self.now = Now.of(models, catalogue, config.search.personal)
        """What answers; read it once for an answer, for it is replaced as a whole."""
        self.lock = threading.RLock()
        self.changing = threading.RLock()
        """Held by whoever makes another `now`."""
        self.closed = threading.Event()
        self._heard = self._heard_rules = 0
        self.policies: dict[str, Policy] = {
            name: registry.build("policies", name, **config.part("policies", name))
            for place in config.placements.values()
            for name in place.policies
        }
        self.rules = RuleBook()
        """Replaced as a whole when a rule changes."""
        self.traces = Traces(config.serving.traces)
        self._trees: tuple[str, Trees | None] = "", None
        self.records: Records
        self.log: EventLog | None = None
        """None where another process writes it: this one only reads."""
        self.state: OnlineState
        self._rows: Rows = np.empty(0, np.int64)
        """The row of each product of the state's vocabulary, -1 for one that models lack."""

    @classmethod
    def load(cls, folder: Path, config: Config, bundles: Bundles) -> "Live":
        """Open everything that a shop needs to answer.

        Args:
            folder: The shop's folder.
            config: Its settings.
            bundles: Its models.

        Returns:
            The running shop.

        Raises:
            NotFitted: Nothing was published yet.
            BadData: The bundle or a table is damaged.
        """
        records, lake = records_of(folder, config), lake_of(folder, config)
        heard, log = changes.heard(folder), None
        heard_rules = changes.heard(folder, changes.RULES)
        try:
            log = EventLog(folder / "log", config.serving.segment_mb)
        except ShopkeeperError:
            _log.info("another process writes the event log; this one only reads")
        try:
            for problem in log.problems if log else ():
                _log.error("event log: %s", problem)
            left = fold_log(lake, log) if log else unfolded(lake, folder / "log")
            # Side by side, because a shop that starts keeps its shoppers waiting.
            with ThreadPoolExecutor(3) as pool:
                state = pool.submit(_state, lake, config)
                products = pool.submit(records.all)
                models = pool.submit(Models.restore, config, bundles)
                live = cls(folder, models.result(), config, Catalogue(products.result()))
                live.records, live.log, live.state = records, log, state.result()
                live._heard, live._heard_rules = heard, heard_rules
                live.rules = book_of(records)
            live.state.append(left)
        except BaseException:
            if log is not None:
                log.close()
            records.close()
            raise
        return live

    def follow(self, bundles: Bundles) -> None:
        """Take a newer bundle, changed products and changed rules, if there are any.

        BadData: The newer bundle is damaged; the old one stays.
        """
        with self.changing:
            if self.closed.is_set():
                return
            if (heard := changes.heard(self.folder, changes.RULES)) != self._heard_rules:
                self.rules, self._heard_rules = book_of(self.records), heard
            heard = changes.heard(self.folder)
            if bundles.current() != self.version:
                models = Models.restore(self.config, bundles)
                now = Now.of(models, Catalogue(self.records.all()), self.config.search.personal)
                with self.lock:
                    self.now, self._rows = now, self._rows[:0]
            elif heard != self._heard:
                self.now = self.now.with_products(Catalogue(self.records.all()))
            self._heard = heard
        while not (self.now.pending.is_empty() or self.closed.is_set()):
            with self.changing:
                self.now = self.now.further()

    def put(self, rows: Sequence[dict[str, Any]]) -> None:
        """Let rows of `schema.PRODUCTS` replace what is known of their ids, here and on disk."""
        with self.changing:
            table = pl.DataFrame(rows, schema=PRODUCTS)
            self.records.upsert(table)
            alone = changes.tell(self.folder) == self._heard + 1
            # Where another process changed something too, all products are read again.
            self._heard += alone
            self.now = self.now.with_products(self.catalogue.put(rows), table)

    def close(self) -> None:
        """Let go of files; whoever follows stops."""
        self.closed.set()
        with self.changing:
            if self.log is not None:
                self.log.close()
            self.records.close()

    @property
    def models(self) -> Models:
        """The models of the bundle that answers."""
        return self.now.models

    @property
    def catalogue(self) -> Catalogue:
        """The products as they are now."""
        return self.now.catalogue

    @property
    def version(self) -> str:
        """The bundle that answers."""
        return self.models.version

    @property
    def clock(self) -> Clock:
        """The shop's time."""
        return self.models.clock

    @property
    def recommenders(self) -> Mapping[str, Recommender]:
        """The trained recommenders by name."""
        return self.models.recommenders

    @property
    def fusion(self) -> Fusion:
        """Candidates and ranker; NotFitted in a shop that had no events to learn from."""
        if self.models.fusion is None:
            raise NotFitted("This shop learned from products alone. Load events and train again.")
        return self.models.fusion

    @property
    def ids(self) -> Ids:
        """The products as the models number them; none in a shop that can only be searched."""
        models = self.models
        if models.fusion is not None:
            return models.fusion.ids
        known = [part.ids for part in models.recommenders.values()]
        return known[0] if known else Ids.of([])

    @property
    def trees(self) -> Trees | None:
        """The ranker as trees, read when an explanation first asks; None for another ranker."""
        version, found = self._trees
        if version != self.version:
            file = self.folder / "bundles" / self.version / TREES
            found = Trees.read(file.read_bytes()) if file.is_file() else None
            self._trees = self.version, found
        return found

    def asked(
        self,
        histories: Sequence[Steps],
        seeds: Sequence[Sequence[str]] = (),
        exclude: Sequence[Sequence[str]] = (),
        ids: Ids | None = None,
    ) -> Asked:
        """Ask a question for each history, from `state`; call it with the lock held.

        Args:
            histories: What each shopper did.
            seeds: The product looked at, or those in the cart, for each; none by default.
            exclude: Products not to show, for each.
            ids: How to number products, if not as the models do.

        Returns:
            Requests at the shop's time.
        """
        if ids is None:
            ids = self.ids
            if fresh := self.state.names(len(self._rows)):
                self._rows = np.concatenate([self._rows, ids.rows(fresh)])
            item_H = self._rows[np.concatenate([steps.item for steps in histories])]
        else:
            item_H = np.concatenate([ids.rows(self.state.named(steps)) for steps in histories])
        owner_H = np.repeat(np.arange(len(histories)), [len(steps) for steps in histories])
        known = item_H >= 0
        seeds = seeds or [()] * len(histories)
        return Asked(
            ids,
            np.full(len(histories), self._now_us()),
            owner_H[known],
            item_H[known],
            np.concatenate([steps.event for steps in histories])[known],
            np.concatenate([steps.time_us for steps in histories])[known],
            *_rows_of(ids, seeds),
            *_rows_of(ids, exclude or [()] * len(histories)),
            np.array([bool(given) for given in seeds]),
        )

    def _now_us(self) -> int:
        return (self.clock.now() - EPOCH) // timedelta(microseconds=1)

    def taste(self, now: Now, user_id: str | None, visitor_id: str | None) -> Taste | None:
        """Return what is known of a shopper's taste at a moment, None for one nobody knows."""
        if user_id is None and visitor_id is None:
            return None
        steps = self.state.steps(user_id, visitor_id)
        attributes = now.finder.search.attributes(now.catalogue.all())
        taste = Taste(attributes, self.state.named(steps), steps, self._now_us())
        return taste if taste.sure else None

    def complete(self, typed: str, k: int) -> list[tuple[str, str]]:
        """Complete what is being typed."""
        return self.models.suggest.complete(typed, k)

    def products(self, items: Iterable[str | None]) -> dict[str, dict[str, Any]]:
        """Return products by id, as rows of `schema.PRODUCTS`; all None for one nobody knows."""
        return self.catalogue.known(items)

    def walkers(self, k: int) -> list[dict[str, Any]]:
        """Name shoppers of different habits, and say what each buys most."""
        found = []
        for user_id, events in self.state.walkers(k):
            items = [item for item, _, _ in self.state.recent(user_id, None, 200)]
            rows = self.catalogue.rows(items)
            kinds = rows[CATEGORY].drop_nulls().str.split(" > ").list.last()
            top = kinds.value_counts(sort=True).head(2)[CATEGORY].to_list()
            note = (
                f"buys {' and '.join(top)}"
                if top
                else f"bought {rows['title'][0]}"
                if rows.height
                else ""
            )
            found.append({"user_id": user_id, "events": events, "note": note})
        return found


def _state(lake: Lake, config: Config) -> OnlineState:
    state = OnlineState(history_max=config.train.history_max)
    state.seed(past_events(lake, config.train.events_max))
    return state


def _rows_of(ids: Ids, given: Sequence[Sequence[str]]) -> tuple[Rows, Rows]:
    """Number the products given for each request: requests and rows, those that are known."""
    owner = np.repeat(np.arange(len(given)), [len(names) for names in given])
    row = ids.rows([name for names in given for name in names])
    return owner[row >= 0], row[row >= 0]
