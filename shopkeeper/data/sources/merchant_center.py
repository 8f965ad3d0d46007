"""Product feeds as made for Google Merchant Center: TSV, CSV, RSS 2.0 and Atom, packed or not.

Source: Google's product data specification; attribute names are matched whatever their case, with
`g:` or without. Of values that come twice in XML the first counts, but images, and what we have no
column for, are put together with commas. A `sale_price` counts whatever `sale_price_effective_date`
says, which stands in `attributes`. Does not know attribute names in other languages than English.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from shopkeeper.data.sources import _files, _money, _products, _text, _xml
from shopkeeper.errors import BadData
from shopkeeper.schema import LINES_PER_FILE

if TYPE_CHECKING:
    import ibis

XML = (".xml", ".rss", ".atom")
NEEDED = {"id": ("id", "g:id"), "title": ("title", "g:title")}


class MerchantCenter:
    """Reads feeds of products; each file says by itself which form it has."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """How to read the feeds."""

        currency: str = ""
        """ISO 4217 code of prices that name none; empty to refuse them."""
        encoding: str = "utf-8"
        """Encoding of TSV and CSV files; XML names its own."""

        def __post_init__(self) -> None:
            _money.known(self.currency)

    check_settings: ClassVar[dict[str, dict[str, Any]]] = {}
    """What this source asks of the checks: nothing."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def files(self, location: Path | None) -> list[Path]:
        """Return the files that `read` would read."""
        if location is None:
            raise BadData(
                "The source merchant_center reads your own feed, but none was given. Give the "
                "file or folder that you submit to Google Merchant Center."
            )
        return _files.listed(location, (".tsv", ".csv", ".txt", *XML))

    def read(self, backend: Any, files: Sequence[Path]) -> "dict[str, ibis.Table]":
        """Return `products` as the feeds have them; a broken feed is BadData."""
        import ibis

        feeds = [(place, path) for place, path in enumerate(files) if _is_xml(path)]
        parts = [
            self._delimited(backend, path, place)
            for place, path in enumerate(files)
            if (place, path) not in feeds
        ]
        if feeds:
            parts.append(_products.staged(backend, _items(feeds)))
        rows = ibis.union(*parts) if len(parts) > 1 else parts[0]
        return {"products": _products.understood(rows, self.config.currency)}

    def _delimited(self, backend: Any, path: Path, place: int) -> "ibis.Table":
        rows = _files.open_rows(backend, [path], encoding=self.config.encoding)
        _files.pick(rows, NEEDED, path)
        columns: dict[str, Any] = {}
        for name in rows.columns:
            if name not in ("line", "problem"):
                text = rows[name].cast("string").strip().nullif("")
                columns.setdefault(_products.attribute(name), text)
        rest = sorted(name for name in columns if name not in _products.TEXTS)
        columns["problem"] = rows.problem
        columns["attributes"] = _products.as_object((name, columns.pop(name)) for name in rest)
        rows = rows.mutate(line=rows.line + place * LINES_PER_FILE)
        return _products.said(rows, columns)


def _is_xml(path: Path) -> bool:
    _files.usable(path)
    return _files.form(path) in XML or _text.beginning(path, letters=256).lstrip().startswith("<")


def _items(feeds: Sequence[tuple[int, Path]]) -> Iterator[dict[str, Any]]:
    for place, path in feeds:
        for item in _xml.items(path):
            item["line"] += place * LINES_PER_FILE
            yield item
