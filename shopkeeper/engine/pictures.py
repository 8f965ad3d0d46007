"""The pictures of a shop: which products have one at hand, and how they are found by it.

A product has a picture where its `image_link` is a file, by its whole path or as seen from the
shop's folder. Addresses on the web are not fetched. A shop without such files pays nothing.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper import registry
from shopkeeper.config import Config
from shopkeeper.encoders import VectorCache
from shopkeeper.encoders.images import PictureEncoder, encode_files, open_picture
from shopkeeper.errors import BadData, BadRequest
from shopkeeper.schema import CATEGORY, PICTURE_VECTOR, PRODUCT_ID
from shopkeeper.search.pictures import PictureIndex
from shopkeeper.tracing import stage

SHELF = "encoders.images"
FOLDER = "pictures"
FILES_PER_STEP = 256
"""New pictures that a killed run loses at most."""


@dataclass(frozen=True)
class Pictures:
    """What finds products by pictures: an encoder, and the index of what it saw."""

    encoder: PictureEncoder
    index: PictureIndex
    vectors: pl.DataFrame | None = None
    """`id` and `picture_vector` of the products, as learned; None where this was restored."""

    def like(self, content: bytes, k: int) -> pl.DataFrame:
        """Return up to k rows of `item_id`, `score`, products that look like a picture.

        Args:
            content: The bytes of a file.
            k: How many.

        Returns:
            The products, best first.

        Raises:
            BadRequest: The bytes are no picture that can be opened.
        """
        try:
            picture = open_picture(content)
        except BadData as error:
            raise BadRequest("picture", str(error)) from error
        return self.index.like(self.encoder.encode([picture])[0], k)

    def save(self, folder: Path) -> None:
        """Write into a bundle."""
        registry.save(self.encoder, folder / FOLDER / "encoder")
        (folder / FOLDER / "index").mkdir()
        self.index.save(folder / FOLDER / "index")

    @classmethod
    def restore(cls, folder: Path) -> "Pictures | None":
        """Read what `save` wrote into a bundle, None if it had no pictures."""
        kept = folder / FOLDER
        if not kept.is_dir():
            return None
        return cls(registry.load(kept / "encoder"), PictureIndex().restore(kept / "index"))


def learn_pictures(
    folder: Path, config: Config, products: pl.DataFrame, texts: NDArray[np.float32]
) -> Pictures | None:
    """Learn to find products by their pictures.

    Args:
        folder: The shop's folder, whose `cache` keeps the exported encoder and known vectors.
        config: Names the encoder.
        products: `schema.PRODUCTS` rows.
        texts: The vectors of their texts. Shape [N, E].

    Returns:
        What finds them, None if no product has a picture at hand that can be opened.

    Raises:
        Missing: There are pictures, but not what turns them into vectors.
    """
    name = config.search.pictures
    files = picture_files(folder, products) if name else {}
    if not files:
        return None
    with stage("pictures", f"{len(files):,} pictures"):
        encoder = registry.build(SHELF, name, **config.part(SHELF, name))
        encoder.ensure(folder / "cache" / f"picture-encoder-{name}")
        cache = VectorCache(folder / "cache" / "picture-vectors", FILES_PER_STEP)
        vectors = encode_files(encoder, list(files.values()), cache)
        seen = np.linalg.norm(vectors, axis=1) > 0
        rows = np.array(list(files))[seen]
        if not len(rows):
            return None
        shown = products[rows.tolist()]
        index = PictureIndex().build(
            shown[PRODUCT_ID].to_list(), vectors[seen], shown[CATEGORY].to_list(), texts[rows]
        )
    seen_vectors = pl.Series(PICTURE_VECTOR, vectors[seen], pl.Array(pl.Float32, vectors.shape[1]))
    return Pictures(encoder, index, shown.select(PRODUCT_ID).with_columns(seen_vectors))


def picture_files(folder: Path, products: pl.DataFrame) -> dict[int, Path]:
    """Return the picture of each product that has one at hand, by its row."""
    found = {}
    for row, link in enumerate(products["image_link"].to_list()):
        if link and "://" not in link and _is_file(folder / link):
            found[row] = folder / link
    return found


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        # A name that no disk can bear, or one with a nought in it.
        return False
