"""Types of columns that hold the same on SQLite, PostgreSQL, MariaDB and MySQL.

Words compare byte by byte everywhere, so the ids `a1` and `A1` differ; texts may be long and hold
every character; times are UTC with microseconds, in columns that know no zone.
"""

from typing import Any

import sqlalchemy as sql
from sqlalchemy.dialects import mysql

from shopkeeper.store.database import KEY_LENGTH

KEY = sql.String(KEY_LENGTH).with_variant(sql.String(KEY_LENGTH, collation="C"), "postgresql")
TEXT = sql.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
WHOLE = sql.BigInteger()
TIME = sql.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def by_bytes(dialect: Any) -> dict[str, Any]:
    """Return how a new table is told to keep and compare texts; only MariaDB and MySQL ask.

    Their servers may otherwise know no 4-byte characters and take `a1` and `A1 ` for equal.
    """
    if dialect.name not in ("mysql", "mariadb"):
        return {}
    collation = "utf8mb4_nopad_bin" if dialect.is_mariadb else "utf8mb4_0900_bin"
    return {f"{dialect.name}_charset": "utf8mb4", f"{dialect.name}_collate": collation}
