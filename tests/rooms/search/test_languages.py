"""Which language a text, and a catalogue, is in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopkeeper.search.languages import language, languages


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Waterproof jacket for women, black", "en"),
        ("WHITE HANGING HEART T-LIGHT HOLDER", "en"),
        ("Wasserdichte Jacke für Damen, schwarz", "de"),
        ("Chaussures de course pour homme", "fr"),
        ("Zapatillas para correr de hombre", "es"),
        ("Macchina da caffè con macinino", "it"),
        ("Tênis de corrida para homem", "pt"),
        ("Waterdichte jas voor heren", "nl"),
        ("男士跑步鞋 透气", "zh"),
        ("Nike 跑步鞋 男 42码", "zh"),
        ("ランニングシューズ 男性用", "ja"),
        ("남성 운동화", "ko"),
        ("беспроводные наушники", "ru"),
        ("чоловічі кросівки", "uk"),
        ("سماعات لاسلكية", "ar"),
        ("Bosch WAT28 8000", ""),
        ("", ""),
        ("🎉 42", ""),
        ("a\ud800", ""),
    ],
)
def test_a_text_tells_its_language_by_script_or_frequent_words(text, expected):
    assert language(text) == expected


@given(st.text())
def test_any_text_gets_a_code_or_nothing(text):
    assert len(language(text)) in (0, 2)


def test_a_catalogue_is_in_the_languages_of_more_than_a_few_of_its_titles():
    english, chinese = ["red bag for kids"] * 97, ["男士跑步鞋"]
    assert languages(english + chinese * 3) == ["en"]
    assert languages(english + chinese * 30) == ["en", "zh"]
    assert languages(["WAT28", "X200"]) == []
