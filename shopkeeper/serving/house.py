"""What every route needs: the shop, the threads that ask it, and the counters."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends

from shopkeeper.serving.access import Access
from shopkeeper.serving.calls import Calls
from shopkeeper.serving.metrics import Metrics
from shopkeeper.serving.types import ProblemOut

if TYPE_CHECKING:
    from shopkeeper.engine.shop import Shop

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemOut, "description": text}
    for status, text in (
        (401, "The shop has keys, and the request has none of them."),
        (403, "The key is not good for this."),
        (404, "There is no such product or placement."),
        (422, "The request cannot be; `field` names what to change."),
        (429, "The key's requests of this second are used up; `Retry-After` says how long."),
        (503, "The shop was not trained yet."),
    )
}


@dataclass(frozen=True)
class House:
    """One server."""

    shop: "Shop"
    access: Access
    calls: Calls = field(default_factory=Calls)
    metrics: Metrics = field(default_factory=Metrics)

    def routes(self, tag: str, scope: str) -> APIRouter:
        """Return a router under `/v1`, whose requests need a scope."""
        needed = [Depends(self.access.needs(scope))]
        return APIRouter(prefix="/v1", tags=[tag], responses=PROBLEMS, dependencies=needed)

    @property
    def size_max(self) -> int:
        """The most results of one request."""
        return self.shop.config.serving.size_max
