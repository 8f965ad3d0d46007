"""The shop as people see it: pages, forms and the parts of pages that htmx replaces.

Every form works without scripts too: it is answered by sending the browser on. How pages look
is in `pages`; what they show comes from `views`.
"""

import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Depends, FastAPI, Form, Query, Request, UploadFile
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from shopkeeper import pages
from shopkeeper.errors import BadRequest
from shopkeeper.pages import storefront as drawing
from shopkeeper.serving import visits
from shopkeeper.serving.filters import cut, parse
from shopkeeper.serving.house import House
from shopkeeper.serving.routes.search import Ignored
from shopkeeper.serving.views import PAGE_SIZE, Views
from shopkeeper.serving.visits import Visit

HOME = ("home", "buy_again", "trending")
PRODUCT = ("bought_together", "similar")
STEPS_SHOWN, SUGGESTIONS = 50, 8
FRESH = {"cache-control": "no-store"}
Text = Annotated[str, Form(max_length=200)]


def install(app: FastAPI, house: House) -> None:
    """Add the storefront to `app`."""
    static = Path(pages.__path__[0]) / "static"
    app.mount("/static", StaticFiles(directory=static), "static")

    async def tag() -> Response:
        kept = {"cache-control": "public, max-age=3600"}
        return FileResponse(static / "tag.js", media_type="text/javascript", headers=kept)

    app.add_api_route("/tag.js", tag, include_in_schema=False)
    app.include_router(_Pages(house).routes(), include_in_schema=False)
    app.include_router(_Forms(house).routes(), include_in_schema=False)


def error_page(house: House) -> Callable[[Request, int, str], Response]:
    """Return what draws an error for a person; it asks nothing of the shop."""

    def page(_: Request, status: int, detail: str) -> Response:
        text = drawing.render("error.html", **_shop(house), status=status, detail=detail)
        return HTMLResponse(text, status, FRESH)

    return page


class _Front:
    """What every page needs."""

    def __init__(self, house: House) -> None:
        self.house, self.views = house, Views(house.shop, house.metrics)
        self.answer = house.calls.answer

    def visit(self, request: Request) -> Visit:
        walkers = {walker["user_id"] for walker in self.views.walkers()}
        return visits.read(request, walkers)

    def draw(self, template: str, request: Request, visit: Visit, **values: Any) -> Response:
        text = drawing.render(
            template, **_shop(self.house), visit=visit, strip=self.views.strip(visit), **values
        )
        response = HTMLResponse(text, headers=FRESH)
        visits.write(visit, request, response)
        return response

    def done(
        self, request: Request, visit: Visit, said: str, template: str = "said.html", **values: Any
    ) -> Response:
        """Answer a form: parts of the page for htmx, the way back for a plain browser."""
        if request.headers.get("hx-request") == "true":
            return self.draw(template, request, visit, said=said, **values)
        back = urlsplit(request.headers.get("referer", "/"))
        # Two slashes at the start would name another host.
        where = "/" + back.path.lstrip("/") + (f"?{back.query}" if back.query else "")
        response = RedirectResponse(where, 303)
        visits.write(visit, request, response)
        return response


def _shop(house: House) -> dict[str, Any]:
    return {"shop": house.shop.config.shop}


class _Pages(_Front):
    """The pages that are looked at."""

    def routes(self) -> APIRouter:
        made = APIRouter()
        for path, page in (
            ("/", self.home),
            ("/search", self.search),
            ("/p/{item_id:path}", self.product),
            ("/basket", self.basket),
            ("/walk", self.walk),
            ("/you", self.you),
            ("/suggest", self.suggest),
        ):
            made.add_api_route(path, page, methods=["GET"])
        return made

    async def home(self, request: Request) -> Response:
        def work() -> Response:
            visit = self.visit(request)
            shelves, ways = self.views.shelves(HOME, visit), self.views.ways()
            return self.draw("home.html", request, visit, shelves=shelves, ways=ways)

        return await self.answer(work)

    async def search(
        self,
        request: Request,
        q: str = "",
        page: Annotated[int, Query(ge=1, le=1000)] = 1,
        filters: Annotated[list[str] | None, Query(alias="filter")] = None,
        price_min: str = "",
        price_max: str = "",
        sort: Annotated[str, Query(max_length=40)] = "relevance",
        ignore: Ignored = None,
    ) -> Response:
        query, notes = cut(q.strip())
        if query and "heard" in request.query_params:
            notes.append(f"You said: {query}")
        asked: dict[str, Any] = {
            "query": query,
            "filters": parse(filters or []),
            "price_min": _price("price_min", price_min),
            "price_max": _price("price_max", price_max),
            "sort": sort,
            "ignore": ignore or [],
        }

        def work() -> Response:
            visit = self.visit(request)
            found = self.views.search(visit, offset=(page - 1) * PAGE_SIZE, **asked)
            if query and page == 1:
                self.views.record(visit, "search", search_term=query, request_id=found.request_id)
            return self.draw(
                "search.html",
                request,
                visit,
                answer=found,
                notes=[*notes, *found.notes],
                page=page,
                num_pages=min(1000, -(-found.total // PAGE_SIZE)),
                asked=asked,
                ways=self.views.ways(),
            )

        return await self.answer(work)

    async def product(
        self,
        request: Request,
        item_id: str,
        source: Annotated[str, Query(alias="from", max_length=100)] = "",
        place: Annotated[str, Query(max_length=100)] = "",
        at: Annotated[int, Query(ge=0, le=100_000)] = 0,
    ) -> Response:
        def work() -> Response:
            visit = self.visit(request)
            found = self.views.product(item_id)
            shown: dict[str, Any] = {"item_list_id": place, "index": at}
            self.views.record_item(visit, "view_item", item_id, request_id=source or None, **shown)
            shelves = self.views.shelves(PRODUCT, visit, item_id)
            return self.draw("product.html", request, visit, product=found, shelves=shelves)

        return await self.answer(work)

    async def basket(self, request: Request) -> Response:
        def work() -> Response:
            visit = self.visit(request)
            return self.draw("basket.html", request, visit, products=self.views.basket(visit))

        return await self.answer(work)

    async def walk(self, request: Request) -> Response:
        def work() -> Response:
            visit = self.visit(request)
            return self.draw("walk.html", request, visit, walkers=self.views.walkers())

        return await self.answer(work)

    async def suggest(self, q: str = "") -> Response:
        """Complete what is being typed: the page has no key for `/v1/suggest`."""
        found = await self.answer(self.house.shop.suggest, cut(q)[0], k=SUGGESTIONS)
        return JSONResponse({"suggestions": found}, headers=FRESH)

    async def you(self, request: Request) -> Response:
        def work() -> Response:
            visit = self.visit(request)
            known = self.views.strip(visit, STEPS_SHOWN)
            return self.draw("you.html", request, visit, known=known)

        return await self.answer(work)


class _Forms(_Front):
    """The forms that tell the shop something."""

    def routes(self) -> APIRouter:
        made = APIRouter(dependencies=[Depends(visits.check_origin)])
        for path, deed in (
            ("/dismiss", self.dismiss),
            ("/basket/add", self.add),
            ("/basket/remove", self.remove),
            ("/buy", self.buy),
            ("/walk", self.walk),
            ("/you", self.you),
            ("/search/picture", self.picture),
            ("/search/voice", self.voice),
        ):
            made.add_api_route(path, deed, methods=["POST"])
        return made

    async def picture(self, request: Request, picture: UploadFile) -> Response:
        content = await picture.read()

        def work() -> Response:
            visit, found, ways = self.visit(request), self.views.looks(content), self.views.ways()
            return self.draw("looks.html", request, visit, answer=found, ways=ways)

        return await self.answer(work)

    async def voice(self, audio: UploadFile) -> Response:
        """Hear the words, and send the browser on to search for them."""
        said = await audio.read()
        heard = await self.house.calls.hear(self.house.shop.listener.transcribe, said)
        return RedirectResponse("/search?" + urlencode({"q": heard.text, "heard": "1"}), 303)

    async def you(self, request: Request, personal: Annotated[bool, Form()]) -> Response:
        def work() -> Response:
            visit = replace(self.visit(request), plain=not personal)
            response = RedirectResponse("/you", 303)
            visits.write(visit, request, response)
            return response

        return await self.answer(work)

    async def dismiss(
        self,
        request: Request,
        item_id: Text,
        placement: Text,
        seed: Text = "",
        request_id: Text = "",
    ) -> Response:
        def work() -> Response:
            visit = self.visit(request)
            given = {"item_list_id": placement, "request_id": request_id or None}
            self.views.record_item(visit, "dismiss", item_id, **given)
            shelf = self.views.shelf(placement, visit, seed)
            said = "Noted. You will not be shown this product again."
            return self.done(request, visit, said, "dismissed.html", shelf=shelf)

        return await self.answer(work)

    async def add(self, request: Request, item_id: Text) -> Response:
        def work() -> Response:
            visit = self.visit(request)
            self.views.record_item(visit, "add_to_cart", item_id)
            return self.done(request, visit.with_item(item_id), "Added to your basket.")

        return await self.answer(work)

    async def remove(self, request: Request, item_id: Text) -> Response:
        def work() -> Response:
            visit = self.visit(request)
            self.views.record_item(visit, "remove_from_cart", item_id)
            after = visit.without(item_id)
            said = "Taken out of your basket."
            return self.done(
                request, after, said, "basket_changed.html", products=self.views.basket(after)
            )

        return await self.answer(work)

    async def buy(
        self, request: Request, item_id: Annotated[list[str], Form(max_length=40)]
    ) -> Response:
        def work() -> Response:
            visit, order = self.visit(request), secrets.token_hex(6)
            self.views.record_item(visit, "purchase", *item_id, transaction_id=order)
            for item in item_id:
                visit = visit.without(item)
            said = "Bought. No money moved: this shop is a demonstration."
            return self.done(
                request, visit, said, "basket_changed.html", products=self.views.basket(visit)
            )

        return await self.answer(work)

    async def walk(self, request: Request, user_id: Text = "") -> Response:
        def work() -> Response:
            if user_id and user_id not in {walker["user_id"] for walker in self.views.walkers()}:
                raise BadRequest("user_id", "The shop does not offer to walk as this shopper.")
            response = RedirectResponse("/", 303)
            visits.write(visits.new(user_id or None), request, response)
            return response

        return await self.answer(work)


def _price(field: str, given: str) -> float | None:
    """Read a price as people type it; empty means none."""
    if not given.strip():
        return None
    try:
        price = float(given.strip()[:20].replace(",", "."))
    except ValueError as error:
        raise BadRequest(field, "A price must be a number such as 2.50.") from error
    if not 0 <= price <= 1e9:
        raise BadRequest(field, "A price must be from 0 to 1,000,000,000.")
    return price
