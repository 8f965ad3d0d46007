"""What do we know at this moment?

`moment` turns requests and candidates into the flat arrays that every feature computes on; the
same call serves training and the live request, so both see the same numbers.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.contracts import Moment
from shopkeeper.schema import EVENT_NAME, HISTORY, ITEM, NOW, REQUEST, TIME

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_US = 86_400e6


def moment(
    requests: pl.DataFrame,
    candidates: pl.DataFrame,
    rows: Mapping[str, int],
    scores: Mapping[str, NDArray[np.float32]],
) -> Moment:
    """Flatten requests and candidates.

    Args:
        requests: `schema.REQUESTS`, numbered from 0 in order.
        candidates: `request`, `item_id`, sorted by request; every product is in `rows`.
        rows: The row of each product in the catalogue.
        scores: One array per recommender, each as long as `candidates`.

    Returns:
        The arrays; purchases of products outside the catalogue are left out.
    """
    now_B = requests[NOW].dt.timestamp("us").to_numpy() / DAY_US
    history = (
        requests.select(REQUEST, HISTORY)
        .explode(HISTORY, empty_as_null=False)
        .unnest(HISTORY)
        .filter(pl.col(EVENT_NAME) == "purchase")
        .unique([REQUEST, TIME, ITEM], maintain_order=True)
        .sort(REQUEST, TIME, maintain_order=True)
    )
    item_H = _rows(history[ITEM], rows)
    known = item_H >= 0
    owner_H = history[REQUEST].to_numpy().astype(np.int64)[known]
    day_H = history[TIME].dt.timestamp("us").to_numpy()[known] / DAY_US
    return Moment(
        size=len(rows),
        now_B=now_B,
        owner_H=owner_H,
        item_H=item_H[known],
        age_H=np.maximum(now_B[owner_H] - day_H, 0.0),
        owner_N=candidates[REQUEST].to_numpy().astype(np.int64),
        item_N=_rows(candidates[ITEM], rows),
        scores=scores,
    )


def _rows(items: pl.Series, rows: Mapping[str, int]) -> NDArray[np.int64]:
    return np.fromiter((rows.get(item, -1) for item in items.to_list()), np.int64, len(items))
