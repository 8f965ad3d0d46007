"""A page that is not all of one kind: so many variants of a product, so many of a category."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.arrays import Asked, Picks, Rows
from shopkeeper.schema import CATEGORY

GROUP = "item_group_id"


class Variety:
    """Drops products beyond the most that a page may hold of one group or category."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """How many of a kind a page may hold."""

        per_group_max: int = 1
        """Variants of one product (`item_group_id`) on a page; 0 means any number."""
        per_category_max: int = 0
        """Products of one category (`product_type`) on a page; 0 means any number."""

        def __post_init__(self) -> None:
            for name in ("per_group_max", "per_category_max"):
                if getattr(self, name) < 0:
                    raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}.")

    def __init__(self, config: Config) -> None:
        self.config = config

    def apply(
        self,
        page: Picks,
        asked: Asked,  # noqa: ARG002
        products: Mapping[str, Sequence[Any]],
    ) -> Rows:
        """Keep the best of each kind; products without a kind stay."""
        kept = np.ones(len(page), np.bool_)
        for column, most in (
            (GROUP, self.config.per_group_max),
            (CATEGORY, self.config.per_category_max),
        ):
            if most:
                kept[kept] = _first(page.owner_E[kept], products[column], kept, most)
        return np.flatnonzero(kept)


def _first(
    owner: Rows, kinds: Sequence[str | None], kept: NDArray[np.bool_], most: int
) -> NDArray[np.bool_]:
    """Say which of the kept rows are among the first `most` of their request and kind."""
    seen: Counter[tuple[int, str]] = Counter()
    first = np.ones(len(owner), np.bool_)
    mine = [kinds[at] for at in np.flatnonzero(kept).tolist()]
    for place, (request, kind) in enumerate(zip(owner.tolist(), mine, strict=True)):
        if kind is not None:
            seen[request, kind] += 1
            first[place] = seen[request, kind] <= most
    return first
