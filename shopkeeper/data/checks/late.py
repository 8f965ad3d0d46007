"""Events that come long after they happened."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shopkeeper import schema
from shopkeeper.data.checks._memory import Remembering

if TYPE_CHECKING:
    import ibis


class Late(Remembering):
    """Counts events older than the newest that was loaded before; they take their place in time."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What counts as late."""

        days: int = 1
        """An event this many days older than the newest loaded before is late."""

        def __post_init__(self) -> None:
            if self.days < 0:
                raise ValueError(f"days must be at least 0, but is {self.days}")

    def mend(self, rows: "ibis.Table") -> "tuple[ibis.Table, dict[str, ibis.BooleanValue]]":
        """Return the rows as they are, and which are late."""
        if self._known is None:
            return rows, {}
        newest = self._known.aggregate(_newest=self._known[schema.TIME].max())
        beside = rows.cross_join(newest)
        age_s = beside._newest.epoch_seconds() - beside[schema.TIME].epoch_seconds()
        marked = beside.mutate(_late=age_s > 86_400 * self.config.days)
        return marked, {"came late, and took its place": marked._late}
