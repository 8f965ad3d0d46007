"""What a shopper wants of the shop: a trained classifier that can also say "none of these".

Two softmax regressions, one on sentence vectors and one on these and hashed pieces of the text.
Whether a query is in scope at all is decided by a small logistic regression on how clearly the
best intent wins, fitted on examples that were not learned, with those outside counted as the share
that is to be expected. Learns in seconds; answers by NumPy. Knows nothing of products, or of which
intents there are.
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
EPOCHS, STEPS_MIN, BATCH = 6, 150, 128
RATE = 0.05
SMOOTHING = 0.1
"""The share of each target that all labels have in common; keeps chances from running away."""


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

        buckets: int = 4096
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
            held_out: What chances and scope are fitted on; without it, on folds of `learn`.
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
        pieces = self._pieces(learn.texts)
        self._weights = _learned(learn.vectors, pieces, truth, len(self._labels))
        if held_out is None:
            self._calibrate(self._crossed(learn.vectors, pieces, truth), truth)
        else:
            rows = np.hstack([held_out.vectors, self._pieces(held_out.texts)])
            self._calibrate(_apply(self._weights, rows), self._numbers(held_out.labels))
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
        scores = _apply(self._weights, np.hstack([vectors, self._pieces(texts)]))
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
            "temperature": self._temperature,
            "buckets": self.config.buckets,
        }
        (folder / "intent.json").write_text(json.dumps(about, indent=1))
        np.savez(folder / "intent.npz", weights=self._weights, idf=self._idf, scope=self._scope)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        about = json.loads((folder / "intent.json").read_text())
        self.config = self.Config(buckets=about["buckets"])
        self._temperature = about["temperature"]
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

    def _crossed(self, vectors: Floats, pieces: Floats, truth: NDArray[np.int64]) -> Floats:
        """Score every example by a model that did not see it. Shape [N, K]."""
        fold = np.random.default_rng(0).permutation(len(truth)) % FOLDS
        scores = np.zeros((len(truth), len(self._labels)), dtype=np.float32)
        for number in range(FOLDS):
            out = fold == number
            weights = _learned(vectors[~out], pieces[~out], truth[~out], len(self._labels))
            scores[out] = _apply(weights, np.hstack([vectors[out], pieces[out]]))
        return scores

    def _calibrate(self, scores: Floats, truth: NDArray[np.int64]) -> None:
        """Fit how sure an intent is, and what is in scope, to examples that were not learned."""
        outside = truth == len(self._labels) - 1
        inside = scores[~outside, :-1]
        temperatures = np.geomspace(0.1, 10.0, 30)
        losses = [
            -np.log(_softmax(inside / t)[np.arange(len(inside)), truth[~outside]] + 1e-9).mean()
            for t in temperatures
        ]
        self._temperature = float(temperatures[int(np.argmin(losses))])
        if not outside.any():
            self._scope = np.array([0, 0, 0, 0, 50.0])  # nothing is known to be outside
            return
        # An intent that is wrong anyway loses nothing by being called out of scope.
        right = ~outside & (scores[:, :-1].argmax(axis=1) == truth)
        share = self.config.out_of_scope_share
        weight = right * (1 - share) / max(1, int((~outside).sum()))
        weight = weight + outside * share / int(outside.sum())
        self._scope = _logistic(_clearness(scores), right.astype(np.float64), weight)


def _learned(vectors: Floats, pieces: Floats, truth: NDArray[np.int64], num_labels: int) -> Floats:
    """Return the mean of two models: one of vectors alone, one of vectors and pieces.

    Side by side in one model, pieces learn faster and keep the vectors from telling what they
    know; the mean errs less than either. Being linear, the two are one table of weights.
    """
    width = vectors.shape[1]
    weights = _solve(np.hstack([vectors, pieces]), truth, num_labels)
    alone = _solve(vectors, truth, num_labels)
    weights[:width] += alone[:-1]
    weights[-1] += alone[-1]
    return weights / np.float32(2)


def _solve(rows: Floats, truth: NDArray[np.int64], num_labels: int) -> Floats:
    """Return the weights of a softmax regression by Adam [D + P + 1, K], the constant last."""
    random = np.random.default_rng(0)
    rows = np.hstack([rows, np.ones((len(rows), 1), dtype=np.float32)])
    weights = np.zeros((rows.shape[1], num_labels), dtype=np.float32)
    speed, size = np.zeros_like(weights), np.zeros_like(weights)
    epochs = max(EPOCHS, -(-STEPS_MIN * BATCH // len(rows)))
    steps, step = epochs * -(-len(rows) // BATCH), 0
    for _ in range(epochs):
        order = random.permutation(len(rows))
        for at in range(0, len(rows), BATCH):
            some = order[at : at + BATCH]
            wrong = _softmax(rows[some] @ weights) - np.float32(SMOOTHING / num_labels)
            wrong[np.arange(len(some)), truth[some]] -= np.float32(1 - SMOOTHING)
            slope = rows[some].T @ wrong / np.float32(len(some))
            step += 1
            speed += np.float32(0.1) * (slope - speed)
            size += np.float32(0.001) * (slope * slope - size)
            rate = RATE * (1 - step / steps) * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            weights -= np.float32(rate) * speed / (np.sqrt(size) + np.float32(1e-8))
    return weights


def _apply(weights: Floats, rows: Floats) -> Floats:
    scores: Floats = rows @ weights[:-1] + weights[-1]
    return scores


def _clearness(scores: Floats) -> NDArray[np.float64]:
    """Return the best score, its lead, that of out of scope, its log chance, and 1. [N, 5]."""
    ordered = np.sort(scores[:, :-1].astype(np.float64), axis=1)
    best = ordered[:, -1]
    chance = best - np.logaddexp.reduce(scores.astype(np.float64), axis=1)
    columns = (best, best - ordered[:, -2], scores[:, -1], chance, np.ones(len(scores)))
    return np.stack(columns, axis=1)


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


def _softmax(scores: Floats) -> Floats:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Floats = raised / raised.sum(axis=1, keepdims=True)
    return shares


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    odds: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(values, -50, 50)))
    return odds
