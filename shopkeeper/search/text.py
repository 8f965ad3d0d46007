"""What the words of a product and of a query are, the same for every index.

Sizes are joined to their units (`5 foot` and `5ft` are one word) after the query-cleaning lesson
of the Home Depot search challenge. Chinese, Japanese and Korean runs become characters and pairs
of neighbours, since they are written without spaces; to Chinese ones come the words that rjieba
finds, so that a pair which is a word counts twice. Knows nothing of indexes or shops.
"""

import hashlib
import re
import unicodedata

import polars as pl
import rjieba

from shopkeeper.schema import PRODUCT_ID
from shopkeeper.search.languages import language

QUERY_CHARS_MAX = 300
"""Longer queries are cut: nobody types them, and their cost grows with their words."""

UNITS: dict[str, tuple[str, ...]] = {
    "in": ("inch", "inches"),
    "ft": ("ft", "foot", "feet"),
    "cm": ("cm", "centimetre", "centimetres", "centimeter", "centimeters"),
    "mm": ("mm", "millimetre", "millimetres", "millimeter", "millimeters"),
    "ml": ("ml", "millilitre", "millilitres", "milliliter", "milliliters"),
    "l": ("l", "ltr", "litre", "litres", "liter", "liters"),
    "oz": ("oz", "ounce", "ounces"),
    "lb": ("lb", "lbs", "pound", "pounds"),
    "kg": ("kg", "kilo", "kilos", "kilogram", "kilograms"),
    "g": ("g", "gram", "grams"),
    "gb": ("gb", "gigabyte", "gigabytes"),
    "tb": ("tb", "terabyte", "terabytes"),
    "mp": ("mp", "megapixel", "megapixels"),
    "ghz": ("ghz",),
    "hz": ("hz", "hertz"),
    "w": ("w", "watt", "watts"),
    "v": ("v", "volt", "volts"),
    "ct": ("ct", "count"),
    "pk": ("pk", "pack", "packs"),
}
"""Every unit and how shops spell it after a number."""

_CANONICAL = {spelling: unit for unit, spellings in UNITS.items() for spelling in spellings}
_MEASURE = re.compile(
    rf"(\d+(?:\.\d+)?)[ -]?({'|'.join(sorted(_CANONICAL, key=len, reverse=True))})\b"
)
_INCHES = re.compile(r"(\d+(?:\.\d+)?)(?:[ -]?in(?=\s*(?:$|[,.;)]))|\")")
"""`15 in` counts as inches only where nothing follows: `3 in 1` and `2 in red` are none."""
_WORD = re.compile(r"\d+\.\d+[^\W_]*|[^\W_]+")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_SPACE = re.compile(r"\s+")


def clean(text: str | None, chars_max: int | None = None) -> str:
    """Return `text` in small letters, without accents, control characters and double spaces.

    Args:
        text: Anything a person or a feed may send; None counts as empty.
        chars_max: Where to cut, before anything else is done.

    Returns:
        Text that compares equal where people see the same words.
    """
    text = (text or "")[:chars_max]
    if not text.isascii():
        plain = unicodedata.normalize("NFKD", text)
        plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
        text = unicodedata.normalize("NFKC", plain)
        text = "".join(" " if unicodedata.category(c) in _SILENT else c for c in text)
    text = "".join(c if c.isprintable() else " " for c in text) if not text.isprintable() else text
    return _SPACE.sub(" ", text.casefold()).strip()


_SILENT = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


def words(text: str | None, chars_max: int | None = None) -> list[str]:
    """Split `text` into the words that indexes compare, in order.

    Args:
        text: Anything a person or a feed may send; None counts as empty.
        chars_max: Where to cut, before anything else is done.

    Returns:
        Words of letters and digits in small letters; none for punctuation or emoji alone.
    """
    plain = clean(text, chars_max)
    found = _words(plain)
    if plain.isascii():
        return found
    chinese = language(plain) == "zh"
    return [part for word in found for part in _narrow(word, chinese)]


def spoken(text: str | None, chars_max: int | None = None) -> list[str]:
    """Split `text` as people would: like `words`, but each part of it once.

    Args:
        text: Anything a person or a feed may send; None counts as empty.
        chars_max: Where to cut, before anything else is done.

    Returns:
        Words in order; a Chinese run as the words it is made of, one of Japanese or Korean whole.
    """
    found = _words(clean(text, chars_max))
    chinese = any(map(_WIDE.search, found)) and language(" ".join(found)) == "zh"
    return [part for word in found for part in (_cut(word) if chinese else [word])]


def spelled(text: str | None, chars_max: int | None = None) -> str:
    """Return the letters and digits of `text`, clean; equal where two texts are spelled alike."""
    return "".join(filter(str.isalnum, clean(text, chars_max)))


def _words(plain: str) -> list[str]:
    """Split clean text at what is neither letter nor digit, sizes joined to their units."""
    plain = plain.replace("'", "").replace("’", "")
    plain = _MEASURE.sub(lambda found: found[1] + _CANONICAL[found[2]] + " ", plain)
    plain = _INCHES.sub(r"\1in ", plain)
    return _WORD.findall(plain)


def has_spaces(word: str) -> bool:
    """Say whether `word` is of a script that writes spaces between words."""
    return not _WIDE.search(word)


def _narrow(word: str, chinese: bool) -> list[str]:
    """Split the runs of a script without spaces into characters, pairs of neighbours, and words."""
    if has_spaces(word):
        return [word]
    parts: list[str] = [rest for rest in _WIDE.split(word) if rest]
    for run in _WIDE.findall(word):
        parts += run
        parts += [run[at : at + 2] for at in range(len(run) - 1)]
        if chinese:
            parts += [found for found in rjieba.cut_for_search(run) if len(found) > 1]
    return parts


def _cut(word: str) -> list[str]:
    """Split a word that may hold a run of Chinese into words."""
    if has_spaces(word):
        return [word]
    parts: list[str] = [rest for rest in _WIDE.split(word) if rest]
    return parts + [found for run in _WIDE.findall(word) for found in rjieba.cut(run)]


def product_text(products: pl.DataFrame) -> pl.Series:
    """Write each product as one line for an encoder: title without its size, brand, category path.

    A size says little of what a product is, and without it many products share one text.

    Args:
        products: `schema.PRODUCTS` rows; columns that lack count as null.

    Returns:
        One text per product, never null. Shape [N].
    """
    columns = [name for name in ("title", "brand", "product_type") if name in products.columns]
    if not columns:
        return pl.Series("text", [""] * products.height, dtype=pl.String)
    products = _without_size(products)
    parts = [pl.col(name).str.strip_chars().replace("", None) for name in columns]
    line = pl.concat_str(parts, separator=", ", ignore_nulls=True)
    return products.select(line.fill_null("").str.replace_all(r"\s+", " ").alias("text"))["text"]


SEARCHED = ("title", "brand", "product_type", "description", "color", "size")
"""The columns whose words or meaning an index may hold."""


def fingerprints(products: pl.DataFrame) -> pl.DataFrame:
    """Return `id` and `fingerprint`, a number that changes with what indexes hold of a product.

    Args:
        products: `schema.PRODUCTS` rows; columns that lack count as null.

    Returns:
        A row for each product, the same on every machine.
    """
    found = [name for name in SEARCHED if name in products.columns]
    parts = [pl.col(name).cast(pl.String).fill_null("\0") for name in found]
    lines = products.select(pl.concat_str(parts, separator="\x1f").alias("line"))["line"]
    digests = (hashlib.blake2b(line.encode(), digest_size=8).digest() for line in lines)
    numbers = [int.from_bytes(digest, "big") for digest in digests]
    return products.select(PRODUCT_ID).with_columns(
        pl.Series("fingerprint", numbers, dtype=pl.UInt64)
    )


def _without_size(products: pl.DataFrame) -> pl.DataFrame:
    """Cut the size off titles that end in it."""
    if not {"title", "size"} <= set(products.columns):
        return products
    ending = ", " + pl.col("size").cast(pl.String)
    ends = pl.col("title").str.ends_with(ending).fill_null(False)
    return products.with_columns(
        pl.when(ends)
        .then(pl.col("title").str.strip_suffix(ending))
        .otherwise(pl.col("title"))
        .alias("title")
    )
