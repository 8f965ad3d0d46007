"""Foretells a click, a sale, and what it is worth, on all impressions at once.

Source: ESMM (Ma et al., SIGIR 2018): the chance of a sale is that of a click times that of a sale
after it, so both are learned on every impression; a third tower says what a sale is worth. Given
one label, it foretells that. Learning needs torch. Knows nothing of where features come from.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit

from shopkeeper.contracts import AMOUNTS, Columns
from shopkeeper.errors import BadData
from shopkeeper.ranking import _network


class Multitask(_network.Network):
    """Towers for click, sale and worth, on shared fields."""

    name: ClassVar[str] = "multitask"
    kind: ClassVar[Literal["crossed", "towers"]] = "towers"

    @dataclass(frozen=True, kw_only=True)
    class Config(_network.Settings):
        """Settings under [ranking.multitask] in shop.toml."""

        order: str = "sale"
        """What candidates are ordered by: `click`, `sale`, or `worth` where it was told of worths;
        of one label, by that."""

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.order not in ("click", "sale", "worth"):
                raise ValueError(f"order must be click, sale or worth, got {self.order!r}.")

    def fit(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.float32],
        weights: NDArray[np.float32],
        owners: NDArray[np.int64],
        columns: Columns = AMOUNTS,
    ) -> Self:
        """Learn as `contracts.Ranker`.

        Args:
            features: [N, F].
            labels: [N]; or [N, 2], clicks and sales; or [N, 3], with what each sale was worth, at
                least 0.
            weights: What each row counts, [N].
            owners: The request of each row, [N].
            columns: What the features are.

        Returns:
            Itself.

        Raises:
            BadData: A sale without a click, a worth below 0, or as for `contracts.Ranker`.
        """
        if labels.ndim == 2:
            _check(labels)
        return super().fit(features, labels, weights, owners, columns)

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what `order` says, as log odds or a logarithm, [N]."""
        found = self.found(features).astype(np.float64)
        score = found[:, 0]
        if found.shape[1] > 1 and self.config.order != "click":
            score = log_expit(score) + log_expit(found[:, 1])
        if found.shape[1] > 2 and self.config.order == "worth":
            score = score + np.log(np.maximum(np.expm1(found[:, 2]), 1e-9))
        return np.asarray(score, np.float32)

    def outcomes(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the chances of a click and of a sale, and the worth of the impression, [N, T]."""
        found = self.found(features).astype(np.float64)
        click = expit(found[:, 0])
        told = [click]
        if found.shape[1] > 1:
            told.append(click * expit(found[:, 1]))
        if found.shape[1] > 2:
            told.append(told[1] * np.maximum(np.expm1(found[:, 2]), 0))
        return np.stack(told, axis=1).astype(np.float32)


def _check(labels: NDArray[np.float32]) -> None:
    if not 1 <= labels.shape[1] <= 3:
        raise BadData(
            f"'multitask' got {labels.shape[1]} labels for each row. Give clicks, or clicks and "
            "sales, or clicks, sales and worths."
        )
    if labels.shape[1] > 1:
        sales = labels[:, 1]
        if not np.isin(sales, (0, 1)).all() or (sales > labels[:, 0]).any():
            raise BadData("'multitask' got a sale that is not 0 or 1, or one without a click.")
        if not sales.any():
            raise BadData("'multitask' cannot learn sales: there is none. Give clicks alone.")
    if labels.shape[1] > 2 and not (np.isfinite(labels[:, 2]) & (labels[:, 2] >= 0)).all():
        raise BadData("'multitask' got a worth that is below 0 or no number.")
