"""`/v1/rules` and `/v1/explain`: what people decided by hand, and why a page is as it is."""

import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import JSONResponse

from shopkeeper.serving.house import House
from shopkeeper.serving.types import (
    ExplainedOut,
    Id,
    Json,
    RulesGoneOut,
    RulesIn,
    RulesOut,
    RulesPutOut,
)

RuleId = Annotated[str, Path(max_length=100, examples=["advent"])]


def router(house: House) -> APIRouter:
    """Return the routes."""
    routes = house.routes("rules", "read")
    decides = [Depends(house.access.needs("admin"))]

    @routes.get("/rules", response_model=RulesOut, dependencies=decides)
    async def read_all() -> JSONResponse:
        """List the rules, those that hold first."""
        rules = await house.calls.answer(house.shop.rules)
        return Json({"request_id": secrets.token_hex(8), "rules": rules})

    @routes.get("/rules/{rule_id}", response_model=RulesOut, dependencies=decides)
    async def read(rule_id: RuleId) -> JSONResponse:
        """Read one rule."""
        rules = await house.calls.answer(house.shop.rules, [rule_id])
        return Json({"request_id": secrets.token_hex(8), "rules": rules})

    @routes.post("/rules", response_model=RulesPutOut, dependencies=decides)
    async def write(body: RulesIn) -> JSONResponse:
        """Add or change rules; all are taken or none. They hold in the next answer."""
        conflicts = await house.calls.write(house.shop.put_rules, body.rules, force=body.force)
        done = {"accepted": len(body.rules), "conflicts": conflicts}
        return Json({"request_id": secrets.token_hex(8), **done})

    @routes.delete("/rules/{rule_id}", response_model=RulesGoneOut, dependencies=decides)
    async def remove(rule_id: RuleId) -> JSONResponse:
        """Delete a rule."""
        removed = await house.calls.write(house.shop.remove_rules, [rule_id])
        return Json({"request_id": secrets.token_hex(8), "removed": removed})

    @routes.get("/explain/{request_id}", response_model=ExplainedOut)
    async def explain(
        request_id: Annotated[str, Path(max_length=100)],
        item_id: Annotated[
            Id | None, Query(description="A product: why it is there, or why it is not.")
        ] = None,
        rescore: Annotated[
            bool, Query(description="Score again without each piece of evidence.")
        ] = False,
    ) -> JSONResponse:
        """Tell why an answer is as it is. Whoever holds a request id may ask."""
        found = await house.calls.answer(
            house.shop.explain, request_id, item_id=item_id, rescore=rescore
        )
        return Json(found)

    return routes
