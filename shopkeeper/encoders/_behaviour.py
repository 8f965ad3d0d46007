"""What a product was wanted with, as a vector, and one vector out of text, picture and that.

Products are near one another where the same baskets and shoppers hold them, however often either
is wanted. A product with few events leans to what products of like content were wanted with, so
one that nobody has wanted yet has a vector too. Source: EigenRec (Nikolakopoulos et al., 2019) for
the decomposition of the table with popularity divided out; kernel regression (Nadaraya and Watson,
1964) for products without events, here measured better than ridge regression. Knows nothing of
events, texts or pictures: arrays in, arrays out.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from shopkeeper.arrays import Floats, Rows

TURNS = 2
"""Power iterations of the decomposition."""
PRODUCTS_A_NUMBER, NUMBERS_MIN = 5, 4
"""A vector has a number for so many products at most, or it would tell each by itself."""
ITEMS_MAX = 20_000
"""So many products have vectors from events, the most wanted; others are foretold."""
SPARE = 8
"""Directions followed beyond those that are wanted."""
ANCHORS_MAX = 4000
"""Products whose events foretell those of others, the most wanted."""
CELLS_MAX = 60_000_000
"""Products foretold times anchors, at most; with more products there are fewer anchors."""
BLOCK_ROWS = 2048
"""Products foretold at a time."""
NEARNESS = 0.05
"""Contents count the less, by a factor of e, for each so much less cosine."""
SURE = 10.0
"""Events with which a product counts half as much for others as one with any number."""
# A actors (baskets, shoppers), E wants of them, V products, C content, D width


def behaviour_vectors(
    tables: Sequence[tuple[Rows, Rows, Floats, float]], num_items: int, width: int, seed: int = 0
) -> Floats:
    """Return what products were wanted with, as vectors of length 1, [V, D]; 0 for one alone.

    Args:
        tables: For each kind of actor: actor from 0 and product row of each want, each pair once,
            what it counts, [E], and what the kind counts. A table counts alike for all actors,
            however much they wanted.
        num_items: Products, V.
        width: Length of a vector, D; numbers beyond what the tables can tell are 0.
        seed: Decides the starting point of the decomposition.

    Returns:
        Vectors around their mean.
    """
    found_VD = np.zeros((num_items, width), np.float32)
    told_AV = _table(tables, num_items)
    wanted_V = np.asarray(told_AV.power(2).sum(axis=0)).ravel()
    has = np.argsort(-wanted_V, kind="stable")[:ITEMS_MAX]
    has = np.sort(has[wanted_V[has] > 0])
    rank = 1 + min(width, told_AV.shape[0] - 1, max(len(has) // PRODUCTS_A_NUMBER, NUMBERS_MIN))
    rank = min(rank, len(has))
    if rank < 2:
        return found_VD
    told_AV = told_AV[:, has].multiply(1 / np.sqrt(wanted_V[has])).tocsr().astype(np.float32)
    back_VA = told_AV.T.tocsr()
    random = np.random.default_rng((seed, 13))
    base = random.standard_normal((len(has), min(len(has), rank + SPARE))).astype(np.float32)
    for _ in range(TURNS):
        base, _ = np.linalg.qr(back_VA @ (told_AV @ base))
    seen = told_AV @ base
    value, turn = np.linalg.eigh(seen.T @ seen)
    # The first direction is how often products are wanted, which says nothing of their like.
    order = np.argsort(-value)[1:rank]
    order = order[value[order] > value.max() * 1e-9]
    vector = unit((base @ turn[:, order]) * value[order] ** 0.25)
    found_VD[has, : len(order)] = vector
    return found_VD


def shrunk(behaviour_VD: Floats, events_V: Floats, content_VC: Floats, few: float) -> Floats:
    """Let products with few events lean to what products of like content were wanted with.

    Args:
        behaviour_VD: Of length 1, 0 where nothing is known. Shape [V, D].
        events_V: How often each product was wanted. Shape [V].
        content_VC: What each product is, 0 where nothing tells. Shape [V, C].
        few: A product wanted so often leans half to itself; above 0.

    Returns:
        Vectors of length up to 1, shorter where less is known, 0 where nothing is. Shape [V, D].
    """
    known = np.asarray(behaviour_VD.any(axis=1))
    own_V = np.where(known, events_V / (events_V + few), 0).astype(np.float32)
    told = np.asarray(content_VC.any(axis=1))
    needy = np.flatnonzero((own_V < 0.95) & told)
    anchors = np.flatnonzero((own_V > 0) & told)
    most = min(ANCHORS_MAX, max(1, CELLS_MAX // max(1, len(needy))))
    anchors = np.sort(anchors[np.argsort(-events_V[anchors], kind="stable")[:most]])
    if not len(needy) or len(anchors) < 2:
        return behaviour_VD
    centred_VC = unit(np.where(told[:, None], content_VC - content_VC[anchors].mean(axis=0), 0))
    counts_A = (events_V[anchors] / (events_V[anchors] + SURE)).astype(np.float32)
    place = np.full(len(events_V), -1)
    place[anchors] = np.arange(len(anchors))
    found_VD = behaviour_VD.copy()
    for begin in range(0, len(needy), BLOCK_ROWS):
        some = needy[begin : begin + BLOCK_ROWS]
        near = centred_VC[some] @ centred_VC[anchors].T
        # None is foretold by itself.
        itself = np.flatnonzero(place[some] >= 0)
        near[itself, place[some[itself]]] = -np.inf
        near -= near.max(axis=1, keepdims=True)
        near = np.exp(near / NEARNESS, out=near) * counts_A
        foretold = (near @ behaviour_VD[anchors]) / near.sum(axis=1, keepdims=True)
        own = own_V[some, None]
        found_VD[some] = own * behaviour_VD[some] + (1 - own) * foretold
    return found_VD


def joined(parts: Sequence[Floats], weights: Sequence[float]) -> Floats:
    """Return one vector out of several, whose inner products are the weighed mean of theirs.

    Args:
        parts: Vectors of the same V products, of length up to 1, 0 where a part knows nothing of
            one; that part then counts nothing for the product. Shapes [V, D].
        weights: What each part counts, at least 0 and not all 0.

    Returns:
        Vectors as sure of a product, by their length, as the parts are, [V, sum of D].
    """
    counted = [(part, weight) for part, weight in zip(parts, weights, strict=True) if weight > 0]
    total_V1 = sum(weight * part.any(axis=1, keepdims=True) for part, weight in counted)
    scaled = [part * np.sqrt(weight / np.maximum(total_V1, 1e-12)) for part, weight in counted]
    return np.concatenate(scaled, axis=1).astype(np.float32)


def unit(vectors_VD: Floats) -> Floats:
    """Return vectors of length 1, 0 where they are 0."""
    length_V1 = np.linalg.norm(vectors_VD, axis=1, keepdims=True)
    found: Floats = (vectors_VD / np.maximum(length_V1, 1e-12)).astype(np.float32)
    return found


def _table(tables: Sequence[tuple[Rows, Rows, Floats, float]], num_items: int) -> Any:
    """Return who wanted what, one kind of actor below the other; squares of a row sum up alike."""
    from scipy.sparse import csr_array, vstack

    below = [csr_array((0, num_items), dtype=np.float32)]
    for actor_E, item_E, value_E, counts in tables:
        num_actors = int(actor_E.max(initial=-1)) + 1
        size_A = np.maximum(np.bincount(actor_E, minlength=num_actors), 1)
        value_E = value_E * np.sqrt(counts / size_A[actor_E])
        shape = (num_actors, num_items)
        below.append(csr_array((value_E.astype(np.float32), (actor_E, item_E)), shape=shape))
    return vstack(below, format="csr")
