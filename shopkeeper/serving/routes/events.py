"""`/v1/events`: what shoppers did. Durable before it is acknowledged, and in the next answer."""

import secrets

from fastapi import APIRouter
from starlette.responses import JSONResponse

from shopkeeper.serving.house import House
from shopkeeper.serving.types import EventsIn, EventsOut


def router(house: House) -> APIRouter:
    """Return the routes."""
    routes = house.routes("events", "events")

    @routes.post("/events", response_model=EventsOut)
    async def take(body: EventsIn) -> JSONResponse:
        """Post a batch of events."""
        receipt = await house.calls.write(house.shop.add_events, body.events)
        house.metrics.took(receipt.accepted, receipt.duplicates)
        return JSONResponse(
            {
                "request_id": secrets.token_hex(8),
                "accepted": receipt.accepted,
                "duplicates": receipt.duplicates,
            }
        )

    return routes
