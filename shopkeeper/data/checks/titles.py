"""Products that nobody could find, for they have no name."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shopkeeper.data.checks._memory import Remembering
from shopkeeper.schema import PRODUCT_ID

if TYPE_CHECKING:
    import ibis


class Titles(Remembering):
    """Refuses products without a readable title."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What a title must have."""

        letters_min: int = 2
        """Letters or digits a title must have, in any script."""
        share_max: float = 0.05
        """Largest share of a table's rows that this may refuse in a strict load."""

        def __post_init__(self) -> None:
            if self.letters_min < 1:
                raise ValueError(f"letters_min must be at least 1, but is {self.letters_min}")

    tables = ("products",)

    def refuse(self, rows: "ibis.Table") -> "dict[str, ibis.BooleanValue | ibis.Table]":
        """Return which rows to refuse, by reason."""
        if "title" not in rows.columns:
            # A change of prices or stock alone, which only a known product can have.
            known = self._known
            new = rows if known is None else rows.anti_join(known, PRODUCT_ID)
            return {"the product is not known, and has no title": new.select("line")}
        words = rows.title.re_replace(r"[\s\p{P}\p{S}]", "")
        return {
            "no description of the code is a product's name": (
                rows.title.isnull() | (words.length() < self.config.letters_min)
            )
        }
