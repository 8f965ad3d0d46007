"""`/v1/recommend/{placement}`: products for one place on a page."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import JSONResponse

from shopkeeper.errors import BadRequest, NotFound
from shopkeeper.serving.house import PROBLEMS, House
from shopkeeper.serving.types import (
    CATEGORY_CHARS_MAX,
    ITEMS_MAX,
    AnswerOut,
    Id,
    RecommendIn,
    answered,
)

Place = Annotated[str, Path(max_length=100, examples=["home"])]
Ids = Annotated[list[Id] | None, Query(max_length=ITEMS_MAX)]


def router(house: House) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(
        prefix="/v1",
        tags=["recommend"],
        responses=PROBLEMS,
        dependencies=[Depends(house.access.needs("read"))],
    )

    async def ask(placement: str, body: RecommendIn) -> JSONResponse:
        more: dict[str, Any] = {} if body.k is None else {"k": body.k}
        more |= {"category": body.category} if body.category else {}
        try:
            answer = await house.calls.answer(
                house.shop.recommend,
                placement,
                user_id=body.user_id,
                visitor_id=body.visitor_id,
                items=body.items or None,
                exclude=body.exclude or None,
                **more,
            )
        except NotFound as error:
            if placement in house.shop.placements():
                raise BadRequest("items", str(error)) from error
            raise
        house.metrics.answered(placement, len(answer.results))
        return answered(answer)

    @routes.get("/recommend/{placement}", response_model=AnswerOut)
    async def read(
        placement: Place,
        k: Annotated[int | None, Query(ge=1, le=house.size_max)] = None,
        user_id: Annotated[Id | None, Query()] = None,
        visitor_id: Annotated[Id | None, Query()] = None,
        items: Ids = None,
        exclude: Ids = None,
        category: Annotated[str, Query(max_length=CATEGORY_CHARS_MAX)] = "",
    ) -> JSONResponse:
        """Recommend; `items` and `exclude` may be repeated."""
        body = RecommendIn.model_construct(
            k=k,
            user_id=user_id,
            visitor_id=visitor_id,
            items=items or [],
            exclude=exclude or [],
            category=category,
        )
        return await ask(placement, body)

    @routes.post("/recommend/{placement}", response_model=AnswerOut)
    async def post(placement: Place, body: RecommendIn) -> JSONResponse:
        """Recommend; keeps who asks out of addresses and their logs."""
        return await ask(placement, body)

    return routes
