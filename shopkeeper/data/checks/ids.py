"""Rows that do not say what they are about: no id, or an event nobody knows."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shopkeeper import schema

if TYPE_CHECKING:
    import ibis


class Ids:
    """Refuses events and products without ids, and events with unknown names."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What an id may be."""

        length_max: int = 200
        """Letters an id may have at most."""

        def __post_init__(self) -> None:
            if self.length_max < 1:
                raise ValueError(f"length_max must be at least 1, but is {self.length_max}")

    tables = ("events", "products", "promotions", "shoppers")

    def __init__(self, config: Config) -> None:
        self.config = config

    def refuse(self, rows: "ibis.Table") -> "dict[str, ibis.BooleanValue]":
        """Return which rows to refuse, by reason."""
        reasons = {}
        for name in (schema.EVENT_ID, schema.PRODUCT_ID, schema.ITEM, "promotion_id", schema.USER):
            if name not in rows.columns or (
                name == schema.USER and schema.EVENT_ID in rows.columns
            ):
                continue
            empty = rows[name].isnull() | (rows[name].length() == 0)
            if name == schema.ITEM and schema.EVENT_NAME in rows.columns:
                empty &= ~rows[schema.EVENT_NAME].isin(
                    ["search", "view_search_results", "view_cart"]
                )
            reasons[f"{name} is missing"] = empty
            reasons[f"{name} is too long"] = rows[name].length() > self.config.length_max
        if schema.EVENT_NAME in rows.columns:
            known = rows[schema.EVENT_NAME].isin(schema.EVENT_NAMES)
            reasons["the event has an unknown name"] = ~known.fill_null(False)
        return reasons
