"""Whatever is typed or asked for, a search gives one clear answer."""

import unicodedata

import pytest

from shopkeeper import Shop
from shopkeeper.errors import BadRequest


@pytest.fixture(scope="module")
def shop(trained_once):
    with Shop.open(trained_once) as opened:
        yield opened


def ids(answer):
    return [found.id for found in answer.results]


@pytest.mark.parametrize(
    "more", [{}, {"filters": {"availability": ["in_stock"]}}, {"price_max": 4}]
)
def test_deep_pages_join_to_the_whole_and_agree_how_much_there_is(shop, more):
    whole = shop.search("bunting lamp bag", k=100, understand=False, **more)
    pages = [
        shop.search("bunting lamp bag", k=7, offset=at, understand=False, **more)
        for at in range(0, whole.total + 7, 7)
    ]
    assert {page.total for page in pages} == {whole.total}
    assert [item for page in pages for item in ids(page)] == ids(whole)
    ranks = [found.rank for page in pages for found in page.results]
    assert ranks == list(range(1, whole.total + 1))
    assert pages[-1].results == []


def test_a_page_beyond_all_bounds_is_refused_and_one_beyond_the_end_is_empty(shop):
    assert shop.search("bunting", offset=100_000).results == []
    with pytest.raises(BadRequest) as caught:
        shop.search("bunting", offset=100_001)
    assert caught.value.field == "offset"
    with pytest.raises(BadRequest) as caught:
        shop.search("bunting", k=1_001)
    assert caught.value.field == "k"


@pytest.mark.parametrize(
    ("more", "field", "said"),
    [
        ({"filters": {"colour": ["red"]}}, "filters", "Did you mean 'color'"),
        ({"price_min": 5, "price_max": 2}, "price_min", "Swap them"),
        ({"price_min": -1}, "price_min", "from 0"),
        ({"price_max": float("nan")}, "price_max", "number|from 0"),
        ({"sort": "random"}, "sort", "price_asc"),
    ],
)
@pytest.mark.parametrize("query", ["bunting", "", "?!"])
def test_what_cannot_be_asked_names_its_field_whatever_is_typed(shop, query, more, field, said):
    with pytest.raises(BadRequest, match=said) as caught:
        shop.search(query, **more)
    assert caught.value.field == field


@pytest.mark.parametrize("nothing", ["", "   ", "\t\n", "\u200b\u200f"])
def test_an_empty_query_browses_or_says_that_there_are_no_words(shop, nothing):
    answer = shop.search(nothing)
    assert bool(answer.results) != bool(answer.notes)


@pytest.mark.parametrize("query", ["?!...", "🎉🎉", "'\"--;", "\x00\x01\x1b[", "\u202e\u2066"])
def test_a_query_without_words_says_so_once(shop, query):
    answer = shop.search(query)
    assert answer.results == []
    assert len(answer.notes) == 1
    assert "no words" in answer.notes[0]


@pytest.mark.parametrize(
    "query",
    [
        "bunting " * 1_300,
        "x" * 10_240,
        "party bunting شراشف العلم",
        "דגל party bunting",
        "party 旗帜 bunting флаг",
        "\u202eparty bunting\u202c",
        "pa\u0301rty bunt\u00adi\u200bng",
        "party\x00bunting\x7f\x1b",
        "PARTY\u3000ＢＵＮＴＩＮＧ",
        "' OR 1=1; DROP TABLE products; -- bunting",
        "\ud83d bunting",
    ],
)
def test_long_mixed_and_turned_texts_are_answered_in_bounds(shop, query):
    answer = shop.search(query)
    assert len(answer.results) <= 24
    assert all(0 < len(note) < 300 for note in answer.notes)
    told = "".join(answer.notes)
    assert not any(unicodedata.category(letter) in ("Cc", "Cf", "Cs") for letter in told)


@pytest.mark.parametrize(
    "query",
    [
        "\u202eparty bunting\u202c",
        "party\x00bunting\x7f",
        "PARTY\u3000ＢＵＮＴＩＮＧ",
        "דגל party bunting",
    ],
)
def test_words_are_found_among_signs_that_nobody_sees_and_other_scripts(shop, query):
    assert "bunting" in shop.search(query).results[0].product["title"].lower()


def test_odd_beginnings_complete_to_nothing_or_to_little(shop):
    for typed in ("", "\x00", "🎉", "x" * 10_240, "\u202eb", "' or 1", "ش"):
        assert len(shop.suggest(typed)) <= 8
