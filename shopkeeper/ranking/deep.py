"""A network of crosses over amounts, codes and histories, for shops with much to learn from.

Source: DCN-V2 (Wang et al., WWW 2021), with regularised vectors of codes, amounts read in pieces,
attention from the candidate to the history, and a tower for the place on the page; see
`training/networks/clicks`. Learning needs torch. Knows nothing of where features come from.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from shopkeeper.ranking import _network


class Deep(_network.Network):
    """A crossed network that says the log odds of a sale."""

    name: ClassVar[str] = "deep"
    kind: ClassVar[Literal["crossed", "towers"]] = "crossed"

    @dataclass(frozen=True, kw_only=True)
    class Config(_network.Settings):
        """Settings under [ranking.deep] in shop.toml."""

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the log odds of each row, [N]."""
        return self.found(features)[:, 0]
