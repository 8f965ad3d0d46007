"""Pages under rules, filters and policies: what holds whatever is asked."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shopkeeper import Shop
from shopkeeper.config import Config, Placement
from shopkeeper.engine import objective
from shopkeeper.engine.settings import read
from shopkeeper.engine.trace import Trace, Traces
from shopkeeper.errors import BadConfig, BadRequest, NotFound
from shopkeeper.rules.book import RuleBook
from shopkeeper.rules.rule import read as rule_of

ITEMS = [f"{22000 + number}" for number in range(30)]
SOLD_OUT = ("22005", "22011", "22020")
calm = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def shop(trained_once, tmp_path_factory):
    import shutil

    folder = shutil.copytree(trained_once, tmp_path_factory.mktemp("pages") / "shop")
    with Shop.open(folder) as opened:
        gone = [{"id": item, "availability": "out_of_stock"} for item in SOLD_OUT]
        new = {"id": "launch", "title": "Brand new kite", "brand": "Acme", "price": "30.00"}
        opened.put_products([*gone, new])
        yield opened


@pytest.fixture(autouse=True)
def without_rules(shop):
    yield
    shop.live.rules = RuleBook()


def ids(answer):
    return [result.id for result in answer.results]


def in_force(shop, *rules):
    shop.live.rules = RuleBook.of([rule_of(rule) for rule in rules])


def placed(shop, **settings):
    """Let the placement `home` have other settings."""
    place = replace(shop.config.placements["home"], **settings)
    shop.config = replace(shop.config, placements={**shop.config.placements, "home": place})


@pytest.fixture
def home(shop):
    before = shop.config
    yield lambda **settings: placed(shop, **settings)
    shop.config = before


targets = st.one_of(
    st.lists(st.sampled_from(ITEMS), min_size=1, max_size=3, unique=True).map(
        lambda items: {"items": items}
    ),
    st.fixed_dictionaries({"price_min": st.sampled_from([1, 2, 3])}),
    st.fixed_dictionaries({"price_max": st.sampled_from([2, 4])}),
)


@st.composite
def rules(draw):
    found = []
    for number in range(draw(st.integers(0, 5))):
        action = draw(st.sampled_from(["pin", "boost", "bury", "hide", "filter"]))
        rule = {"id": f"r{number}", "action": action, "priority": draw(st.integers(0, 2))}
        target = draw(targets)
        if action == "pin":
            rule["place"] = draw(st.integers(1, 8))
            target = {"items": draw(st.lists(st.sampled_from([*ITEMS, "launch"]), min_size=1,
                                             max_size=2, unique=True))}  # fmt: skip
        if action in ("boost", "bury"):
            rule["by"] = draw(st.integers(1, 20))
        found.append(rule | {"target": target})
    return found


@calm
@given(
    given_rules=rules(),
    user=st.sampled_from(["12000", "12007", "nobody"]),
    k=st.integers(1, 30),
    exclude=st.lists(st.sampled_from(ITEMS), max_size=3),
    placement=st.sampled_from(["home", "trending", "similar"]),
)
def test_no_page_breaks_a_promise(shop, given_rules, user, k, exclude, placement):
    in_force(shop, *given_rules)
    asked = {"user_id": user, "k": k, "exclude": exclude, "items": ["22001"]}
    answer = shop.recommend(placement, **asked)
    page = ids(answer)
    assert len(page) == len(set(page)) <= k
    assert all(item in shop.live.catalogue for item in page)
    assert not {*page} & {*SOLD_OUT, *exclude, "22001"}
    assert ids(shop.recommend(placement, **asked)) == page
    decision = shop.live.rules.at(_context(shop, placement))
    if decision is None:
        return
    shelves = shop.live.now.shelves
    pins = {pin.item: pin for pin in decision.pins(shelves)}
    may = {item for item in pins if item not in (*SOLD_OUT, *exclude, "22001")}
    # A pin holds against all but a rule that hides with at least its priority, and stock.
    places = {item: page.index(item) + 1 for item in page if item in pins}
    for item in may:
        if pins[item].place <= k and len(page) >= pins[item].place:
            assert places[item] <= pins[item].place
    if len(page) == k:
        exact = [item for item in may if pins[item].place <= k]
        if len({pins[item].place for item in exact}) == len(exact) == len(may) == len(pins):
            assert all(places[item] == pins[item].place for item in exact)
    # Whatever is shown without a pin is hidden by no rule, and what is not shown has its reason.
    rows = shelves.rows(page)
    kept = decision.judge(rows, shelves).kept_N
    assert all(ok or item in pins for ok, item in zip(kept, page, strict=True))


@calm
@given(given_rules=rules(), item=st.sampled_from([*ITEMS, "launch"]))
def test_every_product_has_a_reason_for_being_there_or_not(shop, given_rules, item):
    in_force(shop, *given_rules)
    answer = shop.recommend("home", user_id="12000", k=5)
    told = shop.explain(answer.request_id, item_id=item)
    assert told["shown"] == (item in ids(answer))
    if told["shown"]:
        assert told["reason"]
        assert told["proposed_by"] or told["moved_by"] or told["source"] == "popular"
    else:
        assert told["stage"]
        assert told["why"]
    pinned = {i for rule in given_rules if rule["action"] == "pin" for i in rule["target"]["items"]}
    before = ids_without_rules(shop)
    if item in before and item not in ids(answer):
        assert given_rules
    for moved in told.get("moved_by", ()):
        assert moved["stage"] == "rules"
        assert moved["rule"] in {rule["id"] for rule in given_rules}
    if told["shown"] and told["source"] == "rule":
        assert item in pinned


def ids_without_rules(shop):
    kept, shop.live.rules = shop.live.rules, RuleBook()
    found = ids(shop.recommend("home", user_id="12000", k=5))
    shop.live.rules = kept
    return found


def _context(shop, placement):
    from shopkeeper.rules.book import Context

    return Context(placement=placement, now=shop.live.clock.now())


@calm
@given(given_rules=rules(), query=st.sampled_from(["red", "tea light", "", "clock black"]))
def test_no_search_breaks_a_promise(shop, given_rules, query):
    in_force(shop, *given_rules)
    whole = shop.search(query, k=50)
    found = ids(whole)
    assert len(found) == len(set(found)) == whole.total
    pages = [ids(shop.search(query, k=7, offset=at)) for at in range(0, whole.total, 7)]
    assert [item for page in pages for item in page] == found
    decision = shop.live.rules.at(_context(shop, "search"))
    if decision is None:
        return
    shelves = shop.live.now.shelves
    pins = {pin.item: pin for pin in decision.pins(shelves) if pin.item not in SOLD_OUT}
    kept = decision.judge(shelves.rows(found), shelves).kept_N
    assert all(ok or item in pins for ok, item in zip(kept, found, strict=True))
    for item, pin in pins.items():
        assert item in found
        assert found.index(item) + 1 <= pin.place or len(found) < pin.place + len(pins)


def test_a_product_newer_than_the_models_can_be_pinned_and_says_so(shop):
    in_force(shop, {"id": "go", "action": "pin", "place": 2, "target": {"items": ["launch"]}})
    answer = shop.recommend("home", user_id="12000", k=4)
    assert ids(answer)[1] == "launch"
    assert (answer.results[1].source, answer.results[1].reason) == ("rule", "Chosen by the shop")
    told = shop.explain(answer.request_id, item_id="launch")
    assert told["moved_by"][0] == {
        "stage": "rules", "rule": "go", "why": "pin launch to place 2", "to": 2,
    }  # fmt: skip


def test_a_sold_out_or_dismissed_product_is_not_pinned_and_the_reason_is_said(shop):
    pin = {"id": "p", "action": "pin", "place": 1, "target": {"items": ["22005"]}}
    in_force(shop, pin)
    answer = shop.recommend("home", user_id="12000")
    assert "22005" not in ids(answer)
    why = shop.explain(answer.request_id, item_id="22005")["why"]
    assert "Rule 'p' pins it, but it is sold out" in why
    in_force(shop, pin | {"target": {"items": ["launch"]}})
    shop.add_events(
        [{"event_name": "dismiss", "visitor_id": "cross", "items": [{"item_id": "launch"}]}]
    )
    assert "launch" not in ids(shop.recommend("home", visitor_id="cross"))
    assert "launch" in ids(shop.recommend("home", visitor_id="calm"))


def test_rules_hold_only_under_their_conditions(shop):
    pin = {"id": "p", "action": "pin", "place": 1, "target": {"items": ["launch"]}}
    first = lambda **when: _first(shop, pin | {"when": when})  # noqa: E731
    assert first() == first(placements=["home"]) == first(segment="regular") == "launch"
    assert first(placements=["trending"]) != "launch"
    assert first(segment="new") != "launch"
    assert first(contains="kite") != "launch"
    today = shop.live.clock.now()
    other = "sat" if today.strftime("%a").lower() != "sat" else "sun"
    assert first(weekdays=[other]) != "launch"
    ended = pin | {"end": "2001-01-01"}
    assert _first(shop, ended) != "launch"
    assert _first(shop, pin | {"enabled": False}) != "launch"


def _first(shop, rule):
    in_force(shop, rule)
    return ids(shop.recommend("home", user_id="12000", k=3))[0]


def test_a_query_brings_its_own_product_to_the_top_and_no_other_query_does(shop):
    when = {"query": "Tea  LIGHT!"}
    in_force(
        shop,
        {"id": "q", "action": "pin", "place": 1, "target": {"items": ["launch"]}, "when": when},
    )
    answer = shop.search("tea light", k=3)
    assert ids(answer)[0] == "launch"
    assert answer.results[0].reason == "Chosen by the shop"
    assert "launch" not in ids(shop.search("tea light holder", k=3))
    # A shopper's own filter is not overruled, and neither is an order that was asked for.
    assert "launch" not in ids(shop.search("tea light", price_max=5))
    assert ids(shop.search("tea light", sort="price_asc"))[0] != "launch"


def test_hidden_products_are_neither_found_nor_counted(shop):
    before = shop.search("red", k=30)
    gone = ids(before)[0]
    in_force(shop, {"id": "h", "action": "hide", "target": {"items": [gone]}, "note": "recalled"})
    after = shop.search("red", k=30)
    assert gone not in ids(after)
    assert after.total == before.total - 1
    told = shop.explain(after.request_id, item_id=gone)
    assert (told["shown"], told["why"]) == (False, f"Rule 'h': hide {gone} (recalled).")


def test_a_boost_moves_up_by_its_places_and_a_bury_behind_all(shop):
    page = ids(shop.recommend("home", user_id="12000", k=8))
    in_force(shop, {"id": "b", "action": "boost", "by": 3, "target": {"items": [page[6]]}})
    assert ids(shop.recommend("home", user_id="12000", k=8)).index(page[6]) == 3
    in_force(shop, {"id": "b", "action": "bury", "by": 2, "target": {"items": [page[0]]}})
    assert ids(shop.recommend("home", user_id="12000", k=8)).index(page[0]) == 2
    in_force(shop, {"id": "b", "action": "bury", "target": {"items": [page[0]]}})
    assert page[0] not in ids(shop.recommend("home", user_id="12000", k=8))


def test_filters_that_leave_nothing_fall_back_and_say_so(shop, home):
    answer = shop.recommend("home", user_id="12000", category="Garden > Gnomes")
    assert answer.fallback == "filters"
    assert answer.results
    assert "filters" in answer.notes[0]
    home(filters={"price_max": 0.01}, fallback=())
    empty = shop.recommend("home", user_id="12000")
    assert (empty.results, empty.fallback, empty.notes) == ([], "", [])
    told = shop.explain(empty.request_id, item_id="22000")
    assert told["stage"] in ("filters", "candidates", "ranker")


def test_a_fallback_never_shows_what_a_rule_hides(shop):
    every = {"id": "all", "action": "hide", "target": {"price_min": 0}}
    in_force(shop, every)
    answer = shop.recommend("home", user_id="12000")
    assert (answer.results, answer.fallback) == ([], "")


def test_a_category_narrows_what_the_filters_of_a_placement_leave(shop, home):
    for item, kind in (("22000", "Home > Candles"), ("22001", "Garden > Pots")):
        shop.put_products([{"id": item, "product_type": kind}])
    home(filters={"product_type": ["Home"]})
    assert ids(shop.recommend("home", user_id="12000")) == ["22000"]
    assert ids(shop.recommend("home", user_id="12000", category="Home > Candles")) == ["22000"]
    crossed = shop.recommend("home", user_id="12000", category="Garden")
    assert crossed.fallback == "filters"


def test_filters_of_a_placement_hold(shop, home):
    home(filters={"price_min": 3, "price_max": 4})
    prices = [float(r.product["price"]) for r in shop.recommend("home", user_id="12000").results]
    assert prices
    assert all(3 <= price <= 4 for price in prices)


def test_a_place_for_the_unknown_is_the_same_all_day_and_never_sold_out(shop, home):
    home(explore=2)
    shop.live.now.__dict__["little_known"] = ["launch", "22005"]
    answer = shop.recommend("home", user_id="12000", k=4)
    assert ids(answer)[1] == "launch"
    assert answer.results[1].source == "exploration"
    assert ids(shop.recommend("home", user_id="12000", k=4)) == ids(answer)
    shop.live.now.__dict__["little_known"] = ITEMS[:10]
    seen = {ids(shop.recommend("home", user_id=f"u{n}", k=4))[1] for n in range(9)}
    assert len(seen) > 2
    del shop.live.now.__dict__["little_known"]


def test_revenue_lifts_what_costs_more_and_nothing_else_changes(shop, home):
    plain = ids(shop.recommend("home", user_id="12000", k=20))
    home(objective={"conversion": 0.0, "revenue": 1.0})
    dear = shop.recommend("home", user_id="12000", k=20)

    def price(page):
        return [float(shop.product(item)["price"]) for item in page[:5]]

    assert sum(price(ids(dear))) > sum(price(plain))
    scores = [result.score for result in dear.results]
    assert scores == sorted(scores, reverse=True)
    home(objective={"clicks": 3.0, "conversion": 2.0})
    assert ids(shop.recommend("home", user_id="12000", k=20)) == plain


def test_worth_is_relative_and_bounded_and_unknown_is_middling():
    worth = objective._relative(np.array([1.0, 2.0, 4.0, 1e9, np.nan]))
    assert worth.tolist() == [1 / 3, 2 / 3, 4 / 3, objective.WORTH_MAX, 1.0]
    assert objective._relative(np.array([np.nan, np.nan])).tolist() == [1, 1]
    assert objective._relative(np.array([-5.0, -1.0])).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("objective = {clicks = 0.0, conversion = 0.0}", "its weights sum to 0"),
        ("objective = {fame = 1.0}", "objective has no 'fame'"),
        ("objective = {revenue = -1.0}", "revenue must be at least 0"),
        ("objective = {revenue = 'much'}", "revenue must be a number"),
        ("filters = {brand = 'Acme'}", 'must be like \\["Acme"\\]'),
        ("filters = {price_min = 5, price_max = 2}", "price_min is 5, above price_max"),
        ("filters = {colour = ['red']}", "There is no attribute .*Did you mean 'color'"),
        ("explore = -1", "explore must be at least 0"),
        ("fallback = ['nobody']", "There is no recommender 'nobody'"),
    ],
)
def test_a_bad_placement_is_refused_in_one_line(tmp_path, line, said):
    (tmp_path / "shop.toml").write_text(f"[placements.home]\n{line}\n")
    with pytest.raises(BadConfig, match=said):
        read(tmp_path)


def test_placements_of_old_settings_leave_out_what_the_shop_does_not_train(tmp_path):
    (tmp_path / "shop.toml").write_text(
        '[train]\nrecommenders = ["popular"]\nfused=["popular"]\nlast_basket=[]\n'
    )
    found = read(tmp_path).placements
    assert found["home"].sources == ("popular",)
    assert "new_arrivals" not in found
    assert Config().placements["new_arrivals"] == Placement(sources=("new_arrivals",), fallback=())


def test_times_of_stages_are_told_and_add_up(shop):
    answer = shop.recommend("home", user_id="12000")
    assert {"request", "ranker", "candidates", "policies", "products"} <= {*answer.timings}
    assert sum(answer.timings.values()) == pytest.approx(answer.took_ms, abs=3)
    assert {"request", "search", "products"} <= {*shop.search("red").timings}


def test_only_the_newest_answers_are_kept(shop):
    traces = Traces(2)
    for name in "abc":
        traces.keep(name, Trace(name))
    assert traces.get("a") is None
    assert (traces.get("c").placement, len(traces)) == ("c", 2)
    nothing = Traces(0)
    nothing.keep("a", Trace("a"))
    assert len(nothing) == 0
    with pytest.raises(NotFound, match="no answer 'nonsense' in memory"):
        shop.explain("nonsense")
    answer = shop.recommend("home", user_id="12000")
    with pytest.raises(NotFound, match="no product 'gone'"):
        shop.explain(answer.request_id, item_id="gone")


def test_a_ranker_without_trees_is_asked_with_one_feature_left_out_at_a_time(shop):
    answer = shop.recommend("home", user_id="12000", k=3)
    ways = []
    for trees in (shop.live.trees, None):
        shop.live._trees = shop.live.version, trees
        told = shop.explain(answer.request_id)["results"]
        ways.append({one["by"] for result in told for one in result["factors"]})
    shop.live._trees = "", None
    assert ways == [{"trees"}, {"left out"}]


def test_evidence_that_is_taken_away_lowers_the_score(shop):
    told = shop.explain(shop.recommend("home", user_id="12000", k=8).request_id, rescore=True)
    lowers = [
        evidence["lowers"]
        for result in told["results"]
        for evidence in result["evidence"]
        if evidence.get("lowers") is not None
    ]
    assert len(lowers) >= 5
    assert sum(lowers) >= 0.8 * len(lowers)


def test_rules_come_into_a_running_shop_at_once_and_survive_it(trained):
    pin = {"id": "p", "action": "pin", "place": 1, "target": {"items": ["22003"]}}
    with Shop.open(trained) as shop:
        assert shop.put_rules([pin]) == []
        assert ids(shop.recommend("home", user_id="12000"))[0] == "22003"
        clash = pin | {"id": "q", "target": {"items": ["22004"]}}
        with pytest.raises(BadRequest, match="both pin to place 1; which is meant"):
            shop.put_rules([clash])
        assert [rule["id"] for rule in shop.rules()] == ["p"]
        (said,) = shop.put_rules([clash | {"priority": 1}])
        assert "'q' holds, by its priority" in said
        assert ids(shop.recommend("home", user_id="12000"))[0] == "22004"
        from shopkeeper.engine import rulebook

        with rulebook.opened(trained, shop.config) as beside:
            beside.remove(["q"])
        shop.follow()
        assert ids(shop.recommend("home", user_id="12000"))[0] == "22003"
    with Shop.open(trained) as shop:
        assert ids(shop.recommend("home", user_id="12000"))[0] == "22003"
        shop.remove_rules(["p"])
        assert shop.rules() == []


def test_the_shops_time_decides_on_windows(shop):
    # The log ended in 2011, and so did this shop's present.
    now = shop.live.clock.now()
    assert now < datetime(2012, 12, 31, tzinfo=UTC)
    pin = {"id": "p", "action": "pin", "place": 1, "target": {"items": ["launch"]}}
    assert _first(shop, pin | {"start": "2020-01-01"}) != "launch"
    assert _first(shop, pin | {"start": "2011-01-01", "end": "2020-01-01"}) == "launch"
