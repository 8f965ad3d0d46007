"""An order learned from queries: where plain words mislead, and never above an exact title."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopkeeper import registry, schema
from shopkeeper.encoders.hashing import Hashing
from shopkeeper.engine.search_order import learn_order
from shopkeeper.evaluation.judged import Judged
from shopkeeper.search.indexes._bags import Bag
from shopkeeper.search.text import product_text

COLOURS = [f"colour{n}" for n in range(10)]
THINGS = [f"thing{n}" for n in range(8)]
ENCODER = Hashing(Hashing.Config(width=128))


def catalogue():
    """Write each thing in each colour, and a case for it that repeats the words."""
    rows = []
    for colour in COLOURS:
        for thing in THINGS:
            rows.append({"id": f"{colour}-{thing}", "title": f"{colour} {thing} by acme maker"})
            rows.append({"id": f"case-{colour}-{thing}", "title": f"case {colour} {thing}"})
    return schema.conform(pl.DataFrame(rows), schema.PRODUCTS)


def questions(right="{}"):
    """Return queries whose right products are no cases, though those have the words too."""
    asked = {f"{c} {t}": f"{c} {t}" for c in COLOURS for t in THINGS}
    grades = {query: {right.format(query.replace(" ", "-")): 1.0} for query in asked}
    return Judged(catalogue(), asked, grades)


@pytest.fixture(scope="module")
def built():
    products = catalogue()
    index = registry.build("search.indexes", "learned")
    return index.build(products, ENCODER.encode(product_text(products).to_list()))


@pytest.fixture(scope="module")
def learned(built):
    judged = questions()
    gain = learn_order(built, judged, ENCODER.encode(list(judged.queries)))
    assert gain.above(0.0)
    return built


def first(index, query):
    return index.search(query, ENCODER.encode([query])[0], 5)["item_id"][0]


def test_what_the_words_alone_put_second_comes_first(learned):
    order, learned.order = learned.order, None
    assert first(learned, "colour3 thing4") == "case-colour3-thing4"
    learned.order = order
    assert first(learned, "colour3 thing4") == "colour3-thing4"


def test_an_exact_title_or_id_stays_in_front(learned):
    assert first(learned, "case colour3 thing4") == "case-colour3-thing4"
    assert first(learned, "THING4 case Colour3") == "case-colour3-thing4"
    assert first(learned, "case-colour3-thing4") == "case-colour3-thing4"


def test_scores_fall_and_a_short_page_is_the_head_of_a_long_one(learned):
    vector = ENCODER.encode(["colour3 thing4"])[0]
    few, many = (learned.search("colour3 thing4", vector, k) for k in (3, 120))
    assert few["item_id"].to_list() == many["item_id"].to_list()[:3]
    assert (np.diff(many["score"].to_numpy()) <= 0).all()
    assert many["item_id"].n_unique() == many.height


def test_the_order_comes_back_from_disk(learned, tmp_path):
    registry.save(learned, tmp_path / "index")
    again = registry.load(tmp_path / "index")
    for query in ("colour3 thing4", "thing7", "case"):
        vector = ENCODER.encode([query])[0]
        assert again.search(query, vector, 20).equals(learned.search(query, vector, 20))


def test_what_does_not_help_is_left_out(built):
    judged = questions()
    draw = np.random.default_rng(0)
    ids = list(judged.products["id"])
    chance = {query: {str(draw.choice(ids)): 1.0} for query in judged.queries}
    noise = Judged(judged.products, judged.queries, chance)
    order, vectors = built.order, ENCODER.encode(list(judged.queries))
    try:
        gain = learn_order(built, noise, vectors)
        assert not gain.above(0.0)
        assert built.order is None
        few = judged.part(list(judged.queries)[:20])
        assert learn_order(built, few, vectors[:20]) is None
    finally:
        built.order = order


def test_a_grade_in_between_counts_by_its_share(built):
    judged = questions()
    one = next(iter(judged.queries))
    name = one.replace(" ", "-")
    grades = {one: {name: 4.0, f"case-{name}": 1.0}}
    found = built.examples({one: one}, ENCODER.encode([one]), grades)
    assert sorted(found.weights[found.labels > 0].tolist()) == [0.25, 1.0]
    assert 0.75 in found.weights[found.labels == 0].tolist()
    assert found.features.shape[0] == found.labels.size == found.weights.size


@given(
    st.lists(st.lists(st.sampled_from("abcdef"), max_size=5), min_size=1, max_size=8),
    st.lists(st.sampled_from("abcdefgh"), max_size=5),
)
def test_shares_are_those_of_the_weights_of_common_words(lines, query):
    bag = Bag.of(lines)
    rows = np.arange(len(lines))
    asked, own = bag.shares(query, rows)
    num = len(lines)
    weight = {w: np.log1p(num / (1 + sum(w in line for line in lines))) for w in "abcdefgh"}
    for word in "abcdefgh":
        if not any(word in line for line in lines):
            weight[word] = np.log1p(num)
    for row, line in enumerate(lines):
        both = sum(weight[w] for w in set(query) & set(line))
        total, mine = (sum(weight[w] for w in set(part)) for part in (query, line))
        assert asked[row] == pytest.approx(both / total if total else 0, abs=1e-5)
        assert own[row] == pytest.approx(both / mine if mine else 0, abs=1e-5)
    assert bag.counts(rows).tolist() == [len(set(line)) for line in lines]
