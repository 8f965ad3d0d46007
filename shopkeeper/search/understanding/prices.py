"""Reads what a shopper wants to pay out of a query, in English and Chinese.

A number is a price only beside a word that says so (`under`, `以下`), and never before a unit:
`under 2kg` is no price. Knows no products.
"""

import re

from shopkeeper.search import text
from shopkeeper.search.understanding.understood import PriceWish

PRICE_MAX = 1e9
AROUND = 0.2
"""`around 10` allows this share more and less."""

_SIGNS = {"£": "GBP", "$": "USD", "€": "EUR", "¥": "", "₹": "INR"}
_NAMES = {
    "pounds": "GBP",
    "pound": "GBP",
    "quid": "GBP",
    "gbp": "GBP",
    "dollars": "USD",
    "dollar": "USD",
    "bucks": "USD",
    "usd": "USD",
    "euros": "EUR",
    "euro": "EUR",
    "eur": "EUR",
    "yuan": "CNY",
    "rmb": "CNY",
    "cny": "CNY",
    "yen": "JPY",
    "jpy": "JPY",
    "rupees": "INR",
    "inr": "INR",
    "元": "CNY",
    "块钱": "CNY",
    "块": "CNY",
    "日元": "JPY",
    "p": "GBP",
    "pence": "GBP",
    "cents": "",
    "cent": "",
}
_SMALL = frozenset({"p", "pence", "cents", "cent"})
"""Names of the hundredth part."""

_UNITS = sorted({spelling for names in text.UNITS.values() for spelling in names}, key=len)
_OTHER = (
    "years|year|yrs|yr|months|month|weeks|week|days|day|hours|hour|hrs|minutes|"
    "minute|mins|people|persons|pieces|piece|pcs|sheets|pages|calories|kcal|percent|"
    "degrees|players|pairs|sets|watts|volts|mah|m|k"
)
_NAMED = "|".join(sorted(map(re.escape, _NAMES), key=len, reverse=True))
_NOT_PRICE = "|".join(
    sorted({*_UNITS, *_OTHER.split("|")} - {"pound", "pounds"}, key=len, reverse=True)
)
_AMOUNT = r"(?P<sign{n}>[£$€¥₹])?\s?(?P<number{n}>\d{{1,9}}(?:,\d{{3}})*(?:[.]\d{{1,2}})?)"
_AFTER = (
    rf"(?:\s?(?P<name{{n}}>{_NAMED})(?![a-z]))?(?![\d.,]*\d)"
    rf"(?!\s?-?(?:{_NOT_PRICE})(?![a-z]))(?!\s?in\s*$)(?![a-z%\"'°年岁个件天月寸斤克米升])"
)


def _money(n: int) -> str:
    return _AMOUNT.format(n=n) + _AFTER.format(n=n)


_BELOW = (
    r"(?:under|below|less than|cheaper than|up to|at most|no more than|not more than|"
    r"max(?:imum)?|within)"
)
_ABOVE = r"(?:over|above|more than|at least|no less than|min(?:imum)?|starting at|starting from)"
_PRICED = r"(?:(?:priced|costing|price|costs?|that costs?|for)\s)?"
_RULES = tuple(
    (re.compile(pattern), kind)
    for pattern, kind in (
        (rf"{_PRICED}\b(?:between|from) {_money(1)} (?:and|to) {_money(2)}", "between"),
        (rf"(?=[^-]*(?:[£$€¥₹]|\d\s?(?:{_NAMED})\b)){_money(1)} ?(?:-|to) ?{_money(2)}", "between"),
        (rf"{_money(1)}\s?[到至~-]\s?{_money(2)}(?:之间)?(?=$|[^\d])", "wide"),
        (rf"{_PRICED}\b{_BELOW} {_money(1)}", "below"),
        (rf"{_PRICED}\b{_ABOVE} {_money(1)}", "above"),
        (rf"{_PRICED}\b(?:around|about|roughly) {_money(1)}", "around"),
        (rf"{_money(1)} (?:or less|or under|and under|or below|max)\b", "below"),
        (rf"{_money(1)} (?:or more|and up|or above|and above)\b", "above"),
        (rf"(?:不超过|低于|少于|不到|最多){_money(1)}的?", "below"),
        (rf"{_money(1)}\s?(?:以下|以内|之内|之下)的?", "below"),
        (rf"(?:至少|高于|超过|大于|不低于){_money(1)}的?", "above"),
        (rf"{_money(1)}\s?(?:以上|起)的?", "above"),
        (rf"(?:大约|大概|差不多){_money(1)}的?", "around"),
        (rf"{_money(1)}\s?(?:左右|上下)的?", "around"),
    )
)


def read(plain: str) -> PriceWish | None:
    """Return the price that `plain` asks for, or None.

    Args:
        plain: A query as `text.clean` writes it.

    Returns:
        Bounds, and the words that said them; both ends count.
    """
    for pattern, kind in _RULES:
        for found in pattern.finditer(plain):
            wish = _wish(found, kind)
            if wish is not None:
                return wish
    return None


def _wish(found: re.Match[str], kind: str) -> PriceWish | None:
    """Turn what a rule found into bounds."""
    parts = found.groupdict()
    name = parts.get("name2") or parts["name1"] or ""
    sign = parts["sign1"] or parts.get("sign2") or ""
    if kind == "wide" and not (name or sign):
        return None  # two numbers with a line between are a size or a model
    currency = _NAMES.get(name, "") or _SIGNS.get(sign, "")
    share = 0.01 if name in _SMALL else 1.0
    numbers = [
        float(parts[key].replace(",", "")) * share
        for key in ("number1", "number2")
        if parts.get(key)
    ]
    if max(numbers) > PRICE_MAX:
        return None
    low: float | None = min(numbers)
    high: float | None = max(numbers)
    if kind == "below":
        low = None
    elif kind == "above":
        high = None
    elif kind == "around":
        low, high = numbers[0] * (1 - AROUND), numbers[0] * (1 + AROUND)
    low, high = (None if end is None else round(end, 2) for end in (low, high))
    return PriceWish(low, high, found[0].strip(), currency)
