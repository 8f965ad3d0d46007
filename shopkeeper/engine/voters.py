"""Labelled texts that vote for the category of another, and how often their vote is right.

The nearest in meaning vote, and a path is followed down as long as its chance of being right
stays high. That chance is measured, level by level, on the labelled texts themselves, hidden from
the vote; so it means the same for every encoder and taxonomy.
Source: nearest neighbours weighted by similarity (Dudani, 1976), scaled after Platt, 1999.
Knows neither products nor shops.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.arrays import Floats, Rows
from shopkeeper.engine.departments import DEPARTMENTS
from shopkeeper.tracing import stage

# Q texts asked, L labelled texts, K neighbours, D width, V levels of the taxonomy, F features

Encode = Callable[[Sequence[str]], NDArray[np.float32]]

SEPARATOR = " > "
CELLS_MAX = 8_000_000
"""Similarities held at once."""
LESSONS_MAX = 3_000
"""So many labelled texts tell how often the vote is right."""
SAME_TEXT_MAX = 8
"""Neighbours looked at beyond those that vote, for the ones that are left out while measuring."""
DEPARTMENTS_SCALE = (-2.47, 0.548, 5.64)
"""From the vote of departments to a chance: their words are no products to measure it on, so it
was fitted to offers of PriceRunner and titles of The Complete Journey with known departments."""


@dataclass(frozen=True, kw_only=True)
class Filling:
    """How categories are filled."""

    neighbours: int = 20
    """How many labelled texts vote."""
    sharpness: float = 24.0
    """A vote counts its similarity to this power."""
    chance_min: float = 0.9
    """A level is filled if its chance of being right is at least this."""
    labelled_min: int = 50
    """With fewer labelled products a shop has no taxonomy of its own."""
    departments: bool = True
    """Whether such a shop gets departments; for encoders that know meaning, not letters alone."""
    labelled_max: int = 10_000
    """Labelled texts that may vote, drawn evenly over the categories; bounds time and memory."""
    seed: int = 0
    """Decides which are drawn."""


@dataclass(frozen=True)
class Voters:
    """The labelled texts that vote, and how often their vote is right."""

    filling: Filling
    vector_LD: Floats
    products_L: Rows
    """How many products have this text and category; the more, the more the text counts."""
    text_L: Rows
    """Equal for equal texts."""
    code_LV: Rows
    """Category at each level, -1 below the end of its path."""
    names: list[list[str]]
    """The paths of each level by code."""
    scale_VF: Floats
    """From share of the vote and similarity to the chance of being right, by level."""

    @classmethod
    def of(cls, labelled: pl.DataFrame, encode: Encode, filling: Filling) -> "Voters":
        """Learn from rows of `text` and `path`, as `fill_categories` does."""
        rows = labelled.group_by("text", "path").len("products").sort("text", "path")
        voters = cls._of(_drawn(rows, filling), encode, filling)
        with stage("measure-categories"):
            return replace(voters, scale_VF=voters._measure())

    @classmethod
    def of_departments(cls, encode: Encode, filling: Filling) -> "Voters":
        """Let the words of `departments.py` vote."""
        told = [(word, name, 1) for name, words in DEPARTMENTS.items() for word in words]
        rows = pl.DataFrame(told, schema=["text", "path", "products"], orient="row")
        voters = cls._of(rows.sort("text"), encode, replace(filling, neighbours=10, sharpness=8.0))
        return replace(voters, scale_VF=np.array([DEPARTMENTS_SCALE], np.float32))

    @classmethod
    def _of(cls, rows: pl.DataFrame, encode: Encode, filling: Filling) -> "Voters":
        code_LV, names = _levels(rows["path"])
        return cls(
            filling=filling,
            vector_LD=np.asarray(encode(rows["text"].to_list()), np.float32),
            products_L=rows["products"].cast(pl.Int64).to_numpy(),
            text_L=rows["text"].rle_id().to_numpy().astype(np.int64),
            code_LV=code_LV,
            names=names,
            scale_VF=np.zeros((code_LV.shape[1], 3), np.float32),
        )

    def answer(self, vector_QD: Floats) -> tuple[list[str | None], list[float]]:
        """Return the deepest path that is sure enough, None for none, and its chance."""
        paths: list[str | None] = []
        chances: list[float] = []
        for begin in range(0, len(vector_QD), step := max(1, CELLS_MAX // len(self.vector_LD))):
            near_QK, cosine_QK = self._nearest(vector_QD[begin : begin + step], 0)
            code_QV, feature_QVF = self._vote(near_QK, cosine_QK)
            chance_QV = _chance(feature_QVF, self.scale_VF)
            sure_QV = (code_QV >= 0) & (chance_QV >= self.filling.chance_min)
            depth_Q = np.cumprod(sure_QV, axis=1).sum(axis=1)
            for codes, chance, depth in zip(code_QV, chance_QV, depth_Q, strict=True):
                paths.append(self.names[depth - 1][codes[depth - 1]] if depth else None)
                chances.append(float(chance[:depth].min(initial=1.0)))
        return paths, chances

    def _nearest(self, vector_QD: Floats, more: int) -> tuple[Rows, Floats]:
        """Return the nearest labelled texts, best first, `more` than those that vote."""
        cosine_QL = vector_QD @ self.vector_LD.T
        many = min(self.filling.neighbours + more, cosine_QL.shape[1])
        # Partitioning values and looking them up takes a tenth of what `argpartition` does.
        least_Q = np.partition(cosine_QL, -many, axis=1)[:, -many]
        row, near = np.nonzero(cosine_QL >= least_Q[:, None])
        cosine = cosine_QL[row, near]
        order = np.lexsort((near, -cosine, row))
        place = np.arange(len(row)) - np.searchsorted(row, row)
        kept = order[place < many]
        shape = (len(cosine_QL), many)
        return near[kept].reshape(shape), cosine[kept].reshape(shape)

    def _vote(self, near_QK: Rows, cosine_QK: Floats) -> tuple[Rows, Floats]:
        """Follow the weightiest branch down; a neighbour with cosine 0 or less has no vote.

        Args:
            near_QK: Labelled texts, nearest first.
            cosine_QK: How like the asked text they are.

        Returns:
            Category at each level, [Q, V], -1 where the path ends; and for `_chance` its share of
            all votes and the similarity of its nearest voter, [Q, V, 3].
        """
        vote_QK = np.maximum(cosine_QK, 0) ** self.filling.sharpness
        vote_QK = vote_QK * np.log2(1 + self.products_L[near_QK])
        total_Q = np.maximum(vote_QK.sum(axis=1), 1e-30)
        here, inside_QK = np.arange(len(near_QK)), vote_QK > 0
        codes, features = [], []
        for level in range(self.code_LV.shape[1]):
            code_QK = self.code_LV[near_QK, level]
            same_QKK = code_QK[:, :, None] == code_QK[:, None, :]
            part_QK = (same_QKK * (vote_QK * inside_QK)[:, None, :]).sum(axis=2) * inside_QK
            best_Q = part_QK.argmax(axis=1)
            code_Q = np.where(inside_QK.any(axis=1), code_QK[here, best_Q], -1)
            inside_QK = inside_QK & (code_QK == code_Q[:, None]) & (code_Q >= 0)[:, None]
            nearest_Q = np.where(inside_QK, cosine_QK, 0).max(axis=1)
            codes.append(code_Q)
            features.append(_features(part_QK[here, best_Q] / total_Q, nearest_Q))
        return np.stack(codes, axis=1), np.stack(features, axis=1)

    def _measure(self) -> Floats:
        """Learn when the vote is right: of texts never seen before, and of one product more."""
        random = np.random.default_rng(self.filling.seed)
        many = min(LESSONS_MAX, len(self.text_L))
        new_Q = random.permutation(len(self.text_L))[:many]
        known_Q = random.choice(len(self.text_L), many, p=self.products_L / self.products_L.sum())
        lessons = [*self._lessons(new_Q, new=True), *self._lessons(known_Q, new=False)]
        parts = zip(*lessons, strict=True)
        feature_QVF, right_QV, asked_QV = (np.concatenate(part) for part in parts)
        # A level counts only where the one above was right.
        asked_QV[:, 1:] &= np.cumprod(right_QV, axis=1)[:, :-1].astype(bool)
        return np.stack(
            [
                _logistic(feature_QVF[asked_Q, level], right_QV[asked_Q, level])
                for level, asked_Q in enumerate(asked_QV.T)
            ]
        )

    def _lessons(
        self, row_Q: Rows, *, new: bool
    ) -> Iterator[tuple[Floats, NDArray[np.bool_], NDArray[np.bool_]]]:
        """Yield what the vote says of labelled texts that are hidden from it, and if it is right.

        A `new` text is hidden with all its twins, else only where a single product has it.
        """
        for begin in range(0, len(row_Q), step := max(1, CELLS_MAX // len(self.vector_LD))):
            row_S = row_Q[begin : begin + step]
            near_SK, cosine_SK = self._nearest(self.vector_LD[row_S], SAME_TEXT_MAX)
            if new:
                hidden_SK = self.text_L[near_SK] == self.text_L[row_S][:, None]
            else:
                hidden_SK = (near_SK == row_S[:, None]) & (self.products_L[row_S] == 1)[:, None]
            kept_SK = np.argsort(hidden_SK, axis=1, kind="stable")[:, : self.filling.neighbours]
            code_SV, feature_SVF = self._vote(
                np.take_along_axis(near_SK, kept_SK, axis=1),
                np.take_along_axis(np.where(hidden_SK, 0, cosine_SK), kept_SK, axis=1),
            )
            yield feature_SVF, code_SV == self.code_LV[row_S], code_SV >= 0


def _drawn(rows: pl.DataFrame, filling: Filling) -> pl.DataFrame:
    """Keep so many texts of each category that all fit into `labelled_max`, by chance."""
    if rows.height <= filling.labelled_max:
        return rows
    mixed = rows.sample(fraction=1.0, shuffle=True, seed=filling.seed)
    mixed = mixed.with_columns(turn=pl.int_range(pl.len()).over("path"))
    kept = mixed.sort("turn", maintain_order=True).head(filling.labelled_max)
    return kept.drop("turn").sort("text", "path")


def _levels(paths: pl.Series) -> tuple[Rows, list[list[str]]]:
    """Return the category of each path at each level as numbers, [L, V], and their names."""
    parts = paths.str.split(">").list.eval(pl.element().str.strip_chars()).to_list()
    codes = np.full((len(parts), max(map(len, parts))), -1, np.int64)
    names: list[list[str]] = []
    for level in range(codes.shape[1]):
        numbers: dict[str, int] = {}
        for row, words in enumerate(parts):
            if level < len(words):
                path = SEPARATOR.join(words[: level + 1])
                codes[row, level] = numbers.setdefault(path, len(numbers))
        names.append(list(numbers))
    return codes, names


def _features(share_Q: Floats, nearest_Q: Floats) -> Floats:
    """Return what tells of the chance: 1, the share on a log scale, the similarity, [Q, 3]."""
    share_Q = np.clip(share_Q, 0.01, 0.99)
    return np.stack(
        [np.ones_like(share_Q), np.log(share_Q / (1 - share_Q)), nearest_Q], axis=1
    ).astype(np.float32)


def _chance(feature_QVF: Floats, scale_VF: Floats) -> Floats:
    score_QV = np.einsum("qvf,vf->qv", feature_QVF, scale_VF)
    chance: Floats = 1 / (1 + np.exp(-score_QV))
    return chance


def _logistic(features: Floats, right: NDArray[np.bool_]) -> Floats:
    """Fit a logistic regression by Newton's method, a little drawn towards nothing, [F]."""
    x, y = features.astype(np.float64), right.astype(np.float64)
    scale = np.zeros(x.shape[1])
    for _ in range(25):
        chance = 1 / (1 + np.exp(-np.clip(x @ scale, -30, 30)))
        slope = x.T @ (y - chance) - scale
        bend = (x * (chance * (1 - chance))[:, None]).T @ x + np.eye(x.shape[1])
        scale += np.linalg.solve(bend, slope)
    return scale.astype(np.float32)
