"""`/v1/recommend/{placement}`: products for one place on a page."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import JSONResponse

from shopkeeper.errors import BadRequest, NotFound
from shopkeeper.serving.house import House
from shopkeeper.serving.types import ITEMS_MAX, AnswerOut, Debug, Id, RecommendIn, answered

Place = Annotated[str, Path(max_length=100, examples=["home"])]
Ids = Annotated[list[Id] | None, Query(max_length=ITEMS_MAX)]
OPTIONAL = ("k", "category", "country", "window_days", "segments")
"""What few requests name."""


async def _place(
    category: Annotated[str, Query(max_length=500, description="Only products of it.")] = "",
    country: Annotated[str, Query(max_length=100, description="Where what is hot counts.")] = "",
    window_days: Annotated[float, Query(ge=0, le=3650, allow_inf_nan=False)] = 0,
    segments: Annotated[list[Id] | None, Query(max_length=50)] = None,
    debug: Annotated[Debug, Query(description="`timing` adds the time of each stage.")] = "",
) -> dict[str, Any]:
    return {
        "category": category,
        "country": country,
        "window_days": window_days,
        "segments": segments or [],
        "debug": debug,
    }


async def _asked(
    place: Annotated[dict[str, Any], Depends(_place)],
    user_id: Annotated[Id | None, Query()] = None,
    visitor_id: Annotated[Id | None, Query()] = None,
    items: Ids = None,
    exclude: Ids = None,
) -> RecommendIn:
    return RecommendIn.model_construct(
        user_id=user_id, visitor_id=visitor_id, items=items or [], exclude=exclude or [], **place
    )


def router(house: House) -> APIRouter:
    """Return the routes."""
    routes = house.routes("recommend", "read")

    async def ask(placement: str, body: RecommendIn) -> JSONResponse:
        given = {name: getattr(body, name) for name in OPTIONAL}
        known: dict[str, Any] = {name: value for name, value in given.items() if value}
        try:
            answer = await house.calls.answer(
                house.shop.recommend,
                placement,
                user_id=body.user_id,
                visitor_id=body.visitor_id,
                items=body.items or None,
                exclude=body.exclude or None,
                **known,
            )
        except NotFound as error:
            if placement in house.shop.placements():
                raise BadRequest("items", str(error)) from error
            raise
        house.metrics.answered(placement, len(answer.results))
        return answered(answer, debug=body.debug)

    @routes.get("/recommend/{placement}", response_model=AnswerOut)
    async def read(
        placement: Place,
        asked: Annotated[RecommendIn, Depends(_asked)],
        k: Annotated[int | None, Query(ge=1, le=house.size_max)] = None,
    ) -> JSONResponse:
        """Recommend; `items`, `exclude` and `segments` may be repeated."""
        return await ask(placement, asked.model_copy(update={"k": k}))

    @routes.post("/recommend/{placement}", response_model=AnswerOut)
    async def post(placement: Place, body: RecommendIn) -> JSONResponse:
        """Recommend; keeps who asks out of addresses and their logs."""
        return await ask(placement, body)

    return routes
