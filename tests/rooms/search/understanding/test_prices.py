"""Prices are read in English and Chinese; measures, ages and models are none."""

import pytest

from shopkeeper.search import text
from shopkeeper.search.understanding import prices


@pytest.mark.parametrize(
    ("query", "low", "high"),
    [
        ("red mug under 10", None, 10),
        ("mug under £9.99 in blue", None, 9.99),
        ("shoes for less than 1,000", None, 1000),
        ("no more than 9.99", None, 9.99),
        ("lamp over 20", 20, None),
        ("at least $5", 5, None),
        ("between 10 and 20 pounds mug", 10, 20),
        ("candles from 20 to 10", 10, 20),
        ("£5-£10 candles", 5, 10),
        ("candles 5 to 10 euros", 5, 10),
        ("around $30 lamp", 24, 36),
        ("mug 10 or less", None, 10),
        ("pens under 50p", None, 0.5),
        ("红色杯子100元以下", None, 100),
        ("不超过50元的杯子", None, 50),
        ("100-200元 手机", 100, 200),
        ("手机 1000元以上", 1000, None),
        ("手机 1000元左右", 800, 1200),
        ("杯子１００元以内", None, 100),
    ],
)
def test_a_price_is_read(query, low, high):
    wish = prices.read(text.clean(query))
    assert (wish.low, wish.high) == (low, high)
    assert wish.typed in text.clean(query)


@pytest.mark.parametrize(
    "query",
    [
        "mug",
        "iphone 8 64gb",
        "parcel under 2kg",
        "tv over 15 in",
        "tv over 40 inch",
        "drive under 100 gb",
        "between 10 and 20 cm",
        "toys from 3 to 5 years",
        "lego 3-5 years",
        "size 10-12",
        "under 5s football",
        "under 100%",
        "10% off",
        "canon 18-55mm",
        "under 99999999999999",
        "50厘米以下",
        "3岁以上",
        "",
    ],
)
def test_what_is_no_price_is_left(query):
    assert prices.read(text.clean(query)) is None


@pytest.mark.parametrize(
    ("named", "currency"), [("$5", "USD"), ("5 euros", "EUR"), ("5 quid", "GBP"), ("5", "")]
)
def test_the_named_money_is_told(named, currency):
    assert prices.read(f"mug under {named}").currency == currency
