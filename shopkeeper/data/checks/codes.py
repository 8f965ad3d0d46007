"""Lines that are no product: postage, fees, discounts, bank charges, samples, vouchers."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shopkeeper import schema

if TYPE_CHECKING:
    import ibis


class Codes:
    """Refuses events and products whose code is on a list, or breaks the shop's pattern."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Which codes are no products."""

        pattern: str = ""
        """Regular expression that a product's code must match; empty where any will do."""
        never: str = ""
        """Codes that are never products, with spaces between, `-` for a space within; any case."""
        share_max: float = 0.05
        """Largest share of a table's rows that this may refuse in a strict load."""

        def __post_init__(self) -> None:
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise ValueError(f"pattern '{self.pattern}' is no expression: {error}") from error

    tables = ("events", "products")

    def __init__(self, config: Config) -> None:
        self.config = config

    def refuse(self, rows: "ibis.Table") -> "dict[str, ibis.BooleanValue]":
        """Return which rows to refuse, by reason."""
        code = rows[schema.ITEM if schema.ITEM in rows.columns else schema.PRODUCT_ID].upper()
        listed = code.replace(" ", "-").isin(self.config.never.upper().split())
        if self.config.pattern:
            listed |= ~code.re_search(self.config.pattern)
        return {"the code is a fee or a note, not a product": listed}
