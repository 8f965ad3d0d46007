"""Reads the values of a JSON file one at a time: JSON lines, one long array, one document, a page.

A line that is no JSON is `Broken` and the next is read; a file that is none as a whole is BadData.
Arrays are read in pieces, also the `@graph` that a JSON-LD document may begin with. Knows nothing
of products.
"""

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import count
from pathlib import Path
from typing import IO, Any

from shopkeeper.data.sources import _files, _packing
from shopkeeper.errors import BadData

LINES = (".jsonl", ".ndjson")
PAGES = (".html", ".htm")

LINE_BYTES_MAX = 16 * 2**20
"""The most that one line, or one value of an array, may take."""
DOCUMENT_BYTES_MAX = 128 * 2**20
"""The most that a document may take that is neither lines nor an array."""
PIECE_BYTES = 2**20

_ARRAY = re.compile(
    r'\s*(\{\s*("@context"\s*:\s*("[^"]*"|\{[^{}]*\}|\[[^\[\]]*\])\s*,\s*)?"@graph"\s*:\s*)?\['
)
_BETWEEN = re.compile(r"[\s,]*")


@dataclass(frozen=True)
class Broken:
    """What cannot be read."""

    text: str
    """Its first letters."""


def values(path: Path) -> Iterator[Any]:
    """Read the values of a file.

    Args:
        path: JSON lines, a JSON file or an HTML page, perhaps packed by gzip.

    Yields:
        What JSON makes of each line, value of an array, document, or script of a page; or `Broken`.

    Raises:
        BadData: The file is no JSON, breaks off, or has a value beyond all measure.
    """
    _files.usable(path)
    with _packing.opened(path) as file:
        if _files.form(path) in PAGES:
            yield from _of_page(path, file)
            return
        first = file.readline(LINE_BYTES_MAX + 1)
        while first.strip() in (b"", codecs.BOM_UTF8):
            if not first:
                raise BadData(f"The file {path} holds only blanks. Export or download it again.")
            first = file.readline(LINE_BYTES_MAX + 1)
    with _packing.opened(path) as file:
        opening = first.removeprefix(codecs.BOM_UTF8).lstrip()[:1]
        if _files.form(path) in LINES or (opening == b"{" and _is_whole(first)):
            yield from _of_lines(path, file)
        elif opening in (b"[", b"{"):
            yield from _of_document(path, file)
        else:
            raise BadData(f"The file {path} is no JSON: it begins with neither {{ nor [.")


def _of_lines(path: Path, file: IO[bytes]) -> Iterator[Any]:
    for number in count(1):
        line = file.readline(LINE_BYTES_MAX + 1)
        if not line:
            return
        if len(line) > LINE_BYTES_MAX:
            raise BadData(
                f"Line {number} of {path} is longer than {LINE_BYTES_MAX >> 20} MB. Write one "
                "product a line."
            )
        if line.strip():
            try:
                yield json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except (ValueError, RecursionError):
                yield Broken(line[:500].decode("utf-8", "replace").strip())


def _of_document(path: Path, file: IO[bytes]) -> Iterator[Any]:
    decode = codecs.getincrementaldecoder("utf-8-sig")().decode
    try:
        text = decode(file.read(PIECE_BYTES))
        array = _ARRAY.match(text)
        if array:
            yield from _of_array(path, file, decode, text, array.end())
            return
        rest = file.read(DOCUMENT_BYTES_MAX)
        if len(rest) == DOCUMENT_BYTES_MAX:
            raise BadData(
                f"The JSON document {path} is longer than {DOCUMENT_BYTES_MAX >> 20} MB. Write one "
                "product a line, or one array of products."
            )
        yield json.loads(text + decode(rest, final=True))
    except json.JSONDecodeError as error:
        raise _not_json(path, error.lineno, error.msg) from error
    except UnicodeDecodeError as error:
        raise BadData(f"The file {path} is not UTF-8: {error.reason}. Export it again.") from error
    except RecursionError as error:
        raise BadData(f"The JSON file {path} is nested too deep. Give a product feed.") from error


def _of_array(path: Path, file: IO[bytes], decode: Any, text: str, at: int) -> Iterator[Any]:
    """Read one value after another; `text` is what is read so far, `at` where the array begins."""
    scan = json.JSONDecoder().raw_decode
    lines = 1
    while True:
        between = _BETWEEN.match(text, at)
        at = between.end() if between else at
        if text.startswith("]", at):
            return
        try:
            value, end = scan(text, at)
        except json.JSONDecodeError as error:
            # Perhaps the value goes on in the next piece: at least as much again, so that a long
            # one is not scanned too often.
            line = lines + error.lineno - 1
            lines += text.count("\n", 0, at)
            text, at = text[at:], 0
            piece = file.read(max(PIECE_BYTES, len(text)))
            if not piece or len(text) > LINE_BYTES_MAX:
                raise _not_json(path, line, error.msg) from error
            text += decode(piece)
            continue
        yield value
        at = end


def _not_json(path: Path, line: int, why: str) -> BadData:
    return BadData(
        f"The JSON file {path} is broken or half-written at line {line}: {why}. Export or "
        "download it again."
    )


def _is_whole(line: bytes) -> bool:
    try:
        json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return False
    return True


def _of_page(path: Path, file: IO[bytes]) -> Iterator[Any]:
    page = file.read(LINE_BYTES_MAX + 1)
    if len(page) > LINE_BYTES_MAX:
        raise BadData(f"The page {path} is longer than {LINE_BYTES_MAX >> 20} MB. Give a feed.")
    scripts = _Scripts()
    scripts.feed(page.decode("utf-8-sig", "replace"))
    scripts.close()
    for text in scripts.found:
        try:
            yield json.loads(text)
        except (ValueError, RecursionError):
            yield Broken(text[:500].strip())


class _Scripts(HTMLParser):
    """Finds the texts of `<script type="application/ld+json">`."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        kind = (dict(attrs).get("type") or "").split(";")[0].strip().lower()
        self.inside = tag == "script" and kind == "application/ld+json"
        if self.inside:
            self.found.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "script"

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.found[-1] += data
