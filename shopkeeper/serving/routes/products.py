"""`/v1/products`: browse, read, add and change."""

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import JSONResponse

from shopkeeper.serving.filters import parse
from shopkeeper.serving.house import House
from shopkeeper.serving.types import AnswerOut, Json, ProductOut, ProductsIn, ProductsOut, answered


def router(house: House) -> APIRouter:
    """Return the routes."""
    routes = house.routes("products", "read")
    changes = [Depends(house.access.needs("admin"))]

    @routes.get("/products", response_model=AnswerOut)
    async def browse(
        k: Annotated[int, Query(ge=1, le=house.size_max)] = 24,
        offset: Annotated[int, Query(ge=0, le=100 * house.size_max)] = 0,
        filters: Annotated[list[str] | None, Query(alias="filter", examples=["brand:Acme"])] = None,
    ) -> JSONResponse:
        """Page through the catalogue."""
        answer = await house.calls.answer(
            house.shop.products, k=k, offset=offset, filters=parse(filters or [])
        )
        house.metrics.answered("products", len(answer.results))
        return answered(answer)

    @routes.get("/products/{item_id:path}", response_model=ProductOut)
    async def read(item_id: Annotated[str, Path(max_length=200)]) -> JSONResponse:
        """Read one product."""
        product: dict[str, Any] = await house.calls.answer(house.shop.product, item_id)
        return Json({"id": item_id, **product})

    @routes.post("/products", response_model=ProductsOut, dependencies=changes)
    async def write(body: ProductsIn) -> JSONResponse:
        """Add or change products; all are written or none."""
        accepted = await house.calls.write(house.shop.put_products, body.products)
        return JSONResponse({"request_id": secrets.token_hex(8), "accepted": accepted})

    return routes
