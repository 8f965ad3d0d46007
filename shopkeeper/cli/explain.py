"""`shopkeeper explain`: why a shopper sees what they see, and why not that."""

from pathlib import Path
from typing import Annotated, Any

import typer

from shopkeeper.cli._show import AsJson, ShopFolder, emit, table
from shopkeeper.engine.shop import Shop


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(explain)


def explain(  # noqa: PLR0913
    placement: Annotated[
        str, typer.Argument(help="A name under [placements] in shop.toml, or search.")
    ] = "home",
    user: Annotated[str | None, typer.Option(help="The shopper's user_id.")] = None,
    item: Annotated[
        list[str] | None, typer.Option(help="The product looked at; repeat it for a cart.")
    ] = None,
    query: Annotated[str, typer.Option(help="What was searched for.")] = "",
    why_not: Annotated[str, typer.Option(help="A product: why is it not there?")] = "",
    k: Annotated[int | None, typer.Option("-k", help="How many products.")] = None,
    rescore: Annotated[
        bool, typer.Option("--rescore", help="Score again without each piece of evidence.")
    ] = False,
    shop: ShopFolder = Path(),
    json: AsJson = False,
) -> None:
    """Ask for a page, and tell of each product who proposed it, on what evidence, what weighed.

    Example: shopkeeper explain home --user 17850 --why-not 22423 --shop myshop
    """
    with Shop.open(shop) as opened:
        if query:
            answer = opened.search(query, k=k or 10, user_id=user)
        else:
            answer = opened.recommend(placement, k=k, user_id=user, items=item)
        if why_not:
            found = opened.explain(answer.request_id, item_id=why_not, rescore=rescore)
        else:
            found = opened.explain(answer.request_id, rescore=rescore)
    if json:
        emit(found)
        return
    if why_not:
        table(f"Why {why_not}?", [{"what": k, "value": _short(v)} for k, v in found.items()])
        return
    for note in found["notes"]:
        print(note)
    table("What happened", [_stage(step) for step in found["steps"]] or [{"stage": "nothing"}])
    table(f"Why {query or placement}?", [_row(row) for row in found["results"]])
    times = ", ".join(f"{name} {ms:.1f} ms" for name, ms in found["timings"].items())
    print(f"Time: {times}")


def _stage(step: dict[str, Any]) -> dict[str, Any]:
    return {**step, "rules": ", ".join(step.get("rules", ()))}


def _row(row: dict[str, Any]) -> dict[str, Any]:
    by = [f"{p['recommender']} ({p['rank']})" for p in row["proposed_by"]]
    said = [
        one["says"] + (f" Without: {one['score']:.3g} to {_score(one)}." if "score" in one else "")
        for one in row["evidence"][:1]
    ]
    return {
        "rank": row["rank"],
        "id": row["item_id"],
        "reason": row["reason"],
        "proposed by": ", ".join(by) or row["source"],
        "evidence": " ".join(said),
        "weighed most": ", ".join(
            f"{f['feature']} {f['contribution']:+.2f}" for f in row["factors"][:3]
        ),
        "moved by": "; ".join(one["why"] for one in row["moved_by"]),
    }


def _score(one: dict[str, Any]) -> str:
    return "not proposed" if one["score_without"] is None else f"{one['score_without']:.3g}"


def _short(value: Any) -> Any:
    return str(value)[:300] if isinstance(value, list | dict) else value
