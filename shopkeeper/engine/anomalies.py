"""Unusual behaviour of a shop: found and kept, listed, let go or held back by a person.

What is found stands in the lake, what a person decided in the records; `known` reads both when
models learn. Serving is not touched: a masked shopper is answered like everybody.
"""

from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl

from shopkeeper.config import Config
from shopkeeper.data import anomalies
from shopkeeper.data.anomalies import MASK, RELEASE
from shopkeeper.engine.known import decided_of, detector_settings, lake_of, records_of
from shopkeeper.errors import NotFound
from shopkeeper.schema import USER
from shopkeeper.store.lake import Lake
from shopkeeper.tracing import stage


def find(folder: Path, config: Config, lake: Lake | None = None) -> dict[str, Any]:
    """Look at the whole log with every detector, and keep what was found.

    Args:
        folder: The shop's folder.
        config: Its settings.
        lake: The shop's lake, where it is open already.

    Returns:
        `kinds` as rows of `kind`, `found`, `action`; `summary` in one sentence.

    Raises:
        BadConfig: A setting of a detector is wrong.
        BadData: A file of the lake is broken.
    """
    lake = lake or lake_of(folder, config)
    with stage("anomalies"):
        rows = anomalies.find(
            lake.table("events"), lake.table("products"), detector_settings(config)
        )
        # An anomaly of a shopper is the shopper's, and is forgotten with the rest.
        of_shopper = pl.when(pl.col("subject") == USER).then(pl.col("id"))
        lake.replace("anomalies", rows.with_columns(of_shopper.alias(USER)))
    decided = decided_of(folder, config, lake)
    kinds = decided.group_by("kind", "action").len("found").sort("kind", "action")
    held = decided.filter(pl.col("action").is_in([MASK, anomalies.DOWN_WEIGHT])).height
    return {
        "kinds": kinds.select("kind", "action", "found").to_dicts(),
        "summary": (
            f"{rows.height:,} anomalies found, {held:,} of them held back from learning. "
            "See them with `shopkeeper anomalies list`."
        ),
    }


def listed(folder: Path, config: Config, kind: str = "") -> pl.DataFrame:
    """Return what was found and what becomes of it, plainest first within a kind.

    Args:
        folder: The shop's folder.
        config: Its settings.
        kind: One detector, or all.

    Returns:
        `data.anomalies.DECIDED` rows.
    """
    rows = decided_of(folder, config, lake_of(folder, config))
    return rows.filter(pl.col("kind") == kind) if kind else rows


def shown(folder: Path, config: Config, kind: str, id: str) -> list[dict[str, Any]]:
    """Return one anomaly; several where one id is of a user and of a visitor.

    Args:
        folder: The shop's folder.
        config: Its settings.
        kind: The detector.
        id: Who or what was found.

    Returns:
        At least one row of `data.anomalies.DECIDED`.

    Raises:
        NotFound: There is no such anomaly.
    """
    rows = listed(folder, config, kind).filter(pl.col("id") == id)
    if rows.is_empty():
        raise NotFound(
            f"There is no anomaly of kind '{kind}' with the id '{id[:80]}'. "
            "`shopkeeper anomalies list` names them all."
        )
    return rows.to_dicts()


def release(folder: Path, config: Config, kind: str, id: str, by: str = "") -> dict[str, Any]:
    """Let an anomaly count as normal, whatever its detector says from now on.

    Args:
        folder: The shop's folder.
        config: Its settings.
        kind: The detector.
        id: Who or what was found.
        by: The person who says so.

    Returns:
        `kind`, `id`, `action`, and `summary` in one sentence.

    Raises:
        NotFound: There is no such anomaly.
    """
    return _say(folder, config, kind, id, RELEASE, by)


def hold(folder: Path, config: Config, kind: str, id: str, by: str = "") -> dict[str, Any]:
    """Hold an anomaly back from learning, also where its detector only watches.

    Args:
        folder: The shop's folder.
        config: Its settings.
        kind: The detector.
        id: Who or what was found.
        by: The person who says so.

    Returns:
        `kind`, `id`, `action`, and `summary` in one sentence.

    Raises:
        NotFound: There is no such anomaly.
    """
    return _say(folder, config, kind, id, MASK, by)


def _say(folder: Path, config: Config, kind: str, id: str, action: str, by: str) -> dict[str, Any]:
    rows = shown(folder, config, kind, id)
    with closing(records_of(folder, config)) as records:
        for row in rows:
            records.override(kind, row["subject"], id, action, by)
    what = "counts as normal again" if action == RELEASE else "is held back"
    return {
        "kind": kind,
        "id": id,
        "action": action,
        "summary": f"'{id}' {what} from the next `shopkeeper train` on.",
    }
