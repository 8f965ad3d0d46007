"""Which events were one visit? Those of one shopper with no long pause between."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shopkeeper import schema
from shopkeeper.data.checks._memory import Remembering

if TYPE_CHECKING:
    import ibis


class Sessions(Remembering):
    """Names the session of each event that names none; a new one begins after 30 idle minutes.

    Source: the pause that Google Analytics calls a session's timeout. Events are put in the order
    of their times, however they came; a visit whose first half was loaded before goes on. An
    event of nobody has no session.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What ends a session."""

        idle_minutes: int = 30
        """A pause longer than this begins a new session."""

        def __post_init__(self) -> None:
            if self.idle_minutes < 1:
                raise ValueError(f"idle_minutes must be at least 1, but is {self.idle_minutes}")

    def mend(self, rows: "ibis.Table") -> "tuple[ibis.Table, dict[str, ibis.BooleanValue]]":
        """Return the rows with sessions, and which events lacked one."""
        import ibis

        idle_s = 60 * self.config.idle_minutes
        actor = rows[schema.USER].coalesce(rows[schema.VISITOR])
        rows = rows.mutate(_actor=actor, _lacks=rows[schema.SESSION].isnull() & actor.notnull())
        lacking = rows.filter(rows._lacks)
        # A moment of a shopper stands for all events of that moment: fewer rows to put in order.
        moments = lacking.select("_actor", _time=lacking[schema.TIME]).distinct()
        moments = moments.mutate(_named=ibis.null("string"))
        if self._known is not None:
            moments = moments.union(_around(self._known, lacking, idle_s))
            # Each moment once: two windows may see equal ones in different orders.
            moments = moments.group_by("_actor", "_time").agg(_named=moments._named.min())
        order = ibis.window(group_by="_actor", order_by="_time")
        before = moments._time.lag().over(order)
        pause_s = moments._time.epoch_seconds() - before.epoch_seconds()
        starts = before.isnull() | (pause_s > idle_s)
        begun = moments.mutate(_starts=starts.ifelse(moments._time, None))
        upto = ibis.cumulative_window(group_by="_actor", order_by="_time")
        begun = begun.mutate(_start=begun._starts.max().over(upto))
        sessions = begun.group_by("_actor", "_start").agg(_named=begun._named.min())
        number = sessions._start.epoch_seconds().cast("int64").cast("string")
        own = ibis.literal("s").concat(number, "-", sessions._actor)
        sessions = sessions.select("_actor", "_start", _session=sessions._named.coalesce(own))
        named = begun.select("_actor", "_time", "_start").distinct()
        named = named.inner_join(sessions, ["_actor", "_start"]).select(
            "_actor", "_time", "_session"
        )
        joined = rows.left_join(
            named, [rows._actor == named._actor, rows[schema.TIME] == named._time]
        )
        found = joined._lacks.ifelse(joined._session, joined[schema.SESSION])
        joined = joined.mutate(**{schema.SESSION: found})
        mended = joined.select(*(c for c in rows.columns if c != "_actor"))
        return mended, {"put into a session": mended._lacks}


def _around(known: "ibis.Table", rows: "ibis.Table", idle_s: int) -> "ibis.Table":
    """Return the moments of known events near enough to those of `rows` to be one session."""
    import ibis

    span = rows.aggregate(_first=rows[schema.TIME].min(), _last=rows[schema.TIME].max())
    actor = known[schema.USER].coalesce(known[schema.VISITOR])
    held = known.select(_actor=actor, _time=known[schema.TIME], _named=known[schema.SESSION])
    near = held.cross_join(span)
    second = near._time.epoch_seconds()
    near = near.filter(
        near._actor.notnull(),
        second >= near._first.epoch_seconds() - idle_s,
        second <= near._last.epoch_seconds() + idle_s,
    )
    near = near.group_by("_actor", "_time").agg(_named=near._named.min())
    return near.select("_actor", "_time", _named=near._named.cast(ibis.dtype("string")))
