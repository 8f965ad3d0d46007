"""Reads a query: mends it, takes out the price, finds attributes, adds synonyms, tells the intent.

A query that is a product's title or id word by word is left exactly as it is. Every finding is a
chip that can be taken back. Nothing here searches; nothing raises whatever is typed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.schema import CATEGORY, PRODUCT_ID
from shopkeeper.search import text
from shopkeeper.search.filters import PATH
from shopkeeper.search.understanding import compounds, prices
from shopkeeper.search.understanding.intent import Intents
from shopkeeper.search.understanding.spelling import Spelling
from shopkeeper.search.understanding.synonyms import Pair, Synonyms
from shopkeeper.search.understanding.understood import Chip, Correction, PriceWish, Understood
from shopkeeper.search.understanding.wishes import Wishes

WORDS_MAX = 32
"""Words of a query that are mended and looked up."""
ADDED_MAX = 6
"""Words that synonyms and joined words may add."""
MEND_TITLES = ("title", "brand", CATEGORY, "color")
DETAILS = ("description", "size", "material")


@dataclass
class _Draft:
    """A query while it is read."""

    words: list[str]
    corrections: list[Correction] = field(default_factory=list)
    chips: list[Chip] = field(default_factory=list)


class Understanding:
    """Reads queries for one catalogue."""

    def __init__(self, intents: Intents | None = None) -> None:
        self.spelling = Spelling()
        self.wishes = Wishes()
        self.intents = intents
        self.synonyms = Synonyms()
        self._pairs: list[Pair] = []
        self._titles: frozenset[str] = frozenset()
        self._currency = ""

    def build(
        self,
        products: pl.DataFrame,
        queries: Mapping[str, float] | None = None,
        *,
        pairs: Iterable[Pair] = (),
        sound: Iterable[str] = (),
    ) -> Self:
        """Learn the words and attributes of a shop.

        Args:
            products: `schema.PRODUCTS` rows.
            queries: How often each past query was searched.
            pairs: The shop's list of synonyms, decided or not.
            sound: Words of the language that are no typing errors.

        Returns:
            Itself.
        """
        self._pairs = [pair for pair in pairs if pair.used]
        self.synonyms = Synonyms(self._pairs)
        other_names = {word for p in self._pairs for word in f"{p.word} {p.synonym}".split()}
        self.spelling.build(
            _lines(products, MEND_TITLES),
            _lines(products, DETAILS),
            {" ".join(text.words(query, 100)): n for query, n in (queries or {}).items()},
            {*sound, *other_names},
        )
        self.wishes.build(products)
        names = [*products["title"].drop_nulls(), *products[PRODUCT_ID]]
        self._titles = frozenset(_bare(name) for name in names)
        money: Sequence[str] | pl.Series = (
            products["currency"].drop_nulls() if "currency" in products else []
        )
        self._currency = str(money[0]) if len(money) else ""
        return self

    def knowing(self, products: pl.DataFrame) -> Self:
        """Return one that takes the words and titles of more products as they stand."""
        made = copy(self)
        lines = _lines(products, (*MEND_TITLES, *DETAILS))
        made.spelling = self.spelling.knowing(word for line in lines for word in line)
        names = [*products["title"].drop_nulls(), *products[PRODUCT_ID]]
        made._titles = self._titles | {_bare(name) for name in names}
        return made

    def understand(
        self,
        query: str,
        vector: NDArray[np.float32] | None = None,
        ignore: Sequence[str] = (),
    ) -> Understood:
        """Read one query.

        Args:
            query: What a shopper typed, whatever it is.
            vector: The query's vector [D], or None to tell no intent.
            ignore: Keys of chips that the shopper took back.

        Returns:
            What was understood; the query itself where that is nothing.
        """
        plain = text.clean(query, text.QUERY_CHARS_MAX)
        if not plain or not text.words(plain):
            return Understood.plain(query)
        intent, chance = self._intent(query, vector)
        if _bare(plain) in self._titles:
            return Understood(query, query, query, intent=intent, intent_chance=chance)
        wish = prices.read(plain)
        draft, notes = _Draft([]), []
        if wish is not None and (chip := _price_chip(wish, self._currency)).key not in ignore:
            if self._currency and wish.currency and wish.currency != self._currency:
                asked = f"'{wish.typed}' was not used"
                notes.append(f"Prices here are in {self._currency}; {asked}.")
                wish = PriceWish(typed=wish.typed)
            else:
                draft.chips.append(chip)
            plain = " ".join(plain.replace(wish.typed, " ", 1).split())
        else:
            wish = PriceWish()
        draft.words = plain.split()
        self._mend(draft, ignore)
        meant = " ".join(draft.words)
        changed = draft.corrections or wish.typed
        filters = self._filters(meant, draft, ignore)
        added = self._added(meant, draft, ignore)
        words = meant if changed else query
        return Understood(
            original=query,
            text=words,
            words=" ".join([words, *added]),
            corrections=tuple(draft.corrections),
            filters=filters,
            price_min=wish.low,
            price_max=wish.high,
            intent=intent,
            intent_chance=chance,
            chips=tuple(draft.chips),
            notes=tuple(notes),
        )

    def save(self, folder: Path) -> None:
        """Write what was learned into `folder`, which is made if it lacks."""
        folder.mkdir(parents=True, exist_ok=True)
        self.spelling.save(folder)
        self.wishes.save(folder)
        about = {
            "currency": self._currency,
            "intents": self.intents is not None,
            "synonyms": [[pair.word, pair.synonym] for pair in self._pairs],
        }
        (folder / "understanding.json").write_text(json.dumps(about, ensure_ascii=False), "utf-8")
        pl.DataFrame({"title": sorted(self._titles)}, schema={"title": pl.String}).write_parquet(
            folder / "titles.parquet"
        )
        if self.intents is not None:
            self.intents.save(folder)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        about = json.loads((folder / "understanding.json").read_text("utf-8"))
        self.spelling.restore(folder)
        self.wishes.restore(folder)
        self._pairs = [Pair(word, other, approved=True) for word, other in about["synonyms"]]
        self.synonyms = Synonyms(self._pairs)
        self._currency = about["currency"]
        self._titles = frozenset(pl.read_parquet(folder / "titles.parquet")["title"].to_list())
        self.intents = Intents().restore(folder) if about["intents"] else None
        return self

    def rarest(self, query: str) -> str | None:
        """Return the word of `query` that fewest products have, or None if it has one word."""
        words = query.split()
        if len(words) < 2:
            return None
        return min(words, key=lambda word: self.spelling.count(text.clean(word)))

    def _intent(self, query: str, vector: NDArray[np.float32] | None) -> tuple[str, float]:
        if self.intents is None or vector is None:
            return "", 0.0
        labels, chances = self.intents.predict([query], vector[None])
        return labels[0], round(float(chances[0]), 4)

    def _mend(self, draft: _Draft, ignore: Sequence[str]) -> None:
        """Correct and split the words of a draft in place."""
        words = draft.words
        bare = [word.strip(".,;:!?()[]\"'") for word in words]
        for at in range(min(len(words), WORDS_MAX)):
            typed = bare[at]
            meant, kind = self.spelling.correct(bare, at), "spelling"
            if self.spelling.is_sound(typed):
                continue
            parts = compounds.split(typed, self.spelling)
            if parts is not None:
                meant, kind = " ".join(parts), "split"
            key = f"{kind}:{typed}"
            if meant is None or key in ignore:
                continue
            words[at] = bare[at] = meant
            draft.corrections.append(Correction(typed, meant))
            draft.chips.append(Chip(kind, f"{typed} → {meant}", key))
        draft.words = " ".join(words).split()

    def _filters(self, meant: str, draft: _Draft, ignore: Sequence[str]) -> dict[str, list[str]]:
        """Return the attributes that the words name, and add their chips."""
        filters: dict[str, list[str]] = {}
        found = self.wishes.read(meant, ignore)
        for wish in found:
            # A category inside another that was named too says it all.
            if any(other.value.startswith(wish.value + PATH) for other in found):
                continue
            filters.setdefault(wish.attribute, []).append(wish.value)
            shown = wish.value.rsplit(PATH, 1)[-1]
            draft.chips.append(Chip(wish.attribute, shown, f"{wish.attribute}:{wish.value}"))
        return filters

    def _added(self, meant: str, draft: _Draft, ignore: Sequence[str]) -> list[str]:
        """Return the words to search beside those that stand there, and add their chips."""
        words = text.words(meant)[:WORDS_MAX]
        added: list[str] = []
        whole = [(f"{a} {b}", joined) for a, b, joined in compounds.joined(words, self.spelling)]
        for kind, found in (("join", whole), ("synonym", self.synonyms.of(words))):
            for said, other in found:
                key = f"{kind}:{said}={other}"
                if key in ignore or other in added or other in words or len(added) >= ADDED_MAX:
                    continue
                added.append(other)
                draft.chips.append(Chip(kind, f"{said} = {other}", key))
        return added


def _lines(products: pl.DataFrame, columns: Sequence[str]) -> list[list[str]]:
    """Return the words of each different text of `columns`."""
    lines: list[list[str]] = []
    for name in columns:
        if name in products.columns:
            lines += [text.words(value) for value in products[name].drop_nulls().unique()]
    return lines


def _bare(name: str) -> str:
    return " ".join(text.words(name))


def _price_chip(wish: PriceWish, currency: str) -> Chip:
    low, high = (None if end is None else f"{end:g}" for end in (wish.low, wish.high))
    money = f" {currency}" if currency else ""
    if low and high:
        shown = f"{low} to {high}{money}"
    else:
        shown = f"up to {high}{money}" if high else f"from {low}{money}"
    return Chip("price", shown, "price")
