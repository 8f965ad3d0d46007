"""What a running shop holds in memory: the models of one bundle, the products, and who did what.

Models come from a bundle, products from the records, histories from the lake and the event log. A
new bundle replaces the models in one step; state and log stay.
"""

import json
import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from shopkeeper import registry
from shopkeeper.arrays import Asked, Ids, Picks, Rows
from shopkeeper.config import Config, Placement
from shopkeeper.contracts import Encoder, Policy, Recommender
from shopkeeper.engine.catalogue import Catalogue
from shopkeeper.engine.clock import Clock
from shopkeeper.engine.compact import fold_log, past_events, unfolded
from shopkeeper.engine.finding import Finder, Found
from shopkeeper.engine.fusion import Fusion
from shopkeeper.engine.known import lake_of, records_of
from shopkeeper.engine.page import compose
from shopkeeper.engine.pictures import Pictures
from shopkeeper.errors import BadData, NotFitted, ShopkeeperError
from shopkeeper.operations.bundles import Bundles
from shopkeeper.schema import CATEGORY, ITEM
from shopkeeper.search.catalogue import ProductSearch
from shopkeeper.search.suggest import Suggest
from shopkeeper.search.understanding import Understanding
from shopkeeper.store.lake import Lake
from shopkeeper.store.records import Records
from shopkeeper.streaming.log import EventLog
from shopkeeper.streaming.state import OnlineState, Steps

_log = logging.getLogger(__name__)

SALES = "sales.parquet"
FUSION = "fusion"
UNDERSTANDING = "search/understanding"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Models:
    """The models of one bundle, restored."""

    version: str
    clock: Clock
    recommenders: Mapping[str, Recommender]
    fusion: Fusion | None
    """None for a shop that had no events to learn from."""
    encoder: Encoder
    search: ProductSearch
    suggest: Suggest
    understanding: Understanding | None
    """None where the bundle was made before there was any."""
    sales: Mapping[str, float]
    """Baskets by product, in the newest period."""
    pictures: Pictures | None
    """None for a shop whose products had no pictures at hand."""

    @classmethod
    def restore(cls, config: Config, bundles: Bundles) -> "Models":
        """Read the bundle in use; NotFitted if none was published, BadData if it is damaged."""
        folder = bundles.open(version := bundles.current())
        about = bundles.manifest(version)
        recommenders = {
            path.name: registry.load(path) for path in sorted(folder.glob("recommenders/*"))
        }
        sold = pl.read_parquet(folder / SALES)
        fusion = _fusion(folder, recommenders) if (folder / FUSION).is_dir() else None
        reading = folder / UNDERSTANDING
        if fusion is not None and fusion.names() != about.get("ranker_features"):
            raise BadData(
                f"The models of bundle {version} were learned by another version of Shopkeeper. "
                "Run `shopkeeper train` to learn them anew."
            )
        return cls(
            version=version,
            clock=_clock(config, about),
            recommenders=recommenders,
            fusion=fusion,
            encoder=registry.load(folder / "encoder"),
            search=ProductSearch(registry.load(folder / "search" / "index")),
            suggest=Suggest().restore(folder / "search"),
            understanding=Understanding().restore(reading) if reading.is_dir() else None,
            sales=dict(zip(sold[ITEM].to_list(), sold["baskets"].to_list(), strict=True)),
            pictures=Pictures.restore(folder),
        )


class Live:
    """One running shop; threads may share it."""

    def __init__(self, models: Models, config: Config, catalogue: Catalogue) -> None:
        """Hold models and products; `load` adds records, log and state."""
        self.models = models
        self.catalogue = catalogue
        self.lock = threading.RLock()
        self.policies: dict[str, Policy] = {
            name: registry.build("policies", name, **config.part("policies", name))
            for place in config.placements.values()
            for name in place.policies
        }
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
        log = None
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
                live = cls(models.result(), config, Catalogue(products.result()))
                live.records, live.log, live.state = records, log, state.result()
            live.state.append(left)
        except BaseException:
            if log is not None:
                log.close()
            records.close()
            raise
        return live

    def reload(self, config: Config, bundles: Bundles) -> None:
        """Take the models of the bundle that is in use now; products and state are kept."""
        models = Models.restore(config, bundles)
        with self.lock:
            self.models = models
            self._rows = self._rows[:0]
            self.catalogue = Catalogue(self.records.all())

    def close(self) -> None:
        """Let go of files."""
        if self.log is not None:
            self.log.close()
        self.records.close()

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

    def asked(
        self,
        steps: Steps,
        seeds: Sequence[str] = (),
        exclude: Sequence[str] = (),
    ) -> Asked:
        """Ask one question as the models number products; call it with the lock held.

        Args:
            steps: What the shopper did, from `state`.
            seeds: The product looked at, or those in the cart.
            exclude: Products not to show.

        Returns:
            One request at the shop's time.
        """
        ids = self.fusion.ids
        if fresh := self.state.names(len(self._rows)):
            self._rows = np.concatenate([self._rows, ids.rows(fresh)])
        item_H = self._rows[steps.item]
        known = item_H >= 0
        seeded, banned = (ids.rows(list(names)) for names in (seeds, exclude))
        seeded, banned = seeded[seeded >= 0], banned[banned >= 0]
        now_us = (self.clock.now() - EPOCH) // timedelta(microseconds=1)
        return Asked(
            ids,
            np.array([now_us]),
            np.zeros(int(known.sum()), np.int64),
            item_H[known],
            steps.event[known],
            steps.time_us[known],
            np.zeros(len(seeded), np.int64),
            seeded,
            np.zeros(len(banned), np.int64),
            banned,
            np.array([bool(seeds)]),
        )

    def recommend(self, placement: Placement, asked: Asked, k: int) -> Picks:
        """Answer one place on a page; call it with the lock held."""
        return compose(
            asked,
            placement,
            self.models.recommenders,
            self.fusion,
            [self.policies[name] for name in placement.policies],
            self.catalogue,
            k,
        )

    def find(self, query: str, **asked: Any) -> Found:
        """Search the catalogue; see `Finder.find`."""
        models = self.models
        finder = Finder(models.search, models.encoder, models.understanding, models.sales)
        return finder.find(query, self.catalogue.all(), self._currency(), **asked)

    def complete(self, typed: str, k: int) -> list[tuple[str, str]]:
        """Complete what is being typed."""
        return self.models.suggest.complete(typed, k)

    def products(self, items: Iterable[str | None]) -> dict[str, dict[str, Any]]:
        """Return products by id, as rows of `schema.PRODUCTS`; all None for one nobody knows."""
        wanted = list(dict.fromkeys(item for item in items if item is not None))
        columns = dict(self.catalogue.aligned(wanted))
        return {
            item: {name: column[at] for name, column in columns.items()}
            for at, item in enumerate(wanted)
        }

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

    def _currency(self) -> str:
        known = self.catalogue.table["currency"].drop_nulls()
        return str(known[0]) if len(known) else "USD"


def _state(lake: Lake, config: Config) -> OnlineState:
    state = OnlineState(history_max=config.train.history_max)
    state.seed(past_events(lake, config.train.events_max))
    return state


def save_fusion(fusion: Fusion, folder: Path) -> None:
    """Write the ranker and features into a bundle; recommenders are kept beside them."""
    registry.save(fusion.ranker, folder / FUSION / "ranker")
    for number, feature in enumerate(fusion.features):
        registry.save(feature, folder / FUSION / f"feature-{number:02d}")
    fusion.ids.save(folder / FUSION)
    about = {
        "recommenders": list(fusion.recommenders),
        "pool": fusion.pool,
        "last_basket": list(fusion.last_basket),
    }
    (folder / FUSION / "fusion.json").write_text(json.dumps(about))


def _fusion(folder: Path, recommenders: Mapping[str, Recommender]) -> Fusion:
    about = json.loads((folder / FUSION / "fusion.json").read_text())
    return Fusion(
        recommenders={name: recommenders[name] for name in about["recommenders"]},
        features=[registry.load(path) for path in sorted((folder / FUSION).glob("feature-*"))],
        ranker=registry.load(folder / FUSION / "ranker"),
        ids=Ids.load(folder / FUSION),
        pool=about["pool"],
        last_basket=about["last_basket"],
    )


def _clock(config: Config, about: Mapping[str, Any]) -> Clock:
    if config.shop.clock == "live":
        return Clock()
    made, last = (datetime.fromisoformat(about[name]) for name in ("made", "last_event"))
    return Clock(made - last)
