"""Reads the items of RSS 2.0, Atom and plain XML product feeds, one at a time.

Expat reads in pieces and the items of a piece are dropped when they are told, so a feed of any size
takes little memory. Document types, and with them entities of a file's own, are refused.
Namespaces are taken by their prefixes, for many feeds forget to declare `g:`; what is said under
`g:` goes before the same word of RSS or Atom.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from shopkeeper.data.sources import _files, _packing, _products
from shopkeeper.errors import BadData

ITEMS = frozenset(("item", "entry", "product"))
"""Elements that hold one product."""

OF_ATOM = {"summary": "description", "content": "description"}
IMAGES = "additional_image_link"

DEPTH_MAX = 32
ITEM_BYTES_MAX = 8 * 2**20
"""The most that may come without a whole item."""
PIECE_BYTES = 2**17

_TEXTS = frozenset(_products.TEXTS)


def items(path: Path) -> Iterator[dict[str, Any]]:
    """Read the items of a feed.

    Args:
        path: An XML file, perhaps packed by gzip.

    Yields:
        Texts of `_products.SAID`, and the item's number from 1 as `line`.

    Raises:
        BadData: The file is no sound XML, breaks off, names a document type, is nested too deep,
            has an item beyond all measure, or none.
    """
    _files.usable(path)
    reader = _Reader(path)
    count = waited_bytes = 0
    with _packing.opened(path) as file:
        while True:
            piece = file.read(PIECE_BYTES)
            waited_bytes += len(piece)
            for item in reader.read(piece):
                count += 1
                waited_bytes = 0
                row = _row(item)
                row["line"] = count
                yield row
            if not piece:
                break
            if waited_bytes > ITEM_BYTES_MAX:
                raise reader.refusal(f"has no whole item in {ITEM_BYTES_MAX >> 20} MB")
    if not count:
        raise BadData(
            f"The XML file {path} has no {' or '.join(sorted(ITEMS))}. Give a product feed in RSS "
            "2.0 or Atom."
        )


class _Reader:
    """Builds the tree of a file's XML and takes the whole items out of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root: Element | None = None
        self.builder = TreeBuilder()
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.begin
        self.parser.EndElementHandler = self.builder.end
        self.parser.CharacterDataHandler = self.builder.data
        self.parser.StartDoctypeDeclHandler = self.refuse

    def read(self, piece: bytes) -> Iterator[Element]:
        """Read on, to the end where the piece is empty, and yield what is whole."""
        try:
            self.parser.Parse(piece, not piece)
        except expat.ExpatError as error:
            raise _broken(self.path, error) from error
        if self.root is not None:
            self.measure(self.root)
            yield from _whole(self.root, is_open=bool(piece))

    def begin(self, tag: str, marks: dict[str, str]) -> None:
        """Take the root; what follows is built without a step of Python."""
        self.root = self.builder.start(tag, marks)
        self.parser.StartElementHandler = self.builder.start

    def measure(self, node: Element) -> None:
        """Follow the elements that may be open yet, the last of each."""
        for _ in range(DEPTH_MAX):
            if not len(node):
                return
            node = node[-1]
        raise self.refusal(f"is nested more than {DEPTH_MAX} deep")

    def refuse(self, *_: Any) -> None:
        raise self.refusal("names a document type (DTD)")

    def refusal(self, why: str) -> BadData:
        return BadData(
            f"The XML file {self.path} {why}, line {self.parser.CurrentLineNumber}. That is no "
            "product feed; export it again without."
        )


def _whole(node: Element, *, is_open: bool, depth: int = 0) -> Iterator[Element]:
    """Yield the whole items in an element, and drop all that is whole."""
    if node.tag.rpartition(":")[2].lower() in ITEMS:
        if not is_open:
            yield node
        return
    # Only the last of an open element's children can be open itself.
    children = list(node)
    for place, child in enumerate(children, start=1):
        if depth < DEPTH_MAX:
            last = is_open and place == len(children)
            yield from _whole(child, is_open=last, depth=depth + 1)
    del node[: len(children) - 1 if is_open else len(children)]


def _row(item: Element) -> dict[str, Any]:
    said: dict[str, Any] = {}
    of_google: dict[str, str] = {}
    rest: dict[str, str] = {}
    for child in item:
        name, is_googles = _names[child.tag]
        text = _text(child, name) if len(child) or not child.text else child.text.strip()
        if not text:
            continue
        kept = rest if name not in _TEXTS else of_google if is_googles else said
        if name == IMAGES:
            text = text.replace(",", "%2C")
        if name not in kept:
            kept[name] = text
        elif name == IMAGES or kept is rest:
            kept[name] += f",{text}"
    said |= of_google
    said["attributes"] = _products.as_attributes(rest)
    return said


def _text(child: Element, name: str) -> str:
    """Read an attribute of parts, such as `shipping`, or a link that is a mark."""
    parts = [text.strip() for text in child.itertext()]
    if not len(child):
        return child.get("href", "") if child.get("rel", "alternate") == "alternate" else ""
    # In TSV the parts of an attribute stand with colons between.
    return (" " if name in _TEXTS else ":").join(part for part in parts if part)


class _Names(dict[str, tuple[str, bool]]):
    """Our word for each tag, and whether the tag is Google's."""

    def __missing__(self, tag: str) -> tuple[str, bool]:
        if len(self) > 10_000:
            self.clear()
        name = _products.attribute(tag)
        self[tag] = (OF_ATOM.get(name, name), tag.startswith(("g:", "c:")))
        return self[tag]


_names = _Names()


def _broken(path: Path, error: expat.ExpatError) -> BadData:
    what = expat.ErrorString(error.code)
    if error.code in (3, 5, 6):
        what = f"{what}: it breaks off there, half-written"
    return BadData(
        f"The XML file {path} cannot be read at line {error.lineno}, column {error.offset + 1}: "
        f"{what}. Export or download it again."
    )
