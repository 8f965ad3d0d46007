"""Rules by themselves: what may be written, when one holds, and which contradict each other."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopkeeper.errors import BadRequest
from shopkeeper.rules.book import Context, RuleBook, placed
from shopkeeper.rules.conflicts import conflicts, idle
from shopkeeper.rules.rule import ACTIONS, WEEKDAYS, read

NOW = datetime(2026, 11, 24, 19, 30, tzinfo=UTC)  # A Tuesday.
ITEMS = ["a", "b", "c", "d"]
BRANDS = ["Acme", "Acme", "Bolt", None]


class Shelves:
    def rows(self, items):
        return np.array([ITEMS.index(item) if item in ITEMS else -1 for item in items], np.int64)

    def matching(self, target):
        found = [
            item in target.items if target.items else brand == target.brand
            for item, brand in zip(ITEMS, BRANDS, strict=True)
        ]
        return np.array([*found, False])


def rule(action="hide", id="r", items=("a",), brand="", **more):
    target = {"brand": brand} if brand else {"items": list(items)}
    return read({"id": id, "action": action, "target": target, **more})


def pin(id, item, place=1, **more):
    return rule("pin", id, [item], place=place, **more)


def found(*rules):
    return [str(one) for one in conflicts(rules, Shelves())]


@st.composite
def written(draw):
    action = draw(st.sampled_from(ACTIONS))
    given = {"id": draw(st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,20}\Z")), "action": action}
    items = {"items": draw(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=3))}
    given["target"] = items if action == "pin" or draw(st.booleans()) else {"brand": "Acme"}
    if action == "pin":
        given["place"] = draw(st.integers(1, 1000))
    given["when"] = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "placements": st.just(["search"]),
                "contains": st.text(max_size=8),
                "weekdays": st.lists(st.sampled_from(WEEKDAYS), unique=True),
                "hours": st.sampled_from(["00:00-24:00", "22:00-02:00", ""]),
            },
        )
    )
    given["priority"] = draw(st.integers(-5, 5))
    return given


@given(written())
def test_a_rule_comes_back_from_plain_values_as_it_was(given):
    try:
        one = read(given)
    except BadRequest:
        return
    assert read(one.to_json()) == one
    assert one.said()


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        ("pin it", "rule", "must be an object"),
        ({}, "rule.id", "must be 1 to 100 letters"),
        ({"id": "../x"}, "rule.id", "letters"),
        ({"id": "r", "action": "pni"}, "rule.action", "Did you mean 'pin'"),
        ({"id": "r", "action": "hide"}, "rule.target", "must be an object"),
        ({"id": "r", "action": "hide", "target": {}}, "rule.target", "must name products"),
        ({"id": "r", "action": "hide", "target": {"item": ["a"]}}, "rule.target.item", "'items'"),
        ({"id": "r", "action": "hide", "target": {"items": "a"}}, "rule.target.items", "a list"),
        ({"id": "r", "action": "hide", "target": {"items": [1]}}, "rule.target.items", "a list"),
        (
            {"id": "r", "action": "hide", "target": {"items": ["a"], "brand": "Acme"}},
            "rule.target",
            "not both",
        ),
        ({"id": "r", "action": "pin", "target": {"items": ["a"]}}, "rule.place", "whole number"),
        (
            {"id": "r", "action": "pin", "place": 0, "target": {"items": ["a"]}},
            "rule.place",
            "from 1 to 1000",
        ),
        (
            {"id": "r", "action": "pin", "place": 1, "target": {"brand": "Acme"}},
            "rule.target",
            "by items to pin",
        ),
        (
            {"id": "r", "action": "hide", "place": 2, "target": {"items": ["a"]}},
            "rule.place",
            "means nothing to hide",
        ),
        (
            {"id": "r", "action": "hide", "target": {"price_min": 5, "price_max": 2}},
            "rule.target.price_max",
            "below price_min",
        ),
        (
            {"id": "r", "action": "hide", "target": {"price_min": float("nan")}},
            "rule.target.price_min",
            "a price",
        ),
        (
            {"id": "r", "action": "hide", "target": {"items": ["a"]}, "start": "soon"},
            "rule.start",
            "a time like",
        ),
        (
            {"id": "r", "action": "hide", "target": {"items": ["a"]},
             "start": "2026-02-01", "end": "2026-01-01"},
            "rule.end",
            "after its start",
        ),
        (
            {"id": "r", "action": "hide", "target": {"items": ["a"]}, "when": {"hours": "9-17"}},
            "rule.when.hours",
            "like 18:00-22:00",
        ),
        (
            {"id": "r", "action": "hide", "target": {"items": ["a"]}, "when": {"weekdays": ["mo"]}},
            "rule.when.weekdays",
            "Did you mean 'mon'",
        ),
        (
            {"id": "r", "action": "hide", "target": {"items": ["a"]},
             "when": {"placements": ["home"], "query": "tea"}},
            "rule.when.placements",
            "needs 'search'",
        ),
    ],
)  # fmt: skip
def test_a_slip_is_named_by_its_field(given, field, said):
    with pytest.raises(BadRequest, match=said) as caught:
        read(given)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ({}, True),
        ({"placements": ["search"]}, True),
        ({"placements": ["home"]}, False),
        ({"query": "Red  tea-light"}, True),
        ({"query": "red tea"}, False),
        ({"contains": "TEA light"}, True),
        ({"contains": "light tea"}, False),
        ({"contains": "ligh"}, False),
        ({"category": "home"}, True),
        ({"category": "Home > Candles"}, True),
        ({"category": "Home > Can"}, False),
        ({"brand": "acme"}, True),
        ({"brand": "Bolt"}, False),
        ({"segment": "trade"}, True),
        ({"segment": "new"}, False),
        ({"weekdays": ["tue", "wed"]}, True),
        ({"weekdays": ["wed"]}, False),
        ({"hours": "19:00-20:00"}, True),
        ({"hours": "19:31-20:00"}, False),
        ({"hours": "18:00-19:30"}, False),
        ({"hours": "23:00-20:00"}, True),
        ({"hours": "23:00-06:00"}, False),
    ],
)
def test_a_rule_holds_where_all_its_conditions_do(when, holds):
    context = Context(
        placement="search",
        now=NOW,
        query="red tea light",
        categories=["Home > Candles"],
        brands=["Acme"],
        segments=frozenset(["trade"]),
    )
    assert (RuleBook.of([rule(when=when)]).at(context) is not None) == holds


def test_scripts_without_spaces_are_matched_by_their_letters():
    context = Context(placement="search", now=NOW, query="红茶杯子")
    assert RuleBook.of([rule(when={"contains": "茶杯"})]).at(context)


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        (pin("p", "a"), rule("hide", "h"), "one pins what the other hides"),
        (pin("p", "a"), rule("hide", "h", brand="Acme"), "one pins what the other hides"),
        (pin("p", "c"), rule("filter", "f", brand="Acme"), "one pins what the other hides"),
        (pin("p", "a"), pin("q", "b"), "both pin to place 1"),
        (pin("p", "a"), pin("q", "a", 2), "both pin 'a', to two places"),
        (rule("boost", "p"), rule("bury", "q", brand="Acme"), "moves up what the other moves down"),
        (rule("boost", "p", brand="Acme"), rule("hide", "q", brand="Acme"), "the other hides"),
        (pin("p", "a"), pin("q", "a"), ""),
        (pin("p", "a"), pin("q", "b", 2), ""),
        (pin("p", "c"), rule("hide", "h", brand="Acme"), ""),
        (pin("p", "a", when={"placements": ["home"]}),
         rule("hide", "h", when={"placements": ["search"]}), ""),
        (pin("p", "a", when={"query": "tea"}),
         rule("hide", "h", when={"placements": ["home"]}), ""),
        (pin("p", "a", when={"query": "tea"}), pin("q", "b", when={"query": "mug"}), ""),
        (pin("p", "a", when={"query": "red tea"}), pin("q", "b", when={"contains": "tea"}),
         "both pin to place 1"),
        (pin("p", "a", end="2026-01-01"), pin("q", "b", start="2026-01-01"), ""),
        (pin("p", "a", when={"hours": "08:00-12:00"}), pin("q", "b", when={"hours": "12:00-18:00"}),
         ""),
        (pin("p", "a", when={"hours": "22:00-02:00"}), pin("q", "b", when={"hours": "01:00-03:00"}),
         "both pin to place 1"),
        (pin("p", "a", when={"weekdays": ["mon"]}), pin("q", "b", when={"weekdays": ["tue"]}), ""),
        (pin("p", "a", when={"category": "Home"}), pin("q", "b", when={"category": "Garden"}), ""),
        (pin("p", "a", when={"category": "Home"}), pin("q", "b", when={"category": "Home > Mugs"}),
         "both pin to place 1"),
        (pin("p", "a", enabled=False), pin("q", "b"), ""),
    ],
)  # fmt: skip
def test_two_rules_contradict_each_other_only_where_both_can_hold(first, second, why):
    for pair in ((first, second), (second, first)):
        said = found(*pair)
        assert bool(said) == bool(why)
        assert all(why in one and "which is meant?" in one for one in said)


def test_a_priority_says_who_holds():
    (said,) = found(pin("p", "a", priority=1), rule("hide", "h"))
    assert said == "'p' and 'h': one pins what the other hides; 'p' holds, by its priority."


def test_the_higher_priority_holds_on_the_page_and_hiding_before_showing():
    context = Context(placement="home", now=NOW)
    shelves = Shelves()

    def pinned(*rules):
        return [(one.place, one.item) for one in RuleBook.of(rules).at(context).pins(shelves)]

    assert pinned(pin("p", "a"), rule("hide", "h")) == []
    assert pinned(pin("p", "a", priority=1), rule("hide", "h")) == [(1, "a")]
    assert pinned(pin("p", "a"), pin("q", "b", priority=1)) == [(1, "b")]
    assert pinned(rule("pin", "p", ["a", "b"], place=2)) == [(2, "a"), (3, "b")]


def test_a_boost_a_bury_and_a_hide_on_one_page():
    book = RuleBook.of(
        [rule("boost", "u", ["c"], by=2), rule("bury", "d", ["a"]), rule("hide", "h", ["b"])]
    )
    verdict = book.at(Context(placement="home", now=NOW)).judge(np.arange(4), Shelves())
    assert [ITEMS[place] for place in verdict.order] == ["c", "d", "a"]
    assert {ITEMS[place]: rule.id for place, rule in verdict.hiders.items()} == {"b": "h"}
    assert {ITEMS[place]: rule.id for place, rule in verdict.movers.items()} == {"c": "u", "a": "d"}


def test_pins_take_their_places_and_others_close_up():
    assert placed(["a", "b", "c"], [(1, "c"), (3, "x")]) == ["c", "a", "x", "b"]
    assert placed(["a"], [(5, "x"), (9, "y")]) == ["a", "x", "y"]
    assert placed([], [(3, "x")]) == ["x"]


def test_a_rule_that_can_do_nothing_says_why():
    def why(one):
        return idle(one, Shelves(), ["home", "search"], NOW)

    assert why(rule()) == []
    assert why(rule(items=["gone"])) == ["the shop has no product gone"]
    assert why(rule(brand="Nobody")) == ["no product is like that"]
    assert why(rule(end="2020-01-01")) == ["it ended on 2020-01-01 00:00 UTC"]
    assert why(rule(start="2030-01-01")) == ["it begins on 2030-01-01 00:00 UTC"]
    assert why(rule(enabled=False)) == ["it is turned off"]
    assert why(rule(when={"placements": ["hom"]})) == ["there is no placement hom"]
