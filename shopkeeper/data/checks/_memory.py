"""What checks that look at earlier loads have in common."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ibis


class Remembering:
    """A check of one table that knows what was loaded of it before."""

    tables: tuple[str, ...] = ("events",)

    def __init__(self, config: Any) -> None:
        self.config = config
        self._known: ibis.Table | None = None

    def remember(self, known: "Mapping[str, ibis.Table]") -> None:
        """Take what was loaded before."""
        self._known = known.get(self.tables[0])
