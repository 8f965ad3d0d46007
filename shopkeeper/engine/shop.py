"""One shop as a Python object: the same use-cases that the command line and HTTP offer.

from shopkeeper import Shop
with Shop.open("myshop") as shop:
    shop.search("tea light")
    shop.recommend("home", user_id="17850")
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from shopkeeper.config import Placement
from shopkeeper.engine import looks, settings
from shopkeeper.engine.answers import Answer, Receipt
from shopkeeper.engine.catalogue import product_row, shown
from shopkeeper.engine.deciding import Deciding
from shopkeeper.engine.everyone import recommend_all
from shopkeeper.engine.follower import Follower, follow
from shopkeeper.engine.live import Live
from shopkeeper.engine.recommending import Question, recommend
from shopkeeper.engine.searching import Query, search
from shopkeeper.engine.transfer import starting
from shopkeeper.engine.voice import ByVoice
from shopkeeper.errors import BadRequest, NotFitted, NotFound, ShopkeeperError, unknown
from shopkeeper.operations.bundles import Bundles
from shopkeeper.schema import PRODUCT_ID
from shopkeeper.streaming.events import normalise

_log = logging.getLogger(__name__)

WORDS_MAX = 300
"""Characters of a query that count."""


class Shop(ByVoice, Deciding):
    """A shop's folder, opened. Models are loaded at the first question."""

    def __init__(self, folder: Path) -> None:
        """Read the settings of the shop in `folder`; use `Shop.open`."""
        self.folder = folder
        self.config = settings.read(folder)
        self.bundles = Bundles(folder / "bundles")
        self._live: Live | None = None
        self._opening = threading.Lock()

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Open the shop in `folder`, which holds `shop.toml`; or raise NotFound, BadConfig."""
        return cls(Path(folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the event log and the models."""
        if self._live is not None:
            self._live.close()
            self._live = None

    @property
    def live(self) -> Live:
        """The models and state that answer; NotFitted before the first `train`."""
        if self._live is None:
            with self._opening:
                if self._live is None:
                    self._live = Live.load(self.folder, self.config, self.bundles)
                    Follower(self._live, self.bundles).start()
        return self._live

    def follow(self) -> None:
        """Take a newer bundle and changed products at once; a running shop does so by itself."""
        if self._live is not None:
            follow(self._live, self.bundles)

    def ingest(self, file: str | Path | None = None, **wanted: Any) -> dict[str, Any]:
        """Load the inputs of the settings, or a file; `wanted` as in `engine.ingest.Wanted`."""
        from shopkeeper.engine.ingest import Wanted, ingest

        path = Path(file) if file else None
        done = ingest(self.folder, self.config, Wanted(file=path, **wanted))
        self.follow()
        return done

    def train(self, *, update: bool = False, start: Path | None = None) -> dict[str, Any]:
        """Learn from all that was loaded, or on from the bundle in use; see `engine.train`.

        `start` is the folder of another shop from whose network `sequential` begins.
        """
        from shopkeeper.engine.train import train

        if update and start is not None:
            raise BadRequest(
                "start", "An update goes on from this shop's own bundle: leave --from or --update."
            )
        done = train(self.folder, starting(self.folder, self.config, start), update=update)
        self.follow()
        return done

    def evaluate(self, seeds: Sequence[int] = (0,)) -> dict[str, Any]:
        """Measure every recommender and the fusion on a temporal split; see `engine.evaluate`."""
        from shopkeeper.engine.evaluate import evaluate

        return evaluate(self.folder, starting(self.folder, self.config), seeds)

    def search(  # noqa: PLR0913
        self,
        query: str,
        *,
        k: int = 24,
        offset: int = 0,
        filters: Mapping[str, Sequence[str]] | None = None,
        price_min: float | None = None,
        price_max: float | None = None,
        sort: str = "relevance",
        user_id: str | None = None,
        visitor_id: str | None = None,
        understand: bool = True,
        ignore: Sequence[str] = (),
        personal: bool = True,
        segments: Sequence[str] = (),
    ) -> Answer:
        """Find products by words.

        Args:
            query: What the shopper typed; empty to browse.
            k: Products on a page, from 1.
            offset: Products to skip.
            filters: Wanted values by attribute; `product_type` takes the beginning of a path.
            price_min: Lowest price, as shoppers see it.
            price_max: Highest price.
            sort: `relevance`, `price_asc`, `price_desc` or `newest`.
            user_id: The shopper, if known; see `personal`.
            visitor_id: The browser, if not.
            understand: Whether errors are mended, and prices and attributes read out of the words.
            ignore: Keys of `understood.chips` that the shopper took back.
            personal: Whether what suits the shopper may move up a little, as [search] personal
                says. A product whose title or id was typed keeps its place.
            segments: Groups of yours that the shopper is in, for rules.

        Returns:
            The page, with facets and what was understood.

        Raises:
            BadRequest: An argument is out of range or names what is not there.
            NotFitted: The shop was never trained.
        """
        self._check_size(k, offset)
        asked = Query(
            text=query[:WORDS_MAX],
            user_id=user_id,
            visitor_id=visitor_id,
            understand=understand,
            ignore=ignore,
            personal=personal,
            segments=segments,
            filters=filters or {},
        )
        page = {"k": k, "offset": offset, "price_min": price_min, "price_max": price_max}
        return search(self.live, asked, sort=sort, **page)

    def search_by_picture(self, picture: bytes, *, k: int = 24) -> Answer:
        """Find products that look like a picture file; see `engine.looks.by_picture`."""
        self._check_size(k, 0)
        return looks.by_picture(self.live, picture, k)

    def search_pictures(self, words: str, *, k: int = 24) -> Answer:
        """Find products whose pictures show what words name; see `engine.looks.by_words`."""
        self._check_size(k, 0)
        return looks.by_words(self.live, words[:WORDS_MAX], k)

    def ways(self) -> list[str]:
        """Name the ways to search that this shop has besides words: `picture`, `voice`."""
        pictures = self.live.models.pictures is not None
        return ["picture"] * pictures + ["voice"] * self.hears()

    def suggest(self, prefix: str, *, k: int = 8) -> list[dict[str, str]]:
        """Complete what is being typed: `text` and `kind` (`query`, `category` or `product`)."""
        self._check_size(k, 0)
        return [{"text": text, "kind": kind} for text, kind in self.live.complete(prefix[:100], k)]

    def recommend(  # noqa: PLR0913
        self,
        placement: str,
        *,
        k: int | None = None,
        user_id: str | None = None,
        visitor_id: str | None = None,
        items: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
        category: str = "",
        country: str = "",
        window_days: float = 0.0,
        segments: Sequence[str] = (),
    ) -> Answer:
        """Answer one place on a page.

        Args:
            placement: A name under [placements] in shop.toml, such as `home`.
            k: How many products; the placement's size by default.
            user_id: The shopper, if known.
            visitor_id: The browser, if not.
            items: The product looked at, or those in the cart.
            exclude: Products not to show.
            category: Only products of this category, and below it.
            country: Where what is hot is counted; everywhere by default.
            window_days: The window it is counted in; the recommender's own by default.
            segments: Groups of yours that the shopper is in, for rules.

        Returns:
            The page, each product with source and reason.

        Raises:
            NotFound: There is no such placement, or no such product among `items`.
            BadRequest: `k` is out of range.
            NotFitted: The shop was never trained.
        """
        place = self._place(placement)
        self._check_size(size := place.size if k is None else k, 0)
        live = self.live
        for item in items or ():
            live.catalogue.get(item)
        question = Question(
            name=placement,
            placement=place,
            k=size,
            user_id=user_id,
            visitor_id=visitor_id,
            items=items or (),
            exclude=exclude or (),
            category=category,
            country=country,
            window_days=window_days,
            segments=segments,
        )
        return recommend(live, question)

    def recommend_all(
        self, out: str | Path, placement: str = "home", *, k: int | None = None
    ) -> dict[str, Any]:
        """Write the page of every shopper to a file; see `engine.everyone`."""
        place = self._place(placement)
        self._check_size(size := place.size if k is None else k, 0)
        # Not `self.live`, which follows new bundles: all pages are of one.
        with closing(Live.load(self.folder, self.config, self.bundles)) as live:
            return recommend_all(live, placement, size, Path(out))

    def product(self, item_id: str) -> dict[str, Any]:
        """Return one product with a decimal `price`; NotFound if there is none."""
        return shown(self.live.catalogue.get(item_id))

    def products(
        self, *, k: int = 24, offset: int = 0, filters: Mapping[str, Sequence[str]] | None = None
    ) -> Answer:
        """Browse the catalogue, best sellers first."""
        return self.search("", k=k, offset=offset, filters=filters)

    def put_products(self, products: Sequence[Mapping[str, Any]]) -> int:
        """Add or change products; all or none.

        Args:
            products: Merchant Center names with a decimal `price`; a known product keeps what is
                not given. All of it counts in the next search; new products are recommended after
                the next `train`.

        Returns:
            How many were written.

        Raises:
            BadRequest: A field is wrong; `field` names it.
        """
        live = self.live
        if not products or len(products) > self.config.serving.size_max:
            raise BadRequest("products", f"products must hold 1 to {self.config.serving.size_max}.")
        with live.changing:
            rows = []
            for number, given in enumerate(products):
                if not isinstance(given, Mapping):
                    raise BadRequest(f"products[{number}]", "Each product must be an object.")
                item = str(given.get("id"))
                old = live.catalogue.get(item) if item in live.catalogue else {}
                row = product_row(given, f"products[{number}]", self.config.shop.currency, old)
                rows.append(row | {"updated": datetime.now(UTC)})
            live.put(rows)
        return len(rows)

    def add_events(self, events: Sequence[Mapping[str, Any]]) -> Receipt:
        """Take events; they are on disk when this returns, and count in the next answer.

        Args:
            events: GA4 names and fields; see the reference of events.

        Returns:
            How many were new, and how many were known by their `event_id`.

        Raises:
            BadRequest: One is wrong; `field` names it, and none was taken.
        """
        live = self.live
        money = self.config.shop.currency
        rows = normalise(events, datetime.now(UTC), live.catalogue.__contains__, currency=money)
        for row in rows:
            row["time"] = live.clock.shop_time(row["time"])
        if live.log is None:
            raise ShopkeeperError(
                "Another process serves this shop and writes its events. Post them there."
            )
        done = live.log.append(rows)
        live.state.append(done.rows)
        return Receipt(accepted=done.events, duplicates=done.duplicates)

    def shoppers(self, k: int = 12) -> list[dict[str, Any]]:
        """Name a few shoppers to walk as: `user_id`, `events`, `note` on what they buy.

        None unless [serving] walk is on: histories are for the shoppers themselves.
        """
        return self.live.walkers(k) if self.config.serving.walk else []

    def history(
        self, user_id: str | None, visitor_id: str | None = None, k: int = 12
    ) -> list[dict[str, Any]]:
        """List what a shopper did last, newest first: `item_id`, `title`, `event_name`, `time`."""
        steps = self.live.state.recent(user_id, visitor_id, k)
        titles = _titles(self.live.products(item for item, _, _ in steps))
        return [
            {"item_id": item, "title": titles.get(item, item), "event_name": name, "time": at}
            for item, name, at in steps
        ]

    def profile(self, user_id: str) -> dict[str, Any]:
        """Return what the shop may say of a shopper, plain JSON; NotFound if it knows none."""
        from shopkeeper.engine.shoppers import Shoppers

        return Shoppers(self.folder, self.config).profile(user_id)

    def placements(self) -> list[str]:
        """Name the placements that `recommend` answers."""
        return list(self.config.placements)

    def ready(self) -> dict[str, Any]:
        """Say which bundle answers and what it holds; NotFitted before the first `train`."""
        live = self.live
        return {
            "bundle": live.version,
            "products": len(live.catalogue),
            "recommenders": sorted(live.recommenders),
            "shop_time": live.clock.now().isoformat(timespec="seconds"),
        }

    def warm(self) -> None:
        """Load everything and answer each kind of question once, so that no shopper waits.

        Says ShopkeeperError if another process serves this shop already.

        A shop that was never trained stays cold: it says so when it is asked.
        """
        try:
            self.search("warm up", k=1)
        except NotFitted:
            return
        if self.live.log is None:
            raise ShopkeeperError("Another process serves this shop already. Stop it first.")
        self.suggest("w")
        item = self.live.catalogue.table[PRODUCT_ID][0]
        shoppers = self.live.walkers(1)
        for placement in self.placements():
            self.recommend(placement, items=[item])
            for shopper in shoppers:
                self.recommend(placement, user_id=shopper["user_id"])

    def _place(self, name: str) -> Placement:
        if name not in self.config.placements:
            raise NotFound(str(unknown("placement", name[:80], self.config.placements)))
        return self.config.placements[name]

    def _check_size(self, k: int, offset: int) -> None:
        most = self.config.serving.size_max
        if not 1 <= k <= most:
            raise BadRequest("k", f"k must be from 1 to {most}, got {k}.")
        if not 0 <= offset <= 100 * most:
            raise BadRequest("offset", f"offset must be from 0 to {100 * most}, got {offset}.")


def _titles(products: Mapping[str, dict[str, Any]]) -> dict[str, str]:
    return {item: row["title"] or item for item, row in products.items() if row[PRODUCT_ID]}
