"""`/v1/search/picture`: products that look like a picture, or like what words name."""

from typing import Annotated

from fastapi import APIRouter, File, Query, UploadFile
from starlette.responses import JSONResponse

from shopkeeper.serving.filters import cut
from shopkeeper.serving.house import House
from shopkeeper.serving.types import AnswerOut, answered


def router(house: House) -> APIRouter:
    """Return the routes."""
    routes = house.routes("search", "read")
    size = Annotated[int, Query(ge=1, le=house.size_max)]

    @routes.post("/search/picture", response_model=AnswerOut)
    async def by_picture(
        picture: Annotated[
            UploadFile, File(description="A JPEG, PNG, WebP, GIF, BMP or AVIF file.")
        ],
        k: size = 24,
    ) -> JSONResponse:
        """Find products that look like a picture."""
        content = await picture.read()
        answer = await house.calls.answer(house.shop.search_by_picture, content, k=k)
        house.metrics.answered("picture", len(answer.results))
        return answered(answer)

    @routes.get("/search/picture", response_model=AnswerOut)
    async def by_words(
        q: Annotated[str, Query(description="What the picture shows.", examples=["a red dress"])],
        k: size = 24,
    ) -> JSONResponse:
        """Find products whose pictures show what words name."""
        query, notes = cut(q)
        answer = await house.calls.answer(house.shop.search_pictures, query, k=k)
        house.metrics.answered("picture", len(answer.results))
        return answered(answer, notes)

    return routes
