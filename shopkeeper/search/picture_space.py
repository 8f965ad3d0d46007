"""Where pictures of like products lie near each other, and near the words for them.

Learned in closed form from the shop's own pictures: first the directions that tell its classes
apart (linear discriminant analysis of Fisher, 1936, with the spread within classes drawn towards
an even one as by Friedman, 1989), then a ridge regression from text vectors into the same space.
The untuned picture keeps a share, so that within a class the more alike still come first. On a
few hundred photos this equals small networks with a margin loss, in a second and without chance.
Words that no product is named by are placed by likeness to those that are, which is a guess.
Knows nothing of products or of encoders.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from shopkeeper.errors import BadData, NotFitted

Floats = NDArray[np.float32]

# N pictures, D width of a picture's vector, E width of a text's vector, A axes, C classes,
# S = A + D width of the space

AXES_MAX = 128
"""More directions than this are not kept, whatever the number of classes."""


class PictureSpace:
    """A space for pictures and words; `fit` it, then `place` pictures and `place_words`."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings, chosen on validation photos of clothes."""

        shrinkage: float = 2.0
        """How far the spread within classes is drawn towards an even one, above 0."""
        detail: float = 0.1
        """The share of the untuned picture in a likeness, from 0 to 1."""
        ridge: float = 0.1
        """What keeps the regression from texts small, above 0."""
        class_pictures_min: int = 3
        """Classes of fewer pictures teach no direction, from 2."""

        def __post_init__(self) -> None:
            if not self.shrinkage > 0 or not self.ridge > 0:
                raise ValueError("shrinkage and ridge must be above 0.")
            if not 0 <= self.detail <= 1:
                raise ValueError(f"detail must be from 0 to 1, but is {self.detail}.")
            if self.class_pictures_min < 2:
                raise ValueError("class_pictures_min must be at least 2.")

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()
        self._learned: dict[str, Floats] = {}

    def fit(self, pictures: Floats, classes: Sequence[str | None], texts: Floats) -> Self:
        """Learn the space from the pictures of a shop.

        Args:
            pictures: One vector of length 1 per picture. Shape [N, D], N at least 1.
            classes: The class of each picture, None where it has none. N of them.
            texts: The vector of each product's text. Shape [N, E].

        Returns:
            Itself. With fewer than two classes of `class_pictures_min` pictures it tunes nothing.

        Raises:
            BadData: The numbers of pictures, classes and texts differ, or a value is not finite.
        """
        if not 0 < len(pictures) == len(classes) == len(texts):
            raise BadData(
                f"There are {len(pictures)} pictures, {len(classes)} classes and "
                f"{len(texts)} texts. Give one of each."
            )
        if not (np.isfinite(pictures).all() and np.isfinite(texts).all()):
            raise BadData("A picture or text vector holds NaN or infinity. Encode them again.")
        middle = pictures.mean(0)
        axes = self._axes(pictures - middle, classes)
        self._learned = {"middle": middle, "axes": axes}
        placed = self.place(pictures)
        word_middle, place_middle = texts.mean(0), placed.mean(0)
        apart = (texts - word_middle).astype(np.float64)
        spread = apart.T @ apart / len(apart)
        even = self.config.ridge * max(float(np.trace(spread)) / len(spread), 1e-12)
        shared = apart.T @ (placed - place_middle) / len(apart)
        words = np.linalg.solve(spread + even * np.eye(len(spread)), shared)
        self._learned |= {
            "word_middle": word_middle,
            "words": words.astype(np.float32),
        }
        return self

    @property
    def num_axes(self) -> int:
        """How many directions tell the classes apart, 0 where nothing was tuned."""
        return int(self._known("axes").shape[1])

    def place(self, pictures: Floats) -> Floats:
        """Return the place of each picture, a vector of length 1, [N, S].

        Raises NotFitted: Nothing was learned or restored.
        """
        away = pictures - self._known("middle")
        axes = self._known("axes")
        detail = np.float32(self.config.detail if axes.shape[1] else 1.0)
        tuned = _units(away @ axes) * np.sqrt(1 - detail)
        return np.hstack([tuned, _units(away) * np.sqrt(detail)]).astype(np.float32)

    def place_words(self, texts: Floats) -> Floats:
        """Return the place of each text by its vector, of length 1, [N, S].

        Raises NotFitted: Nothing was learned or restored.
        """
        words = self._known("words")
        return _units((texts - self._known("word_middle")) @ words)

    def save(self, folder: Path) -> None:
        """Write what was learned into `folder`."""
        self._known("words")
        np.savez(folder / "space.npz", allow_pickle=False, **self._learned)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote; BadData if the file is broken."""
        try:
            with np.load(folder / "space.npz", allow_pickle=False) as kept:
                self._learned = {name: kept[name] for name in kept.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise BadData("The picture space cannot be read. Train the shop again.") from error
        return self

    def _known(self, name: str) -> Floats:
        if name not in self._learned:
            raise NotFitted("The picture space has learned nothing. Call `fit` or `restore` first.")
        return self._learned[name]

    def _axes(self, away: Floats, classes: Sequence[str | None]) -> Floats:
        """Return the directions that tell classes apart, [D, A]."""
        width = away.shape[1]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(classes))}
        kind_of = np.array([-1 if name is None else numbers[name] for name in classes])
        kinds, counts = np.unique(kind_of[kind_of >= 0], return_counts=True)
        kinds = kinds[counts >= self.config.class_pictures_min]
        if len(kinds) < 2:
            return np.zeros((width, 0), dtype=np.float32)
        some, some_kind = away[(kept := np.isin(kind_of, kinds))], kind_of[kept]
        means = np.stack([some[some_kind == kind].mean(0) for kind in kinds])
        within = (some - means[np.searchsorted(kinds, some_kind)]).astype(np.float64)
        spread = within.T @ within / len(within)
        even = max(float(np.trace(spread)) / width, 1e-12)
        spread += self.config.shrinkage * even * np.eye(width)
        sizes, turn = np.linalg.eigh(spread)
        whiten = turn / np.sqrt(sizes)
        _, strength, between = np.linalg.svd((means - means.mean(0)) @ whiten, full_matrices=False)
        # The means of C classes lie in C - 1 directions, fewer where classes look the same.
        strong = int((strength > strength[0] * 1e-4).sum())
        axes = between[: min(len(kinds) - 1, AXES_MAX, strong)]
        return np.asarray(whiten @ axes.T, dtype=np.float32)


def _units(rows: NDArray[np.floating[Any]]) -> Floats:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, 1e-9), dtype=np.float32)
