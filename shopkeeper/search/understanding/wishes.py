"""Finds brands, categories, colours and other attributes that a query names.

A value becomes a filter only if the catalogue says that it is safe: of all products whose title
has its words, nearly all must have the value. Where `red` stands in titles whose colour nobody
filled in, or `apple` is a brand and a fruit, no filter is made. Knows no prices.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import polars as pl

from shopkeeper.schema import CATEGORY
from shopkeeper.search import text
from shopkeeper.search.filters import PATH

ATTRIBUTES = ("brand", CATEGORY, "color", "size", "material", "gender", "age_group", "condition")
"""What can be named, the first winning where one word means several."""
NAMED_ONLY = {"size": "size"}
"""Attributes whose bare numbers and single letters count only behind their name: `size 10`."""
WORDS_MAX = 4
VALUES_MAX = 20_000
CHARS_MAX = 60
PRODUCTS_MIN = 2
"""A value of fewer products is no filter: its words find them as well."""


@dataclass(frozen=True)
class Wish:
    """An attribute that a query names."""

    attribute: str
    value: str
    words: tuple[str, ...]


class Wishes:
    """Knows which words mean which attribute."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings."""

        sure_min: float = 0.8
        """Of the products that have the words, the share that must have the value, from 0 to 1."""

        def __post_init__(self) -> None:
            if not 0 <= self.sure_min <= 1:
                raise ValueError(f"sure_min must be from 0 to 1, but is {self.sure_min}.")

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()
        self._wishes: dict[tuple[str, ...], Wish] = {}
        self._wide: dict[str, Wish] = {}

    def build(self, products: pl.DataFrame) -> Self:
        """Learn the values of `schema.PRODUCTS` rows and which of them are safe."""
        found: dict[tuple[str, ...], Wish] = {}
        split: dict[str | None, tuple[str, ...]] = {
            title: tuple(text.words(title)) for title in products["title"].unique()
        }
        titles = [split[title] for title in products["title"]]
        for attribute in ATTRIBUTES:
            if attribute not in products.columns:
                continue
            values = products[attribute].cast(pl.String).to_list()
            for wish in _safe(attribute, values, titles, self.config.sure_min):
                found.setdefault(wish.words, wish)
        return self._take(found)

    def read(self, query: str, ignore: Sequence[str] = ()) -> list[Wish]:
        """Return what `query` names, longest phrases first in each place.

        Args:
            query: A query without the words of its price.
            ignore: Keys `attribute:value` that the shopper took back.

        Returns:
            One wish a phrase, in the order of the query; none twice.
        """
        words = text.words(query, text.QUERY_CHARS_MAX)
        found, at = [], 0
        while at < len(words):
            wish, size = self._longest(words, at, ignore)
            found += [wish] if wish else []
            at += size
        plain = text.clean(query, text.QUERY_CHARS_MAX)
        if not plain.isascii():
            found += [
                wish
                for value, wish in self._wide.items()
                if value in plain and _key(wish) not in ignore
            ]
        return list(dict.fromkeys(found))

    def save(self, folder: Path) -> None:
        """Write what was learned into an existing `folder`."""
        rows = [[w.attribute, w.value, *w.words] for w in self._wishes.values()]
        (folder / "wishes.json").write_text(json.dumps(rows, ensure_ascii=False), "utf-8")

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        rows = json.loads((folder / "wishes.json").read_text("utf-8"))
        wishes = [Wish(attribute, value, tuple(words)) for attribute, value, *words in rows]
        return self._take({wish.words: wish for wish in wishes})

    def _take(self, wishes: dict[tuple[str, ...], Wish]) -> Self:
        self._wishes = wishes
        self._wide = {
            text.clean(wish.value): wish
            for words, wish in wishes.items()
            if not all(map(text.has_spaces, words)) and len(wish.value) >= 2
        }
        return self

    def _longest(self, words: list[str], at: int, ignore: Sequence[str]) -> tuple[Wish | None, int]:
        """Return the longest phrase that begins at word `at`, and how many words to pass over."""
        for size in range(min(WORDS_MAX, len(words) - at), 0, -1):
            phrase = tuple(words[at : at + size])
            wish = self._wishes.get(phrase) or self._singular(phrase)
            if wish is None or _key(wish) in ignore or _is_wide(phrase):
                continue
            named = NAMED_ONLY.get(wish.attribute)
            if named and _is_bare(phrase) and (at == 0 or words[at - 1] != named):
                continue
            return wish, size
        return None, 1

    def _singular(self, phrase: tuple[str, ...]) -> Wish | None:
        """Return the category whose name is `phrase` but for the plural of its last word."""
        last = phrase[-1]
        others = (last[:-1],) if last.endswith("s") else (last + "s",)
        for other in others:
            wish = self._wishes.get((*phrase[:-1], other))
            if wish is not None and wish.attribute == CATEGORY:
                return wish
        return None


def _key(wish: Wish) -> str:
    return f"{wish.attribute}:{wish.value}"


def _is_wide(words: tuple[str, ...]) -> bool:
    return not all(map(text.has_spaces, words))


def _is_bare(words: tuple[str, ...]) -> bool:
    return len(words) == 1 and (words[0].isdigit() or len(words[0]) <= 3)


def _steps(attribute: str, value: str) -> Iterator[tuple[str, str]]:
    """Yield a value's name and what to filter by: each step of a path, or the value itself."""
    if attribute != CATEGORY:
        yield value, value
        return
    steps = value.split(PATH)
    for depth, step in enumerate(steps, start=1):
        yield step.strip(), PATH.join(steps[:depth])


def _safe(
    attribute: str,
    values: list[str | None],
    titles: list[tuple[str, ...]],
    sure_min: float,
) -> Iterator[Wish]:
    """Yield the values whose words, wherever they stand in titles, mean the value."""
    having, single = _named(attribute, values)
    elsewhere: Counter[tuple[str, ...]] = Counter()
    starts = {phrase[0] for phrase in single}
    for (title, value), count in Counter(zip(titles, values, strict=True)).items():
        small = (value or "").casefold()
        for phrase in _phrases(title, starts) & single.keys():
            chosen = single[phrase].casefold()
            if small != chosen and not small.startswith(chosen + PATH):
                elsewhere[phrase] += count
    for words, chosen in single.items():
        if having[chosen] >= sure_min * (having[chosen] + elsewhere[words]):
            yield Wish(attribute, chosen, words)


def _named(
    attribute: str, values: list[str | None]
) -> tuple[Counter[str], dict[tuple[str, ...], str]]:
    """Count the products of each value, and return which words name which value alone."""
    having: Counter[str] = Counter()
    wishes: dict[tuple[str, ...], list[str]] = {}
    for value, count in Counter(value for value in values if value).items():
        for name, chosen in _steps(attribute, value):
            having[chosen] += count
            words = tuple(text.words(name, CHARS_MAX))
            known = wishes.setdefault(words, []) if 0 < len(words) <= 2 * WORDS_MAX else []
            known += [] if chosen in known else [chosen]
    # Two categories of one name, or two spellings of a brand, cannot be told apart.
    single = {
        words: chosen[0]
        for words, chosen in wishes.items()
        if len({value.casefold() for value in chosen}) == 1 and having[chosen[0]] >= PRODUCTS_MIN
    }
    single = dict(sorted(single.items(), key=lambda pair: -having[pair[1]])[:VALUES_MAX])
    return having, single


def _phrases(title: tuple[str, ...], starts: set[str]) -> set[tuple[str, ...]]:
    return {
        title[at : at + size]
        for at, word in enumerate(title)
        if word in starts
        for size in range(1, min(WORDS_MAX, len(title) - at) + 1)
    }
