"""Made-up logs of clicks in which the place on the page counts, with a planted truth.

Questions have candidates; how good one is depends on some of its features. Two old orders, drawn at
random for each page, follow a feature that says nothing of that, so clicks at the top flatter it.
Knows nothing of real shops: no figure that rests on these says anything about the world.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Q questions, C candidates of each, F features, P places, N rows


@dataclass(frozen=True)
class Placed:
    """A log and the truth behind it."""

    each: NDArray[np.float32]
    """Features of each candidate, [Q, C, F]."""
    good: NDArray[np.float64]
    """The chance of a click on what is looked at, [Q, C]."""
    looked: NDArray[np.float64]
    """The chance that a place is looked at, [P]."""
    question: NDArray[np.int64]
    """The question of each row, [N]."""
    candidate: NDArray[np.int64]
    page: NDArray[np.int64]
    """The page of each row; rows of one lie side by side, [N]."""
    place: NDArray[np.int64]
    """From 0, [N]."""
    clicks: NDArray[np.float32]
    """What was clicked, [N]."""
    unbiased: NDArray[np.float32]
    """What would have been clicked had every place been looked at, [N]."""

    @property
    def features(self) -> NDArray[np.float32]:
        """Features of each row, [N, F]."""
        return self.each[self.question, self.candidate]

    @property
    def things(self) -> NDArray[np.int64]:
        """A number for each candidate of each question, [N]."""
        return np.asarray(self.question * self.good.shape[1] + self.candidate)


def placed(
    pages: int = 6000,
    questions: int = 150,
    candidates: int = 10,
    steepness: float = 1.8,
    seed: int = 0,
    shuffled: bool = False,
) -> Placed:
    """Make a log.

    Args:
        pages: How many.
        questions: How many there are to ask; each page answers one.
        candidates: Of each question; all are shown.
        steepness: Place k, from 1, is looked at with a chance of k to the power of minus this.
        seed: Decides everything; the candidates too.
        shuffled: Whether pages are filled at random in the place of the two old orders.

    Returns:
        Rows by page, from the top. Of five features the first two make good candidates, the third
        is what the old orders follow, the others say nothing.
    """
    chance = np.random.default_rng(seed)
    features = chance.normal(size=(questions, candidates, 5)).astype(np.float32)
    odds = 2.5 * features[..., 0] + 1.5 * features[..., 1] - 3.0
    good = 0.6 / (1 + np.exp(-odds))
    looked = np.power(np.arange(1.0, candidates + 1), -steepness)
    question = chance.integers(0, questions, pages)
    noise = chance.normal(size=(pages, candidates))
    own = features[question]
    follows = np.where(chance.random((pages, 1)) < 0.5, 0.5, 1.2) * (
        2.0 * own[..., 2] - 3.0 * own[..., 0]
    )
    order = np.argsort(-(noise if shuffled else follows + noise), axis=1)
    row = np.repeat(np.arange(pages), candidates)
    candidate, place = order.ravel(), np.tile(np.arange(candidates), pages)
    would = chance.random(len(row)) < good[question[row], candidate]
    seen = chance.random(len(row)) < looked[place]
    return Placed(
        features, good, looked, question[row], candidate, row, place,
        (would & seen).astype(np.float32), would.astype(np.float32),
    )  # fmt: skip
