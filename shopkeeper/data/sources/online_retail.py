"""Invoice lines of the UCI *Online Retail* file, raw and dirty, as Parquet, CSV or workbook.

Source: D. Chen, Online Retail, UCI Machine Learning Repository, CC BY 4.0. The file gives times
without a zone; they are taken as UTC, at most an hour from the clock on the shop's wall. There
are no departments, sizes or pictures. Knows nothing of which rows are sound.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl

from shopkeeper import schema
from shopkeeper.data.descriptions import is_note
from shopkeeper.data.sources import _files, _titles
from shopkeeper.errors import BadData

if TYPE_CHECKING:
    import ibis

COLUMNS = {
    "invoice": ("InvoiceNo", "Invoice"),
    "code": ("StockCode",),
    "title": ("Description",),
    "quantity": ("Quantity",),
    "time": ("InvoiceDate",),
    "price": ("UnitPrice", "Price"),
    "user": ("CustomerID", "Customer ID"),
    "country": ("Country",),
}


class OnlineRetail:
    """Reads one file of invoice lines; invoices that begin with `C` are cancellations."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """How to read the file."""

        currency: str = "GBP"
        """ISO 4217 code of the prices."""
        day_first: bool = False
        """Whether `12/1/2010` in a CSV is the 12th of January; the official file means December."""
        encoding: str = "utf-8"
        """Encoding of a CSV; spreadsheets often write `latin-1`."""

        def __post_init__(self) -> None:
            if len(self.currency) != 3 or not self.currency.isupper():
                raise ValueError(f"currency must be a code such as GBP, but is '{self.currency}'")

    check_settings: ClassVar[dict[str, dict[str, Any]]] = {
        "codes": {
            "pattern": r"^\d{5}",
            "never": "POST DOT M D C2 S B PADS CRUK AMAZONFEE BANK-CHARGES ADJUST ADJUST2 TEST001",
        }
    }
    """What this source asks of the checks: a code that does not begin with five digits is a fee."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def files(self, location: Path | None) -> list[Path]:
        """Return the files that `read` would read."""
        if location is None:
            raise BadData(
                "The source online_retail reads your own file, but none was given. Download "
                "Online Retail from the UCI Machine Learning Repository and give its path."
            )
        return _files.listed(location, (".parquet", ".csv", ".xlsx"))

    def read(self, backend: Any, files: Sequence[Path]) -> "dict[str, ibis.Table]":
        """Return `events` and `products` as they stand in the file.

        A file that is missing, empty, broken or has other columns is BadData; a workbook without
        a reader for workbooks is Missing.
        """
        rows = _files.open_rows(backend, files, encoding=self.config.encoding)
        names = _files.pick(rows, COLUMNS, files[0])
        _files.plain_types(rows, list(names.values()), files[0])
        raw = rows.select("line", "problem", **{word: rows[name] for word, name in names.items()})
        return {"events": self._events(raw), "products": self._products(raw)}

    def _events(self, raw: "ibis.Table") -> "ibis.Table":
        import ibis

        invoice = _files.as_id(raw.invoice)
        firsts = raw.group_by(_invoice=invoice.fill_null("")).agg(_first=raw.line.min())
        rows = raw.mutate(
            _invoice=invoice.fill_null(""),
            _code=_files.as_id(raw.code).upper(),
            _pieces=_files.as_whole(_files.as_float(raw.quantity), "int32"),
            _price=_files.as_float(raw.price),
        ).inner_join(firsts, "_invoice")
        cancelled = rows._invoice.startswith("C")
        place = (rows.line - rows._first + 1).cast("string").lpad(6, "0")
        return rows.select(
            line=rows.line,
            problem=rows.problem,
            event_id=ibis.literal("uci-").concat(rows._invoice, "-", place),
            event_name=cancelled.ifelse("refund", "purchase"),
            time=_files.as_time(rows.time, day_first=self.config.day_first),
            user_id=_files.as_id(rows.user),
            session_id=rows._invoice.nullif(""),
            transaction_id=rows._invoice.nullif(""),
            item_id=rows._code,
            quantity=cancelled.ifelse(-rows._pieces, rows._pieces),
            price_minor=_files.as_minor(rows._price, schema.EXPONENTS.get(self.config.currency, 2)),
            currency=ibis.literal(self.config.currency),
            country=rows.country.cast("string"),
            title=rows.title.cast("string"),
            raw_quantity=rows.quantity.cast("string"),
            raw_price=rows.price.cast("string"),
            raw_time=rows.time.cast("string"),
        )

    def _products(self, raw: "ibis.Table") -> "ibis.Table":
        """Name each code by its most frequent description that is not a note."""
        import ibis

        words = raw.select(
            "line", item=_files.as_id(raw.code).upper(), words=raw.title.cast("string").strip()
        )
        counted = words.group_by("item", "words").agg(num_rows=words.count(), line=words.line.min())
        counted = counted.filter(counted.item.notnull())
        doubtful = is_note(counted.words).fill_null(True) | (counted.words == "")
        rows: pl.DataFrame = counted.mutate(
            words=doubtful.ifelse(ibis.null("string"), counted.words)
        ).to_polars()
        best = (
            rows.sort("item", pl.col("words").is_null(), -pl.col("num_rows"), "line")
            .group_by("item", maintain_order=True)
            .agg(pl.col("words").first(), pl.col("line").min())
        )
        titles = best["words"].map_elements(_titles.from_capitals, return_dtype=pl.String)
        products = best.select(
            "line",
            pl.col("item").alias(schema.PRODUCT_ID),
            titles.alias("title"),
            pl.lit(self.config.currency).alias(schema.CURRENCY),
        )
        return ibis.memtable(products.sort("line"))
