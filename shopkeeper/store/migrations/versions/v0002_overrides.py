"""What a person decided about an anomaly, such as releasing a masked shopper."""

import sqlalchemy as sql
from alembic import op

from shopkeeper.store.migrations.columns import KEY, TEXT, TIME, by_bytes

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table; it may be there, where the step was killed on a MariaDB."""
    op.create_table(
        "overrides",
        sql.Column("kind", KEY, primary_key=True),
        sql.Column("subject", KEY, primary_key=True),
        sql.Column("id", KEY, primary_key=True),
        sql.Column("action", TEXT, nullable=False),
        sql.Column("by", TEXT, nullable=False),
        sql.Column("time", TIME, nullable=False),
        if_not_exists=True,
        **by_bytes(op.get_bind().dialect),
    )
