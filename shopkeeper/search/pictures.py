"""Finds products by how they look: exact cosine in a space of pictures and words.

Knows nothing of files, encoders or shoppers.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.schema import PRODUCT_ID
from shopkeeper.search.indexes.dense import Dense
from shopkeeper.search.picture_space import PictureSpace


class PictureIndex:
    """Products by the vectors of their pictures; `build` or `restore` it, then ask."""

    def __init__(self, space: PictureSpace | None = None) -> None:
        self.space = space or PictureSpace()
        # What is least alike is still an answer, at the end.
        self._near = Dense(Dense.Config(cosine_min=-1.0))

    def build(
        self,
        items: Sequence[str],
        pictures: NDArray[np.float32],
        classes: Sequence[str | None],
        texts: NDArray[np.float32],
    ) -> Self:
        """Learn the pictures of N products.

        Args:
            items: Distinct product ids; earlier ones win ties.
            pictures: One vector of length 1 each. Shape [N, D].
            classes: What the shop calls their kind, None where it does not say.
            texts: The vectors of their texts. Shape [N, E].

        Returns:
            Itself. BadData where the numbers differ or a value is not finite.
        """
        self.space.fit(pictures, classes, texts)
        self._near.build(pl.DataFrame({PRODUCT_ID: list(items)}), self.space.place(pictures))
        return self

    def like(self, picture: NDArray[np.float32], k: int) -> pl.DataFrame:
        """Return up to k rows of `item_id`, `score` (cosine) that look like a picture's vector [D].

        Raises NotFitted: Nothing was built or restored.
        """
        return self._near.search("", self.space.place(picture[None])[0], k)

    def named(self, text: NDArray[np.float32], k: int) -> pl.DataFrame:
        """Return up to k rows of `item_id`, `score` that look like what a text's vector [E] names.

        Raises NotFitted: Nothing was built or restored.
        """
        return self._near.search("", self.space.place_words(text[None])[0], k)

    def save(self, folder: Path) -> None:
        """Write the index into an existing `folder`."""
        self._near.save(folder)
        self.space.save(folder)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        self._near.restore(folder)
        self.space.restore(folder)
        return self
