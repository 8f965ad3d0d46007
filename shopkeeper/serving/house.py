"""What every route needs: the shop, the threads that ask it, and the counters."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shopkeeper.serving.calls import Calls
from shopkeeper.serving.metrics import Metrics
from shopkeeper.serving.types import ProblemOut

if TYPE_CHECKING:
    from shopkeeper.engine.shop import Shop

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemOut, "description": text}
    for status, text in (
        (404, "There is no such product or placement."),
        (422, "The request cannot be; `field` names what to change."),
        (503, "The shop was not trained yet."),
    )
}


@dataclass(frozen=True)
class House:
    """One server."""

    shop: "Shop"
    calls: Calls = field(default_factory=Calls)
    metrics: Metrics = field(default_factory=Metrics)

    @property
    def size_max(self) -> int:
        """The most results of one request."""
        return self.shop.config.serving.size_max
