"""The shopper reads one true sentence per product."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopkeeper import registry
from shopkeeper.explain.sentences import TITLE_MAX, reasons, shortened

TITLES = {
    "a": "Red Lamp",
    "b": "Blue Mug",
    "long": "A very long title of a product with many words",
}


def page(*rows):
    return list(rows)


@pytest.mark.parametrize(
    ("source", "because", "said"),
    [
        ("repeat", "a", "You buy this often"),
        ("popular", None, "Popular this month"),
        ("trending", None, "Trending this week"),
        ("item_knn", "b", "Because you bought Blue Mug"),
        ("ease", "b", "Because you bought Blue Mug"),
        ("ease", "c", "Picked for you"),
        ("ease", "long", "Because you looked at A very long title of a product with…"),
        ("sequential", None, "Picked from your recent shopping"),
        ("bought_together", "b", "Goes with Blue Mug"),
        ("content", "b", "Similar to Blue Mug"),
        ("a plugin", None, "Picked for you"),
        (None, None, "Picked for you"),
    ],
)
def test_each_source_has_its_words(source, because, said):
    assert reasons(page(("a", source, because)), TITLES, {"a": 2, "b": 1}) == [said]


def test_nothing_is_said_to_be_bought_that_was_not():
    rows = page(("a", "item_knn", "b"), ("a", "ease", "b"))
    assert reasons(rows, TITLES, {}) == ["Because you looked at Blue Mug"] * 2


def test_a_product_is_never_its_own_reason():
    for source in registry.names("recommenders"):
        (said,) = reasons(page(("a", source, "a")), TITLES, {"a": 2})
        assert "Red Lamp" not in said


def test_an_empty_page_has_no_sentences():
    assert reasons(page(), TITLES) == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.sampled_from([*registry.names("recommenders"), "", None, "new"]),
            st.sampled_from(["a", "b", "empty", "unknown", None]),
        )
    ),
    st.text(),
)
def test_no_sentence_is_ever_empty(rows, title):
    said = reasons(page(*rows), {"a": title, "b": "Mug", "empty": "  "}, {"a": 1})
    assert len(said) == len(rows)
    assert all(sentence.strip() for sentence in said)


@given(st.text())
def test_titles_are_shortened_to_what_fits(title):
    assert len(shortened(title)) <= TITLE_MAX
    if len(title.split()) and len(" ".join(title.split())) <= TITLE_MAX:
        assert shortened(title) == " ".join(title.split())


def test_html_is_left_to_the_page():
    assert reasons(page(("a", "content", "b")), {"b": "<b>&</b>"}) == ["Similar to <b>&</b>"]
