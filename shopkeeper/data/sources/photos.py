"""A folder of photos, one folder within it for each kind of product: every photo is a product.

`dress/red-evening-gown.jpg` is the product `dress/red-evening-gown` of the product type `dress`,
with the title `red evening gown`; a name that is but a number is titled by its kind. Prices and
all else may come from another feed with the same ids. Looks at names and sizes, not at pictures:
a photo that cannot be opened is left out when pictures are learned.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from shopkeeper.data.sources import _files, _products
from shopkeeper.errors import BadData
from shopkeeper.schema import LINES_PER_FILE

if TYPE_CHECKING:
    import ibis

FORMS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".avif")
_WORD = re.compile(r"[^\W\d_]{3,}")
_NUMBER = re.compile(r"[0-9a-fA-F]+(-[0-9a-fA-F]+)*|(img|dsc|dscn|dscf|pxl|photo|image)?[\W\d_]*",
                     re.IGNORECASE)  # fmt: skip


class Photos:
    """Reads photos by kind; each is a product."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """How to read the photos."""

        availability: str = "in_stock"
        """What is said of every product; empty to say nothing."""

        def __post_init__(self) -> None:
            if self.availability not in ("", *_products.AVAILABILITY):
                raise ValueError(
                    f"availability must be empty or one of {', '.join(_products.AVAILABILITY)}, "
                    f"but is '{self.availability}'."
                )

    check_settings: ClassVar[dict[str, dict[str, Any]]] = {}
    """What this source asks of the checks: nothing."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def files(self, location: Path | None) -> list[Path]:
        """Return the photos that `read` would read."""
        if location is None:
            raise BadData(
                "The source photos reads your own photos, but none were given. Give the folder "
                "that holds a folder of photos for each kind of product."
            )
        return _files.listed(location, FORMS)

    def read(self, backend: Any, files: Sequence[Path]) -> "dict[str, ibis.Table]":
        """Return `products`, one for each photo; BadData if a file is not there."""
        return {"products": _products.understood(_products.staged(backend, self._rows(files)), "")}

    def _rows(self, files: Sequence[Path]) -> Iterator[dict[str, Any]]:
        twice = _twice(files)
        for place, path in enumerate(files):
            if not path.is_file():
                raise BadData(f"There is no file {path}. Check the path.")
            if not path.name.lower().endswith(FORMS):
                raise BadData(f"The file {path} is no photo. Give files of {', '.join(FORMS)}.")
            whole = path.absolute()
            kind = _plain(whole.parent.name)
            yield {
                "line": place * LINES_PER_FILE + 1,
                "id": f"{whole.parent.name}/{path.name if path in twice else path.stem}",
                "title": _title(path.stem) or kind,
                "product_type": kind,
                "image_link": str(whole),
                "availability": self.config.availability or None,
                "problem": None if path.stat().st_size else "the photo is empty (0 bytes)",
            }


def _twice(files: Sequence[Path]) -> set[Path]:
    """Return the files that differ from another by their ending alone."""
    seen: dict[Path, list[Path]] = {}
    for path in files:
        seen.setdefault(path.with_suffix(""), []).append(path)
    return {path for same in seen.values() if len(same) > 1 for path in same}


def _title(stem: str) -> str:
    """Return the words of a file's name, none where it is a number or what a camera gave it."""
    if _NUMBER.fullmatch(stem) or not _WORD.search(stem):
        return ""
    return _plain(stem.replace("-", " "))


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").split())
