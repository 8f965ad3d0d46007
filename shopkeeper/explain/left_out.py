"""What each feature added to a score, of any ranker: how the score falls with it at its middle.

Source: occlusion, as in Zeiler and Fergus, ECCV 2014. The parts need not add up to the score, for
features act together. Knows no names of features.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]


def left_out(
    score: Callable[[Matrix], NDArray[np.float32]], features: Matrix, rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Say what each feature added to the scores of some products.

    Args:
        score: The ranker: [N, F] to [N].
        features: Of all products that are compared. Shape [N, F].
        rows: Which of them to explain. Shape [K].

    Returns:
        How much lower each score is with one feature at the middle of all. Shape [K, F].
    """
    known = np.isfinite(features)
    middle = np.zeros(features.shape[1], np.float32)
    for column in np.flatnonzero(known.any(axis=0)):
        middle[column] = np.median(features[known[:, column], column])
    parts = np.zeros((len(rows), features.shape[1]))
    for place, row in enumerate(rows.tolist()):
        without = np.repeat(features[row][None], features.shape[1], axis=0)
        np.fill_diagonal(without, middle)
        parts[place] = score(features[row][None])[0] - score(without)
    return parts
