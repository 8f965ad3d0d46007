"""The products as they are now, at hand: one table and the row of each id."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import polars as pl

from shopkeeper.errors import BadRequest, NotFound
from shopkeeper.schema import (
    CATEGORY,
    CURRENCY,
    EXPONENTS,
    PRICE,
    PRODUCT_ID,
    PRODUCTS,
    conform,
)

TEXTS = (
    "title",
    "description",
    CATEGORY,
    "brand",
    "size",
    "color",
    "item_group_id",
    "link",
    "image_link",
)
CHARS_MAX = 10_000
NEWER_MAX = 1_000
"""So many changed products are kept beside the table before it is made anew."""
AVAILABILITY = ("in_stock", "out_of_stock", "preorder", "backorder")


class Catalogue:
    """All products of a shop at one moment; nothing in it changes, so threads may share it."""

    def __init__(self, products: pl.DataFrame) -> None:
        """Take `schema.PRODUCTS` rows with distinct ids."""
        self.table = conform(products, PRODUCTS)
        # Lists, for a page looks at a hundred products and must not wake a pool of threads.
        self._columns = {name: self.table[name].to_list() for name in PRODUCTS}
        self._row = {item: row for row, item in enumerate(self._columns[PRODUCT_ID])}
        self._newer: dict[str, dict[str, Any]] = {}
        self._now = self.table
        money = self.table[CURRENCY].drop_nulls()
        self.currency = str(money[0]) if len(money) else "USD"
        """Of its prices."""

    def __len__(self) -> int:
        return len(self._row) + len(self._newer.keys() - self._row.keys())

    def __contains__(self, item: str) -> bool:
        return item in self._row or item in self._newer

    def get(self, item: str) -> dict[str, Any]:
        """Return one product as a row of `schema.PRODUCTS`; NotFound if there is none."""
        if item in self._newer:
            return self._newer[item]
        if item not in self._row:
            raise NotFound(f"There is no product '{item[:80]}' in this shop.")
        row = self._row[item]
        return {name: column[row] for name, column in self._columns.items()}

    def rows(self, items: Sequence[str]) -> pl.DataFrame:
        """Return the products of these ids, in this order; ids nobody knows are left out."""
        at = [self._row[item] for item in items if item in self._row]
        if not any(item in self._newer for item in items):
            return self.table[at]
        known = [self.get(item) for item in items if item in self]
        return pl.DataFrame(known, schema=PRODUCTS)

    def aligned(self, items: Sequence[str]) -> "Columns":
        """Return each column of `schema.PRODUCTS` for these ids, None for one nobody knows."""
        newer = [self._newer.get(item) for item in items] if self._newer else [None] * len(items)
        return Columns(self._columns, [self._row.get(item) for item in items], newer)

    def known(self, items: Iterable[str | None]) -> dict[str, dict[str, Any]]:
        """Return products by id, as rows of `schema.PRODUCTS`; all None for one nobody knows."""
        found = {}
        for item in dict.fromkeys(items):
            if item in self._newer:
                found[item] = self._newer[item]
            elif item is not None:
                at = self._row.get(item)
                found[item] = {
                    name: None if at is None else column[at]
                    for name, column in self._columns.items()
                }
        return found

    def put(self, rows: Sequence[Mapping[str, Any]]) -> "Catalogue":
        """Return the catalogue in which these rows replace what was known of their ids."""
        newer = self._newer | {str(row[PRODUCT_ID]): dict(row) for row in rows}
        older = self.table.filter(~pl.col(PRODUCT_ID).is_in(list(newer)))
        now = pl.concat([older, pl.DataFrame(list(newer.values()), schema=PRODUCTS)])
        if len(newer) > NEWER_MAX:
            return Catalogue(now)
        made = copy(self)
        made._newer, made._now = newer, now
        return made

    @property
    def availability(self) -> list[str | None]:
        """Whether each product can be had, in the order of `all`."""
        if not self._newer:
            return self._columns["availability"]
        return self._now["availability"].to_list()

    def all(self) -> pl.DataFrame:
        """Return every product as it is now; the same table as long as nothing changed."""
        return self._now


@dataclass(frozen=True)
class Columns(Mapping[str, list[Any]]):
    """Columns of some products, each made when it is asked for: a page looks at a few of many."""

    _columns: Mapping[str, list[Any]]
    _rows: Sequence[int | None]
    _newer: Sequence[Mapping[str, Any] | None]
    """What replaces a row, by place."""

    def __getitem__(self, name: str) -> list[Any]:
        column = self._columns[name]
        return [
            row[name] if row else None if at is None else column[at]
            for at, row in zip(self._rows, self._newer, strict=True)
        ]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def take(self, places: Sequence[int]) -> "Columns":
        """Return the columns of the products at these places, in this order."""
        rows = [self._rows[at] for at in places]
        return Columns(self._columns, rows, [self._newer[at] for at in places])


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a row of `schema.PRODUCTS` into what people and HTTP see, with a decimal `price`."""
    seen = {key: value for key, value in row.items() if key != PRICE and value is not None}
    seen["price"] = decimal_price(row[PRICE], row[CURRENCY])
    link = seen.get("image_link", "")
    if link and "://" not in link and os.path.isabs(link) and os.path.exists(link):
        # A file of ours shows nothing to a browser, and where it lies is nobody's business.
        del seen["image_link"]
    return seen


def decimal_price(price_minor: int | None, currency: str | None) -> str | None:
    """Write minor units as a decimal number, such as `1250` pence as `12.50`."""
    if price_minor is None:
        return None
    digits = EXPONENTS.get(currency or "", 2)
    if digits == 2 and price_minor >= 0:
        return f"{price_minor // 100}.{price_minor % 100:02}"
    return f"{Decimal(price_minor).scaleb(-digits):.{digits}f}"


def minor_price(price: Any, currency: str, field: str) -> int:
    """Read a decimal price of a currency as minor units.

    Args:
        price: A number or a string such as `"12.50"`.
        currency: ISO 4217 code.
        field: What the error calls it.

    Returns:
        Pence, cents...; at least 0.

    Raises:
        BadRequest: It is not a finite number from 0 to a billion.
    """
    try:
        amount = Decimal(str(price)).scaleb(EXPONENTS.get(currency, 2))
    except ArithmeticError as error:
        raise BadRequest(
            field, f"{field} must be a number such as 12.50, got {price!r}."
        ) from error
    if not amount.is_finite() or not 0 <= amount <= 10**12:
        raise BadRequest(field, f"{field} must be from 0 to a billion, got {price!r}.")
    return int(amount.to_integral_value())


def product_row(
    given: Mapping[str, Any], at: str, currency: str, old: Mapping[str, Any]
) -> dict[str, Any]:
    """Check one posted product and return a row of `schema.PRODUCTS`.

    Args:
        given: Merchant Center names; `price` a decimal. What lacks keeps its old value.
        at: Where it stood, such as `products[3]`.
        currency: The shop's, where neither the product nor its old row names one.
        old: The row known so far; empty for a new product.

    Returns:
        A full row, `updated` left to the caller.

    Raises:
        BadRequest: A field has a wrong value; `field` names it.
    """
    item = given.get(PRODUCT_ID)
    if not isinstance(item, str) or not 0 < len(item) <= 200 or not _is_text(item):
        raise BadRequest(f"{at}.id", f"{at}.id must be a string of 1 to 200 characters.")
    row = {name: old.get(name) for name in PRODUCTS} | {PRODUCT_ID: item} | _texts(given, at)
    if not row["title"]:
        raise BadRequest(f"{at}.title", f"{at}.title is needed for a new product.")
    row[CURRENCY] = given.get(CURRENCY) or row[CURRENCY] or currency
    if not re.fullmatch("[A-Z]{3}", str(row[CURRENCY])):
        raise BadRequest(f"{at}.currency", f"{at}.currency must be an ISO 4217 code such as GBP.")
    if given.get("price") is not None:
        row[PRICE] = minor_price(given["price"], str(row[CURRENCY]), f"{at}.price")
    row["availability"] = given.get("availability") or row["availability"] or AVAILABILITY[0]
    if row["availability"] not in AVAILABILITY:
        raise BadRequest(
            f"{at}.availability", f"{at}.availability must be one of {', '.join(AVAILABILITY)}."
        )
    return row


def _texts(given: Mapping[str, Any], at: str) -> dict[str, str]:
    found = {name: given[name] for name in TEXTS if given.get(name) is not None}
    for name, value in found.items():
        if not isinstance(value, str) or len(value) > CHARS_MAX or not _is_text(value):
            raise BadRequest(
                f"{at}.{name}", f"{at}.{name} must be text of up to {CHARS_MAX:,} characters."
            )
    return found


def _is_text(value: str) -> bool:
    """Tell whether a string can be written down: half a surrogate pair cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
