"""Who is walking through the storefront: cookies read without trust, and written.

A browser is known by a random number in a cookie that scripts cannot read. It may also walk as
one of the shoppers that the shop offers for that; any other name in the cookie counts as none.
"""

import json
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict
from urllib.parse import quote, unquote, urlsplit

from fastapi import HTTPException, Request
from starlette.responses import Response

VISITOR, WALK, BASKET, PLAIN = "visitor_id", "walk_as", "basket", "plain"
YES = "yes"
BASKET_MAX = 40
MONTH_S = 30 * 24 * 3600
_RANDOM = re.compile(r"[A-Za-z0-9_-]{8,64}")


class Who(TypedDict):
    """Names the actor of a request or event."""

    user_id: str | None
    visitor_id: str | None


@dataclass(frozen=True)
class Visit:
    """One browser, and whom it walks as."""

    visitor_id: str
    user_id: str | None = None
    basket: tuple[str, ...] = field(default=())
    plain: bool = False
    """Whether pages are to be those of a stranger."""

    def asks(self) -> Who:
        """Name who asks for a page: nobody, if it is to be a stranger's."""
        return {"user_id": None, "visitor_id": None} if self.plain else self.who()

    def who(self) -> Who:
        """Name the actor of a request or event.

        A walker leaves the browser's own number out, or two shoppers would be joined by it.
        """
        if self.user_id:
            return {"user_id": self.user_id, "visitor_id": None}
        return {"user_id": None, "visitor_id": self.visitor_id}

    def with_item(self, item_id: str) -> "Visit":
        """Return the visit with one more product in the basket."""
        kept = [held for held in self.basket if held != item_id]
        return replace(self, basket=tuple([*kept, item_id][-BASKET_MAX:]))

    def without(self, item_id: str) -> "Visit":
        """Return the visit with a product taken out of the basket."""
        return replace(self, basket=tuple(held for held in self.basket if held != item_id))


def new(user_id: str | None = None) -> Visit:
    """Begin a visit that knows nothing."""
    return Visit(secrets.token_urlsafe(12), user_id)


def read(request: Request, walkers: Collection[str]) -> Visit:
    """Return the visit that the cookies tell of.

    Args:
        request: Brings the cookies.
        walkers: Shoppers that may be walked as.

    Returns:
        The visit; a new one where the cookie is missing or not ours.
    """
    visitor_id = request.cookies.get(VISITOR, "")
    if not _RANDOM.fullmatch(visitor_id):
        visitor_id = new().visitor_id
    user_id = unquote(request.cookies.get(WALK, ""))
    plain = request.cookies.get(PLAIN, "") == YES
    return Visit(visitor_id, user_id if user_id in walkers else None, _basket(request), plain)


def write(visit: Visit, request: Request, response: Response) -> None:
    """Send the visit's cookies, those that changed."""
    values = {
        VISITOR: visit.visitor_id,
        WALK: quote(visit.user_id or "", safe=""),
        BASKET: quote(json.dumps(visit.basket), safe="") if visit.basket else "",
        PLAIN: YES if visit.plain else "",
    }
    ways: dict[str, Any] = {"httponly": True, "samesite": "lax", "path": "/"}
    for name, value in values.items():
        if value == request.cookies.get(name, ""):
            continue
        if value:
            secure = request.url.scheme == "https"
            response.set_cookie(name, value, max_age=MONTH_S, secure=secure, **ways)
        else:
            response.delete_cookie(name, **ways)


async def check_origin(request: Request) -> None:
    """Refuse a form that another site sent, with HTTPException 403."""
    given = request.headers.get("origin") or request.headers.get("referer") or ""
    if not given or urlsplit(given).netloc != request.headers.get("host"):
        raise HTTPException(403, "This form was not sent from this shop. Load the page again.")


def _basket(request: Request) -> tuple[str, ...]:
    try:
        held = json.loads(unquote(request.cookies.get(BASKET, "")) or "[]")
    except (ValueError, RecursionError):
        return ()
    if not isinstance(held, list):
        return ()
    return tuple(item for item in held if isinstance(item, str) and 0 < len(item) <= 200)[
        :BASKET_MAX
    ]
