"""Looks at refused rows, and judges them again after a fix."""

from pathlib import Path
from typing import Any

import polars as pl

from shopkeeper import registry
from shopkeeper.config import Config
from shopkeeper.data import quarantine
from shopkeeper.data.cleaning import build_checks
from shopkeeper.data.quarantine import Chosen
from shopkeeper.engine.ingest import checks_of, fill_records
from shopkeeper.engine.known import lake_of
from shopkeeper.errors import NotFound
from shopkeeper.tracing import stage


def counts(folder: Path, config: Config, chosen: Chosen) -> list[dict[str, Any]]:
    """Return how many rows were refused by input, table and reason, most first."""
    found: list[dict[str, Any]] = quarantine.counts(lake_of(folder, config), chosen).to_dicts()
    return found


def rows(folder: Path, config: Config, chosen: Chosen, limit: int) -> pl.DataFrame:
    """Return at most `limit` refused rows with their places."""
    return quarantine.rows(lake_of(folder, config), chosen, limit)


def replay(
    folder: Path, config: Config, chosen: Chosen, fixed: Path | None = None
) -> dict[str, int]:
    """Judge refused rows again by the settings of now, and load what is sound.

    Args:
        folder: The shop's folder.
        config: Its settings; thresholds of checks may have changed since the rows were refused.
        chosen: Which rows.
        fixed: Corrected rows, as `rows` gave them, one JSON object a line.

    Returns:
        `judged`, `accepted` and `refused`, all counts of rows.

    Raises:
        NotFound: No refused row is meant.
        BadData: The corrected rows cannot be read.
    """
    lake = lake_of(folder, config)
    with stage("replay"):
        held = quarantine.rows(lake, chosen, quarantine.ROWS_MAX + 1)
        if fixed is not None:
            held = quarantine.corrected(fixed.read_text("utf-8"), held)
        if held.is_empty():
            raise NotFound("No refused row is meant. See them by `shopkeeper quarantine list`.")
        total = {"judged": 0, "accepted": 0, "refused": 0}
        for (name,), part in held.group_by("source", maintain_order=True):
            given = config.inputs.get(str(name))
            source = given.source if given else str(name)
            known = source in registry.names("data.sources")
            found = registry.find("data.sources", source) if known else None
            settings = checks_of(config, getattr(found, "check_settings", {}))
            done = quarantine.replay(lake, part, build_checks(settings, ()), str(name))
            total = {what: total[what] + num for what, num in done.items()}
        fill_records(folder, config, lake)
    return total
