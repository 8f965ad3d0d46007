"""Vectors to start from: products wanted shortly after one another lie near one another.

Source: word vectors as a factorised matrix of shifted mutual information (Levy and Goldberg, NIPS
2014), by a randomised singular value decomposition (Halko et al., 2011). Knows nothing of order:
what came first is left to learn. Needs no torch.
"""

import numpy as np

from shopkeeper.arrays import Floats, Rows
from shopkeeper.recommenders._sequences.moments import Moments, spans

NEAR_MOMENTS = 6
"""Moments apart that still count, in inverse proportion to their distance."""
BASKET_MAX = 50
"""Larger baskets tell little of what belongs together, and cost the most."""
POWER = 0.75
"""How often a product was wanted counts to this power: rare ones are not overrated."""
SHARPNESS = 0.05
"""Mutual information is taken as `log(1 + SHARPNESS x lift)`."""
TURNS = 3
"""Power iterations of the decomposition."""


def nearby_vectors(laid: Moments, end: Rows, num_items: int, width: int, seed: int) -> Floats:
    """Return a vector for each product, [V, width]; 0 for one that stands alone.

    Args:
        laid: Histories.
        end: The moment after the last that may be looked at, for each shopper.
        num_items: Product rows.
        width: Length of a vector; the numbers beyond the rank of the matrix are 0.
        seed: Decides the starting point of the decomposition.

    Returns:
        Vectors whose mean square length is 1.
    """
    from scipy.sparse import csr_array, diags_array

    left, right, weight = _pairs(laid, end)
    shape = (num_items, num_items)
    half = csr_array((weight, (left, right)), shape=shape)
    both = (half + half.T).tocsr()
    found = np.zeros((num_items, width), np.float32)
    if not both.nnz:
        return found
    wanted_V = np.asarray(both.sum(axis=0)).ravel() ** POWER
    scale = diags_array(1 / np.maximum(wanted_V, 1e-12))
    told = (scale @ both @ scale).tocsr()
    told.data = np.log1p(told.data * (wanted_V.sum() ** 2 / both.sum()) * SHARPNESS)
    rank = min(width, num_items)
    base = np.random.default_rng((seed, 3)).standard_normal((num_items, min(num_items, rank + 8)))
    for _ in range(TURNS):
        base, _ = np.linalg.qr(told @ base)
    value, turned = np.linalg.eigh(base.T @ (told @ base))
    order = np.argsort(-value)[:rank]
    vector = (base @ turned[:, order]) * np.sqrt(np.maximum(value[order], 0))
    # By the root of its length: between cosines and inner products, and measured better than both.
    length_V1 = np.linalg.norm(vector, axis=1, keepdims=True)
    found[:, :rank] = vector / np.sqrt(np.maximum(length_V1, 1e-12))
    found[np.diff(both.indptr) == 0] = 0
    found /= max(float(np.sqrt((found**2).sum() / num_items)), 1e-12)
    return found


def _pairs(laid: Moments, end: Rows) -> tuple[Rows, Rows, Floats]:
    """Return pairs of products wanted in moments near one another, and what each counts."""
    shopper = np.repeat(np.arange(len(end)), np.diff(laid.start))
    moments = np.arange(len(shopper))
    sizes = np.diff(laid.first)
    usable = (moments < end[shopper]) & (sizes <= BASKET_MAX)
    parts = []
    for apart in range(1, NEAR_MOMENTS + 1):
        first = moments[:-apart]
        both = (shopper[:-apart] == shopper[apart:]) & usable[:-apart] & usable[apart:]
        first = first[both]
        if not len(first):
            continue
        one, other = sizes[first], sizes[first + apart]
        many = one * other
        turn = spans(np.zeros_like(many), many)
        width = np.repeat(other, many)
        left = laid.item[np.repeat(laid.first[first], many) + turn // width]
        right = laid.item[np.repeat(laid.first[first + apart], many) + turn % width]
        parts.append((left, right, np.repeat(1 / (apart * many), many).astype(np.float32)))
    if not parts:
        none = np.empty(0, np.int64)
        return none, none, np.empty(0, np.float32)
    left, right, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    other_than = left != right
    return left[other_than], right[other_than], weight[other_than]
