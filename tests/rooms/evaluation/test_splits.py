"""What was known and what came next, on an event table small enough to read."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from shopkeeper.data.samples.planted import histories_of, loop_shop
from shopkeeper.evaluation.splits import next_basket, requests_at
from shopkeeper.schema import (
    EVENT_NAME,
    HISTORY,
    ITEM,
    LEARN,
    NOW,
    REQUEST,
    REQUESTS,
    TIME,
    TRANSACTION,
    USER,
    check,
)

SPLIT = datetime(2025, 5, 10, tzinfo=UTC)


def shop(*rows):
    """Rows of shopper, products in one string, days after the split, transaction, event name."""
    flat = [
        {
            USER: user,
            ITEM: item,
            EVENT_NAME: (more or ["purchase"])[0],
            TIME: SPLIT + timedelta(days=days),
            TRANSACTION: transaction,
        }
        for user, items, days, transaction, *more in rows
        for item in items
    ]
    return pl.DataFrame(flat, schema={**LEARN, TRANSACTION: pl.String})


def by_shopper(split):
    return {user: (targets, before) for user, targets, before in split.iter_rows()}


EVENTS = shop(
    ("ann", "ba", -9, "t1"),
    ("ann", "a", -2, "t2"),
    ("ann", "cab", 3, "t5"),
    ("ann", "d", 1, "t4"),
    ("ann", "ad", 1, "t4"),
    ("bob", "cd", -1, "t3"),
    ("bob", "z", 2, "t6"),
    ("cat", "a", 2, "t7"),
    ("dan", "a", -3, "t8", "view_item"),
    ("dan", "b", 3, "t9"),
    ("eve", "b", -3, "t10"),
    ("eve", "a", 1, "t11", "view_item"),
    ("fay", "c", -4, "t12"),
    ("fay", "bd", 0, "t13"),
    (None, "e", -4, "t14"),
    (None, "e", 4, "t15"),
)


def test_targets_are_the_distinct_products_of_the_first_basket_in_the_order_of_the_rows():
    found = by_shopper(next_basket(EVENTS, SPLIT))
    assert found["ann"] == (["d", "a"], ["a", "b"])
    # A purchase at the very moment of the split is no past.
    assert found["fay"] == (["b", "d"], ["c"])


def test_who_is_new_or_wants_only_new_products_or_buys_nothing_is_left_out():
    assert set(by_shopper(next_basket(EVENTS, SPLIT))) == {"ann", "fay"}


def test_strangers_are_those_who_had_bought_nothing_yet():
    assert by_shopper(next_basket(EVENTS, SPLIT, strangers=True)) == {
        "cat": (["a"], []),
        "dan": (["b"], []),
    }


def test_a_product_that_only_nameless_shoppers_bought_before_is_known():
    later = pl.concat([EVENTS, shop(("bob", "e", 1, "t16"))])
    assert by_shopper(next_basket(later, SPLIT))["bob"][0] == ["e"]


def test_new_only_leaves_out_what_the_shopper_had():
    found = by_shopper(next_basket(EVENTS, SPLIT, new_only=True))
    assert found["ann"][0] == ["d"]
    again = shop(("gus", "a", -1, "t1"), ("gus", "a", 1, "t2"))
    assert next_basket(again, SPLIT, new_only=True).is_empty()


def test_of_two_baskets_at_one_moment_the_first_in_the_file_counts():
    past = shop(("ann", "abc", -1, "t1"))
    first, second = shop(("ann", "a", 1, "t2")), shop(("ann", "b", 1, "t3"))
    assert by_shopper(next_basket(pl.concat([past, first, second]), SPLIT))["ann"][0] == ["a"]
    assert by_shopper(next_basket(pl.concat([past, second, first]), SPLIT))["ann"][0] == ["b"]


def test_without_transactions_a_basket_is_what_was_bought_at_one_moment():
    rows = shop(("ann", "abc", -1, None), ("ann", "ab", 1, None), ("ann", "c", 2, None))
    for events in (rows, rows.drop(TRANSACTION)):
        assert by_shopper(next_basket(events, SPLIT))["ann"][0] == ["a", "b"]


def test_requests_carry_the_newest_of_the_past_and_nothing_of_the_future():
    asked = check(requests_at(EVENTS, SPLIT, ["bob", "nobody", "ann"], 2), REQUESTS, "request")
    assert asked[REQUEST].to_list() == [0, 1, 2]
    assert asked[USER].to_list() == ["bob", "nobody", "ann"]
    seen = [[event[ITEM] for event in history] for history in asked[HISTORY].to_list()]
    assert seen == [["c", "d"], [], ["a", "a"]]
    assert set(asked[NOW]) == {SPLIT}


def test_the_past_of_every_shopper_of_the_loop_is_whole_and_before_the_split():
    events = loop_shop()
    middle = events[TIME][events.height // 2]
    asked = requests_at(events, middle, sorted(histories_of(events)), 100)
    before = histories_of(events.filter(pl.col(TIME) < middle))
    for user, history in asked.select(USER, HISTORY).iter_rows():
        assert [event[ITEM] for event in history] == before.get(user, [])
    targets = next_basket(events, middle)
    following = {f"p{at:03d}": f"p{(at + 1) % 12:03d}" for at in range(12)}
    for user, (wanted, _) in by_shopper(targets).items():
        assert wanted == [following[before[user][-1]]]


def test_a_history_of_nothing_is_refused():
    with pytest.raises(ValueError, match="history_max must be at least 1, got 0"):
        requests_at(EVENTS, SPLIT, ["ann"], 0)
