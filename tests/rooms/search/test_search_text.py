"""The words of queries and products."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopkeeper.search.text import QUERY_CHARS_MAX, clean, product_text, spoken, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Blue KETTLE", ["blue", "kettle"]),
        ("5 foot ladder", ["5ft", "ladder"]),
        ("5ft ladder", ["5ft", "ladder"]),
        ("64 GB phone", ["64gb", "phone"]),
        ("1.5 litres", ["1.5l"]),
        ("12-pack", ["12pk"]),
        ("2 in 1", ["2", "in", "1"]),
        ("Women's caffè", ["womens", "caffe"]),
        ("ﬁne ｗｉｄｅ", ["fine", "wide"]),
        ("红茶杯", ["红", "茶", "杯", "红茶", "茶杯", "茶杯"]),
        ("保温杯", ["保", "温", "杯", "保温", "温杯", "保温", "保温杯"]),
        ("Nike 男鞋 42码", ["nike", "男", "鞋", "男鞋", "男鞋", "42", "码"]),
        ("茶のカップ", ["茶", "の", "カ", "ッ", "フ", "茶の", "のカ", "カッ", "ッフ"]),
        ("<b>tea</b>; drop table--", ["b", "tea", "b", "drop", "table"]),
        ("a\x00b\u200bc\ud800d", ["a", "b", "c", "d"]),
        ("🎉 ?!", []),
        (None, []),
    ],
)
def test_text_becomes_the_words_people_see(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("冬天穿的羽绒服", ["冬天", "穿", "的", "羽绒服"]),
        ("iPhone 手机壳 5 ft", ["iphone", "手机", "壳", "5ft"]),
        ("blue kettle", ["blue", "kettle"]),
        ("한국 커피", ["한국", "커피"]),
        (None, []),
    ],
)
def test_spoken_words_are_those_a_person_would_name(text, expected):
    assert spoken(text) == expected


@given(st.text())
def test_cleaning_twice_changes_nothing_more_and_leaves_no_control_character(text):
    once = clean(text)
    assert clean(once) == once
    assert once.isprintable()


@given(st.text())
def test_words_hold_letters_and_digits_only(text):
    assert all(word.replace(".", "").isalnum() for word in words(text))


def test_a_long_query_is_cut_and_a_product_is_not():
    text = "ab " * 1_000
    assert len(words(text, QUERY_CHARS_MAX)) == QUERY_CHARS_MAX // 3
    assert len(words(text)) == 1_000


def test_product_text_joins_what_there_is():
    products = pl.DataFrame(
        {
            "title": ["Rye  loaf", None, " "],
            "brand": ["Acme", None, None],
            "product_type": ["Grocery > Bread", None, "Toys"],
        }
    )
    assert product_text(products).to_list() == ["Rye loaf, Acme, Grocery > Bread", "", "Toys"]
    assert product_text(products.select("title")).to_list() == ["Rye loaf", "", ""]


def test_product_text_leaves_out_a_size_at_the_end_of_the_title():
    products = pl.DataFrame(
        {"title": ["Ice, 22 lb", "Ice, 22 lb bag", "22 lb"], "size": ["22 lb", "22 lb", None]}
    )
    assert product_text(products).to_list() == ["Ice", "Ice, 22 lb bag", "22 lb"]


def test_in_is_a_unit_only_where_nothing_follows_it():
    assert words("tv 15 in") == words("TV 15 inch") == words('tv 15"')
    assert words("3 in 1 cleaner") == ["3", "in", "1", "cleaner"]
    assert words("set of 2 in red") == ["set", "of", "2", "in", "red"]
