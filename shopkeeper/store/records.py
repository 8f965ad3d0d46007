"""Records: what the shop knows now, in a SQL database; products today.

SQLite in the shop's folder unless a URL names another database. Every value travels as a bound
parameter. Knows nothing of history; that is the lake's.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import Any

import polars as pl
import sqlalchemy as sql
from sqlalchemy import event

from shopkeeper import schema
from shopkeeper.errors import BadConfig, NotFound

BATCH_ROWS = 500
"""Rows or ids in one statement; SQLite allows 999 parameters in its oldest builds."""


def _column_type(dtype: schema.Dtype) -> Any:
    return {pl.Int64: sql.BigInteger(), schema.UTC_TIME: sql.DateTime()}.get(dtype, sql.Text())


_TABLES = sql.MetaData()
_PRODUCTS = sql.Table(
    "products",
    _TABLES,
    *(
        sql.Column(
            name,
            _column_type(dtype),
            primary_key=name == schema.PRODUCT_ID,
        )
        for name, dtype in schema.PRODUCTS.items()
    ),
)


class Records:
    """Products as they are now.

    Args:
        url: A database URL such as `sqlite:///myshop/shop.db`.

    Raises:
        BadConfig: The URL cannot be understood, or its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            self._engine = sql.create_engine(url)
            if self._engine.dialect.name == "sqlite":
                event.listen(self._engine, "connect", _calm_sqlite)
            _TABLES.create_all(self._engine)
        except (sql.exc.SQLAlchemyError, ImportError) as error:
            reason = str(error).splitlines()[0]
            raise BadConfig(
                f"The database URL '{url.split('@')[-1]}' does not work: {reason}. "
                "Give one such as 'sqlite:///shop.db' and install its driver."
            ) from error

    def upsert(self, products: pl.DataFrame) -> int:
        """Add or replace `schema.PRODUCTS` rows in one transaction; return how many came."""
        rows = schema.conform(products, schema.PRODUCTS).unique(schema.PRODUCT_ID, keep="last")
        rows = rows.with_columns(pl.col("updated").dt.replace_time_zone(None))
        with self._engine.begin() as connection:
            for part in rows.iter_slices(BATCH_ROWS):
                ids = part[schema.PRODUCT_ID].to_list()
                connection.execute(
                    sql.delete(_PRODUCTS).where(_PRODUCTS.c[schema.PRODUCT_ID].in_(ids))
                )
                connection.execute(sql.insert(_PRODUCTS), part.to_dicts())
        return rows.height

    def product(self, id: str) -> dict[str, Any]:
        """Return one product by its id, or raise NotFound."""
        found = self.products([id])
        if found.is_empty():
            raise NotFound(f"There is no product '{id[:80]}'. Search for it, or ingest it first.")
        return found.row(0, named=True)

    def products(self, ids: Iterable[str]) -> pl.DataFrame:
        """Return those of `ids` that exist, as `schema.PRODUCTS` rows in any order."""
        column = _PRODUCTS.c[schema.PRODUCT_ID]
        queries = (sql.select(_PRODUCTS).where(column.in_(part)) for part in _parts(ids))
        with self._engine.connect() as connection:
            return _frame([row for query in queries for row in connection.execute(query)])

    def all(self) -> pl.DataFrame:
        """Return every product, by id."""
        columns = [
            sql.cast(column, sql.String) if column.name == "updated" else column
            for column in _PRODUCTS.c
        ]
        query = sql.select(*columns).order_by(_PRODUCTS.c[schema.PRODUCT_ID])
        shape = schema.PRODUCTS | {"updated": pl.String}
        with self._engine.connect() as connection:
            # Straight from the driver: a hundred thousand SQLAlchemy rows take seconds.
            cursor = connection.connection.cursor()
            cursor.execute(str(query.compile(self._engine)))
            rows = pl.DataFrame(cursor.fetchall(), schema=shape, orient="row")
        moment = pl.col("updated").str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us")
        return rows.with_columns(moment.dt.replace_time_zone("UTC"))

    def forget(self, user_id: str) -> int:  # noqa: ARG002
        """Delete every row of a shopper: none, for no record here names one."""
        return 0

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()


def _frame(rows: list[Any]) -> pl.DataFrame:
    columns = {name: [row[i] for row in rows] for i, name in enumerate(schema.PRODUCTS)}
    times = [time and time.replace(tzinfo=UTC) for time in columns["updated"]]
    return pl.DataFrame(columns | {"updated": times}, schema=schema.PRODUCTS)


def _parts(ids: Iterable[str]) -> Iterator[list[str]]:
    every = list(dict.fromkeys(ids))
    for start in range(0, len(every), BATCH_ROWS):
        yield every[start : start + BATCH_ROWS]


def _calm_sqlite(connection: Any, _: Any) -> None:
    """Let readers and a writer work at once, and wait for a busy database instead of failing."""
    for setting in ("journal_mode=WAL", "busy_timeout=10000", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {setting}")
