"""What may be set in `shop.toml`, the only settings file of a shop.

Every section is a frozen dataclass here, or the `Config` of a part on a shelf, handed in by the
caller. The string below a field becomes its comment in the file. Knows no part by name.
"""

import ast
import dataclasses
import inspect
import itertools
import json
import textwrap
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shopkeeper.errors import BadConfig, NotFound, unknown

FILE = "shop.toml"


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
    notice: str = ""
    """A line at the foot of every page, such as the licence of the data."""
    clock: str = "live"
    """`live`, or `replay` for a shop that lives on from where an old log ended."""

    def __post_init__(self) -> None:
        if self.clock not in ("live", "replay"):
            raise ValueError(f"clock must be live or replay, got {self.clock!r}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSection:
    """Where products and events come from."""

    source: str = "complete_journey"
    """A name from `shopkeeper list data.sources`."""
    file: str = ""
    """The file or folder to read; empty for a source that brings its own data."""


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
        "product_trend",
        "shopper",
        "category",
    )
    """What the ranker looks at; names from `shopkeeper list features`."""
    ranker: str = "gbdt"
    """A name from `shopkeeper list ranking`."""
    period_days: int = 30
    """Length of one held-back period; the ranker learns on such periods."""
    period_step_days: int = 30
    """How many days lie between the beginnings of two held-back periods."""
    periods: int = 3
    """How many held-back periods the ranker learns on."""
    label_baskets: int = 3
    """How many of a shopper's next baskets within a period the ranker should foresee."""
    new_weight: float = 3.0
    """What a product counts that is new to the shopper, beside 1 for one bought before."""
    candidates: int = 100
    """How many products each recommender proposes to the ranker."""
    history_max: int = 1000
    """How many of a shopper's newest events count."""
    requests_max: int = 4000
    """How many shoppers of a held-back period the ranker learns from at most."""
    events_max: int = 5_000_000
    """How many of the newest events are learned from; bounds memory."""
    seed: int = 0
    """Same seed and data, same models."""

    def __post_init__(self) -> None:
        _at_least(
            self,
            period_days=1,
            period_step_days=1,
            periods=1,
            label_baskets=1,
            candidates=1,
            history_max=1,
            requests_max=10,
            events_max=1000,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchSection:
    """How words find products."""

    index: str = "hybrid"
    """A name from `shopkeeper list search.indexes`."""
    encoder: str = "minilm"
    """A name from `shopkeeper list encoders`; `hashing` needs no training extra."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServingSection:
    """How the shop answers over HTTP."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 opens the shop to the network."""
    port: int = 8000
    """Port to listen on."""
    size_max: int = 1000
    """The most results one request may ask for."""
    body_mb_max: float = 5.0
    """The largest request body."""
    segment_mb: int = 16
    """Size at which the event log begins a new file."""

    def __post_init__(self) -> None:
        _at_least(self, port=0, size_max=1, segment_mb=1)


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Placement:
    """One place on a page that shows products."""

    sources: tuple[str, ...] = ("popular",)
    """Recommenders that bring candidates; without a ranker the first comes first."""
    ranker: bool = False
    """Whether the trained ranker orders the candidates."""
    policies: tuple[str, ...] = ("stock", "dismissed")
    """What may be shown; names from `shopkeeper list policies`, applied in this order."""
    size: int = 12
    """How many products to show unless the request says otherwise."""

    def __post_init__(self) -> None:
        _at_least(self, size=1)
        if not self.sources:
            raise ValueError("sources must name at least one recommender, but is empty.")


FUSED = ("repeat", "sequential", "ease", "item_knn", "content", "popular")
PLACEMENTS = {
    "home": Placement(sources=FUSED, ranker=True, policies=("stock", "dismissed", "variety")),
    "similar": Placement(sources=("content", "item_knn"), policies=("stock", "dismissed")),
    "bought_together": Placement(sources=("bought_together", "item_knn")),
    "trending": Placement(sources=("trending", "popular")),
    "buy_again": Placement(sources=("repeat",)),
}
SECTIONS: dict[str, type[Any]] = {
    "shop": ShopSection,
    "data": DataSection,
    "store": StoreSection,
    "train": TrainSection,
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
    search: SearchSection = SearchSection()
    serving: ServingSection = ServingSection()
    evaluation: EvaluationSection = EvaluationSection()
    placements: Mapping[str, Placement] = dataclasses.field(default_factory=lambda: PLACEMENTS)
    parts: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    """Settings of parts that differ from their defaults, by address such as `recommenders.ease`."""

    def part(self, shelf: str, name: str) -> dict[str, Any]:
        """Return the settings of one part, for `registry.build`."""
        return dict(self.parts.get(f"{shelf}.{name}", {}))


def read(path: Path, parts: Mapping[str, type[Any]]) -> Config:
    """Read a `shop.toml`.

    Args:
        path: The file.
        parts: The `Config` class of every part, by address such as `recommenders.ease`.

    Returns:
        The settings, with defaults where the file is silent.

    Raises:
        NotFound: There is no such file.
        BadConfig: It is not TOML, or a name or value is wrong; says the nearest right name.
    """
    if not path.is_file():
        raise NotFound(
            f"There is no {FILE} in '{path.parent}'. Make a shop with `shopkeeper init`."
        )
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfig(f"'{path}' is not TOML: {error}. Mend that line.") from error
    known = {**SECTIONS, **parts}
    given = dict(_sections(table, frozenset(parts)))
    placements = dict(PLACEMENTS)
    for address in [name for name in given if name.startswith("placements.")]:
        name = address.removeprefix("placements.")
        base = dataclasses.asdict(placements[name]) if name in placements else {}
        placements[name] = _fill(Placement, given.pop(address), address, base)
    for address in given:
        if address not in known:
            raise unknown("section", address, [*known, *(f"placements.{n}" for n in placements)])
    filled = {address: _fill(known[address], rows, address, {}) for address, rows in given.items()}
    return Config(
        **{name: filled.get(name, section()) for name, section in SECTIONS.items()},
        placements=placements,
        parts={
            address: {key: getattr(filled[address], key) for key in given[address]}
            for address in given
            if address in parts
        },
    )


def write(config: Config, parts: Mapping[str, type[Any]]) -> str:
    """Return the text of a `shop.toml` with every setting, its value and a comment.

    Args:
        config: The values of sections and placements.
        parts: The `Config` class of every part, by address.

    Returns:
        TOML that `read` turns into the same settings.
    """
    blocks = ["# Settings of one shop. Every default is written out; delete what you keep as is."]
    for name, section in SECTIONS.items():
        blocks.append(_block(name, section, dataclasses.asdict(getattr(config, name))))
    for name, placement in config.placements.items():
        blocks.append(_block(f"placements.{name}", Placement, dataclasses.asdict(placement)))
    for address, part in sorted(parts.items()):
        values = {
            **{field.name: _default(field) for field in dataclasses.fields(part)},
            **config.parts.get(address, {}),
        }
        if values:
            blocks.append(_block(address, part, values))
    return "\n\n".join(blocks) + "\n"


def comments(section: type[Any]) -> dict[str, str]:
    """Return the string below each field of a settings class, by field."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(section)))
    body = typing.cast(ast.ClassDef, tree.body[0]).body
    found = {}
    for field, below in itertools.pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            found[field.target.id] = " ".join(str(below.value.value).split())
    return found


def _block(name: str, section: type[Any], values: Mapping[str, Any]) -> str:
    notes = comments(section)
    lines = [f"[{name}]"]
    for key, value in values.items():
        lines += [f"# {notes[key]}"] if key in notes else []
        lines.append(f"{key} = {_toml(value)}")
    return "\n".join(lines)


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _sections(
    table: Mapping[str, Any], parts: frozenset[str], prefix: str = ""
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every section of a TOML table that holds values, by dotted address."""
    values = {key: value for key, value in table.items() if not isinstance(value, dict)}
    if prefix in parts:
        yield prefix, dict(table)
        return
    if values or (prefix and not table):
        yield prefix or "(top of the file)", values
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _sections(value, parts, f"{prefix}.{key}" if prefix else key)


def _fill(section: type[Any], given: Mapping[str, Any], name: str, base: Mapping[str, Any]) -> Any:
    hints = typing.get_type_hints(section)
    values = dict(base)
    for key, value in given.items():
        if key not in hints:
            raise unknown(f"setting of [{name}]", key, hints)
        values[key] = _cast(value, hints[key], f"[{name}] {key}")
    try:
        return section(**values)
    except ValueError as error:
        raise BadConfig(f"[{name}] {error}") from error


def _cast(value: Any, wanted: Any, where: str) -> Any:
    """Check a TOML value against a type hint; lists become tuples, whole numbers floats."""
    origin = typing.get_origin(wanted)
    if origin in (typing.Union, types.UnionType):
        wanted = next(kind for kind in typing.get_args(wanted) if kind is not type(None))
        return _cast(value, wanted, where)
    if origin in (tuple, list) and isinstance(value, list):
        inner = typing.get_args(wanted)[0]
        return tuple(_cast(item, inner, where) for item in value)
    if origin is dict and isinstance(value, dict):
        return value
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    kind = origin or wanted
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        name = getattr(kind, "__name__", str(kind))
        raise BadConfig(f"{where} must be {name}, but is {value!r}. Change it in {FILE}.")
    return value
