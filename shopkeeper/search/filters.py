"""Narrows, counts, sorts and groups found products by what is known of them.

Works on row numbers of one product table, whose columns become small integer arrays the first time
they are asked for; a search then touches only the rows it found. Knows nothing of words or scores.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.errors import BadRequest, unknown
from shopkeeper.schema import CATEGORY, PRICE, PRODUCT_ID
from shopkeeper.search import text

Rows = NDArray[np.int64]
Filters = Mapping[str, Sequence[str] | str]

SORTS = ("relevance", "price_asc", "price_desc", "newest")
FACETS = (CATEGORY, "brand", "size", "color", "availability")
"""Attributes that are counted for every page."""
FACET_VALUES_MAX = 20
PATH = " > "
"""Between the steps of a category path."""
LAST = "\U0010ffff"


class Column:
    """An attribute of every product as small numbers; 0 where the product has none. N products."""

    def __init__(self, texts: pl.Series) -> None:
        texts = texts.cast(pl.String, strict=False).fill_null("")
        self.values = ["", *texts.filter(texts != "").unique().sort().to_list()]
        """Distinct values; the first stands for none."""
        # Categories of such a type are numbered in the order given.
        numbers = texts.cast(pl.Enum(self.values)).to_physical()
        self.codes: NDArray[np.int32] = numbers.to_numpy().astype(np.int32)
        """Which value each product has. Shape [N]."""
        self._small = sorted((value.casefold(), code) for code, value in enumerate(self.values))

    def allowed(self, wanted: Iterable[str], below: bool) -> NDArray[np.bool_]:
        """Say for each value whether it is one of `wanted`, or `below` one as a path."""
        found = np.zeros(len(self.values), dtype=bool)
        for value in {value.casefold() for value in wanted if value}:
            found[self._between(value, value)] = True
            if below:
                found[self._between(value + PATH, value + PATH + LAST)] = True
        return found

    def _between(self, first: str, last: str) -> list[int]:
        """Return the codes of values from `first` to `last` in small letters."""
        begin = bisect_left(self._small, (first, -1))
        end = bisect_left(self._small, (last, len(self.values)))
        return [code for _, code in self._small[begin:end]]


class Attributes:
    """What is known of each product of a `schema.PRODUCTS` table, by row. N products.

    More columns than those may be filtered by too.
    """

    def __init__(self, products: pl.DataFrame) -> None:
        self.products = products
        self._columns: dict[str, Column] = {}
        self._numbers: dict[str, NDArray[np.float64]] = {}
        names = products[PRODUCT_ID].to_list()
        self.row_of = dict(zip(names, range(len(names)), strict=True))
        self._names = np.array(names, dtype=object)
        self._spelled: dict[int, str] = {}
        self._letters: NDArray[np.int64] | None = None
        self._titles: list[str | None] = []
        self._ratio: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return self.products.height

    def rows(self, ids: Sequence[str]) -> Rows:
        """Return the row of each of `ids`, -1 where there is no such product."""
        find = self.row_of.get
        return np.fromiter((find(name, -1) for name in ids), dtype=np.int64, count=len(ids))

    def ids(self, rows: Rows) -> list[str]:
        """Return the ids of `rows`."""
        found: list[str] = self._names[rows].tolist()
        return found

    def titled(self, rows: Rows, title: str) -> NDArray[np.bool_]:
        """Say which of `rows` have a title that is spelled like `title`."""
        wanted = text.spelled(title)
        if self._letters is None:
            self._titles = self.products["title"].to_list()
            letters = self.products["title"].str.replace_all(r"[^\p{L}\p{N}]", "")
            self._letters = letters.str.len_chars().fill_null(0).to_numpy().astype(np.int64)
        found = np.zeros(len(rows), dtype=bool)
        # Accents and ligatures change a title's length a little.
        for at in np.flatnonzero(np.abs(self._letters[rows] - len(wanted)) <= 2).tolist():
            row = int(rows[at])
            if row not in self._spelled:
                self._spelled[row] = text.spelled(self._titles[row])
            found[at] = self._spelled[row] == wanted
        return found

    def column(self, name: str) -> Column:
        """Return attribute `name` of every product.

        Raises BadRequest: Products have no such attribute; the nearest name is given.
        """
        if name not in self.products.columns:
            detail = unknown("product attribute", name, self.products.columns)
            raise BadRequest("filters", str(detail))
        if name not in self._columns:
            self._columns[name] = Column(self.products[name])
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

    def usual_ratio(self) -> NDArray[np.float64]:
        """Return the logarithm of each price beside the usual one of its category, NaN for none."""
        if self._ratio is None:
            prices, codes = self.numbers(PRICE), self.column(CATEGORY).codes
            table = pl.DataFrame({"code": codes, "price": prices}).with_row_index()
            sold = table.filter(pl.col("price") > 0)
            ratio = (pl.col("price") / pl.col("price").median().over("code")).log()
            self._ratio = np.full(len(self), np.nan)
            self._ratio[sold["index"].to_numpy()] = sold.select(ratio)["price"].to_numpy()
        return self._ratio


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
    masks = _masks(attributes, rows, filters, price_min, price_max)
    return rows[_all(masks, len(rows))]


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
    masks = _masks(attributes, rows, filters, price_min, price_max)
    passed = rows[_all(masks, len(rows))]
    counted: dict[str, list[tuple[str, int]]] = {}
    for name in (*FACETS, *(name for name in filters if name not in FACETS)):
        if name not in attributes.products.columns:
            continue
        seen = passed
        if name in filters and name != CATEGORY:
            others = {other: mask for other, mask in masks.items() if other != name}
            seen = rows[_all(others, len(rows))]
        column = attributes.column(name)
        if len(column.values) == 1:
            continue
        counts = np.bincount(column.codes[seen], minlength=len(column.values))
        counts[0] = 0
        if name == CATEGORY:
            there = np.flatnonzero(counts)
            found = {column.values[at]: int(counts[at]) for at in there}
            found = _steps(found, _listed(filters.get(CATEGORY, ())))
        else:
            most = min(FACET_VALUES_MAX, len(counts))
            there = np.flatnonzero(counts >= max(np.partition(counts, -most)[-most], 1))
            found = {column.values[at]: int(counts[at]) for at in there}
        if found:
            best = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
            counted[name] = best[:FACET_VALUES_MAX]
    return counted


def _masks(
    attributes: Attributes,
    rows: Rows,
    filters: Filters,
    price_min: int | None,
    price_max: int | None,
) -> dict[str, NDArray[np.bool_]]:
    """Say for each filter by attribute, and for the price, which rows pass."""
    _check_prices(price_min, price_max)
    masks = {}
    for name, wanted in filters.items():
        column = attributes.column(name)
        masks[name] = column.allowed(_listed(wanted), name == CATEGORY)[column.codes[rows]]
    if price_min is not None:
        masks["price from"] = attributes.numbers(PRICE)[rows] >= price_min
    if price_max is not None:
        masks["price to"] = attributes.numbers(PRICE)[rows] <= price_max
    return masks


def _all(masks: Mapping[str, NDArray[np.bool_]], size: int) -> NDArray[np.bool_]:
    found = np.ones(size, dtype=bool)
    for mask in masks.values():
        found &= mask
    return found


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


def _steps(counts: dict[str, int], chosen: list[str]) -> dict[str, int]:
    """Sum category paths to one step below the chosen one, or to the first steps."""
    depth = 1 + max((path.count(PATH) + 1 for path in chosen), default=0)
    summed: dict[str, int] = {}
    for path, count in counts.items():
        step = PATH.join(path.split(PATH)[:depth])
        summed[step] = summed.get(step, 0) + count
    return summed
