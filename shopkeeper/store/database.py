"""Databases that records live in, opened by URL: SQLite, PostgreSQL, and MariaDB or MySQL.

What differs between them is here: drivers, how one writer keeps others out, the fastest way in and
out for many rows, and what an error says. Knows nothing of what the tables hold.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

import polars as pl
import sqlalchemy as sql
from sqlalchemy import event

from shopkeeper.errors import BadConfig, Missing, ShopkeeperError, unknown
from shopkeeper.schema import UTC_TIME, Dtype

CONNECT_S = 10
"""How long a server may take to answer a new connection."""

WAIT_S = 60
"""How long a writer waits for another one, such as a big load while a product is changed."""

ROWS_AT_ONCE = 5_000
"""Rows that are handed to a driver at once, so that a million of them need no more memory."""

KEY_LENGTH = 200
"""Characters of an id at most: MariaDB takes no text without a bound into a primary key."""

_DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}
"""What opens each kind of database; a driver that a URL names makes no difference."""

_LOCK = 7_305_921_446
"""Our number among the advisory locks of a PostgreSQL database."""

_TIME_TEXT = "%Y-%m-%d %H:%M:%S%.6f"
"""How times lie in SQLite, which has no type for them, and travel to PostgreSQL."""


class Database:
    """One database; threads may share it.

    Args:
        url: A database URL such as `sqlite:///myshop/shop.db`.

    Raises:
        BadConfig: The URL cannot be understood, or names a kind of database we do not know.
        Missing: Its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        given = _understood(url)
        self.kind = given.get_backend_name()
        """sqlite, postgresql, or mysql for MariaDB too."""
        self.where = (
            f"'{sql.URL.create(self.kind, None, None, given.host, given.port, given.database)}'"
        )
        """How messages call it: without user and password."""
        try:
            # No product of the shop in a message or a log.
            self._engine = sql.create_engine(given, hide_parameters=True, **_settings(self.kind))
        except ImportError as error:
            raise Missing(
                f"The database {self.where} needs '{error.name}', which is not installed. "
                f"Install it with `pip install 'shopkeeper[{self.kind}]'`."
            ) from error
        except sql.exc.SQLAlchemyError as error:
            raise BadConfig(_strange(_first_line(error))) from error
        event.listen(self._engine, "connect", _ON_CONNECT[self.kind])

    @contextmanager
    def reading(self) -> Iterator[sql.Connection]:
        """Give a connection for questions; it sees what was committed, whoever writes."""
        with self._plainly(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sql.Connection]:
        """Give a connection for one change that happens as a whole or not at all.

        Writers wait for each other, on every database; readers do not wait.
        """
        with self._plainly(), self._engine.connect() as connection:
            release = self._alone(connection)
            try:
                yield connection
                connection.commit()
            finally:
                connection.rollback()
                if release is not None:
                    # A lost connection has given up its lock with all else.
                    with suppress(sql.exc.DBAPIError):
                        connection.execute(release)

    def replace(self, connection: sql.Connection, table: sql.Table, rows: pl.DataFrame) -> None:
        """Add rows, or put them in the place of those that have their primary key.

        Args:
            connection: From `writing`.
            table: Where they belong.
            rows: The columns of the table in its order; no primary key twice, no NUL in a text.
        """
        naive = pl.col(UTC_TIME).dt.replace_time_zone(None)
        as_text = naive if self.kind == "mysql" else naive.dt.strftime(_TIME_TEXT)
        rows = rows.with_columns(as_text)
        put = self._copy if self.kind == "postgresql" else self._insert
        for part in rows.iter_slices(ROWS_AT_ONCE):
            put(connection, table, part)

    def rows(self, queries: Iterable[sql.Select[Any]], shape: dict[str, Dtype]) -> pl.DataFrame:
        """Answer queries, each with rows of `shape`, as one table."""
        found: list[Any] = []
        with self.reading() as connection:
            for query in queries:
                # Straight from the driver: a hundred thousand SQLAlchemy rows take seconds.
                cursor = connection.execute(query).cursor
                found.extend(cursor.fetchall() if cursor else ())
        raw = pl.String if self.kind == "sqlite" else pl.Datetime("us")
        times = [name for name, dtype in shape.items() if dtype == UTC_TIME]
        frame = pl.DataFrame(found, schema=shape | dict.fromkeys(times, raw), orient="row")
        moment = pl.col(times)
        if self.kind == "sqlite":
            moment = moment.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us")
        return frame.with_columns(moment.dt.replace_time_zone("UTC"))

    def close(self) -> None:
        """Let go of every connection."""
        self._engine.dispose()

    def _insert(self, connection: sql.Connection, table: sql.Table, part: pl.DataFrame) -> None:
        statement = str(_upsert(self.kind, table).compile(self._engine))
        values = zip(*(column.to_list() for column in part), strict=True)
        # Straight to the driver: a million rows are ready, and need not be looked at again.
        connection.exec_driver_sql(statement, list(values))

    def _copy(self, connection: sql.Connection, table: sql.Table, part: pl.DataFrame) -> None:
        """Send rows to a table of this connection alone, and from there to their place."""
        incoming = sql.table(f"incoming_{table.name}", *(sql.column(c.name) for c in table.columns))
        make = f"CREATE TEMP TABLE IF NOT EXISTS {incoming.name} (LIKE {table.name}) "
        connection.exec_driver_sql(make + "ON COMMIT DELETE ROWS")
        driver: Any = connection.connection
        with driver.cursor() as cursor:
            names = ", ".join(f'"{column.name}"' for column in table.columns)
            command = f"COPY {incoming.name} ({names}) FROM STDIN (FORMAT csv)"
            with cursor.copy(command) as sink:
                # Quoted is a text, an empty one too; unquoted and empty is null.
                sink.write(part.write_csv(include_header=False, quote_style="non_numeric"))
        every = sql.select(*incoming.columns)
        connection.execute(_upsert(self.kind, table, every))
        connection.execute(sql.delete(incoming))

    def _alone(self, connection: sql.Connection) -> sql.Executable | None:
        """Wait until no other writer is left; return what ends our turn, if a commit does not."""
        if self.kind == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            return None
        if self.kind == "postgresql":
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{WAIT_S}s'")
            connection.execute(sql.select(sql.func.pg_advisory_xact_lock(_LOCK)))
            return None
        name = sql.func.md5(sql.func.concat("shopkeeper ", sql.func.database()))
        if connection.execute(sql.select(sql.func.get_lock(name, WAIT_S))).scalar() != 1:
            raise ShopkeeperError(self._busy())
        return sql.select(sql.func.release_lock(name))

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        """Turn what a driver raises into one line for a person, without values or passwords."""
        try:
            yield
        except sql.exc.DBAPIError as error:
            reason = _first_line(error.orig or error)
            if "database is locked" in reason or "lock timeout" in reason:
                raise ShopkeeperError(self._busy()) from error
            raise ShopkeeperError(
                f"The database {self.where} does not work: {reason}. Check that it runs and lets "
                "you in, read and write, and [store] url in shop.toml."
            ) from error
        except sql.exc.SQLAlchemyError as error:
            raise ShopkeeperError(
                f"The database {self.where} gives no connection: {_first_line(error)}. Try again, "
                "or check that it runs."
            ) from error

    def _busy(self) -> str:
        return (
            f"Another process has been writing to the database {self.where} for {WAIT_S} seconds. "
            "Wait until it is done, then try again."
        )


def _understood(url: str) -> sql.URL:
    try:
        given = sql.make_url(url)
    except (sql.exc.ArgumentError, ValueError) as error:
        raise BadConfig(_strange("it is no database URL")) from error
    if "@" in (given.host or ""):
        raise BadConfig(_strange("write an '@' in a password as %40"))
    kind = given.drivername.partition("+")[0]
    if kind not in _DRIVERS:
        raise unknown("kind of database", kind, _DRIVERS)
    if kind == "sqlite" and given.database in (None, "", ":memory:"):
        raise BadConfig(_strange("it names no file, so nothing would be kept"))
    return given.set(drivername=_DRIVERS[kind])


def _strange(reason: str) -> str:
    return (
        f"The database URL under [store] url does not work: {reason}. Give one such as "
        "'sqlite:///shop.db', 'postgresql://USER:PASSWORD@HOST/DATABASE' or 'mariadb://...'."
    )


def _settings(kind: str) -> dict[str, Any]:
    if kind == "sqlite":
        # The driver begins no transaction by itself: a writer says when.
        return {"connect_args": {"timeout": WAIT_S, "isolation_level": None}}
    words: dict[str, Any] = {"client_encoding": "UTF8"} if kind == "postgresql" else {}
    # A connection may have died since it was used; rows go to the driver as tuples.
    return {
        "pool_pre_ping": True,
        "paramstyle": "format",
        "connect_args": {"connect_timeout": CONNECT_S, **words},
    }


def _calm(connection: Any, _: Any) -> None:
    """Let readers and a writer of SQLite work at once."""
    if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    # Bytes of its log that a big load leaves on disk.
    connection.execute("PRAGMA journal_size_limit=67108864")


def _whole(connection: Any, _: Any) -> None:
    """Refuse a PostgreSQL database that cannot keep every character."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise BadConfig(
            f"The PostgreSQL database '{connection.info.dbname}' keeps texts as {encoding}. Make "
            "one by CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0, and name it under "
            "[store] url."
        )


def _strict(connection: Any, _: Any) -> None:
    """Have MariaDB refuse what does not fit, whatever its settings; it could cut it off."""
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')")


_ON_CONNECT = {"sqlite": _calm, "postgresql": _whole, "mysql": _strict}


def _upsert(kind: str, table: sql.Table, source: sql.Select[Any] | None = None) -> Any:
    """Return the statement that adds or replaces rows of `table`: of `source`, or by values."""
    names = [column.name for column in table.columns]
    rest = [column.name for column in table.columns if not column.primary_key]
    # One of three imported, for a shop that starts keeps its shoppers waiting.
    new = import_module(f"sqlalchemy.dialects.{kind}").insert(table)
    if kind == "mysql":
        return new.on_duplicate_key_update({name: new.inserted[name] for name in rest})
    fresh = {name: new.excluded[name] for name in rest}
    new = new if source is None else new.from_select(names, source)
    return new.on_conflict_do_update(index_elements=list(table.primary_key), set_=fresh)


def _first_line(error: BaseException) -> str:
    """Return what a driver says, without its number, hints and values."""
    said = error.args[-1] if error.args and isinstance(error.args[-1], str) else str(error)
    return (said.strip().splitlines() or [type(error).__name__])[0].rstrip(".")
