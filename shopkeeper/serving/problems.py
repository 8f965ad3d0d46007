"""Turns errors into answers: problem descriptions for programs, friendly pages for people.

Source: RFC 9457 (`application/problem+json`), with `field` naming what to change. An unexpected
error tells nothing of its inside, neither to the caller nor to the log, where only its type and
the places it passed are written.
"""

import logging
import secrets
import traceback
from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from shopkeeper.errors import BadRequest, NotFitted, NotFound, ShopkeeperError

FOR_PROGRAMS = ("/v1/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/static/")
"""Paths whose errors are JSON; all others are pages."""

ErrorPage = Callable[[Request, int, str], Response]

_log = logging.getLogger("shopkeeper.serving")


def problem(status: int, detail: str, field: str | None = None) -> JSONResponse:
    """Return a problem description.

    Args:
        status: HTTP status, 400 to 599.
        detail: One sentence: what was wrong and what to do.
        field: Which part of the request to change.

    Returns:
        The response, marked `application/problem+json`.
    """
    title = HTTPStatus(status).phrase
    content: dict[str, Any] = {
        "type": f"urn:shopkeeper:problem:{title.lower().replace(' ', '-')}",
        "title": title,
        "status": status,
        "detail": detail,
    }
    if field:
        content["field"] = field
    return JSONResponse(content, status, media_type="application/problem+json")


def install(app: FastAPI, page: ErrorPage) -> None:
    """Teach `app` to answer every error.

    Args:
        app: The application.
        page: Draws an error for a person from status and sentence.
    """

    def answer(request: Request, status: int, detail: str, field: str | None = None) -> Response:
        if for_programs(request.url.path):
            return problem(status, detail, field)
        return page(request, status, detail)

    def wrong(request: Request, error: Exception) -> Response:
        status, field = _status(error), getattr(error, "field", None)
        if status == HTTPStatus.NOT_FOUND:
            field = next(iter(request.path_params), None)
        return answer(request, status, str(error), field)

    def malformed(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        field, detail = _first(error.errors())
        return answer(request, 422, detail, field)

    def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        field = "body" if error.status_code in (400, 413) else None
        response = answer(request, error.status_code, str(error.detail), field)
        response.headers.update(error.headers or {})
        return response

    app.add_exception_handler(ShopkeeperError, wrong)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, http)


def for_programs(path: str) -> bool:
    """Say whether errors on this path are JSON."""
    return path.startswith(FOR_PROGRAMS)


def note_unexpected(error: BaseException, route: str) -> str:
    """Write an unexpected error to the log without its message, and return its number."""
    number = secrets.token_hex(4)
    frames = traceback.extract_tb(error.__traceback__)[::-1]
    ours = [frame for frame in frames if "shopkeeper" in frame.filename] or frames
    places = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in ours[:8])
    _log.error("error %s: %s on %s at %s", number, type(error).__name__, route, places)
    return number


def _status(error: Exception) -> int:
    kinds = ((BadRequest, 422), (NotFound, 404), (NotFitted, 503))
    return next((status for kind, status in kinds if isinstance(error, kind)), 503)


def _first(errors: Sequence[Any]) -> tuple[str, str]:
    """Return the field and the sentence of the first error, without the value that was sent."""
    where = [part for part in errors[0]["loc"] if part not in ("body", "query", "path")]
    if errors[0]["type"] == "json_invalid":
        return "body", "The body is not valid JSON."
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where)
    field = field.lstrip(".")
    if not field:
        return "body", "The body must be a JSON object. Send it as content-type application/json."
    return field, f"{field}: {errors[0]['msg']}."
