"""A page that one department does not fill: so many products of a branch of the categories."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shopkeeper.arrays import Asked, Picks, Rows
from shopkeeper.schema import CATEGORY

PATH = " > "


class CategoryCaps:
    """Drops products beyond the most that a page may hold of a branch of the categories."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """How many a branch may have."""

        level: int = 1
        """Steps of a category path that make a branch: 1 for departments."""
        most: int = 6
        """Products of one branch on a page; 0 for any number."""
        caps: tuple[str, ...] = ()
        """Other numbers for single branches, each as "Home > Candles = 2"; 0 shows none of it."""

        def __post_init__(self) -> None:
            if self.level < 1 or self.most < 0:
                raise ValueError("level must be at least 1, and most at least 0.")
            for cap in self.caps:
                path, _, most = cap.rpartition("=")
                if not path.strip() or not most.strip().isdecimal():
                    raise ValueError(f"caps must be like 'Home > Candles = 2', got {cap!r}.")

    def __init__(self, config: Config) -> None:
        self.config = config
        pairs = (cap.rpartition("=") for cap in config.caps)
        self._caps = {path.strip(): int(most) for path, _, most in pairs}

    def apply(
        self,
        page: Picks,
        asked: Asked,  # noqa: ARG002
        products: Mapping[str, Sequence[Any]],
    ) -> Rows:
        """Keep the best of each branch; products without a category stay."""
        held: Counter[tuple[int, str]] = Counter()
        kept = []
        for place, path in enumerate(products[CATEGORY]):
            limits = self._limits(path) if path else {}
            owner = int(page.owner_E[place])
            if all(held[owner, branch] < most for branch, most in limits.items()):
                held.update((owner, branch) for branch in limits)
                kept.append(place)
        return np.array(kept, np.int64)

    def _limits(self, path: str) -> dict[str, int]:
        """Return what bounds a product of a category: its branch, and branches with own numbers."""
        steps = path.split(PATH)
        above = {PATH.join(steps[: n + 1]) for n in range(len(steps))}
        found = {branch: most for branch, most in self._caps.items() if branch in above}
        branch = PATH.join(steps[: self.config.level])
        return {branch: self.config.most, **found} if self.config.most else found
