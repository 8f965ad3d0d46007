"""Money without a currency, or in one that nobody knows."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shopkeeper import schema

if TYPE_CHECKING:
    import ibis


class Currencies:
    """Fills and spells currencies as ISO 4217 does, and counts money in foreign ones.

    Amounts stay in the currency they came in.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Which money is the shop's own."""

        default: str = ""
        """Code of money that names none; empty for the shop's own currency."""
        share_max: float = 0.01
        """Largest share of a table's rows that this may refuse in a strict load."""

        def __post_init__(self) -> None:
            if self.default and not re.fullmatch("[A-Z]{3}", self.default):
                raise ValueError(f"default must be a code such as EUR, but is '{self.default}'")

    tables = ("events", "products")

    def __init__(self, config: Config) -> None:
        self.config = config

    def refuse(self, rows: "ibis.Table") -> "dict[str, ibis.BooleanValue | ibis.Table]":
        """Return which rows to refuse, by reason."""
        if schema.CURRENCY not in rows.columns:
            return {}
        code = _code(rows)
        return {"the currency is no code of ISO 4217": ~code.re_search("^([A-Z]{3})?$")}

    def mend(self, rows: "ibis.Table") -> "tuple[ibis.Table, dict[str, ibis.BooleanValue]]":
        """Return the rows with codes in capitals, none missing, and which are foreign."""
        import ibis

        if schema.CURRENCY not in rows.columns or not self.config.default:
            return rows, {}
        code = _code(rows).nullif("")
        own = ibis.literal(self.config.default)
        rows = rows.mutate(**{schema.CURRENCY: code.coalesce(own)})
        return rows, {"in another currency than the shop's": rows[schema.CURRENCY] != own}


def _code(rows: "ibis.Table") -> Any:
    # Not `strip`, which on Spark also takes the letters v and f away (Ibis 12).
    return rows[schema.CURRENCY].re_replace(r"\s+", "").upper()
