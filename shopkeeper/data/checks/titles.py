"""Products that nobody could find, for they have no name."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis


class Titles:
    """Refuses products without a readable title."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What a title must have."""

        letters_min: int = 2
        """Letters or digits a title must have, in any script."""

        def __post_init__(self) -> None:
            if self.letters_min < 1:
                raise ValueError(f"letters_min must be at least 1, but is {self.letters_min}")

    tables = ("products",)

    def __init__(self, config: Config) -> None:
        self.config = config

    def refuse(self, rows: "ibis.Table") -> "dict[str, ibis.BooleanValue]":
        """Return which rows to refuse, by reason."""
        words = rows.title.re_replace(r"[\s\p{P}\p{S}]", "")
        return {
            "no description of the code is a product's name": (
                rows.title.isnull() | (words.length() < self.config.letters_min)
            )
        }
