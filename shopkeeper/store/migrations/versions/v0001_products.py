"""Products; also takes over the table of a shop that was made before versions were kept."""

from typing import Any

import sqlalchemy as sql
from alembic import op

from shopkeeper.store.migrations.columns import KEY, TEXT, TIME, WHOLE, by_bytes

revision = "0001"
down_revision = None

TEXTS = (
    "title",
    "description",
    "product_type",
    "brand",
    "size",
    "color",
    "item_group_id",
    "currency",
    "availability",
    "link",
    "image_link",
    "google_product_category",
    "gender",
    "age_group",
    "material",
    "condition",
    "gtin",
    "mpn",
    "additional_image_link",
    "virtual_model_link",
    "attributes",
)
AMOUNTS = ("price_minor", "sale_price_minor", "cost_of_goods_sold_minor")


def upgrade() -> None:
    """Make the table, or add the columns that it lacks."""
    columns: list[sql.Column[Any]] = [
        *(sql.Column(name, TEXT) for name in TEXTS),
        *(sql.Column(name, WHOLE) for name in AMOUNTS),
        sql.Column("updated", TIME),
    ]
    found = sql.inspect(op.get_bind())
    if not found.has_table("products"):
        key = sql.Column("id", KEY, primary_key=True)
        op.create_table("products", key, *columns, **by_bytes(op.get_bind().dialect))
        return
    there = {column["name"] for column in found.get_columns("products")}
    for column in columns:
        if column.name not in there:
            op.add_column("products", column)
