"""Is the process alive, can it answer, and how is it doing?"""

from fastapi import APIRouter, Depends
from starlette.responses import JSONResponse, Response

from shopkeeper.serving.house import PROBLEMS, House


def router(house: House) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["health"])

    @routes.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Answer while the process lives; needs neither models nor disk."""
        return {"status": "ok"}

    @routes.get("/readyz", responses={503: PROBLEMS[503]})
    async def readyz() -> JSONResponse:
        """Answer once a bundle is loaded; 503 before."""
        return JSONResponse({"ready": True, **await house.calls.answer(house.shop.ready)})

    @routes.get("/metrics", dependencies=[Depends(house.access.needs("admin"))])
    async def metrics() -> Response:
        """Return counters for Prometheus."""
        return Response(house.metrics.text(), media_type="text/plain; version=0.0.4")

    return routes
