"""Prices that no product has, and sales that are none."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shopkeeper import schema

if TYPE_CHECKING:
    import ibis


class ProductPrices:
    """Refuses products at a negative or absurd price; a sale price above the price is no sale."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What a price may be."""

        price_minor_max: int = 10_000_000_000
        """Highest price of a product, in minor units."""
        share_max: float = 0.05
        """Largest share of a table's rows that this may refuse in a strict load."""

        def __post_init__(self) -> None:
            if self.price_minor_max < 1:
                raise ValueError(f"price_minor_max must be at least 1, is {self.price_minor_max}")

    tables = ("products",)

    def __init__(self, config: Config) -> None:
        self.config = config

    def refuse(self, rows: "ibis.Table") -> "dict[str, ibis.BooleanValue | ibis.Table]":
        """Return which rows to refuse, by reason."""
        if schema.PRICE not in rows.columns:
            return {}
        price = rows[schema.PRICE]
        return {
            "the product's price is negative": price < 0,
            "the product's price is beyond any price": price > self.config.price_minor_max,
        }

    def mend(self, rows: "ibis.Table") -> "tuple[ibis.Table, dict[str, ibis.BooleanValue]]":
        """Return the rows without sales that are none, and which have no price."""
        if schema.PRICE not in rows.columns:
            return rows, {}
        notes = {"without a price": rows[schema.PRICE].isnull()}
        if "sale_price_minor" not in rows.columns:
            return rows, notes
        false = (rows.sale_price_minor >= rows[schema.PRICE]) | (rows.sale_price_minor < 0)
        marked = rows.mutate(_false=false.fill_null(False))
        done = marked.mutate(sale_price_minor=marked._false.ifelse(None, marked.sale_price_minor))
        notes = {
            "without a price": done[schema.PRICE].isnull(),
            "a sale price that is no sale": done._false,
        }
        return done, notes
