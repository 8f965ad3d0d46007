"""Stands before every request: limits its body, times it, and finishes its answer.

One plain ASGI layer instead of several, since each layer costs every request. Adds the headers
that keep a page from loading or sending anything elsewhere.
"""

import secrets
import time

from fastapi import HTTPException, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shopkeeper.serving.metrics import Metrics
from shopkeeper.serving.problems import ErrorPage, for_programs, note_unexpected, problem

HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
        b"form-action 'self'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(self)"),
)


class Guard:
    """The outermost layer of the application.

    Args:
        app: What answers.
        metrics: Where to count.
        body_bytes_max: The largest body taken.
        page: Draws an error for a person.
    """

    def __init__(
        self, app: ASGIApp, metrics: Metrics, body_bytes_max: int, page: ErrorPage
    ) -> None:
        self._app, self._metrics, self._page = app, metrics, page
        self._body_bytes_max = body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, sending = time.perf_counter(), _Sending(send)
        with self._metrics.running.track_inprogress():
            try:
                if _announced(scope) > self._body_bytes_max:
                    await problem(413, self._too_large(), "body")(scope, receive, sending)
                else:
                    await self._app(scope, self._counted(receive), sending)
            except Exception as error:
                await self._apologise(error, scope, receive, sending)
        labels = _method(scope), template(scope), str(sending.status or 500)
        self._metrics.latency_s.labels(*labels).observe(time.perf_counter() - began)

    def _counted(self, receive: Receive) -> Receive:
        size = 0

        async def receiving() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._body_bytes_max:
                raise HTTPException(413, self._too_large())
            return message

        return receiving

    async def _apologise(
        self, error: Exception, scope: Scope, receive: Receive, sending: "_Sending"
    ) -> None:
        number = note_unexpected(error, template(scope))
        if sending.status:
            return
        said = f"Something broke on our side; in the log it is {number}. Try again."
        answer: Response = problem(500, said)
        if not for_programs(scope["path"]):
            answer = self._page(Request(scope), 500, said)
        await answer(scope, receive, sending)

    def _too_large(self) -> str:
        return f"The body is larger than {self._body_bytes_max / 1e6:g} MB. Send less at once."


class _Sending:
    """Finishes the headers of an answer, and remembers its status once it has begun."""

    def __init__(self, send: Send) -> None:
        self._send, self.status = send, 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = _finished(message.get("headers", []))
        await self._send(message)


def template(scope: Scope) -> str:
    """Return the template of the matched route, such as `/v1/products/{item_id}`."""
    return str(getattr(scope.get("route"), "path", "unmatched"))


def _method(scope: Scope) -> str:
    method = str(scope["method"])
    return method if method in ("GET", "HEAD", "POST") else "other"


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0


def _finished(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    names = {name.lower() for name, _ in headers}
    added = [pair for pair in HEADERS if pair[0] not in names]
    if b"x-request-id" not in names:
        added.append((b"x-request-id", secrets.token_hex(8).encode()))
    return [*headers, *added]
