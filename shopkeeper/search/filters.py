"""Narrows, counts, sorts and groups found products by what is known of them.

Works on row numbers of one product table, whose columns become small integer arrays the first time
they are asked for; a search then touches only the rows it found. Knows nothing of words or scores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.errors import BadRequest, unknown
from shopkeeper.schema import CATEGORY, PRICE, PRODUCT_ID

Rows = NDArray[np.int64]
Filters = Mapping[str, Sequence[str] | str]

SORTS = ("relevance", "price_asc", "price_desc", "newest")
FACETS = (CATEGORY, "brand", "size", "color", "availability")
"""Attributes that are counted for every page."""
FACET_VALUES_MAX = 20
PATH = " > "
"""Between the steps of a category path."""


@dataclass(frozen=True)
class Column:
    """An attribute of every product as small numbers; 0 where the product has none."""

    values: list[str]
    """Distinct values; the first stands for none."""
    codes: NDArray[np.int32]
    """Which value each product has. Shape [N]."""
    small: list[str]
    """The values in small letters, to compare with."""


class Attributes:
    """What is known of each product of a `schema.PRODUCTS` table, by row. N products.

    More columns than those may be filtered by too.
    """

    def __init__(self, products: pl.DataFrame) -> None:
        self.products = products
        self._columns: dict[str, Column] = {}
        self._numbers: dict[str, NDArray[np.float64]] = {}
        self.row_of = {name: row for row, name in enumerate(products[PRODUCT_ID])}

    def __len__(self) -> int:
        return self.products.height

    def rows(self, ids: Sequence[str]) -> Rows:
        """Return the row of each of `ids`, -1 where there is no such product."""
        find = self.row_of.get
        return np.fromiter((find(name, -1) for name in ids), dtype=np.int64, count=len(ids))

    def ids(self, rows: Rows) -> list[str]:
        """Return the ids of `rows`."""
        return self.products[PRODUCT_ID].gather(rows).to_list()

    def column(self, name: str) -> Column:
        """Return attribute `name` of every product.

        Raises BadRequest: Products have no such attribute; the nearest name is given.
        """
        if name not in self.products.columns:
            detail = unknown("product attribute", name, self.products.columns)
            raise BadRequest("filters", str(detail))
        if name not in self._columns:
            texts = self.products[name].cast(pl.String, strict=False).fill_null("")
            values = ["", *sorted(set(texts.unique().to_list()) - {""})]
            code = {value: number for number, value in enumerate(values)}
            codes = np.fromiter(map(code.__getitem__, texts), dtype=np.int32, count=len(texts))
            self._columns[name] = Column(values, codes, [value.casefold() for value in values])
        return self._columns[name]

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return attribute `name` as numbers, NaN where a product has none. Shape [N]."""
        if name not in self._numbers:
            if name in self.products.columns:
                column = self.products[name]
                physical = column.to_physical() if column.dtype.is_temporal() else column
                found = physical.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
            else:
                found = np.full(len(self), np.nan)
            self._numbers[name] = found
        return self._numbers[name]


def narrow(
    attributes: Attributes,
    rows: Rows,
    filters: Filters,
    price_min: int | None = None,
    price_max: int | None = None,
) -> Rows:
    """Keep the rows that pass every filter, in the same order.

    Args:
        attributes: What is known of the products.
        rows: Product rows. Shape [M].
        filters: Values by attribute; one of an attribute's values must match, whatever its case.
            A category matches with everything below it: `Grocery` has `Grocery > Bread`.
        price_min: Lowest price in minor units; products without a price do not pass.
        price_max: Highest price in minor units.

    Returns:
        Product rows. Shape [at most M]. BadRequest if there is no such attribute, or the price
        range is empty or negative.
    """
    _check_prices(price_min, price_max)
    for name, wanted in filters.items():
        column = attributes.column(name)
        rows = rows[_allowed(name, column.small, _listed(wanted))[column.codes[rows]]]
    if price_min is not None:
        rows = rows[attributes.numbers(PRICE)[rows] >= price_min]
    if price_max is not None:
        rows = rows[attributes.numbers(PRICE)[rows] <= price_max]
    return rows


def facets(
    attributes: Attributes,
    rows: Rows,
    filters: Filters,
    price_min: int | None = None,
    price_max: int | None = None,
) -> dict[str, list[tuple[str, int]]]:
    """Count the values that a shopper may choose next.

    The counts of an attribute ignore the filter on itself, so that other values can be added;
    categories are counted one step below the chosen one.

    Args:
        attributes: What is known of the products.
        rows: Product rows before any filter. Shape [M].
        filters: As for `narrow`.
        price_min: As for `narrow`.
        price_max: As for `narrow`.

    Returns:
        Values and counts by attribute, most frequent first; attributes without values left out.
    """
    passed = narrow(attributes, rows, filters, price_min, price_max)
    counted: dict[str, list[tuple[str, int]]] = {}
    for name in (*FACETS, *(name for name in filters if name not in FACETS)):
        if name not in attributes.products.columns:
            continue
        seen = passed
        if name in filters and name != CATEGORY:
            others = {other: wanted for other, wanted in filters.items() if other != name}
            seen = narrow(attributes, rows, others, price_min, price_max)
        column = attributes.column(name)
        counts = np.bincount(column.codes[seen], minlength=len(column.values))
        found = {column.values[at]: int(counts[at]) for at in np.flatnonzero(counts) if at}
        if name == CATEGORY:
            found = _steps(found, _listed(filters.get(CATEGORY, ())))
        if found:
            best = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
            counted[name] = best[:FACET_VALUES_MAX]
    return counted


def arrange(attributes: Attributes, rows: Rows, sort: str) -> Rows:
    """Return `rows`, best first, in the order `sort`; equal ones keep their order.

    Raises BadRequest: There is no such order.
    """
    check_sort(sort)
    if sort == "relevance":
        return rows
    keys = attributes.numbers("updated" if sort == "newest" else PRICE)[rows]
    # NaN sorts last, whatever the direction.
    return rows[np.argsort(keys if sort == "price_asc" else -keys, kind="stable")]


def check_sort(sort: str) -> None:
    """Raise BadRequest with the nearest name if there is no order `sort`."""
    if sort not in SORTS:
        raise BadRequest("sort", str(unknown("sort order", sort, SORTS)))


def one_per_group(attributes: Attributes, rows: Rows) -> Rows:
    """Keep the first row of each `item_group_id`; products without one stand for themselves."""
    if "item_group_id" not in attributes.products.columns:
        return rows
    column = attributes.column("item_group_id")
    groups, places = column.codes[rows], np.arange(len(rows))
    first = np.zeros(len(column.values), dtype=np.int64)
    # Written from the end, so that the first place of each group is what stays.
    first[groups[::-1]] = places[::-1]
    shown: Rows = rows[(groups == 0) | (first[groups] == places)]
    return shown


def _check_prices(price_min: int | None, price_max: int | None) -> None:
    for name, price in (("price_min", price_min), ("price_max", price_max)):
        if price is not None and not price >= 0:
            raise BadRequest(name, f"{name} must be at least 0 minor units, but is {price}.")
    if price_min is not None and price_max is not None and price_min > price_max:
        raise BadRequest(
            "price_min", f"price_min ({price_min}) is above price_max ({price_max}). Swap them."
        )


def _listed(wanted: Sequence[str] | str) -> list[str]:
    return [wanted] if isinstance(wanted, str) else list(wanted)


def _allowed(name: str, small: list[str], wanted: list[str]) -> NDArray[np.bool_]:
    """Say for each value whether it is wanted."""
    exact = {value.casefold() for value in wanted if value}
    begins = tuple(value + PATH for value in exact) if name == CATEGORY else ()
    return np.array([value in exact or value.startswith(begins) for value in small], dtype=bool)


def _steps(counts: dict[str, int], chosen: list[str]) -> dict[str, int]:
    """Sum category paths to one step below the chosen one, or to the first steps."""
    depth = 1 + max((path.count(PATH) + 1 for path in chosen), default=0)
    summed: dict[str, int] = {}
    for path, count in counts.items():
        step = PATH.join(path.split(PATH)[:depth])
        summed[step] = summed.get(step, 0) + count
    return summed
