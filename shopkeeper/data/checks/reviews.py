"""Reviews that say nothing, and ratings off the scale."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis


class Reviews:
    """Refuses reviews without rating and words, and those whose rating is not from 1 to 5."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What a review must have."""

        words_only: bool = True
        """Whether a review may have words alone."""
        share_max: float = 0.05
        """Largest share of a table's rows that this may refuse in a strict load."""

    tables = ("reviews",)

    def __init__(self, config: Config) -> None:
        self.config = config

    def refuse(self, rows: "ibis.Table") -> "dict[str, ibis.BooleanValue | ibis.Table]":
        """Return which rows to refuse, by reason."""
        rating = rows.rating
        silent = rating.isnull()
        if self.config.words_only and "text" in rows.columns:
            silent &= ~rows.text.fill_null("").re_search(r"\S")
        return {
            "the rating is not from 1 to 5": (rating < 1) | (rating > 5) | rating.isnan(),
            "the review has neither rating nor words": silent,
        }
