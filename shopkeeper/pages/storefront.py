"""Draws the storefront: templates, and how money, times and categories are written on a page.

Knows no data of its own and no HTTP; callers hand in every value. All values are escaped.
"""

from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from zlib import crc32

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

HERE = Path(__file__).parent
HUES = 24
"""Colours of tiles; `storefront.css` has one class for each."""

FIELDS = (
    "title",
    "description",
    "price",
    "currency",
    "availability",
    "product_type",
    "brand",
    "size",
    "color",
)
SIGNS = {"GBP": "£", "USD": "$", "EUR": "€", "JPY": "¥", "CNY": "¥", "INR": "₹"}
DID = {
    "view_item": "Looked at",
    "select_item": "Chose",
    "add_to_cart": "Put in basket",
    "remove_from_cart": "Took out of basket",
    "purchase": "Bought",
    "refund": "Returned",
    "like": "Liked",
    "dismiss": "Not interested in",
    "review": "Reviewed",
}
FACETS = {
    "product_type": "Category",
    "brand": "Brand",
    "availability": "Availability",
    "color": "Colour",
    "size": "Size",
}
SORTS = {
    "relevance": "Best match",
    "price_asc": "Price, low to high",
    "price_desc": "Price, high to low",
    "newest": "Newest",
}


def render(template: str, **values: Any) -> str:
    """Return a page or a part of one.

    Args:
        template: A file of `templates/storefront`.
        **values: What it shows.

    Returns:
        HTML.
    """
    return _environment().get_template(f"storefront/{template}").render(**values)


def money(price: str | None, currency: str | None) -> str:
    """Write a price as shoppers read it: `£2.55`, `7.10 CHF`.

    >>> money("1234.5", "USD"), money("120", "JPY"), money("3", "CHF"), money(None, "USD")
    ('$1,234.50', '¥120', '3.00 CHF', 'Price on request')
    """
    try:
        amount = Decimal(str(price))
    except InvalidOperation:
        return "Price on request"
    digits = 0 if currency == "JPY" else max(2, -int(amount.as_tuple().exponent))
    text = f"{amount:,.{digits}f}"
    sign = SIGNS.get(currency or "")
    return f"{sign}{text}" if sign else f"{text} {currency or ''}".strip()


def full(product: dict[str, Any], item_id: str = "") -> dict[str, Any]:
    """Return a product with every field that a page shows, None where the shop knows none.

    >>> full({"id": "85123A"})["title"], full({"title": "Tea light"})["brand"]
    ('85123A', None)
    """
    known = {**dict.fromkeys(FIELDS), "id": item_id, **product}
    return {**known, "title": known["title"] or known["id"]}


def hue(product: dict[str, Any]) -> int:
    """Return the colour of a product's tile, the same for all products of a category.

    Where a shop has no categories, the last word of the title stands in: `cake stand`.
    """
    named = str(product.get("title") or "").split()[-1:]
    word = str(product.get("product_type") or "".join(named))
    return crc32(word.strip().lower().encode()) % HUES


def leaf(path: str | None) -> str:
    """Return the last part of a category.

    >>> leaf("Grocery > Bread > Rye")
    'Rye'
    """
    return (path or "").split(">")[-1].strip()


def ago(time: datetime, now: datetime) -> str:
    """Say how long ago something happened.

    >>> from datetime import timedelta
    >>> noon = datetime(2026, 5, 1, 12)
    >>> [ago(noon - timedelta(minutes=m), noon) for m in (0, 1, 45, 60, 1500, 90000)]
    ['just now', '1 minute ago', '45 minutes ago', '1 hour ago', 'yesterday', '2 months ago']
    """
    minutes = max(0, int((now - time).total_seconds() // 60))
    if minutes == 0:
        return "just now"
    for size, name in ((43_200, "month"), (1440, "day"), (60, "hour"), (1, "minute")):
        if minutes >= size:
            count = minutes // size
            if (name, count) == ("day", 1):
                return "yesterday"
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return ""


def product_url(item_id: str, **where: Any) -> str:
    """Return the address of a product's page, with where the click came from."""
    told = urlencode({name.rstrip("_"): value for name, value in where.items() if value})
    return "/p/" + quote(item_id, safe="") + (f"?{told}" if told else "")


def search_url(asked: dict[str, Any], **changes: Any) -> str:
    """Return the address of a search with changes.

    Args:
        asked: `query`, `filters`, `price_min`, `price_max`, `sort` of the page at hand.
        **changes: The same names; `toggle=(attribute, value)` sets or clears one filter, `page`
            goes to another page, `ignore` takes back one thing that was understood.

    Returns:
        A path with its query string.
    """
    filters = {name: list(values) for name, values in (asked["filters"] or {}).items()}
    if "toggle" in changes:
        attribute, value = changes["toggle"]
        values = filters.setdefault(attribute, [])
        values.remove(value) if value in values else values.append(value)
    pairs = [("q", changes.get("query", asked["query"]))]
    pairs += [("filter", f"{name}:{value}") for name, values in filters.items() for value in values]
    for name in ("price_min", "price_max"):
        if asked[name] is not None:
            pairs.append((name, f"{asked[name]:g}"))
    ignored = [*asked.get("ignore", ()), *([changes["ignore"]] if "ignore" in changes else [])]
    if pairs[0][1] == asked["query"]:
        pairs += [("ignore", key) for key in ignored]
    if (sort := changes.get("sort", asked["sort"])) != "relevance":
        pairs.append(("sort", sort))
    if changes.get("page", 1) > 1:
        pairs.append(("page", str(changes["page"])))
    return "/search?" + urlencode(pairs)


@cache
def asset(name: str) -> str:
    """Return the address of a file in `static`, which changes with its content."""
    digest = blake2b((HERE / "static" / name).read_bytes(), digest_size=4).hexdigest()
    return f"/static/{name}?v={digest}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    tools = (full, money, hue, leaf, ago, product_url, search_url, asset)
    environment.globals.update({tool.__name__: tool for tool in tools})
    environment.globals.update(DID=DID, FACETS=FACETS, SORTS=SORTS)
    return environment
