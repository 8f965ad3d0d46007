"""What a person decided on what is shown: rules that pin, boost, bury, hide or filter."""

import sqlalchemy as sql
from alembic import op

from shopkeeper.store.migrations.columns import KEY, TEXT, TIME, by_bytes

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table; it may be there, where the step was killed on a MariaDB."""
    op.create_table(
        "rules",
        sql.Column("id", KEY, primary_key=True),
        sql.Column("rule", TEXT, nullable=False),
        sql.Column("time", TIME, nullable=False),
        if_not_exists=True,
        **by_bytes(op.get_bind().dialect),
    )
