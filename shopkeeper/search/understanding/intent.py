"""What a shopper wants of the shop: a trained classifier that can also say "none of these".

A linear least-squares classifier on sentence vectors beside hashed pieces of the text; strength
and mix are chosen on examples held out. Whether a query is in scope at all is decided by a small
logistic regression on how clearly the best intent wins, fitted on held-out examples too, with
those outside counted as the share that is to be expected. Learns in seconds; answers by NumPy.
Knows nothing of products, or of which intents there are.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from shopkeeper.errors import BadData, NotFitted
from shopkeeper.search.understanding.ngrams import counted
from shopkeeper.search.understanding.understood import OUT_OF_SCOPE

# N texts, D width of a vector, P buckets of pieces, K intents with out of scope last

Floats = NDArray[np.float32]
FOLDS = 5
WEIGHTS = (0.0, 0.5, 1.0)
"""What pieces may count beside the vector."""
RIDGES = (0.1, 0.3, 1.0, 3.0, 10.0)


@dataclass(frozen=True)
class Examples:
    """Texts, their vectors of length 1, and what each wants."""

    texts: Sequence[str]
    vectors: Floats
    """Shape [N, D]."""
    labels: Sequence[str]
    """Names of intents; `out_of_scope` for none."""


class Intents:
    """Tells what a query wants."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings."""

        buckets: int = 2048
        """How many buckets the pieces of texts are hashed into."""
        out_of_scope_share: float = 0.2
        """The share of queries that is expected to want something else, above 0 and below 1."""

        def __post_init__(self) -> None:
            if self.buckets < 1:
                raise ValueError(f"buckets must be at least 1, but is {self.buckets}.")
            if not 0 < self.out_of_scope_share < 1:
                raise ValueError(
                    "out_of_scope_share must be above 0 and below 1, "
                    f"but is {self.out_of_scope_share}."
                )

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()
        self._labels: list[str] = []

    def fit(self, learn: Examples, held_out: Examples | None = None) -> Self:
        """Learn intents from examples.

        Args:
            learn: At least two intents; those out of scope may lack.
            held_out: What mix, strength and scope are chosen on; without it, on folds of `learn`.
                Needed where the encoder of the vectors has seen the labels of `learn`.

        Returns:
            Itself.

        Raises:
            BadData: There are fewer than two intents, or an intent has fewer than two examples.
        """
        names, sizes = np.unique(np.array(learn.labels, dtype=object), return_counts=True)
        self._labels = [*sorted(set(names) - {OUT_OF_SCOPE}), OUT_OF_SCOPE]
        if len(self._labels) < 3 or sizes.min() < 2:
            raise BadData("Intents need at least two kinds, and each kind two examples.")
        self._idf = _idf(counted(learn.texts, self.config.buckets))
        truth = self._numbers(learn.labels)
        parts = (learn.vectors, self._pieces(learn.texts))
        if held_out is None:
            judged, scores = truth, self._crossed(parts, truth)
        else:
            judged = self._numbers(held_out.labels)
            other = (held_out.vectors, self._pieces(held_out.texts))
            scores = self._tried(parts, truth, other)
        inside = judged < len(self._labels) - 1
        self._mix, self._ridge = max(
            scores, key=lambda key: _accuracy(scores[key][inside], judged[inside])
        )
        self._calibrate(scores[self._mix, self._ridge], judged)
        self._weights = _solve(_joined(*parts, self._mix), truth, len(self._labels), [self._ridge])[
            0
        ]
        return self

    def predict(self, texts: Sequence[str], vectors: Floats) -> tuple[list[str], Floats]:
        """Return the intent of each text and its chance in [0, 1].

        Args:
            texts: Queries.
            vectors: Their vectors of length 1. Shape [N, D].

        Returns:
            N intents, `out_of_scope` among them, and N chances.

        Raises:
            NotFitted: Nothing was learned or restored.
        """
        if not self._labels:
            raise NotFitted("No intents were learned. Call `fit` or `restore` first.")
        scores = _apply(self._weights, _joined(vectors, self._pieces(texts), self._mix))
        inside = _sigmoid(_clearness(scores) @ self._scope)
        chances = _softmax(scores[:, :-1] / self._temperature)
        best = chances.argmax(axis=1)
        within = inside >= 0.5
        labels = [
            self._labels[row] if ok else OUT_OF_SCOPE for row, ok in zip(best, within, strict=True)
        ]
        sure = np.where(within, inside * chances.max(axis=1), 1 - inside)
        return labels, sure.astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write what was learned into an existing `folder`."""
        if not self._labels:
            raise NotFitted("No intents were learned. Call `fit` first.")
        about = {
            "labels": self._labels,
            "mix": self._mix,
            "temperature": self._temperature,
            "buckets": self.config.buckets,
        }
        (folder / "intent.json").write_text(json.dumps(about, indent=1))
        np.savez(folder / "intent.npz", weights=self._weights, idf=self._idf, scope=self._scope)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        about = json.loads((folder / "intent.json").read_text())
        self.config = self.Config(buckets=about["buckets"])
        self._mix, self._temperature = about["mix"], about["temperature"]
        with np.load(folder / "intent.npz", allow_pickle=False) as kept:
            self._weights, self._idf, self._scope = (
                kept[name] for name in ("weights", "idf", "scope")
            )
        self._labels = about["labels"]
        return self

    def _numbers(self, labels: Sequence[str]) -> NDArray[np.int64]:
        place = {label: number for number, label in enumerate(self._labels)}
        return np.array([place[label] for label in labels], dtype=np.int64)

    def _pieces(self, texts: Sequence[str]) -> Floats:
        """Return weighted pieces of length 1. Shape [N, P]."""
        rows = counted(texts, self.config.buckets) * self._idf
        units: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
        return units

    def _crossed(
        self, parts: tuple[Floats, Floats], truth: NDArray[np.int64]
    ) -> dict[tuple[float, float], Floats]:
        """Score every example by a model that did not see it, for each mix and strength."""
        fold = np.random.default_rng(0).permutation(len(truth)) % FOLDS
        scores = {
            (mix, ridge): np.zeros((len(truth), len(self._labels)), dtype=np.float32)
            for mix in WEIGHTS
            for ridge in RIDGES
        }
        for number in range(FOLDS):
            out = fold == number
            seen = (parts[0][~out], parts[1][~out])
            for key, found in self._tried(
                seen, truth[~out], (parts[0][out], parts[1][out])
            ).items():
                scores[key][out] = found
        return scores

    def _tried(
        self,
        parts: tuple[Floats, Floats],
        truth: NDArray[np.int64],
        other: tuple[Floats, Floats],
    ) -> dict[tuple[float, float], Floats]:
        """Learn with each mix and strength, and score other examples."""
        scores: dict[tuple[float, float], Floats] = {}
        for mix in WEIGHTS:
            asked = _joined(*other, mix)
            solved = _solve(_joined(*parts, mix), truth, len(self._labels), RIDGES)
            scores |= {
                (mix, ridge): _apply(weights, asked)
                for ridge, weights in zip(RIDGES, solved, strict=True)
            }
        return scores

    def _calibrate(self, scores: Floats, truth: NDArray[np.int64]) -> None:
        """Fit how sure an intent is, and what is in scope, to examples that were not learned."""
        outside = truth == len(self._labels) - 1
        inside = scores[~outside, :-1]
        temperatures = np.geomspace(0.01, 1.0, 30)
        losses = [
            -np.log(_softmax(inside / t)[np.arange(len(inside)), truth[~outside]] + 1e-9).mean()
            for t in temperatures
        ]
        self._temperature = float(temperatures[int(np.argmin(losses))])
        if not outside.any():
            self._scope = np.array([0, 0, 0, 50.0])  # nothing is known to be outside
            return
        # An intent that is wrong anyway loses nothing by being called out of scope.
        right = ~outside & (scores[:, :-1].argmax(axis=1) == truth)
        share = self.config.out_of_scope_share
        weight = right * (1 - share) / max(1, int((~outside).sum()))
        weight = weight + outside * share / int(outside.sum())
        self._scope = _logistic(_clearness(scores), right.astype(np.float64), weight)


def _joined(vectors: Floats, pieces: Floats, mix: float) -> Floats:
    """Write vectors and weighted pieces side by side; no pieces where they count nothing."""
    return np.hstack([vectors, mix * pieces]) if mix else vectors


def _solve(
    rows: Floats, truth: NDArray[np.int64], num_labels: int, ridges: Sequence[float]
) -> list[Floats]:
    """Return least-squares weights [D + P + 1, K] for each strength, the constant last."""
    from scipy.linalg import cho_factor, cho_solve

    wanted = np.zeros((len(rows), num_labels), dtype=np.float64)
    wanted[np.arange(len(rows)), truth] = 1
    mean, level = rows.mean(axis=0), wanted.mean(axis=0)
    centred, aims = rows - mean, wanted - level
    dual = len(rows) < rows.shape[1]
    gram = (centred @ centred.T if dual else centred.T @ centred).astype(np.float64)
    right = aims if dual else centred.T.astype(np.float64) @ aims
    solved = []
    for ridge in ridges:
        factor = cho_factor(gram + ridge * np.eye(len(gram)), check_finite=False)
        found = cho_solve(factor, right, check_finite=False)
        weights = centred.T @ found if dual else found
        constant = level - mean @ weights
        solved.append(np.vstack([weights, constant]).astype(np.float32))
    return solved


def _apply(weights: Floats, rows: Floats) -> Floats:
    scores: Floats = rows @ weights[:-1] + weights[-1]
    return scores


def _clearness(scores: Floats) -> NDArray[np.float64]:
    """Return the best score, its lead, the score of out of scope, and 1. Shape [N, 4]."""
    ordered = np.sort(scores[:, :-1], axis=1)
    columns = (ordered[:, -1], ordered[:, -1] - ordered[:, -2], scores[:, -1], np.ones(len(scores)))
    return np.stack(columns, axis=1).astype(np.float64)


def _logistic(
    rows: NDArray[np.float64], truth: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fit a small weighted logistic regression by Newton's method, lightly held to zero."""
    found = np.zeros(rows.shape[1])
    hold = 1e-4 * np.eye(rows.shape[1])
    for _ in range(50):
        chance = _sigmoid(rows @ found)
        slope = rows.T @ (weight * (truth - chance)) - hold @ found
        bend = (rows * (weight * chance * (1 - chance))[:, None]).T @ rows + hold
        step = np.linalg.solve(bend, slope)
        found = found + np.clip(step, -5, 5)
        if np.abs(step).max() < 1e-6:
            break
    return found


def _idf(counts: Floats) -> Floats:
    seen = (counts > 0).sum(axis=0)
    weights: Floats = np.log((1 + len(counts)) / (1 + seen)).astype(np.float32) + 1
    return weights


def _accuracy(scores: Floats, truth: NDArray[np.int64]) -> float:
    return float((scores[:, :-1].argmax(axis=1) == truth).mean())


def _softmax(scores: Floats) -> Floats:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Floats = raised / raised.sum(axis=1, keepdims=True)
    return shares


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    odds: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(values, -50, 50)))
    return odds
