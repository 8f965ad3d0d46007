"""`/v1/search` and `/v1/suggest`: products and completions by words, typed or said."""

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Query, UploadFile
from pydantic import Field
from starlette.responses import JSONResponse

from shopkeeper.serving.filters import FILTER_CHARS_MAX, FILTERS_MAX, cut, parse
from shopkeeper.serving.house import House
from shopkeeper.serving.types import (
    PERSON_CHARS_MAX,
    AnswerOut,
    Debug,
    Id,
    SuggestOut,
    VoiceOut,
    answered,
)
from shopkeeper.serving.visits import Who

Price = Annotated[float | None, Query(ge=0, le=1e9, allow_inf_nan=False, examples=[2.5])]
Ignored = Annotated[
    list[Annotated[str, Field(max_length=FILTER_CHARS_MAX)]] | None,
    Query(max_length=FILTERS_MAX, description="Keys of chips that are taken back."),
]
Person = Annotated[str | None, Query(min_length=1, max_length=PERSON_CHARS_MAX)]


async def _who(user_id: Person = None, visitor_id: Person = None) -> Who:
    return {"user_id": user_id, "visitor_id": visitor_id}


async def _reading(
    understand: Annotated[
        bool, Query(description="Whether errors are mended, and prices and attributes read.")
    ] = True,
    ignore: Ignored = None,
    personal: Annotated[
        bool, Query(description="Whether what suits the shopper may move up a little.")
    ] = True,
    segments: Annotated[
        list[Id] | None, Query(max_length=50, description="Groups of yours, for rules.")
    ] = None,
) -> dict[str, Any]:
    read: dict[str, Any] = {"understand": understand, "ignore": ignore or (), "personal": personal}
    return read | ({"segments": segments} if segments else {})


async def _bounds(price_min: Price = None, price_max: Price = None) -> dict[str, Any]:
    return {"price_min": price_min, "price_max": price_max}


def router(house: House) -> APIRouter:
    """Return the routes."""
    routes = house.routes("search", "read")

    async def page(
        reading: Annotated[dict[str, Any], Depends(_reading)],
        bounds: Annotated[dict[str, Any], Depends(_bounds)],
        k: Annotated[int, Query(ge=1, le=house.size_max)] = 24,
        offset: Annotated[int, Query(ge=0, le=100 * house.size_max)] = 0,
        filters: Annotated[list[str] | None, Query(alias="filter", examples=["brand:Acme"])] = None,
        sort: Annotated[str, Query(max_length=40, examples=["price_asc"])] = "relevance",
    ) -> dict[str, Any]:
        return {
            "k": k,
            "offset": offset,
            "filters": parse(filters or []),
            "sort": sort,
            **bounds,
            **reading,
        }

    Page = Annotated[dict[str, Any], Depends(page)]  # noqa: N806

    @routes.get("/search", response_model=AnswerOut)
    async def search(
        q: Annotated[str, Query(description="What was typed.", examples=["tea light"])],
        who: Annotated[Who, Depends(_who)],
        wanted: Page,
        debug: Annotated[Debug, Query(description="`timing` adds the time of each stage.")] = "",
    ) -> JSONResponse:
        """Find products by words and meaning."""
        query, notes = cut(q)
        answer = await house.calls.answer(house.shop.search, query, **wanted, **who)
        house.metrics.answered("search", len(answer.results))
        return answered(answer, notes, debug)

    @routes.post("/search/voice", response_model=VoiceOut)
    async def search_by_voice(
        audio: Annotated[UploadFile, File(description="A wav, webm, ogg, mp3, flac or m4a file.")],
        who: Annotated[Who, Depends(_who)],
        wanted: Page,
    ) -> JSONResponse:
        """Find products by what is said in a recording."""
        said = await audio.read()
        answer = await house.calls.hear(house.shop.search_by_voice, said, **wanted, **who)
        house.metrics.answered("search_by_voice", len(answer.results))
        return answered(answer)

    @routes.get("/suggest", response_model=SuggestOut)
    async def suggest(
        q: Annotated[str, Query(description="What was typed so far.", examples=["tea l"])],
        k: Annotated[int, Query(ge=1, le=50)] = 8,
    ) -> JSONResponse:
        """Complete what is being typed."""
        found = await house.calls.answer(house.shop.suggest, cut(q)[0], k=k)
        return JSONResponse({"request_id": secrets.token_hex(8), "suggestions": found})

    return routes
