"""Tells which source reads a file, and proposes a mapping for a table that no source knows.

By the head of the file alone: names of columns, then a few hundred values. A known format is
certain or it is not said; a mapping is a proposal that a person should look at. Does not know
which of two columns of times is meant, and takes the first.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shopkeeper import schema
from shopkeeper.data import _looks, column_names, formats
from shopkeeper.data.sources import _words
from shopkeeper.errors import BadData

TABLE_WORDS = {
    "products": {"title", "description", "brand", "image_link", "link", "availability", "gtin",
                 "item_group_id", "cost_of_goods_sold", "sale_price", "product_type", "mpn"},
    "events": {"event_name", "quantity", "transaction_id", "session_id", "visitor_id",
               "search_term", "time"},
    "reviews": {"rating", "text", "review_id", "review_title"},
    "promotions": {"promotion_id", "promotion_name", "start", "end"},
    "shoppers": {"attribute", "value"},
}  # fmt: skip
"""Words that speak for a table."""

SURE_MIN = 0.3
"""What is less sure is not proposed."""


@dataclass(frozen=True)
class Column:
    """What is thought of one column."""

    name: str
    word: str
    """Our word; empty where there is none."""
    sample: str
    why: str
    confidence: float
    """From 0 to 1."""


@dataclass(frozen=True)
class Guess:
    """What is thought of a file."""

    source: str
    certain: bool
    """Whether the file is of a known format."""
    why: str
    settings: dict[str, Any] = field(default_factory=dict)
    """For the source `mapped`."""
    columns: tuple[Column, ...] = ()
    missing: tuple[str, ...] = ()
    """Sentences on what the file does not say and a person must."""


def guess(path: Path) -> Guess:
    """Look at the head of a file, or of the first file of a folder.

    Args:
        path: A file, a folder, or a pattern.

    Returns:
        Who reads it, and how.

    Raises:
        BadData: There is no file, or its head cannot be read.
    """
    head = formats.head_of(path)
    known = formats.recognise(head)
    if known:
        source, why = known
        return Guess(source, True, why)
    if not head.rows:
        raise BadData(
            f"What {path} holds cannot be told: it is neither a table nor a known format. Give a "
            "CSV, TSV, JSON lines, Excel or Parquet file with a name for each column."
        )
    return _mapping(head)


def _mapping(head: formats.Head) -> Guess:
    """Propose words for columns, by name first and by values where the name says nothing."""
    values = {
        name: [value for row in head.rows if (value := row[place])]
        for place, name in enumerate(head.names)
    }
    looks = {name: _looks.look(found) for name, found in values.items()}
    table = _table({name: column_names.words_for(name) for name in head.names}, looks)
    columns = _assigned(table, values, looks)
    words = {column.word: column for column in columns if column.word}
    settings: dict[str, Any] = {"table": table}
    settings["map"] = [f"{column.name}={column.word}" for column in columns if column.word]
    settings |= _looks.settings(
        {word: values[column.name] for word, column in words.items()}, table
    )
    if head.encoding:
        settings["encoding"] = head.encoding
    missing = []
    if table == "events" and "event_name" not in words:
        if {"transaction_id", "price", "quantity"} & set(words):
            settings["event_name"] = "purchase"
        else:
            missing.append('what the rows are: add event_name, such as "view_item"')
    missing += _unknown_events(words, values)
    if not (table == "shoppers" and "user_id" in words):
        lacks = _words.lacking(table, words, named="event_name" in settings)
        if lacks and lacks != ["event_name"]:
            missing.append(f"which column is the {' or '.join(lacks)}: add it to map")
    sure = min([column.confidence for column in words.values()], default=0.0)
    why = f"its columns look like {table}" + ("" if sure >= 0.8 else ", but look twice")
    return Guess("mapped", False, why, settings, tuple(columns), tuple(missing))


def _table(words: dict[str, list[str]], looks: dict[str, str]) -> str:
    """Return the table that the columns speak for most."""
    said = {word for found in words.values() for word in found[:1]}
    scores = {table: len(said & speaks) * 1.0 for table, speaks in TABLE_WORDS.items()}
    has_time = "time" in said or "time" in looks.values()
    scores["events"] += 1.0 if has_time and column_names.PRODUCT in said else -2.0
    scores["reviews"] += 2.0 if "rating" in said or {"text"} <= said else -3.0
    scores["promotions"] += 0.0 if {"promotion_id", "start"} & said else -3.0
    scores["promotions"] += 2.0 if {"start", "end"} <= said else -2.0
    if "title" in said and not has_time:
        scores["products"] += 2.0
    if "event_name" in said or "transaction_id" in said:
        scores["events"] += 2.0
    if {"attribute", "value"} <= said:
        scores["shoppers"] += 3.0
    if "user_id" in said and not (has_time or column_names.PRODUCT in said or "title" in said):
        scores["shoppers"] += 4.0
    return max(scores, key=lambda table: scores[table])


def _assigned(table: str, values: dict[str, list[str]], looks: dict[str, str]) -> list[Column]:
    """Give each word of the table the column that suits it best."""
    offers = [
        (*offer, -place, name)
        for place, name in enumerate(values)
        for offer in _offers(name, looks[name], table)
    ]
    taken: dict[str, Column] = {}
    words: set[str] = set()
    for sure, word, why, _, name in sorted(offers, key=lambda each: (each[0], each[3]))[::-1]:
        if sure >= SURE_MIN and name not in taken and word not in words:
            taken[name] = Column(name, word, _sample(values[name]), why, round(sure, 2))
            words.add(word)
    rest = "kept in attributes" if table == "products" else "not read"
    if table == "shoppers" and not {"attribute", "value"} <= words:
        taken = {name: column for name, column in taken.items() if column.word == "user_id"}
        rest = "an attribute"
    return [
        taken.get(name, Column(name, "", _sample(found), rest, 0.0))
        for name, found in values.items()
    ]


def _offers(name: str, looks: str, table: str) -> Iterator[tuple[float, str, str]]:
    """Yield how sure a column is which word, and why."""
    plain = column_names.plain(name)
    exact = plain in column_names.words_of()
    for rank, given in enumerate(column_names.words_for(name)):
        word = _in_table(given, table)
        if word is None:
            continue
        sure = (0.95 if exact else 0.7) - 0.1 * rank
        fit = _looks.fits(_words.WORDS[table][word], looks)
        if fit < 0:
            yield sure - 0.5, word, f"its name, but its values look like {looks}"
        else:
            yield sure, word, "its name and values" if fit else "its name"
    if table == "products" and plain in ("id", "nr", "no", "code", "handle"):
        yield 0.6, "id", "its name"
    if table in ("shoppers", "reviews") and plain in ("id", "nr", "no"):
        yield 0.6, {"shoppers": "user_id", "reviews": "review_id"}[table], "its name"
    for word in _looks.words(looks, table):
        yield 0.4, word, f"its values look like {looks}"


def _in_table(word: str, table: str) -> str | None:
    """Return what a table calls a word, None where it has none."""
    own = {column_names.PRODUCT: "id" if table == "products" else "item_id"}
    if table == "reviews":
        own |= {"review_title": "title", "description": "text"}
    word = own.get(word, word)
    return word if word in _words.WORDS[table] else None


def _unknown_events(words: dict[str, Column], values: dict[str, list[str]]) -> list[str]:
    if "event_name" not in words:
        return []
    known = {*_words.EVENT_WORDS, *(word for each in _words.EVENT_WORDS.values() for word in each)}
    known |= {*schema.EVENT_NAMES}
    strange = sorted(
        {value for value in values[words["event_name"].name]
         if value.strip().lower() not in known}
    )[:10]  # fmt: skip
    if not strange or len(strange) > 9:
        return []
    return [f"what {', '.join(repr(name) for name in strange)} mean: add events"]


def _sample(values: list[str]) -> str:
    return " ".join(str(values[0]).split())[:40] if values else ""
