"""`shopkeeper train`, `evaluate`, `bundles`: learn, measure, switch."""

from pathlib import Path
from typing import Annotated, Any

import typer

from shopkeeper.cli._given import settings_of
from shopkeeper.cli._show import AsJson, ShopFolder, emit, table
from shopkeeper.engine import settings
from shopkeeper.engine.shop import Shop
from shopkeeper.errors import BadConfig, unknown
from shopkeeper.tracing import timings

METHODS = ("full", "top_layers", "lora", "adalora", "adapter", "prefix")


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    learning = typer.Typer(invoke_without_command=True)
    learning.callback()(train)
    learning.command("encoder")(train_encoder)
    app.add_typer(learning, name="train")
    app.command()(evaluate)
    bundles = typer.Typer(no_args_is_help=True, help="List versions of the models, or switch.")
    bundles.command("list")(list_bundles)
    bundles.command("use")(use_bundle)
    bundles.command("rollback")(rollback)
    app.add_typer(bundles, name="bundles")


def train(
    context: typer.Context,
    update: Annotated[
        bool, typer.Option("--update", help="Learn on from the bundle in use; see below.")
    ] = False,
    start: Annotated[
        Path | None,
        typer.Option("--from", help="Folder of another shop whose `sequential` to start from."),
    ] = None,
    shop: ShopFolder = Path(),
    json: AsJson = False,
) -> None:
    """Learn from all that was loaded, measure on the newest period, publish a bundle.

    With --update it learns on from the bundle in use, which takes a small part of the time, and
    publishes only if shoppers of that bundle lose nothing by it.

    With --from, `sequential` begins with what it learned in another trained shop of histories and
    of what products are (content_numbers above 0 there), which helps a shop with few shoppers.

    Example: shopkeeper train --shop myshop

    Example: shopkeeper train --update --shop myshop

    Example: shopkeeper train --shop smallshop --from largeshop
    """
    if context.invoked_subcommand:
        # `train --shop myshop encoder` means that shop.
        context.default_map = {context.invoked_subcommand: {"shop": str(shop)}}
        return
    done = Shop.open(shop).train(update=update, start=start)
    if json:
        emit(done | {"seconds": timings()})
        return
    if done["report"]:
        show_report(done["report"])
    show_times()
    if done["why"]:
        print(done["why"])
    if update and done["full_duration_s"]:
        print(
            f"This took {done['duration_s']:.0f} s; the last full training took "
            f"{done['full_duration_s']:.0f} s."
        )
    if done["published"]:
        print(f"Published bundle {done['version']}. Next: shopkeeper serve --shop {shop}")
    else:
        print(f"Bundle {done['version']} remains in use.")


def train_encoder(  # noqa: PLR0913
    method: Annotated[
        str, typer.Option(help=f"How much of it learns: {', '.join(METHODS)}.")
    ] = "full",
    learn: Annotated[
        str, typer.Option(help="What to learn from: search, description, category, basket.")
    ] = "search,description,category",
    minutes: Annotated[float, typer.Option(min=0.01, help="Time for tuning.")] = 20.0,
    read_minutes: Annotated[
        float, typer.Option(min=0.0, help="Time to read the shop's texts first; 0 for none.")
    ] = 0.0,
    teacher_minutes: Annotated[
        float, typer.Option(min=0.0, help="Time to teach a cross-encoder, which teaches in turn.")
    ] = 0.0,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="How it learns, name=value: rounds, batch, noise, widths, lr..."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed and data, same model.")] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Measure, and change nothing.")
    ] = False,
    shop: ShopFolder = Path(),
    json: AsJson = False,
) -> None:
    """Tune the text encoder on the shop's own searches and texts; keep it only if it is better.

    It is judged on questions that it has not seen, by a paired interval, and shop.toml names the
    tuned model if that lies above nothing. A run that was cut off goes on where it was.

    Example: shopkeeper train encoder --method lora --minutes 15 --shop myshop
    """
    from shopkeeper.engine.search_lessons import Course
    from shopkeeper.engine.train_encoder import train_encoder as tune
    from shopkeeper.training.cross import Crossing
    from shopkeeper.training.masked import Adapting
    from shopkeeper.training.texts import Tuning

    given: dict[str, Any] = settings_of(setting or [])
    if strange := given.keys() - Tuning.__dataclass_fields__.keys():
        raise unknown("setting of tuning", min(strange), Tuning.__dataclass_fields__)
    usual: dict[str, Any] = {"method": method, "minutes": minutes, "seed": seed}
    try:
        tuning = Tuning(**usual | given)
        course = Course(
            tuning,
            Adapting(minutes=read_minutes, seed=seed) if read_minutes else None,
            Crossing(minutes=teacher_minutes, seed=seed) if teacher_minutes else None,
        )
    except (ValueError, TypeError) as error:
        raise BadConfig(f"{error}.") from error
    kinds = [kind.strip() for kind in learn.split(",") if kind.strip()]
    found = tune(shop, settings.read(shop), course, kinds=kinds, dry_run=dry_run)
    emit(found) if json else _show_lift(found, shop)


def evaluate(
    shop: ShopFolder = Path(),
    seeds: Annotated[int, typer.Option(min=1, max=20, help="How many seeds.")] = 1,
    json: AsJson = False,
) -> None:
    """Measure every recommender and the fusion on a temporal split, beside the floors.

    Everything is learned from what was known before the split in [evaluation] of shop.toml; the
    first basket on or after it is to be found. Nothing is published.

    Example: shopkeeper evaluate --shop myshop --seeds 3
    """
    report = Shop.open(shop).evaluate(range(seeds))
    if json:
        emit(report)
        return
    show_report(report)
    show_times()


def list_bundles(shop: ShopFolder = Path(), json: AsJson = False) -> None:
    """List the published versions, oldest first.

    Example: shopkeeper bundles list --shop myshop
    """
    bundles = Shop.open(shop).bundles
    now = bundles.current()
    rows: list[dict[str, Any]] = []
    for version in bundles.versions():
        about = bundles.manifest(version)
        rows.append({"version": version, "in_use": version == now, **about.get("metrics", {})})
    emit(rows) if json else table("Bundles", rows)


def use_bundle(
    version: Annotated[str, typer.Argument(help="A version from `shopkeeper bundles list`.")],
    shop: ShopFolder = Path(),
) -> None:
    """Switch to a published version; a running shop follows within seconds.

    Example: shopkeeper bundles use 20260101-120000-ab12 --shop myshop
    """
    Shop.open(shop).bundles.use(version)
    print(f"Now in use: {version}")


def rollback(shop: ShopFolder = Path()) -> None:
    """Go back to the version before the one in use.

    Example: shopkeeper bundles rollback --shop myshop
    """
    bundles = Shop.open(shop).bundles
    bundles.use(version := bundles.previous())
    print(f"Now in use: {version}")


def _show_lift(found: dict[str, Any], shop: Path) -> None:
    table("Learned from", [{"kind": k, "pairs": n} for k, n in found["counts"].items()])
    print(
        f"nDCG@10 on {found['queries']:,} unseen questions ({found['judged_on']}): "
        f"{found['before']:.4f} before, {found['after']:.4f} after; difference "
        f"{found['low']:+.4f} to {found['high']:+.4f} (95 %)."
    )
    if found["model"]:
        print(f"Better: shop.toml names {found['model']}. Next: shopkeeper train --shop {shop}")
    else:
        print(
            "Better." if found["kept"] else "Not significantly better: the shop keeps what it had."
        )
    print(f"Report: {found['report']}")


def show_report(report: dict[str, Any]) -> None:
    """Print the tables of an evaluation report."""
    for note in report["notes"]:
        print(note)
    for one in report["tables"]:
        table(one["title"], one["rows"], one["columns"])
    if report.get("file"):
        print(f"Report: {report['file']}")


def show_times() -> None:
    """Print where the time went, longest first."""
    spent = sorted(timings().items(), key=lambda pair: -pair[1])[:15]
    table("Where the time went", [{"stage": name, "seconds": round(s, 1)} for name, s in spent])
