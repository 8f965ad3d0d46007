"""How far is each place on a page looked at? And what a click there then says.

A product at the top is clicked because it is seen. Chances to be looked at are learned from places
that were filled at random, or harvested from logs of several orders, in which the same product
stood at different places: Agarwal et al., WSDM 2019 (AllPairs, and adjacent pairs in a chain).
Their inverse is what a click counts: Joachims, Swaminathan and Schnabel, WSDM 2017. Knows no
ranker.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit

from shopkeeper.errors import BadData

# N rows, P places, T things: a product in answer to one question

Doubles = NDArray[np.float64]
Rows = NDArray[np.int64]
ODDS_MAX = 12.0


def looked_at_random(places: Rows, clicks: NDArray[np.floating]) -> Doubles:
    """Return how far each place is looked at, from pages that were filled at random.

    Args:
        places: From 0, [N].
        clicks: 1 or 0, [N].

    Returns:
        Chances beside that of the place looked at most, in [0, 1], [P].

    Raises:
        BadData: A place was never shown, or there is no click.
    """
    shown = np.bincount(places)
    hits = np.bincount(places, clicks)
    _check(shown, float(hits.sum()))
    rate = hits / shown
    return np.asarray(rate / rate.max())


def looked_harvested(
    things: Rows, places: Rows, clicks: NDArray[np.floating], method: str = "all_pairs"
) -> Doubles:
    """Return how far each place is looked at, from logs of several orders.

    Which order answered must not depend on what was good, as in an experiment.

    Args:
        things: What was shown: a number for each product in answer to one question, [N].
        places: From 0, [N].
        clicks: 1 or 0, [N].
        method: `all_pairs`, or `adjacent`, which compares neighbours alone.

    Returns:
        Chances beside that of the place looked at most, in (0, 1], [P].

    Raises:
        BadData: A place was never shown, no thing stood at two places, or there is no click.
    """
    _check(np.bincount(places), float(np.sum(clicks)))
    came_PP, not_PP = _pairs(things, places, clicks)
    apart = came_PP + not_PP
    np.fill_diagonal(apart, 0)
    linked = sparse.csgraph.connected_components(sparse.csr_matrix(apart > 0), directed=False)[0]
    if linked > 1:
        raise BadData(
            "Places cannot be compared: too few products were shown at several of them. Log pages "
            "of two different orders, or fill some places at random."
        )
    if method == "adjacent":
        return _chain(came_PP, not_PP)
    return _most_likely(came_PP, not_PP)


def click_weights(
    places: Rows, clicks: NDArray[np.floating], looked: Doubles, weight_max: float = 50.0
) -> NDArray[np.float32]:
    """Return what each row counts, so that a click counts as if all places were looked at alike.

    Exact for rare clicks: a row without one is taken for looked at, as most are not clicked anyway.

    Args:
        places: From 0, [N].
        clicks: 1 or 0, [N].
        looked: How far each place is looked at, in [0, 1], [P].
        weight_max: A click counts so much at most, which trades a little bias for much noise.

    Returns:
        Weights, [N]: the inverse chance for a click, 1 for none.

    Raises:
        BadData: A place is beyond those that are known.
    """
    if places.size and not 0 <= places.min() <= places.max() < len(looked):
        raise BadData(
            f"Place {places.max()} is not among the {len(looked)} places that are known, from 0."
        )
    inverse = np.minimum(1 / np.maximum(looked[places], 1e-12), weight_max)
    return np.where(np.asarray(clicks) > 0, inverse, 1.0).astype(np.float32)


def _check(shown: NDArray[np.int64], hits: float) -> None:
    if not shown.size or (shown == 0).any() or hits <= 0:
        raise BadData(
            f"Of {len(shown)} places {int((shown == 0).sum())} were never shown, and there are "
            f"{hits:g} clicks. Each place must be shown and some must be clicked; number places "
            "from 0."
        )


def _pairs(things: Rows, places: Rows, clicks: NDArray[np.floating]) -> tuple[Doubles, Doubles]:
    """Add up clicks and misses at one place of things that stood at another too, [P, P]."""
    thing = np.unique(things, return_inverse=True)[1]
    size = (int(thing.max()) + 1, int(places.max()) + 1)
    shown = sparse.csr_matrix((np.ones(len(thing)), (thing, places)), size)
    hits = sparse.csr_matrix((np.asarray(clicks, np.float64), (thing, places)), size)
    seen, inverse = shown.copy(), shown.copy()
    seen.data[:] = 1
    inverse.data = 1 / shown.data
    rate = hits.multiply(inverse).tocsr()
    came = (rate.T @ seen).toarray()
    return came, (seen.T @ seen).toarray() - came


def _chain(came_PP: Doubles, not_PP: Doubles) -> Doubles:
    looked = [1.0]
    for at in range(len(came_PP) - 1):
        near, far = came_PP[at, at + 1], came_PP[at + 1, at]
        if near + not_PP[at, at + 1] <= 0:
            raise BadData(f"No product stood at place {at} and at place {at + 1}. Use all_pairs.")
        looked.append(looked[-1] * max(far, 0.5) / max(near, 0.5))
    return np.asarray(looked) / max(looked)


def _most_likely(came_PP: Doubles, not_PP: Doubles) -> Doubles:
    """Return the chances under which clicks at all pairs of places are likeliest."""
    num = len(came_PP)
    one, other = np.triu_indices(num, 1)

    def cost(odds: Doubles) -> tuple[float, Doubles]:
        looked, good = expit(odds[:num]), expit(odds[num:])
        slope, total = np.zeros(len(odds)), 0.0
        for here, there in ((one, other), (other, one)):
            came, missed = came_PP[here, there], not_PP[here, there]
            chance = np.clip(looked[here] * good, 1e-12, 1 - 1e-12)
            total -= float(came @ np.log(chance) + missed @ np.log1p(-chance))
            # The slope of the cost by the logarithm of the chance.
            by_log = missed * chance / (1 - chance) - came
            slope[:num] += np.bincount(here, by_log * (1 - looked[here]), num)
            slope[num:] += by_log * (1 - good)
        size = max(float(came_PP.sum() + not_PP.sum()), 1e-9)
        return total / size, slope / size

    start = np.concatenate([np.zeros(num), np.full(len(one), -1.0)])
    bounds = [(-ODDS_MAX, ODDS_MAX)] * len(start)
    options = {"maxiter": 2000, "maxfun": 5000, "ftol": 1e-12, "gtol": 1e-9}
    found = minimize(cost, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    looked = expit(found.x[:num])
    return np.asarray(looked / looked.max())
