"""`shopkeeper benchmark clicks`: do rankers foretell clicks and sales, and how truly?"""

from pathlib import Path
from typing import Annotated, Any

import typer

from shopkeeper.cli._given import settings_of
from shopkeeper.cli._show import emit, table
from shopkeeper.evaluation.chances import MEASURES
from shopkeeper.evaluation.clicks import benchmark_clicks
from shopkeeper.evaluation.clicks_table import Roles


def measure_clicks(  # noqa: PLR0913
    train: Annotated[Path, typer.Argument(help="CSV, TSV or Parquet, a row an impression.")],
    test: Annotated[
        Path | None, typer.Argument(help="Another such file to judge by; none cuts TRAIN in folds.")
    ] = None,
    label: Annotated[str, typer.Option(help="The column that is foretold, 0 or 1.")] = "click",
    categorical: Annotated[
        str, typer.Option(help="Columns of codes, such as item_id,brand; text is one unasked.")
    ] = "",
    group: Annotated[
        str, typer.Option(help="Rows with one value stay in one fold: a shopper, a page.")
    ] = "",
    time: Annotated[
        str, typer.Option(help="Folds follow this column: each is judged by what came before.")
    ] = "",
    place: Annotated[
        str, typer.Option(help="The place on the page: learned from, left out when judging.")
    ] = "",
    placement: Annotated[
        str, typer.Option(help="The strip shown; chances are made true for each, where it helps.")
    ] = "",
    sale: Annotated[
        str, typer.Option(help="Whether the click ended in a sale; `multitask` learns both.")
    ] = "",
    drop: Annotated[str, typer.Option(help="Columns to leave out.")] = "",
    ranker: Annotated[
        list[str] | None, typer.Option(help="From `shopkeeper list ranking`; none for all of them.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of the one ranker named, name=value."),
    ] = None,
    folds: Annotated[int, typer.Option(min=2, max=50, help="How many folds.")] = 5,
    seeds: Annotated[int, typer.Option(min=1, max=20, help="How many seeds, from 0.")] = 1,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on one line.")
    ] = False,
) -> None:
    """Measure rankers on impressions: AUC, log loss, calibration error, average precision.

    Every row is judged by rankers that never saw it or its group, their chances calibrated inside
    each fold, beside the constant rate. Intervals are 95 %, by bootstrap over rows or groups.
    Columns that look too good to be true are named.

    Example: shopkeeper benchmark clicks sessions.csv --label bought --categorical month,region

    Example: shopkeeper benchmark clicks log.parquet --label click --time shown_at --group user_id
    """
    roles = Roles(
        label=label, categorical=_listed(categorical), group=group, time=time, place=place,
        placement=placement, sale=sale, drop=_listed(drop),
    )  # fmt: skip
    found = benchmark_clicks(
        train, test, roles, names=ranker or [], folds=folds, seeds=range(seeds),
        settings=settings_of(setting or []),
    )  # fmt: skip
    if json:
        emit(found)
        return
    _show(found)


def _listed(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _show(found: dict[str, Any]) -> None:
    print(
        f"{found['judged_rows']:,} rows judged, {found['judged_hits']:,} with {found['label']}; "
        f"{len(found['features'])} features; {found['cut']}"
    )
    if found["codes"]:
        print(f"Read as codes: {', '.join(found['codes'])}")
    if found["left_out"]:
        print(f"Left out, they tell no rows apart: {', '.join(found['left_out'])}")
    table(
        "Mean of seeds, and 95 % interval",
        [
            {"ranker": row["ranker"]}
            | {name: _said(row[name]) for name in MEASURES}
            | {"log_loss_beside_rate": _said(row["beside_rate"]), "seconds": row["seconds"]}
            for row in found["rows"]
        ],
    )
    best = min(found["rows"], key=lambda row: row["log_loss"]["mean"])
    table(f"Do the chances of '{best['ranker']}' come true?", best["reliability"])
    for one in found["suspects"]:
        print(
            f"Too good to be true? '{one['feature']}' {one['why']}. Is it known before the "
            f"outcome? If not: --drop {one['feature']}"
        )


def _said(value: dict[str, float]) -> str:
    return f"{value['mean']:.4f} ({value['low']:.4f} to {value['high']:.4f})"
