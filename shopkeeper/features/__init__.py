"""What do we know at this moment?

`moment` turns requests and candidates into the flat arrays that every feature computes on; the
same call serves training and the live request, so both see the same numbers.
"""

from collections.abc import Mapping

import numpy as np

from shopkeeper.arrays import DAY_US, Asked, Floats, Rows
from shopkeeper.contracts import Moment
from shopkeeper.schema import EVENT_NAMES, WANTS

PURCHASE = EVENT_NAMES.index("purchase")
# The place after the last is any other name.
LOOKED = np.array([name in WANTS and name != "purchase" for name in (*EVENT_NAMES, "")])
"""Which events, by place in `schema.EVENT_NAMES`, show interest without a purchase."""


def moment(asked: Asked, owner_N: Rows, item_N: Rows, scores: Mapping[str, Floats]) -> Moment:
    """Join requests and candidates.

    Args:
        asked: The requests, numbering products by the catalogue.
        owner_N: The request of each candidate, ascending.
        item_N: Its product; all are known.
        scores: One array per recommender, [N].

    Returns:
        The arrays; of the past purchases, a product once a basket, and looks as they came.
    """
    bought = np.flatnonzero(asked.event_H == PURCHASE)
    owner_H, item_H = asked.owner_H[bought], asked.item_H[bought]
    # A clock a little ahead tells of what is now.
    time_H = np.minimum(asked.time_us_H[bought], asked.now_us_B[owner_H])
    order = np.lexsort((item_H, time_H, owner_H))
    owner_H, item_H, time_H = owner_H[order], item_H[order], time_H[order]
    fresh = np.ones(len(order), np.bool_)
    fresh[1:] = (
        (owner_H[1:] != owner_H[:-1]) | (time_H[1:] != time_H[:-1]) | (item_H[1:] != item_H[:-1])
    )
    owner_H, item_H, time_H = owner_H[fresh], item_H[fresh], time_H[fresh]
    age_us = (asked.now_us_B[owner_H] - time_H).astype(np.float64)
    looked = np.flatnonzero(LOOKED[asked.event_H])
    owner_V = asked.owner_H[looked]
    look_us = (asked.now_us_B[owner_V] - asked.time_us_H[looked]).astype(np.float64)
    return Moment(
        size=len(asked.ids),
        now_B=asked.now_us_B / DAY_US,
        owner_H=owner_H,
        item_H=item_H,
        age_H=age_us / DAY_US,
        owner_N=owner_N,
        item_N=item_N,
        scores=scores,
        owner_V=owner_V,
        item_V=asked.item_H[looked],
        age_V=np.maximum(look_us, 0) / DAY_US,
    )
