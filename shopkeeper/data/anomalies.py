"""What behaves unusually in a shop's log, and what models may learn of it.

Every detector of the shelf looks at the whole log; what it finds is kept with a sentence for
people. Its settings say what becomes of it, and a person's word stands above them. Nothing is
deleted: a mask is a filter on what is read, so that all can be taken back. Knows no models.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from shopkeeper import registry, schema
from shopkeeper.errors import BadConfig
from shopkeeper.tracing import stage

if TYPE_CHECKING:
    import ibis

SHELF = "data.detectors"
MASK, DOWN_WEIGHT, WATCH, RELEASE = "mask", "down_weight", "watch", "release"
KEY = ("kind", "subject", "id")
DECIDED: dict[str, schema.Dtype] = {
    **schema.ANOMALIES,
    "action": pl.String,
    "keep_share": pl.Float64,
}
"""Anomalies with what becomes of them; a row that only a person named has no score."""
HEX_DIGITS = 8
"""Digits of an event's hash by which it is kept or left out."""


class Detector(Protocol):
    """Finds one kind of unusual behaviour. One file in `data/detectors` for each."""

    config: Any
    """Settings, with `action` and `keep_share` among them."""

    def find(self, events: "ibis.Table", products: "ibis.Table") -> pl.DataFrame:
        """Return `schema.ANOMALIES` rows, plainest first; `events` is never loaded whole."""


def find(
    events: "ibis.Table",
    products: "ibis.Table",
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> pl.DataFrame:
    """Ask every detector.

    Args:
        events: `schema.EVENTS` rows.
        products: `schema.PRODUCTS` rows.
        settings: Settings of detectors by name.

    Returns:
        `schema.ANOMALIES` rows by kind, plainest first.

    Raises:
        BadConfig: A setting is wrong.
    """
    parts = [schema.empty(schema.ANOMALIES)]
    for name in registry.names(SHELF):
        with stage(name):
            rows = _detector(name, settings or {}).find(events, products)
        named = rows.with_columns(pl.lit(name).alias("kind"))
        parts.append(schema.conform(named, schema.ANOMALIES))
    return pl.concat(parts)


def decide(
    found: pl.DataFrame, overrides: pl.DataFrame, settings: Mapping[str, Mapping[str, Any]]
) -> pl.DataFrame:
    """Add what becomes of each anomaly.

    Args:
        found: `schema.ANOMALIES` rows.
        overrides: `kind`, `subject`, `id` and `action`, which is `mask` or `release`; it counts
            before the detector's own, and where nothing is found any more.
        settings: Settings of detectors by name.

    Returns:
        `DECIDED` rows, those that a person named alone at the end.
    """
    configs = {name: _config(name, settings) for name in sorted(set(found["kind"]))}
    acting = pl.DataFrame(
        [
            (name, getattr(config, "action", WATCH), getattr(config, "keep_share", 1.0))
            for name, config in configs.items()
        ],
        schema={"kind": pl.String, "_action": pl.String, "keep_share": pl.Float64},
        orient="row",
    )
    rows = found.join(acting, on="kind", how="left", maintain_order="left")
    said = overrides.select(*KEY, "action")
    rows = rows.join(said, on=KEY, how="left", maintain_order="left")
    rows = rows.with_columns(pl.coalesce("action", "_action").alias("action"))
    alone = said.join(found, on=KEY, how="anti").with_columns(
        pl.lit("Named by a person; the detectors do not find it now.").alias("evidence")
    )
    return pl.concat([schema.conform(rows, DECIDED), schema.conform(alone, DECIDED)])


def learned(events: "ibis.Table", decided: pl.DataFrame) -> "ibis.Table":
    """Leave out what is masked, and thin what is down-weighted.

    Which events of a thinned shopper stay depends on their ids alone, so they are the same on
    every engine and at every time, and with a larger share the same and more.

    Args:
        events: `schema.EVENTS` rows.
        decided: What `decide` returned.

    Returns:
        The events to learn from; the expression itself where nothing is left out.
    """
    import ibis

    for (subject,), rows in decided.group_by("subject", maintain_order=True):
        if subject not in events.columns:
            continue
        masked = rows.filter(pl.col("action") == MASK).select("id").unique().sort("id")
        if masked.height:
            listed = ibis.memtable(masked.rename({"id": "_masked"}))
            events = events.anti_join(listed, events[str(subject)] == listed["_masked"])
        thinned = rows.filter(pl.col("action") == DOWN_WEIGHT)
        if thinned.height:
            events = _thinned(events, str(subject), thinned)
    return events


def acts(decided: pl.DataFrame) -> bool:
    """Return whether anything is left out of what models learn from."""
    return bool(decided["action"].is_in([MASK, DOWN_WEIGHT]).any())


def _thinned(events: "ibis.Table", subject: str, thinned: pl.DataFrame) -> "ibis.Table":
    """Keep the events of some subjects whose hash falls below their share."""
    import ibis

    below = (
        thinned.group_by("id").agg(pl.col("keep_share").min())
        .select(
            pl.col("id").alias("_thinned"),
            pl.col("keep_share").map_elements(_hex, return_dtype=pl.String).alias("_below"),
        )
        .sort("_thinned")
    )  # fmt: skip
    listed = ibis.memtable(below)
    rows = events.left_join(listed, events[subject] == listed["_thinned"])
    mark = rows[schema.EVENT_ID].fill_null("").hexdigest("md5").left(HEX_DIGITS)
    kept = rows.filter(rows["_below"].isnull() | (mark < rows["_below"]))
    return kept.drop("_thinned", "_below")


def _hex(share: float) -> str:
    """Return the first hash that does not fall below a share; `g` is above every digit."""
    return "g" if share >= 1 else f"{int(share * 16**HEX_DIGITS):0{HEX_DIGITS}x}"


def _detector(name: str, settings: Mapping[str, Mapping[str, Any]]) -> Detector:
    made: Detector = registry.build(SHELF, name, **settings.get(name, {}))
    return made


def _config(name: str, settings: Mapping[str, Mapping[str, Any]]) -> Any:
    """Return the settings of a detector; None for one that is not installed any more."""
    if name not in registry.names(SHELF):
        return None
    try:
        return registry.find(SHELF, name).Config(**settings.get(name, {}))
    except (TypeError, ValueError) as error:
        raise BadConfig(f"[{SHELF}.{name}] {error}") from error
