"""Rows that do not say what they are about: no id, or an event nobody knows."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shopkeeper import schema

if TYPE_CHECKING:
    import ibis


OWN = (schema.EVENT_ID, "review_id", "promotion_id", schema.PRODUCT_ID)
"""A row's own id, by table; a shopper's attribute has none but the shopper's."""


class Ids:
    """Refuses events and products without ids, and events with unknown names."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What an id may be."""

        length_max: int = 200
        """Letters an id may have at most."""
        share_max: float = 0.02
        """Largest share of a table's rows that this may refuse in a strict load."""

        def __post_init__(self) -> None:
            if self.length_max < 1:
                raise ValueError(f"length_max must be at least 1, but is {self.length_max}")

    tables = ("events", "products", "promotions", "shoppers", "reviews")

    def __init__(self, config: Config) -> None:
        self.config = config

    def refuse(self, rows: "ibis.Table") -> "dict[str, ibis.BooleanValue]":
        """Return which rows to refuse, by reason."""
        reasons = {}
        if schema.EVENT_NAME in rows.columns:
            # First, for of an event nobody knows nobody knows either what it must have.
            known = rows[schema.EVENT_NAME].isin(schema.EVENT_NAMES)
            reasons["the event has an unknown name"] = ~known.fill_null(False)
        own = next((name for name in OWN if name in rows.columns), "")
        for name in (own, schema.ITEM, schema.USER):
            # Who it was need not be known of an event or a review.
            if name not in rows.columns or (name == schema.USER and own != ""):
                continue
            empty = rows[name].isnull() | (rows[name].length() == 0)
            if name == schema.ITEM and schema.EVENT_NAME in rows.columns:
                empty &= ~rows[schema.EVENT_NAME].isin(
                    [
                        "search",
                        "view_search_results",
                        "view_cart",
                        "view_item_list",
                        "begin_checkout",
                        "view_promotion",
                        "select_promotion",
                    ]
                )
            reasons[f"{name} is missing"] = empty
            reasons[f"{name} is too long"] = rows[name].length() > self.config.length_max
        return reasons
