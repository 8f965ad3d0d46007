"""`shopkeeper synonyms`: words that mean the same, mined and decided on by a person."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from shopkeeper.cli._show import AsJson, ShopFolder, emit, table
from shopkeeper.engine import settings

Word = Annotated[str, typer.Argument(help="A word or a phrase, as shoppers write it.")]
Limit = Annotated[int, typer.Option(min=1, help="How many pairs at most.")]
NEXT = "Searches use it from the next `shopkeeper train`."


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    group = typer.Typer(no_args_is_help=True, help="Words that mean the same: find and decide.")
    group.command("mine")(mine)
    group.command("list")(list_pairs)
    group.command("approve")(approve)
    group.command("reject")(reject)
    app.add_typer(group, name="synonyms")


def mine(
    vectors: Annotated[
        bool, typer.Option(help="Compare words of the catalogue by their vectors too.")
    ] = True,
    shop: ShopFolder = Path(),
    json: AsJson = False,
) -> None:
    """Look for synonyms in past searches and in the catalogue, and write synonyms.csv.

    Example: shopkeeper synonyms mine --shop myshop
    """
    from shopkeeper.engine import understanding

    config = settings.read(shop)
    pairs = understanding.mine(shop, config, vectors=vectors)
    _show(pairs, 20, json)


def list_pairs(
    waiting: Annotated[bool, typer.Option(help="Only pairs that nobody decided on.")] = False,
    limit: Limit = 50,
    shop: ShopFolder = Path(),
    json: AsJson = False,
) -> None:
    """Print the shop's synonyms, surest first, with why.

    Example: shopkeeper synonyms list --waiting --shop myshop
    """
    from shopkeeper.engine import understanding

    settings.read(shop)
    pairs = [p for p in understanding.listed(shop) if not waiting or p.approved is None]
    _show(pairs, limit, json)


def approve(word: Word, synonym: Word, shop: ShopFolder = Path()) -> None:
    """Let searches for one word find the other too; a pair that was not mined is added.

    Example: shopkeeper synonyms approve mug cup --shop myshop
    """
    _decide(shop, word, synonym, approved=True)


def reject(word: Word, synonym: Word, shop: ShopFolder = Path()) -> None:
    """Keep two words apart, whatever is mined later.

    Example: shopkeeper synonyms reject mug cup --shop myshop
    """
    _decide(shop, word, synonym, approved=False)


def _decide(shop: Path, word: str, synonym: str, approved: bool) -> None:
    from shopkeeper.engine import understanding

    settings.read(shop)
    understanding.decide(shop, word, synonym, approved)
    print(f"{'Approved' if approved else 'Rejected'}: {word} = {synonym}. {NEXT}")


def _show(pairs: list[Any], limit: int, json: bool) -> None:
    if json:
        emit([asdict(pair) | {"used": pair.used} for pair in pairs])
        return
    if not pairs:
        print("There are no synonyms yet. Find some by `shopkeeper synonyms mine`.")
        return
    said = {True: "approved", False: "rejected", None: "waiting"}
    rows = [
        {
            "word": pair.word,
            "synonym": pair.synonym,
            "state": said[pair.approved],
            "used": "yes" if pair.used else "no",
            "sureness": pair.sureness,
            "evidence": pair.evidence,
        }
        for pair in pairs[:limit]
    ]
    table(f"Synonyms ({len(pairs)} in all)", rows)
    print("Decide by `shopkeeper synonyms approve WORD SYNONYM` or `reject`, or edit synonyms.csv.")
