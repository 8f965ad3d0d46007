"""Looks at the head of a file, and recognises the formats that sources of their own read.

A format is known by words that only it has: names of columns, of JSON fields, of XML elements. What
is not told for sure is not told. Reads at most a megabyte, or 200 rows.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shopkeeper.data.sources import _csv, _files, _text
from shopkeeper.errors import BadData

ROWS = 200
FORMS = (*_files.TEXT_FORMS, ".parquet", ".xlsx", ".xls", ".xml", ".rss", ".atom", ".html", ".htm")
JOURNEY = ("transactions.parquet", "products.parquet", "demographics.parquet")
FIELDS = {
    "ga4_bigquery": {"event_params", "event_timestamp", "event_name"},
    "google_retail": {"eventType", "visitorId"},
    "algolia": {"eventType", "userToken"},
}
"""Fields that only the events of one system have together."""
GA4_NESTED = ("items", "params", "ecommerce")


@dataclass(frozen=True)
class Head:
    """The beginning of a file."""

    path: Path
    names: tuple[str, ...] = ()
    """Columns of a table, or the fields of the first JSON objects."""
    rows: tuple[tuple[str | None, ...], ...] = ()
    """Values as text; none where the file is no table."""
    text: str = ""
    """The first letters of a text file."""
    objects: tuple[Mapping[str, Any], ...] = ()
    """The first JSON objects."""
    encoding: str = ""
    """The encoding, where it is not UTF-8 and the file does not tell."""
    folder: Path | None = None


def head_of(location: Path) -> Head:
    """Read the head of a file, or of the first file of a folder or pattern.

    Args:
        location: What a person gave.

    Returns:
        Its names, and what else there is.

    Raises:
        BadData: There is no file, or it is empty or broken.
    """
    path = _files.listed(location, FORMS)[0]
    _files.usable(path)
    folder = Path(location) if Path(location).is_dir() else None
    form = _files.form(path)
    if form in (".parquet", ".xlsx", ".xls"):
        return _table(path, form, folder)
    encoding = ""
    text = _text.beginning(path, letters=65_536)
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        encoding = "cp1252"
        text = _text.beginning(path, encoding, 65_536)
    start = text.lstrip("\ufeff \t\r\n")
    if start.startswith("<"):
        return Head(path, text=text, folder=folder)
    if start.startswith(("{", "[")):
        objects = _objects(path, start)
        names = tuple(dict.fromkeys(name for each in objects for name in each))
        rows = tuple(tuple(_plain(each.get(name)) for name in names) for each in objects)
        return Head(path, names, rows, text, objects, folder=folder)
    if form not in _files.TEXT_FORMS:
        raise BadData(f"The file {path} ends in '{form}'. Give a table, JSON or XML file.")
    csv = _csv.head_of(path, encoding or "utf-8")
    return Head(path, csv.names, csv.rows, text, encoding=encoding, folder=folder)


def recognise(head: Head) -> tuple[str, str] | None:
    """Return the source that reads a file, and by what it was known; None where none is sure."""
    if head.folder is not None and all((head.folder / name).is_file() for name in JOURNEY):
        return "complete_journey", f"the folder holds {', '.join(JOURNEY)}"
    if head.objects:
        return _json(head)
    if head.names:
        return _columns(head)
    text = head.text.lower()
    if "schema.org" in text and ("ld+json" in text or "<html" in text):
        return "schema_org", "a page with JSON-LD of schema.org"
    if "base.google.com/ns/1.0" in text or ("<g:id>" in text and "<g:" in text):
        return "merchant_center", "an XML feed with g: attributes"
    return None


def _json(head: Head) -> tuple[str, str] | None:
    objects = [*head.objects, *(inner for each in head.objects for inner in _events_of(each))]
    for source, needed in FIELDS.items():
        if any(needed <= each.keys() for each in objects):
            return source, f"its fields {', '.join(sorted(needed))}"
    if any({"@type", "@graph"} & each.keys() for each in objects):
        return "schema_org", "JSON-LD of schema.org"
    for each in objects:
        nested = {name for name in GA4_NESTED if isinstance(each.get(name), list | dict)}
        if nested and {"event_name", "name", "event"} & each.keys():
            return "ga4_json", f"events with {', '.join(sorted(nested))} as in GA4"
    return None


def _columns(head: Head) -> tuple[str, str] | None:
    names = {name.strip().lower() for name in head.names}
    plain = {name.removeprefix("g:").replace(" ", "_") for name in names}
    if FIELDS["ga4_bigquery"] <= names:
        return "ga4_bigquery", "its columns event_name, event_params, event_timestamp"
    shopify = {"variant price", "variant sku", "option1 value", "price", "sku"}
    if names & {"handle", "url handle"} and "title" in names and names & shopify:
        if names & {"option1 name", "body (html)", "published on online store", "vendor"}:
            return "shopify", "its columns of a product export: Handle, Title, Option1 Name"
        return None
    if {"stockcode", "invoicedate", "quantity"} <= names and names & {"invoiceno", "invoice"}:
        return "online_retail", "its columns InvoiceNo, StockCode, InvoiceDate"
    google = {"link", "image_link", "availability", "price", "condition", "google_product_category"}
    if {"id", "title"} <= plain and (len(plain & google) >= 4 or "g:id" in names):
        return "merchant_center", f"its columns id, title, {', '.join(sorted(plain & google))}"
    return None


def _events_of(value: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the events of a request that holds several."""
    events = value.get("events")
    return (
        [each for each in events if isinstance(each, Mapping)] if isinstance(events, list) else []
    )


def _objects(path: Path, start: str) -> tuple[Mapping[str, Any], ...]:
    """Read the first objects of JSON lines, of a list, or the one object that there is."""
    found: list[Any] = []
    decoder = json.JSONDecoder()
    place = 1 if start.startswith("[") else 0
    while len(found) < ROWS:
        while place < len(start) and start[place] in " \t\r\n,":
            place += 1
        try:
            value, place = decoder.raw_decode(start, place)
        except (ValueError, RecursionError):
            # The rest of a line that is no JSON, or of a value that goes beyond the head.
            line_end = start.find("\n", place)
            if line_end < 0:
                break
            place = line_end + 1
            continue
        found.append(value)
    objects = tuple(each for each in found if isinstance(each, Mapping) and each)
    return objects or _whole(path)


def _whole(path: Path) -> tuple[Mapping[str, Any], ...]:
    """Read one long object from its whole file, if that is not too long."""
    if path.stat().st_size > 50 * _text.HEAD_MAX:
        return ()
    try:
        value = json.loads(_text.beginning(path, letters=50 * _text.HEAD_MAX))
    except (ValueError, RecursionError):
        return ()
    values = value if isinstance(value, list) else [value]
    return tuple(each for each in values[:ROWS] if isinstance(each, Mapping))


def _table(path: Path, form: str, folder: Path | None) -> Head:
    import polars as pl

    try:
        if form == ".parquet":
            rows = pl.scan_parquet(path).head(ROWS).collect()
        else:
            rows = _files.workbook(path).head(ROWS)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _text.broken(path, error) from error
    values = tuple(tuple(_plain(value) for value in row) for row in rows.rows())
    return Head(path, tuple(rows.columns), values, folder=folder)


def _plain(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, dict | list | bool) else str(value)
