"""Reads values and offers of schema.org's JSON-LD, which may each be one thing, many, or a text."""

from collections.abc import Mapping, Sequence
from typing import Any

OFFERS_MAX = 1000
LIST_PRICES = ("StrikethroughPrice", "ListPrice", "SRP", "MSRP", "RegularPrice")
HAD = ("InStock", "OnlineOnly", "InStoreOnly", "LimitedAvailability")


def texts(value: Any, names: Sequence[str] = ("name", "@value", "value", "@id")) -> list[str]:
    """Return the texts that a value holds.

    Args:
        value: A text, number, thing, or list of these.
        names: What is taken of a thing, the best first.

    Returns:
        Texts that are not blank, each once, in order.
    """
    found: dict[str, None] = {}
    for each in value if isinstance(value, list) else [value]:
        text: Any = each
        if isinstance(each, dict):
            text = next((each[name] for name in names if each.get(name)), None)
            text = text[0] if isinstance(text, list) and text else text
        if isinstance(text, bool):
            text = "true" if text else "false"
        if isinstance(text, str | int | float) and str(text).strip():
            found[str(text).strip()] = None
    return list(found)


def first(*values: Any) -> str | None:
    """Return the first text of the first value that has one."""
    for value in values:
        if isinstance(value, str):
            # Most values are; a feed has ten million of them.
            if text := value.strip():
                return text
        elif value is not None and (found := texts(value)):
            return found[0]
    return None


def best(offers: Any) -> Mapping[str, Any]:
    """Choose the cheapest offer of those that can be had, or of all if none can.

    Args:
        offers: An Offer, an AggregateOffer, or a list of these.

    Returns:
        The offer; nothing where there is none.
    """
    found = [offer for offer in _flat(offers) if isinstance(offer, dict)][:OFFERS_MAX]
    return min(found, key=_order) if len(found) > 1 else found[0] if found else {}


def said(offer: Mapping[str, Any]) -> dict[str, str | None]:
    """Return an offer's words on price and stock, under the names of a product feed."""
    now, before, currency = None, None, first(offer.get("priceCurrency"))
    parts = offer.get("priceSpecification")
    for part in parts if isinstance(parts, list) else [parts]:
        if isinstance(part, dict):
            kind = (first(part.get("priceType")) or "").rpartition("/")[2]
            currency = currency or first(part.get("priceCurrency"))
            if kind in LIST_PRICES:
                before = before or first(part.get("price"))
            else:
                now = now or first(part.get("price"))
    now = first(offer.get("price"), now, offer.get("lowPrice"))
    prices = (before, now) if before and now else (now or before, None)
    price, sale = (f"{p} {currency}" if p and currency else p for p in prices)
    return {"price": price, "sale_price": sale, "availability": first(offer.get("availability"))}


def _flat(offers: Any) -> list[Any]:
    found = []
    for offer in offers if isinstance(offers, list) else [offers]:
        inner = offer.get("offers") if isinstance(offer, dict) else None
        if inner:
            outer = {"priceCurrency": offer.get("priceCurrency")}
            inner = inner if isinstance(inner, list) else [inner]
            found += [outer | each for each in inner if isinstance(each, dict)]
        else:
            found.append(offer)
    return found


def _order(offer: Mapping[str, Any]) -> tuple[bool, float]:
    stock = (first(offer.get("availability")) or "InStock").rpartition("/")[2]
    said_now = said(offer)
    price = (said_now["sale_price"] or said_now["price"] or "").split(" ")[0]
    try:
        return stock not in HAD, float(price)
    except ValueError:
        return stock not in HAD, float("inf")
