"""`shopkeeper benchmark`: measure one recommender on a file, without a shop."""

from pathlib import Path
from typing import Annotated, Any

import typer

from shopkeeper.cli._show import emit, table
from shopkeeper.errors import BadConfig
from shopkeeper.evaluation.leave_one_out import benchmark


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("benchmark")(measure)


def measure(
    recommender: Annotated[str, typer.Argument(help="A name from `shopkeeper list recommenders`.")],
    file: Annotated[
        Path, typer.Argument(help="S3-Rec text, or Parquet with user, item, pos or time.")
    ],
    seeds: Annotated[int, typer.Option(min=1, max=20, help="How many seeds, from 0.")] = 1,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Stop learning after so many minutes a seed.")
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the recommender, name=value.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on one line.")
    ] = False,
) -> None:
    """Measure a recommender leave-one-out: last product = test, all products ranked.

    Ids are relabelled at random, products seen before are left out of the ranking, and ties count
    against us.

    Example: shopkeeper benchmark sequential beauty.txt --seeds 3 --minutes 30 --json
    """
    found = benchmark(
        recommender, file, seeds=range(seeds), minutes=minutes, settings=_settings(setting or [])
    )
    if json:
        emit(found)
        return
    plain = {key: value for key, value in found.items() if not isinstance(value, dict | list)}
    table(f"{recommender} on {file.name}", [{"what": key, "value": v} for key, v in plain.items()])
    for key, value in found.items():
        if isinstance(value, dict):
            table(key, [{"metric": name, "value": v} for name, v in value.items()])


def _settings(given: list[str]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals:
            raise BadConfig(f"--set takes name=value, got '{pair}'. Write it as {pair}=VALUE.")
        settings[name] = _value(value)
    return settings


def _value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
