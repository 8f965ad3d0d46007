"""How does the records' database get the shape that this code knows?

A file in `versions` is one step, taken once by every database and noted in its table
`alembic_version`. To change a table: change `records`, and write the next step. A step must bear
being taken again, because MariaDB commits every change of a table at once, and a kill between that
and the note leaves it half done. Alembic, which takes the steps, is imported only when one is due.
There is no way back: an older Shopkeeper refuses a database that a newer one has changed.
"""

import threading
from pathlib import Path

import sqlalchemy as sql

from shopkeeper.errors import BadConfig

FOLDER = Path(__file__).parent
_NOTE = "alembic_version"
_ALONE = threading.Lock()
"""Alembic's `op` is one for the whole process."""


def known() -> list[str]:
    """Return the versions that this code knows, oldest first."""
    return sorted(path.stem[1:5] for path in (FOLDER / "versions").glob("v[0-9]*_*.py"))


def is_current(connection: sql.Connection, where: str) -> bool:
    """Say whether the database has the shape that this code knows.

    Args:
        connection: To the database.
        where: What an error calls the database.

    Returns:
        False for an older or an empty one.

    Raises:
        BadConfig: A newer Shopkeeper has changed it.
    """
    if not sql.inspect(connection).has_table(_NOTE):
        return False
    noted = sql.select(sql.column("version_num", sql.Text)).select_from(sql.table(_NOTE))
    version = connection.execute(noted).scalar()
    if version is not None and version not in known():
        raise BadConfig(
            f"The records in {where} were written by a newer Shopkeeper (version {version}; this "
            f"one knows up to {known()[-1]}). Update Shopkeeper, or name another database under "
            "[store] url."
        )
    return bool(version == known()[-1])


def upgrade(connection: sql.Connection) -> None:
    """Take every step that is due, within the transaction of `connection`, which is the only one.

    Args:
        connection: To a database that nobody else may change meanwhile.
    """
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    steps = ScriptDirectory(str(FOLDER), version_locations=[str(FOLDER / "versions")])
    due = {"fn": lambda version, _: steps._upgrade_revs("head", version)}
    context = MigrationContext.configure(connection, opts=due)
    with _ALONE, Operations.context(context):
        context.run_migrations()
