"""`shopkeeper rules`: pin, boost, bury, hide and filter products by hand."""

import json as plain
from pathlib import Path
from typing import Annotated, Any

import typer

from shopkeeper.cli._show import AsJson, ShopFolder, emit, table
from shopkeeper.engine import rulebook, settings
from shopkeeper.errors import BadData, ShopkeeperError

Id = Annotated[str, typer.Argument(help="The rule's id, as the list shows it.")]
Several = list[str] | None


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    group = typer.Typer(
        no_args_is_help=True, help="What is shown by hand: pin, boost, bury, hide, filter."
    )
    group.command("add")(add)
    group.command("load")(load)
    group.command("list")(listed)
    group.command("show")(show)
    group.command("remove")(remove)
    group.command("check")(check)
    app.add_typer(group, name="rules")


def add(  # noqa: PLR0913
    id: Annotated[str, typer.Argument(help="A name of yours; an old rule of it is replaced.")],
    action: Annotated[str, typer.Argument(help="pin, boost, bury, hide, or filter (only these).")],
    item: Annotated[Several, typer.Option(help="A product; repeat it for more.")] = None,
    category: Annotated[str, typer.Option(help="Products of a category, and below.")] = "",
    brand: Annotated[str, typer.Option(help="Products of a brand.")] = "",
    price_min: Annotated[float | None, typer.Option(help="Products from a price.")] = None,
    price_max: Annotated[float | None, typer.Option(help="Products up to a price.")] = None,
    place: Annotated[int, typer.Option(help="Where to pin, from 1.")] = 0,
    by: Annotated[int, typer.Option(help="Places to move up or down.")] = 0,
    on: Annotated[Several, typer.Option(help="A placement, or search; repeat it.")] = None,
    query: Annotated[str, typer.Option(help="When the whole query is this.")] = "",
    contains: Annotated[str, typer.Option(help="When the query has these words.")] = "",
    in_category: Annotated[str, typer.Option(help="When this category is looked at.")] = "",
    at_brand: Annotated[str, typer.Option(help="When this brand is looked at.")] = "",
    segment: Annotated[
        str, typer.Option(help="For a group: new, visitor, customer, regular, or yours.")
    ] = "",
    weekday: Annotated[Several, typer.Option(help="mon to sun, by UTC; repeat it.")] = None,
    hours: Annotated[str, typer.Option(help="Times of the day by UTC: 18:00-22:00.")] = "",
    start: Annotated[str, typer.Option(help="From when: 2026-12-01 or with T08:00Z.")] = "",
    end: Annotated[str, typer.Option(help="Until when.")] = "",
    priority: Annotated[int, typer.Option(help="The higher holds against others.")] = 0,
    note: Annotated[str, typer.Option(help="Why, for people.")] = "",
    off: Annotated[bool, typer.Option("--off", help="Keep it, but do not apply it.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Though it contradicts others.")] = False,
    shop: ShopFolder = Path(),
    json: AsJson = False,
) -> None:
    """Add or replace a rule; a running shop follows within a second.

    Example: shopkeeper rules add advent pin --item 85123A --place 1 --on home --end 2026-12-24
    """
    target: dict[str, Any] = {"items": item, "category": category, "brand": brand}
    target |= {"price_min": price_min, "price_max": price_max}
    when = {
        "placements": on,
        "query": query,
        "contains": contains,
        "category": in_category,
        "brand": at_brand,
        "segment": segment,
        "weekdays": weekday,
        "hours": hours,
    }
    rule: dict[str, Any] = {"id": id, "action": action, "target": _given(target)}
    rest = {"place": place, "by": by, "start": start, "end": end, "priority": priority}
    rule |= _given({**rest, "when": _given(when), "note": note}) | (
        {"enabled": False} if off else {}
    )
    _put(shop, [rule], force, json)


def load(
    file: Annotated[Path, typer.Argument(help="A JSON file: a list of rules.")],
    force: Annotated[bool, typer.Option("--force", help="Though they contradict others.")] = False,
    shop: ShopFolder = Path(),
    json: AsJson = False,
) -> None:
    """Add the rules of a file, such as `rules list --json` writes; all or none.

    Example: shopkeeper rules load rules.json --shop myshop
    """
    try:
        rules = plain.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadData(f"'{file}' is not a file with JSON: {error}. Check it.") from error
    told = ("does", "active", "warnings")
    if isinstance(rules, list):
        rules = [
            {k: v for k, v in rule.items() if k not in told} if isinstance(rule, dict) else rule
            for rule in rules
        ]
    _put(shop, rules, force, json)


def listed(shop: ShopFolder = Path(), json: AsJson = False) -> None:
    """Name all rules, those that hold first.

    Example: shopkeeper rules list --shop myshop
    """
    with rulebook.opened(shop, settings.read(shop)) as rules:
        found = rules.listed()
    if json:
        emit(found)
        return
    if not found:
        print("There are no rules yet. Add one by `shopkeeper rules add`.")
        return
    table(f"Rules ({len(found)})", [_row(rule) for rule in found])


def show(id: Id, shop: ShopFolder = Path(), json: AsJson = False) -> None:
    """Tell all of one rule.

    Example: shopkeeper rules show advent --shop myshop
    """
    with rulebook.opened(shop, settings.read(shop)) as rules:
        (found,) = rules.listed([id])
    if json:
        emit(found)
        return
    table(f"Rule {id}", [{"what": key, "value": value} for key, value in found.items()])


def remove(
    ids: Annotated[list[str], typer.Argument(help="Ids, as the list shows them.")],
    shop: ShopFolder = Path(),
) -> None:
    """Delete rules; a running shop follows within a second.

    Example: shopkeeper rules remove advent --shop myshop
    """
    with rulebook.opened(shop, settings.read(shop)) as rules:
        print(f"Removed {rules.remove(ids)}.")


def check(shop: ShopFolder = Path(), json: AsJson = False) -> None:
    """Look for rules that contradict each other, or that can do nothing; exit code 2 if any.

    Example: shopkeeper rules check --shop myshop
    """
    with rulebook.opened(shop, settings.read(shop)) as rules:
        found = [rule for rule in rules.listed() if rule["warnings"]]
    if json:
        emit([{"id": rule["id"], "warnings": rule["warnings"]} for rule in found])
    else:
        for rule in found:
            print(*(f"{rule['id']}: {warning}" for warning in rule["warnings"]), sep="\n")
    if found:
        raise ShopkeeperError(f"{len(found)} rules need a look. `shopkeeper rules show ID`.")
    if not json:
        print("All rules are sound.")


def _put(shop: Path, given: Any, force: bool, json: bool) -> None:
    with rulebook.opened(shop, settings.read(shop)) as rules:
        conflicts = [str(conflict) for conflict in rules.put(given, force)]
        ids = [rule["id"] for rule in given]
        warnings = [text for rule in rules.listed(ids) for text in rule["warnings"]]
    if json:
        emit({"accepted": len(given), "conflicts": conflicts, "warnings": warnings})
        return
    print(f"Added {', '.join(ids[:5])}{'...' if len(ids) > 5 else ''}.")
    for warning in dict.fromkeys(warnings):
        print(f"Note: {warning}")


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "", 0, [], {})}


def _row(rule: dict[str, Any]) -> dict[str, Any]:
    when = {**rule.get("when", {}), **{k: rule[k] for k in ("start", "end") if k in rule}}
    said = [f"{k} {', '.join(v) if isinstance(v, list) else v}" for k, v in when.items()]
    return {
        "id": rule["id"],
        "does": rule["does"],
        "when": "; ".join(said) or "always",
        "priority": rule.get("priority", 0),
        "active": "yes" if rule["active"] else "no",
        "warnings": " ".join(rule["warnings"]),
    }
