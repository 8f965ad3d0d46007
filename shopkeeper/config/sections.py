"""The sections of `shop.toml`; the string below a field is its comment in the file."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from shopkeeper.config.placements import PLACEMENTS, Placement

ORIGIN = re.compile(r"https?://[^/?#\s@*]+")


def _at_least(section: Any, **bounds: float) -> None:
    for name, low in bounds.items():
        if getattr(section, name) < low:
            raise ValueError(f"{name} must be at least {low}, got {getattr(section, name)}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShopSection:
    """Who the shop is."""

    name: str = "My shop"
    """Shown on every page."""
    currency: str = "USD"
    """ISO 4217 code of prices that come without one."""
    languages: tuple[str, ...] = ()
    """Languages of titles and queries, such as ["en", "zh"]; empty means those that titles are in.
    A shop in English alone gets the English text encoder, any other the one of many languages."""
    notice: str = ""
    """A line at the foot of every page, such as the licence of the data."""
    clock: str = "live"
    """`live`, or `replay` for a shop that lives on from where an old log ended."""

    def __post_init__(self) -> None:
        if self.clock not in ("live", "replay"):
            raise ValueError(f"clock must be live or replay, got {self.clock!r}.")
        for code in self.languages:
            if not re.fullmatch("[a-z]{2}", code):
                raise ValueError(f"languages must be ISO 639-1 codes like en, got {code!r}.")
        if not re.fullmatch("[A-Z]{3}", self.currency):
            raise ValueError(f"currency must be an ISO 4217 code like USD, got {self.currency!r}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSection:
    """How data is loaded; what is loaded stands under [inputs]."""

    strict: bool = False
    """Whether a check beyond its threshold stops a load before anything is published."""
    engine: str = "duckdb"
    """Who cleans: `duckdb` in this process, or `spark` where a cluster is."""
    spark_master: str = "local[*]"
    """The Spark cluster to clean on."""
    anomalies: bool = True
    """Whether a load ends with a look for bots, test orders and other unusual behaviour."""
    categories: str = "fill"
    """`fill` gives products without a category that of the products most like them, where it is
    sure; `off` leaves them without."""

    def __post_init__(self) -> None:
        if self.categories not in ("fill", "off"):
            raise ValueError(f"categories must be fill or off, got {self.categories!r}.")
        if self.engine not in ("duckdb", "spark"):
            raise ValueError(f"engine must be duckdb or spark, got {self.engine!r}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Input:
    """One file, folder or pattern of files that is loaded, and who reads it."""

    source: str = ""
    """A name from `shopkeeper list data.sources`."""
    file: str = ""
    """The file, the folder, or a pattern such as exports/*.json; empty for a source that brings
    its own data."""
    load: str = "changes"
    """`changes` adds and replaces rows; `full` also removes products that the file lacks."""
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Settings of the source for this input, before those of its own section."""

    def __post_init__(self) -> None:
        if not self.source:
            raise ValueError('source must name who reads the file, such as "merchant_center".')
        if self.load not in ("changes", "full"):
            raise ValueError(f"load must be changes or full, got {self.load!r}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoreSection:
    """Where tables are kept, and how much of the machine that may take."""

    url: str = ""
    """SQLAlchemy URL of the records; empty means `shop.db` in the shop's folder."""
    memory_mb: int = 1500
    """Memory for cleaning and reading big tables."""
    threads: int = 2
    """Threads for cleaning and reading big tables."""

    def __post_init__(self) -> None:
        _at_least(self, memory_mb=100, threads=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainSection:
    """How models learn."""

    recommenders: tuple[str, ...] = (
        "popular",
        "trending",
        "repeat",
        "item_knn",
        "ease",
        "sequential",
        "bought_together",
        "content",
        "best_sellers",
        "new_arrivals",
    )
    """Which recommenders to train; names from `shopkeeper list recommenders`."""
    fused: tuple[str, ...] = (
        "popular",
        "repeat",
        "item_knn",
        "ease",
        "sequential",
        "content",
    )
    """Whose candidates the ranker learns to order."""
    last_basket: tuple[str, ...] = ("item_knn",)
    """Which of them are also asked what they say of the shopper's last basket alone."""
    features: tuple[str, ...] = (
        "sources",
        "shopper_product",
        "repurchase",
        "product_trend",
        "shopper",
        "category",
    )
    """What the ranker looks at; names from `shopkeeper list features`."""
    ranker: str = "gbdt"
    """A name from `shopkeeper list ranking`."""
    period_days: int = 28
    """Length of one held-back period; the ranker learns on such periods."""
    period_step_days: int = 28
    """Days from one held-back period to the next; whole weeks, so that all begin on one weekday."""
    periods: int = 3
    """How many held-back periods the ranker learns on."""
    label_baskets: int = 2
    """How many of a shopper's next baskets within a period the ranker should foresee."""
    label_baskets_new: int = 10
    """The same for products that are new to the shopper, which are seldom bought."""
    new_weight: float = 2.0
    """What a product counts that is new to the shopper, beside 1 for one bought before."""
    candidates: int = 60
    """How many products each recommender proposes to the ranker; `repeat` twice as many."""
    history_max: int = 1000
    """How many of a shopper's newest events count."""
    requests_max: int = 4000
    """How many shoppers of a held-back period the ranker learns from at most."""
    events_max: int = 5_000_000
    """How many of the newest events are learned from; bounds memory."""
    update_loss_max: float = 0.03
    """`train --update` publishes only if the 95 % interval rules out a greater loss of NDCG for
    shoppers of the bundle in use, as a share."""
    seed: int = 0
    """Same seed and data, same models."""

    def __post_init__(self) -> None:
        if not self.features or not self.fused:
            raise ValueError("features and fused must each name at least one part.")
        if not 0 <= self.update_loss_max < 1:
            raise ValueError(f"update_loss_max must be in [0, 1), got {self.update_loss_max}.")
        if self.new_weight < 0:
            raise ValueError(f"new_weight must be at least 0, got {self.new_weight}.")
        _at_least(
            self,
            period_days=1,
            period_step_days=1,
            periods=1,
            label_baskets=1,
            label_baskets_new=1,
            candidates=1,
            history_max=1,
            requests_max=10,
            events_max=1000,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class VectorsSection:
    """What likeness of products rests on: their texts, pictures, and who wanted them."""

    behaviour: int = 128
    """How many numbers tell what a product was wanted with; 0 leaves that out."""
    few_events: float = 5.0
    """A product wanted so often is known half by that, half by what products like it were wanted
    with; a new one by the latter alone."""
    weights: tuple[float, ...] = ()
    """What text, pictures and behaviour count, such as [0.5, 0.5, 1.0]; empty chooses by what
    finds most of held-back baskets."""

    def __post_init__(self) -> None:
        _at_least(self, behaviour=0)
        if not self.few_events > 0:
            raise ValueError(f"few_events must be above 0, got {self.few_events}.")
        if self.weights and (
            len(self.weights) != 3 or min(self.weights) < 0 or not max(self.weights) > 0
        ):
            raise ValueError(
                "weights must be three numbers of at least 0 for text, pictures and behaviour, not "
                f"all 0, or empty; got {list(self.weights)}."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchSection:
    """How words and pictures find products."""

    index: str = "learned"
    """A name from `shopkeeper list search.indexes`; `learned` is `hybrid` with an order learned
    from past searches, where there are enough of them and it helps."""
    encoder: str = ""
    """A name from `shopkeeper list encoders`, whatever the languages; empty chooses by [shop]
    languages: `minilm` for English, `e5` for others. `hashing` needs no training extra."""
    cross: str = ""
    """A name from `shopkeeper list encoders.cross`: it reads the query beside each of the best 50
    products and orders them, some 100 ms a search; empty for none."""
    pictures: str = "efficientnet_lite"
    """A name from `shopkeeper list encoders.images`, for products whose image_link is a file; empty
    to leave pictures alone."""
    speech: str = "whisper"
    """Who hears a search by voice; a name from `shopkeeper list encoders.speech`."""
    personal: float = 0.1
    """How far a product may move up for a shopper who leans to it, as a share of the best score;
    0 shows everyone the same."""

    def __post_init__(self) -> None:
        if not 0 <= self.personal <= 0.5:
            raise ValueError(f"personal must be from 0 to 0.5, got {self.personal}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServingSection:
    """How the shop answers over HTTP."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 opens the shop to the network, once `shopkeeper keys add`
    made a key."""
    port: int = 8000
    """Port to listen on."""
    size_max: int = 1000
    """The most results one request may ask for."""
    body_mb_max: float = 5.0
    """The largest request body."""
    origins: tuple[str, ...] = ()
    """Sites whose pages may use the API from a browser, such as https://shop.example; the tag of
    `docs/how-to/send-events-from-any-page.md` needs it."""
    walk: bool = False
    """Whether visitors may walk as one of the shop's shoppers; for demos only."""
    segment_mb: int = 16
    """Size at which the event log begins a new file."""
    batch_shoppers: int = 256
    """How many shoppers `recommend --all` answers at once; bounds its memory."""
    traces: int = 200
    """How many of the newest answers can be explained; they are kept in memory, some 20 kB each."""

    def __post_init__(self) -> None:
        _at_least(self, port=0, size_max=1, segment_mb=1, batch_shoppers=1, traces=0)
        for origin in self.origins:
            if not ORIGIN.fullmatch(origin):
                raise ValueError(
                    "origins must be like https://shop.example, without a path or a slash at the "
                    f"end, got {origin[:80]}."
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationSection:
    """How lists are judged."""

    split: str = ""
    """First day of the judged period, such as 2011-11-09; empty means the last `period_days`."""
    k: int = 10
    """How many products of a list count."""
    resamples: int = 1000
    """How many resamples the intervals rest on."""
    floor_window_days: int = 30
    """The popular floor counts this many days."""

    def __post_init__(self) -> None:
        _at_least(self, k=1, resamples=100, floor_window_days=1)


SECTIONS: dict[str, type[Any]] = {
    "shop": ShopSection,
    "data": DataSection,
    "store": StoreSection,
    "train": TrainSection,
    "vectors": VectorsSection,
    "search": SearchSection,
    "serving": ServingSection,
    "evaluation": EvaluationSection,
}


@dataclasses.dataclass(frozen=True)
class Config:
    """All settings of one shop."""

    shop: ShopSection = ShopSection()
    data: DataSection = DataSection()
    store: StoreSection = StoreSection()
    train: TrainSection = TrainSection()
    vectors: VectorsSection = VectorsSection()
    search: SearchSection = SearchSection()
    serving: ServingSection = ServingSection()
    evaluation: EvaluationSection = EvaluationSection()
    inputs: Mapping[str, Input] = dataclasses.field(default_factory=dict)
    placements: Mapping[str, Placement] = dataclasses.field(default_factory=lambda: PLACEMENTS)
    parts: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    """Settings of parts that differ from their defaults, by address such as `recommenders.ease`."""

    def part(self, shelf: str, name: str) -> dict[str, Any]:
        """Return the settings of one part, for `registry.build`."""
        return dict(self.parts.get(f"{shelf}.{name}", {}))
