"""What values look like: a time, a price, an address... and which settings read them."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from shopkeeper.data.sources import _money

TIME = re.compile(
    r"\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}日?([T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}([ ,T].*)?"
    r"|1\d{9}(\.\d+)?|1\d{12}|1\d{15}|(19|20)\d{2}(0[1-9]|1[0-2])[0-3]\d"
    r"|\d{1,2} \w{3,9} \d{4}.*|\w{3,9} \d{1,2}, \d{4}.*"
)
LOOKS = {
    "e-mail addresses": re.compile(r"[^@\s]+@[^@\s]+\.[a-zA-Z]{2,}"),
    "pictures' addresses": re.compile(r"https?://\S+\.(jpe?g|png|webp|gif|avif)(\?\S*)?", re.I),
    "web addresses": re.compile(r"(https?://|www\.)\S+"),
    "times": TIME,
    "prices": re.compile(
        r"-?([€£$¥₹]|[A-Z]{3}|kr)\s?\d[\d.,' ]*|\d[\d.,' ]*\s?([€£$¥₹]|[A-Z]{3}|kr|zł)"
    ),
    "whole numbers": re.compile(r"-?\d+(\.0+)?"),
    "amounts": re.compile(r"-?\d{1,3}([., ]?\d{3})*[.,]\d+"),
    "yes or no": re.compile(r"true|false|yes|no|[yn]", re.I),
    "long text": re.compile(r".{60,}", re.S),
}
"""What nearly all values of a column must match, the first that they do."""

NUMBERS = ("prices", "whole numbers", "amounts")
FITTING = {
    "time": ("times",),
    "money": NUMBERS,
    "whole": ("whole numbers", "amounts"),
    "rating": ("whole numbers", "amounts"),
    "event": ("words", "yes or no", "whole numbers"),
    "availability": ("words", "whole numbers", "yes or no", "amounts"),
    "id": ("words", "whole numbers", "e-mail addresses", "times", "amounts"),
}
"""Looks that values may have, by how a word is read; text may have any."""


def look(values: Sequence[str]) -> str:
    """Return what values look like; `words` for anything else, empty where there are none."""
    if not values:
        return ""
    hits = {
        name: sum(pattern.fullmatch(value.strip()) is not None for value in values)
        for name, pattern in LOOKS.items()
    }
    enough = 0.8 * len(values)
    found = next((name for name, count in hits.items() if count >= enough), "words")
    if found == "words" and sum(hits[name] for name in NUMBERS) >= enough:
        return "prices"
    return found


def fits(kind: str, looks: str) -> int:
    """Say whether values speak for a word (1), against it (-1), or not at all (0)."""
    if not looks or kind == "text":
        return 0
    return 1 if looks in FITTING[kind] else -1


def words(looks: str, table: str) -> list[str]:
    """Return the words of a table that values speak for by themselves."""
    found = {
        "times": {"events": "time", "reviews": "time", "promotions": "start"},
        "prices": {"events": "price", "products": "price"},
        "pictures' addresses": {"products": "image_link"},
        "web addresses": {"products": "link"},
        "e-mail addresses": dict.fromkeys(("events", "reviews", "shoppers"), "user_id"),
        "long text": {"products": "description", "reviews": "text"},
    }
    word = found.get(looks, {}).get(table)
    return [word] if word else []


def settings(values: Mapping[str, Sequence[str]], table: str) -> dict[str, Any]:
    """Return settings of the source `mapped` that values ask for.

    Args:
        values: Samples by our word.
        table: Which table it is.

    Returns:
        Those that differ from the defaults.
    """
    found: dict[str, Any] = {}
    money = [
        value.strip()
        for word in ("price", "sale_price", "cost_of_goods_sold", "discount")
        for value in values.get(word, ())
    ]
    said = Counter(code for value in money if (code := _currency(value)))
    if said:
        found["currency"] = said.most_common(1)[0][0]
    by_comma = sum(bool(re.search(r",\d{1,2}(\D|$)|\.\d{3},", value)) for value in money)
    by_point = sum(bool(re.search(r"\.\d{1,2}(\D|$)|,\d{3}\.", value)) for value in money)
    if by_comma > by_point:
        found["decimal_comma"] = True
    times = [value for word in ("time", "start", "updated") for value in values.get(word, ())]
    parts = [re.match(r"(\d{1,2})[/-](\d{1,2})[/-]\d{4}", value.strip()) for value in times]
    if any(part and int(part[1]) > 12 for part in parts):
        found["day_first"] = True
    if table == "reviews":
        best = max((_number(value) for value in values.get("rating", ())), default=0.0)
        if best > 5:
            found["rating_max"] = 10.0 if best <= 10 else 100.0
    return found


def _currency(text: str) -> str:
    codes = [code for code in re.findall(r"(?<![A-Z])[A-Z]{3}(?![A-Z])", text)]
    codes = [code for code in codes if code in _money.CODES]
    signs = [meant for sign, meant in _money.SYMBOLS.items() if sign in text]
    return next(iter([*codes, *signs]), "")


def _number(text: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return 0.0
