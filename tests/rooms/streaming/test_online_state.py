"""The next answer knows of the click before."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from shopkeeper import schema
from shopkeeper.streaming.state import OnlineState

START = datetime(2026, 5, 1, tzinfo=UTC)


def row(item, minute, user=None, visitor=None, name="view_item"):
    found = dict.fromkeys(schema.EVENTS)
    time = START + timedelta(minutes=minute)
    return found | {
        "user_id": user,
        "visitor_id": visitor,
        "item_id": item,
        "event_name": name,
        "time": time,
    }


def items(steps):
    return [item for item, _, _ in steps]


def lake(*rows_):
    return pl.DataFrame(list(rows_), schema=schema.EVENTS)


def test_a_posted_event_is_read_at_once_and_lies_after_the_past():
    state = OnlineState()
    state.seed(lake(row("old", 1, "u"), row("older", 0, "u"), row("other", 0, "w")))
    state.append([row("new", 5, "u")])
    assert items(state.history("u")) == ["older", "old", "new"]
    assert items(state.recent("u", k=2)) == ["new", "old"]
    assert state.history("u")[-1] == ("new", "view_item", START + timedelta(minutes=5))
    assert state.history("nobody") == []
    assert state.history(None, None) == []


def test_a_visitor_joins_a_shopper_once_both_ids_came_together():
    state = OnlineState()
    state.append([row("before", 0, visitor="v")])
    assert items(state.history("u")) == []
    assert items(state.history("u", "v")) == ["before"]
    state.append([row("login", 1, "u", "v"), row("after", 2, visitor="v")])
    assert items(state.history("u")) == ["before", "login", "after"]
    assert items(state.history("u", "v")) == ["before", "login", "after"]


def test_a_second_shopper_at_the_same_browser_does_not_inherit_the_first():
    state = OnlineState()
    state.append([row("alone", 0, visitor="v"), row("his", 1, "u", "v")])
    state.append([row("hers", 2, "w", "v")])
    assert items(state.history("w", "v")) == ["hers"]
    assert items(state.history(None, "v")) == ["alone"]


def test_joins_and_visitors_of_the_lake_are_known_after_a_restart():
    state = OnlineState()
    state.seed(
        lake(
            row("before", 0, visitor="v"),
            row("login", 1, "u", "v"),
            row("stranger", 2, visitor="x"),
        )
    )
    assert items(state.history("u")) == ["before", "login"]
    assert items(state.history(None, "x")) == ["stranger"]
    state.append([row("after", 3, visitor="v")])
    assert items(state.history("u")) == ["before", "login", "after"]


def test_an_event_that_is_both_in_the_lake_and_live_counts_once():
    state = OnlineState()
    state.append([row("a", 0, "u"), row("b", 1, "u")])
    state.seed(lake(row("a", 0, "u")))
    assert items(state.history("u")) == ["a", "b"]


def test_forgetting_erases_past_live_and_joined_events_and_no_others():
    state = OnlineState()
    state.seed(lake(row("a", 0, "u"), row("b", 1, "u"), row("c", 0, "w"), row("d", 0, "z")))
    state.append([row("e", 3, visitor="v"), row("f", 4, "u", "v"), row("g", 5, "w")])
    assert state.forget("u") == 5
    assert state.history("u") == state.history(None, "v") == []
    assert items(state.history("w")) == ["c", "g"]
    assert items(state.history("z")) == ["d"]
    assert state.forget("u") == 0


def test_memory_is_bounded_and_idle_visitors_go_before_shoppers():
    state = OnlineState(history_max=5, events_max=40)
    state.append([row(f"s{n}", n, "u") for n in range(9)])
    assert items(state.history("u")) == ["s4", "s5", "s6", "s7", "s8"]
    for visitor in range(100):
        state.append([row("p", visitor, visitor=f"v{visitor}")])
    assert items(state.history("u"))[-1] == "s8"
    assert state.history(None, "v0") == []
    assert items(state.history(None, "v99")) == ["p"]


@given(
    st.lists(
        st.tuples(st.sampled_from("uvw"), st.sampled_from("abc"), st.integers(0, 50)), max_size=40
    ),
    st.integers(1, 8),
)
def test_seeding_keeps_the_newest_events_of_each_shopper(triples, history_max):
    state = OnlineState(history_max=history_max)
    state.seed(lake(*(row(item, minute, user) for user, item, minute in triples)))
    for user in "uvw":
        times = sorted(minute for owner, _, minute in triples if owner == user)[-history_max:]
        found = [(time - START) // timedelta(minutes=1) for _, _, time in state.history(user)]
        assert found == times


def test_a_million_and_a_half_events_fit_in_40_mb():
    size = 150_000
    draw = np.random.default_rng(0)
    events = pl.DataFrame(
        {
            "user_id": draw.integers(0, 2500, size).astype(str),
            "item_id": draw.integers(0, 30_000, size).astype(str),
            "event_name": ["purchase"] * size,
            "time": pl.Series(np.sort(draw.integers(0, 3 * 10**13, size))).cast(schema.UTC_TIME),
        }
    )
    state = OnlineState(history_max=10**6)
    state.seed(events)
    assert state.nbytes * 10 <= 40e6
