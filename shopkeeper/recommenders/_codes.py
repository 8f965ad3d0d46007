"""Semantic ids: a few numbers that say what a product is like, coarsest first, and no two alike.

Source: residual k-means, as GRID (2025) found to be at least as good as RQ-VAE (TIGER, NeurIPS
2023). We differ in that every number is used about equally often, so none is wasted, and in that
equal ids are pulled apart at the last place. Knows nothing of where vectors come from.
"""

import numpy as np
from numpy.typing import NDArray

from shopkeeper.arrays import Floats, Rows

TURNS = 8
"""Turns of k-means for each place."""
SLACK = 1.25
"""A number may be used so many times as often as the mean."""
BLOCK_CELLS = 4_000_000
"""Distances held at once."""


def semantic_ids(vectors_VD: Floats, places: int, numbers: int, seed: int) -> Rows:
    """Give each product an id of `places` numbers.

    Args:
        vectors_VD: What products are like; finite. Shape [V, D].
        places: How many numbers an id has, at least 1.
        numbers: How many there are to choose from at each place, at least 2.
        seed: Decides where k-means starts.

    Returns:
        Numbers in [0, numbers), [V, places]; rows differ from one another where there are ids
        enough, that is up to `numbers ** places` products.
    """
    rest_VD = vectors_VD.astype(np.float32).copy()
    ids_VP = np.zeros((len(rest_VD), places), np.int64)
    random = np.random.default_rng((seed, 5))
    cost_VN = np.zeros((0, 0), np.float32)
    for place in range(places):
        centres_ND, ids_VP[:, place], cost_VN = _means(rest_VD, numbers, random)
        rest_VD -= centres_ND[ids_VP[:, place]]
    if len(rest_VD):
        _pull_apart(ids_VP, cost_VN)
    return ids_VP


def foretold(behaviour_VD: Floats, content_VC: Floats) -> Floats:
    """Give products without behaviour that which their content leads to expect.

    Args:
        behaviour_VD: What each product was wanted with, 0 where nothing is known. Shape [V, D].
        content_VC: What each product is. Shape [V, C].

    Returns:
        `behaviour_VD` with rows of 0 filled by ridge regression from the others, [V, D].
    """
    known_V = np.asarray(behaviour_VD.any(axis=1))
    if known_V.all() or not known_V.any():
        return behaviour_VD
    content_KC = content_VC[known_V]
    left_CC = content_KC.T @ content_KC + np.eye(content_VC.shape[1], dtype=np.float32)
    turn_CD = np.linalg.solve(left_CC, content_KC.T @ behaviour_VD[known_V])
    return np.where(known_V[:, None], behaviour_VD, content_VC @ turn_CD).astype(np.float32)


def _means(
    vectors_VD: Floats, numbers: int, random: np.random.Generator
) -> tuple[Floats, Rows, Floats]:
    """Return centres [N, D], the one of each vector [V], and all costs [V, N]."""
    many = min(numbers, len(vectors_VD))
    chosen = random.permutation(len(vectors_VD))[:many]
    centres_ND = np.zeros((numbers, vectors_VD.shape[1]), np.float32)
    centres_ND[:many] = vectors_VD[chosen]
    room = int(np.ceil(SLACK * len(vectors_VD) / numbers))
    cost_VN, own_V = np.zeros((0, 0), np.float32), np.zeros(len(vectors_VD), np.int64)
    for _ in range(TURNS):
        cost_VN = _costs(vectors_VD, centres_ND)
        own_V = _with_room(cost_VN, room)
        sums_ND = np.zeros_like(centres_ND)
        np.add.at(sums_ND, own_V, vectors_VD)
        counts_N = np.bincount(own_V, minlength=numbers)
        used = counts_N > 0
        centres_ND[used] = sums_ND[used] / counts_N[used, None]
    return centres_ND, own_V, cost_VN


def _costs(vectors_VD: Floats, centres_ND: Floats) -> Floats:
    found = vectors_VD @ (-2 * centres_ND.T)
    found += np.einsum("nd,nd->n", centres_ND, centres_ND)
    return found


def _with_room(cost_VN: Floats, room: int) -> Rows:
    """Give each row its cheapest number that is not full; the nearest of a number come first."""
    own_V = np.full(len(cost_VN), -1)
    left_N = np.full(cost_VN.shape[1], room)
    waiting = np.arange(len(cost_VN))
    while len(waiting):
        open_N = np.flatnonzero(left_N > 0)
        wish_W = np.empty(len(waiting), np.int64)
        step = max(1, BLOCK_CELLS // len(open_N))
        for begin in range(0, len(waiting), step):
            some = waiting[begin : begin + step]
            wish_W[begin : begin + step] = open_N[cost_VN[some][:, open_N].argmin(axis=1)]
        order = np.lexsort((cost_VN[waiting, wish_W], wish_W))
        wished = wish_W[order]
        turn = np.arange(len(order)) - np.searchsorted(wished, wished)
        taken = order[turn < left_N[wished]]
        own_V[waiting[taken]] = wish_W[taken]
        left_N -= np.bincount(wish_W[taken], minlength=len(left_N))
        waiting = np.delete(waiting, taken)
    return own_V


def _pull_apart(ids_VP: Rows, cost_VN: Floats) -> None:
    """Change the last numbers, and if they do not suffice those before, until all ids differ."""
    numbers = cost_VN.shape[1]
    seen: set[tuple[int, ...]] = set()
    again: list[int] = []
    for row, one in enumerate(map(tuple, ids_VP.tolist())):
        if one in seen:
            again.append(row)
        seen.add(one)
    if len(ids_VP) > float(numbers) ** ids_VP.shape[1]:
        return
    for row in again:
        id_P = ids_VP[row].copy()
        for number in np.argsort(cost_VN[row], kind="stable"):
            id_P[-1] = number
            if tuple(id_P.tolist()) not in seen:
                break
        else:
            id_P = _next_free(id_P, numbers, seen)
        seen.add(tuple(id_P.tolist()))
        ids_VP[row] = id_P


def _next_free(id_P: NDArray[np.int64], numbers: int, seen: set[tuple[int, ...]]) -> Rows:
    """Count on from an id, as one number in base `numbers`, to one that is free."""
    while tuple(id_P.tolist()) in seen:
        for place in range(len(id_P) - 1, -1, -1):
            id_P[place] = (id_P[place] + 1) % numbers
            if id_P[place]:
                break
    return id_P
