"""Codes as amounts, for trees: how often a code was followed by a hit, and how often it was seen.

Source: smoothed target encoding of Micci-Barreca, SIGKDD Explorations 2001; while learning, a row
is told what the other folds say of its code, or trees would read its own label there.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from shopkeeper.contracts import AMOUNTS, Columns
from shopkeeper.ranking import _files, _lessons

Floats = NDArray[np.float32]
FOLDS = 5


class Codes:
    """What trees are told in the place of codes and histories; nothing of the place on the page."""

    def __init__(self, columns: Columns = AMOUNTS, prior: float = 20.0) -> None:
        """Take what columns are; `prior` is how many rows the overall rate counts as."""
        self.columns, self.prior = columns, prior
        self.arrays: dict[str, NDArray[Any]] = {}
        """By column of codes, by code + 1: the rate, and the logarithm of how often it was seen."""

    def learned(
        self, features: Floats, labels: Floats, weights: Floats, owners: NDArray[np.int64]
    ) -> Floats:
        """Learn the codes of N rows, and return what trees learn from, [N, F']."""
        fold = _lessons.folds(owners, FOLDS, 0)
        hits = labels * weights
        overall = float(hits.sum() / max(weights.sum(), 1e-9))
        rates = {}
        for at in self.columns.codes:
            place = _lessons.codes_of(features[:, at]) + 1
            size = int(place.max(initial=0)) + 1
            whole = np.stack([np.bincount(place, one, size) for one in (hits, weights)]).astype(
                np.float64
            )
            # What is unknown now is not like what will be.
            whole[:, 0] = 0
            rate = np.empty(len(labels))
            for one in range(FOLDS):
                here = fold == one
                own = [np.bincount(place[here], part[here], size) for part in (hits, weights)]
                rest = np.maximum(whole - np.stack(own) * (np.arange(size) > 0), 0)
                rate[here] = self._rate(rest, overall)[place[here]]
            rates[at] = rate
            self.arrays[f"rate{at}"] = self._rate(whole, overall).astype(np.float32)
            self.arrays[f"seen{at}"] = np.log1p(whole[1]).astype(np.float32)
        return self._laid(features, rates)

    def laid(self, features: Floats) -> Floats:
        """Return what trees are asked with, [N, F']."""
        if self.columns == AMOUNTS:
            return features
        rates = {at: self._told(features, at, "rate") for at in self.columns.codes}
        return self._laid(features, rates)

    def origin(self, num_features: int) -> NDArray[np.int64]:
        """Return the column that each column of what trees are told came from, [F']."""
        more = [*self.columns.codes, *self.columns.histories]
        return np.array([*range(num_features), *more], np.int64)

    def about(self) -> dict[str, Any]:
        """Say in words of JSON what `restored` needs beside the arrays."""
        return {"columns": _files.said(self.columns), "prior": self.prior}

    @classmethod
    def restored(cls, arrays: dict[str, NDArray[Any]], about: dict[str, Any]) -> Self:
        """Make again what was learned; KeyError if something is missing."""
        made = cls(_files.heard(about["columns"]), about["prior"])
        for at in made.columns.codes:
            made.arrays |= {name: arrays[name] for name in (f"rate{at}", f"seen{at}")}
        return made

    def _rate(self, sums: NDArray[np.float64], overall: float) -> NDArray[np.float64]:
        return np.asarray((sums[0] + self.prior * overall) / (sums[1] + self.prior))

    def _told(self, features: Floats, at: int, what: str) -> Floats:
        table = self.arrays[f"{what}{at}"]
        place = _lessons.codes_of(features[:, at]) + 1
        told: Floats = table[np.where(place < len(table), place, 0)]
        return told

    def _laid(self, features: Floats, rates: dict[int, Any]) -> Floats:
        """Put rates in the place of codes; counts, and what histories say, stand behind."""
        if self.columns == AMOUNTS:
            return features
        laid = features.astype(np.float32, copy=True)
        for at, rate in rates.items():
            laid[:, at] = rate
        for past in self.columns.histories.values():
            laid[:, past] = np.nan
        if self.columns.place is not None:
            # Trees start from what the place explains, and must not see it.
            laid[:, self.columns.place] = 0
        seen = [self._told(features, at, "seen") for at in self.columns.codes]
        alike = [_lessons.again(features, key, at) for key, at in self.columns.histories.items()]
        return np.column_stack([laid, *seen, *alike]).astype(np.float32)
