"""Records: what the shop knows now, in a SQL database; products and people's decisions so far.

SQLite in the shop's folder unless a URL names a PostgreSQL, MariaDB or MySQL; the same on each.
Opening brings the tables to the shape that this code knows (`migrations`). Every value travels as
a bound parameter. Knows nothing of history; that is the lake's.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl
import sqlalchemy as sql

from shopkeeper import schema
from shopkeeper.errors import BadConfig, BadData, NotFound, ShopkeeperError
from shopkeeper.store import migrations
from shopkeeper.store.database import KEY_LENGTH, Database

IDS_AT_ONCE = 500
"""Ids in one statement; SQLite allows 999 parameters in its oldest builds."""

TABLES = sql.MetaData()
"""What statements are made of; `migrations` makes the tables, with the types of each database."""


def _table(name: str, shape: dict[str, schema.Dtype], *key: str) -> sql.Table:
    types: dict[schema.Dtype, Any] = {pl.Int64: sql.BigInteger(), schema.UTC_TIME: sql.DateTime()}
    columns = (
        sql.Column(column, types.get(dtype, sql.Text()), primary_key=column in key)
        for column, dtype in shape.items()
    )
    return sql.Table(name, TABLES, *columns)


_KEYS = ("kind", "subject", "id")
_PRODUCTS = _table("products", schema.PRODUCTS, schema.PRODUCT_ID)
_OVERRIDES = _table("overrides", schema.OVERRIDES, *_KEYS)
_RULES = _table("rules", schema.RULES, "id")


class Records:
    """Products as they are now, and what people decided; threads may share it.

    Args:
        url: A database URL such as `sqlite:///myshop/shop.db`.

    Raises:
        BadConfig: The URL cannot be understood, the database does not answer or let us in, or a
            newer Shopkeeper wrote it.
        Missing: The driver of the database is not installed.
    """

    def __init__(self, url: str) -> None:
        self._database = database = Database(url)
        try:
            with database.reading() as connection:
                current = migrations.is_current(connection, database.where)
            if not current:
                with database.writing() as connection:
                    # Another process may have been first.
                    if not migrations.is_current(connection, database.where):
                        migrations.upgrade(connection)
        except ShopkeeperError as error:
            database.close()
            raise BadConfig(str(error)) from error

    def upsert(self, products: pl.DataFrame | Iterable[pl.DataFrame]) -> int:
        """Add or replace products, in one transaction: a kill leaves what was there before.

        Args:
            products: `schema.PRODUCTS` rows, or tables of them in turn, for more than memory
                holds. A row comes whole: a column that lacks is null from now on. The last of
                several with one id counts.

        Returns:
            How many were written; one that comes in two tables is written twice.

        Raises:
            BadData: An id is null or too long.
            ShopkeeperError: The database does not answer, or another process writes for long.
        """
        tables = [products] if isinstance(products, pl.DataFrame) else products
        written = 0
        with self._database.writing() as connection:
            for table in tables:
                rows = _ready(table, schema.PRODUCTS)
                # By id, as the database keeps them: a page of its index is then touched once.
                if rows[schema.PRODUCT_ID].n_unique() < rows.height:
                    rows = rows.unique(schema.PRODUCT_ID, keep="last", maintain_order=True)
                rows = rows.sort(schema.PRODUCT_ID)
                self._database.replace(connection, _PRODUCTS, rows)
                written += rows.height
        return written

    def delete(self, ids: Iterable[str]) -> int:
        """Delete products by id in one transaction, and return how many there were."""
        column, gone = _PRODUCTS.c[schema.PRODUCT_ID], 0
        with self._database.writing() as connection:
            for part in _parts(ids):
                statement = sql.delete(_PRODUCTS).where(column.in_(part))
                gone += connection.execute(statement).rowcount
        return gone

    def product(self, id: str) -> dict[str, Any]:
        """Return one product by its id, or raise NotFound."""
        found = self.products([id])
        if found.is_empty():
            raise NotFound(f"There is no product '{id[:80]}'. Search for it, or ingest it first.")
        return found.row(0, named=True)

    def products(self, ids: Iterable[str]) -> pl.DataFrame:
        """Return those of `ids` that exist, as `schema.PRODUCTS` rows by id."""
        column = _PRODUCTS.c[schema.PRODUCT_ID]
        queries = (sql.select(_PRODUCTS).where(column.in_(part)) for part in _parts(ids))
        return self._database.rows(queries, schema.PRODUCTS).sort(schema.PRODUCT_ID)

    def all(self) -> pl.DataFrame:
        """Return every product, by id."""
        return self._database.rows([sql.select(_PRODUCTS)], schema.PRODUCTS).sort(schema.PRODUCT_ID)

    def num_products(self) -> int:
        """Count the products."""
        with self._database.reading() as connection:
            return int(connection.scalar(sql.select(sql.func.count()).select_from(_PRODUCTS)) or 0)

    def override(self, kind: str, subject: str, id: str, action: str, by: str = "") -> None:
        """Keep what a person decided about an anomaly, in the place of an earlier decision.

        Args:
            kind: The detector, as `schema.ANOMALIES` has it.
            subject: The column that `id` is of, such as `user_id`.
            id: Who or what the decision is about.
            action: What is to be done, such as `release`.
            by: The person who decided.

        Raises:
            BadData: One of the first three is empty or too long.
        """
        given = [kind, subject, id, action, by, datetime.now(UTC)]
        row = pl.DataFrame([given], schema=schema.OVERRIDES, orient="row")
        rows = _ready(row, schema.OVERRIDES)
        with self._database.writing() as connection:
            self._database.replace(connection, _OVERRIDES, rows)

    def overrides(self) -> pl.DataFrame:
        """Return every decision as `schema.OVERRIDES` rows, oldest first."""
        return self._database.rows([sql.select(_OVERRIDES)], schema.OVERRIDES).sort("time")

    def put_rules(self, rules: Mapping[str, str]) -> None:
        """Add rules, JSON by id, or replace those of their ids, in one transaction.

        Args:
            rules: What `rules.rule.Rule.to_json` returns, written down, by id.

        Raises:
            BadData: An id is empty or too long.
        """
        now = datetime.now(UTC)
        given = [(id, rule, now) for id, rule in sorted(rules.items())]
        rows = _ready(pl.DataFrame(given, schema=schema.RULES, orient="row"), schema.RULES)
        with self._database.writing() as connection:
            self._database.replace(connection, _RULES, rows)

    def remove_rules(self, ids: Iterable[str]) -> int:
        """Delete rules by id in one transaction, and return how many there were."""
        with self._database.writing() as connection:
            return sum(
                connection.execute(sql.delete(_RULES).where(_RULES.c.id.in_(part))).rowcount
                for part in _parts(ids)
            )

    def rules(self) -> pl.DataFrame:
        """Return every rule as `schema.RULES` rows, by id."""
        return self._database.rows([sql.select(_RULES)], schema.RULES).sort("id")

    def forget(self, user_id: str) -> int:
        """Delete every row about a shopper, and return how many there were."""
        about = _OVERRIDES.c.subject.in_([schema.USER, schema.VISITOR])
        gone = 0
        with self._database.writing() as connection:
            for part in _parts([user_id]):
                statement = sql.delete(_OVERRIDES).where(about, _OVERRIDES.c.id.in_(part))
                gone += connection.execute(statement).rowcount
        return gone

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()


def _ready(rows: pl.DataFrame, shape: dict[str, schema.Dtype]) -> pl.DataFrame:
    """Return rows with the columns of `shape`, texts without NUL, or raise BadData for an id."""
    rows = schema.conform(rows, shape)
    for key in (name for name in _KEYS if name in shape):
        fits = pl.col(key).str.len_chars().is_between(1, KEY_LENGTH)
        wrong = rows.filter(
            ~(fits & ~pl.col(key).str.contains("\0", literal=True)).fill_null(False)
        )
        if wrong.height:
            raise BadData(
                f"{wrong.height} of {rows.height} rows have no '{key}' of 1 to {KEY_LENGTH} "
                f"characters, first {wrong[key].fill_null('')[0][:40]!r}. Mend it at its source."
            )
    return rows.with_columns(pl.col(pl.String).str.replace_all("\0", "", literal=True))


def _parts(ids: Iterable[str]) -> Iterator[list[str]]:
    """Return ids that a database may hold, each once, as many as go into one statement."""
    every = [id for id in dict.fromkeys(ids) if not _NEVER.search(id)]
    for start in range(0, len(every), IDS_AT_ONCE):
        yield every[start : start + IDS_AT_ONCE]


_NEVER = re.compile("[\0\ud800-\udfff]")
"""What no id has: drivers stumble over NUL and halves of characters."""
