"""Sales of no pieces, or of more than anyone would buy."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shopkeeper import schema

if TYPE_CHECKING:
    import ibis


class Quantities:
    """Refuses sales and refunds whose quantity is missing, not positive, or absurd."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What a quantity may be."""

        pieces_max: int = 10_000
        """Most pieces on one line. Typing errors of 74,215 and 80,995 pieces were taken back
        minutes later; the largest true order of that shop was 4,800."""
        share_max: float = 0.05
        """Largest share of a table's rows that this may refuse in a strict load."""

        def __post_init__(self) -> None:
            if self.pieces_max < 1:
                raise ValueError(f"pieces_max must be at least 1, but is {self.pieces_max}")

    tables = ("events",)

    def __init__(self, config: Config) -> None:
        self.config = config

    def refuse(self, rows: "ibis.Table") -> "dict[str, ibis.BooleanValue]":
        """Return which rows to refuse, by reason."""
        sale = rows[schema.EVENT_NAME].isin(["purchase", "refund"])
        pieces = rows[schema.QUANTITY]
        return {
            "the quantity is missing or not a number": sale & pieces.isnull(),
            "the quantity is zero or negative": pieces <= 0,
            f"the quantity is above {self.config.pieces_max:,}": pieces > self.config.pieces_max,
        }
