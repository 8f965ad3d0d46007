"""`shopkeeper init`, `ingest`, `list`: make a shop and load its data."""

import dataclasses
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from shopkeeper import registry
from shopkeeper.cli._show import AsJson, ShopFolder, emit, table
from shopkeeper.config import FILE
from shopkeeper.engine import inputs, settings
from shopkeeper.engine.shop import Shop
from shopkeeper.errors import BadConfig, unknown

LoadFile = Annotated[
    Path | None,
    typer.Argument(help="A file, folder or pattern to read instead of that in shop.toml."),
]
SourceName = Annotated[
    str, typer.Option(help="Who reads FILE: a name from `shopkeeper list data.sources`.")
]
InputName = Annotated[
    str, typer.Option("--input", help="Which of [inputs] in shop.toml; all by default.")
]
TableName = Annotated[
    str,
    typer.Option("--table", help="What a row is: events, products, reviews..., for mapped."),
]
Mapping = Annotated[
    list[str] | None,
    typer.Option("--map", help="Their column = our word, as in sku=id; may come again."),
]
Setting = Annotated[
    list[str] | None,
    typer.Option("--set", help="Another setting of the source, name=value; may come again."),
]
Guess = Annotated[bool, typer.Option("--guess", help="Only say who would read FILE, and how.")]
Save = Annotated[bool, typer.Option("--save", help="With --guess: write it into shop.toml.")]
Full = Annotated[bool, typer.Option("--full", help="Remove the products that the file lacks.")]
Strict = Annotated[
    bool, typer.Option("--strict", help="Stop where a check is beyond its threshold.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(init)
    app.command()(ingest)
    app.command("list")(list_parts)


def init(
    folder: Annotated[Path, typer.Argument(help="Where the shop shall live.")],
    source: Annotated[
        str, typer.Option(help="A name from `shopkeeper list data.sources`; none for no input yet.")
    ] = "",
    file: Annotated[str, typer.Option(help="The file or folder that the source reads.")] = "",
    name: Annotated[str, typer.Option(help="What the shop is called.")] = "My shop",
    currency: Annotated[
        str | None,
        typer.Option(help="ISO 4217 code of prices without one; the source's own, or USD."),
    ] = None,
) -> None:
    """Make a shop: a folder with a `shop.toml` that names every setting.

    Example: shopkeeper init myshop --source online_retail --file online_retail.csv
    """
    if file and not source:
        raise BadConfig(
            f"Nobody is named who reads {file}. Add --source NAME, or leave --file out and run "
            "`shopkeeper ingest FILE --guess` in the new shop."
        )
    own = getattr(registry.find("data.sources", source).Config(), "currency", "") if source else ""
    given = {"source": source, "file": str(Path(file).resolve()) if file else ""}
    path = settings.init(
        folder,
        inputs={source: given} if source else {},
        shop={"name": name, "currency": currency or own or "USD"},
    )
    first = "ingest" if source else "ingest FILE --guess"
    print(f"Wrote {path}. Next: shopkeeper {first} --shop {folder}")


def ingest(  # noqa: PLR0913
    file: LoadFile = None,
    source: SourceName = "",
    name: InputName = "",
    what: TableName = "",
    mapping: Mapping = None,
    setting: Setting = None,
    guess: Guess = False,
    save: Save = False,
    full: Full = False,
    strict: Strict = False,
    shop: ShopFolder = Path(),
    json: AsJson = False,
) -> None:
    """Load products, events, reviews...; what is refused goes to quarantine with its reason.

    Loading the same file again changes nothing. A file of a known format needs no --source;
    --guess proposes a mapping for any other table.

    Example: shopkeeper ingest --shop myshop

    Example: shopkeeper ingest orders.csv --guess --save --shop myshop

    Example: shopkeeper ingest stock.csv --table products --map sku=id --map "Prix=price"
    """
    if guess or save:
        _guess(file, name, shop, save=save, guess=guess, json=json)
        return
    opened = Shop.open(shop)
    given = _settings(setting or [])
    given |= {"map": mapping} if mapping else {}
    given |= {"table": what} if what else {}
    if file and not source and not name and (mapping or what):
        source = "mapped"
    if file and not source and not name and len(opened.config.inputs) != 1:
        name, source = inputs.reader_of(opened.config, file)
    done = opened.ingest(file, source=source, name=name, settings=given, full=full, strict=strict)
    if json:
        emit(done)
        return
    table("Loaded", done["tables"])
    if done["refused"]:
        table("Refused, kept in quarantine", done["refused"])
    print(done["summary"])


def _guess(
    file: Path | None, name: str, shop: Path, *, save: bool, guess: bool, json: bool
) -> None:
    """Print who would read a file, and write it down if wanted."""
    if save and not guess:
        raise BadConfig("--save writes what --guess proposes. Give both.")
    if file is None:
        raise BadConfig("--guess looks at a file, but none was given. Write it behind `ingest`.")
    known = settings.read(shop) if save or (shop / FILE).is_file() else None
    found = inputs.propose(known, file, name, shop)
    if save:
        inputs.save(shop, found)
    if json:
        emit(dataclasses.asdict(found) | {"saved": save})
        return
    sure = "certainly" if found.guess.certain else "perhaps"
    print(f"{file} is {sure} for the source {found.guess.source}: {found.guess.why}.")
    rows = [
        {
            "their column": column.name,
            "our word": column.word or "-",
            "a value": column.sample,
            "why": column.why,
            "sure": f"{column.confidence:.0%}" if column.word else "",
        }
        for column in found.guess.columns
    ]
    if rows:
        table("Columns", rows)
    for missing in found.guess.missing:
        print(f"Missing: {missing}.")
    if save:
        print(f"Wrote [inputs.{found.name}] into {shop / FILE}. Next: {found.then}")
        return
    print(f"\nFor shop.toml (--save writes it there):\n\n{found.block}\n\nThen: {found.then}")
    print(f"Or at once: {found.command}")


def _settings(given: list[str]) -> dict[str, Any]:
    """Read name=value; a value is TOML where it can be, else text."""
    found: dict[str, Any] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise BadConfig(f"--set takes name=value, got '{pair}'. Write it as {pair}=VALUE.")
        try:
            found[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[name] = value
    return found


def list_parts(
    shelf: Annotated[str, typer.Argument(help="A shelf; leave out to see all.")] = "",
    json: AsJson = False,
) -> None:
    """Name the parts you can use, by shelf.

    Example: shopkeeper list recommenders
    """
    if shelf and shelf not in registry.SHELVES:
        raise unknown("shelf", shelf, registry.SHELVES)
    found = {name: registry.names(name) for name in registry.SHELVES if shelf in ("", name)}
    if json:
        emit(found)
    elif shelf:
        print("\n".join(found[shelf]))
    else:
        table("Parts", [{"shelf": key, "parts": ", ".join(names)} for key, names in found.items()])
