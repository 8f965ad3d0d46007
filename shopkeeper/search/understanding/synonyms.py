"""Words that mean the same in this shop: mined, kept in a file, decided on by a person.

Two kinds of evidence: queries after which shoppers of one visit came to the same product (the
co-click idea of Craswell and Szummer, SIGIR 2007, on words rather than whole queries), and words
whose vectors lie close. Only what a person approved, or what many visits say, is searched for.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shopkeeper.errors import BadData, NotFound
from shopkeeper.search import text
from shopkeeper.search.understanding.spelling import FUNCTION_WORDS, forms

FILE = "synonyms.csv"
COLUMNS = ("word", "synonym", "approved", "sureness", "evidence")
VISITS_MIN = 3
"""Pairs seen in fewer visits are not listed."""
SURE_VISITS, SURE_SHARE = 10, 0.5
"""Unasked, a pair is used from so many visits and this share of the rarer word's visits."""
COSINE_MIN = 0.75
PAIRS_MAX = 1_000
VECTOR_WORDS_MAX = 5_000


@dataclass(frozen=True)
class Pair:
    """Two words or phrases that may mean the same, both ways."""

    word: str
    synonym: str
    approved: bool | None = None
    """What a person decided; None for not yet."""
    sureness: float = 0.0
    """From 0 to 1."""
    evidence: str = ""

    @property
    def used(self) -> bool:
        """Whether searches use it: approved, or very sure and not refused."""
        return self.approved is True or (self.approved is None and self.sureness >= 1)

    @property
    def key(self) -> tuple[str, str]:
        """The pair whatever its order."""
        low, high = sorted((self.word, self.synonym))
        return low, high


class Synonyms:
    """Finds what else a word is called."""

    def __init__(self, pairs: Iterable[Pair] = ()) -> None:
        self._of: dict[str, list[str]] = defaultdict(list)
        for pair in pairs:
            if pair.used:
                self._of[pair.word].append(pair.synonym)
                self._of[pair.synonym].append(pair.word)

    def of(self, words: Sequence[str]) -> list[tuple[str, str]]:
        """Return what to search beside `words`: each phrase and one synonym of it."""
        phrases = [
            " ".join(words[at : at + size])
            for size in (1, 2, 3)
            for at in range(len(words) - size + 1)
        ]
        return [(phrase, other) for phrase in phrases for other in self._of.get(phrase, ())]


def mine_visits(visits: Iterable[tuple[str, str, str]]) -> list[Pair]:
    """Return pairs of words that led shoppers of one visit to the same product.

    Args:
        visits: Visit, query, and the product that it ended in; a visit may have many rows.

    Returns:
        The words in which two queries differ, surest first.
    """
    ends: dict[tuple[str, str], set[str]] = defaultdict(set)
    for visit, query, item in visits:
        ends[visit, item].add(" ".join(text.words(query, 100)))
    together: Counter[tuple[str, str]] = Counter()
    alone: Counter[str] = Counter()
    for queries in ends.values():
        seen: set[tuple[str, str]] = set()
        said = sorted(queries)
        for at, left in enumerate(said):
            seen |= {
                pair for right in said[at + 1 :] if (pair := _difference(left, right)) is not None
            }
        together.update(seen)
        alone.update({word for query in said for word in query.split()})
        alone.update({word for pair in seen for word in pair if " " in word})
    found = []
    for (left, right), times in together.items():
        share = times / max(1, min(alone[left], alone[right]))
        sure = min(times / SURE_VISITS, share / SURE_SHARE, 1.0)
        if times >= VISITS_MIN:
            told = f"{times} visits searched both and came to one product"
            found.append(Pair(left, right, None, round(sure, 3), told))
    return sorted(found, key=lambda pair: (-pair.sureness, pair.key))[:PAIRS_MAX]


def mine_vectors(words: Sequence[str], vectors: NDArray[np.float32]) -> list[Pair]:
    """Return pairs of words whose vectors lie close; proposals for a person, never very sure.

    Args:
        words: Words of products and queries, most frequent first.
        vectors: One vector of length 1 per word. Shape [N, D].

    Returns:
        Pairs of cosine `COSINE_MIN` or more that are no forms of one word, nearest first.
    """
    words, vectors = words[:VECTOR_WORDS_MAX], vectors[:VECTOR_WORDS_MAX]
    found = []
    for at in range(0, len(words), 500):
        cosines = vectors[at : at + 500] @ vectors.T
        for row, column in zip(*np.nonzero(cosines >= COSINE_MIN), strict=True):
            left, right = words[at + row], words[column]
            if at + row < column and not _same(left, right):
                cosine = float(cosines[row, column])
                told = f"their vectors have cosine {cosine:.2f}"
                found.append(Pair(left, right, None, round(min(cosine, 0.99), 3), told))
    return sorted(found, key=lambda pair: (-pair.sureness, pair.key))[:PAIRS_MAX]


def merged(known: Iterable[Pair], mined: Iterable[Pair]) -> list[Pair]:
    """Return both lists as one: decisions stay, evidence is that of now."""
    pairs = {pair.key: pair for pair in known}
    for pair in mined:
        old = pairs.get(pair.key)
        if old is None or old.approved is None:
            pairs[pair.key] = pair
        else:
            pairs[pair.key] = replace(pair, approved=old.approved)
    return sorted(pairs.values(), key=lambda pair: (-pair.sureness, pair.key))


def decided(pairs: Sequence[Pair], word: str, synonym: str, approved: bool) -> list[Pair]:
    """Return `pairs` with one decision more; an approved pair that was not mined is added.

    Raises NotFound: A pair is rejected that is not in the list.
    """
    word, synonym = (" ".join(text.words(side, 100)) for side in (word, synonym))
    if not word or not synonym or word == synonym:
        raise BadData("A pair of synonyms needs two different words.")
    wanted = Pair(word, synonym, approved, 1.0, "a person said so")
    if not any(pair.key == wanted.key for pair in pairs):
        if not approved:
            raise NotFound(f"There is no pair '{word}' and '{synonym}' to reject.")
        return [wanted, *pairs]
    return [replace(p, approved=approved) if p.key == wanted.key else p for p in pairs]


def read(file: Path) -> list[Pair]:
    """Read the list of a shop; no file is an empty list.

    Raises BadData: A column is missing, or `approved` is neither true, false nor empty.
    """
    if not file.is_file():
        return []
    try:
        rows = list(csv.DictReader(file.read_text("utf-8-sig").splitlines()))
    except UnicodeDecodeError as error:
        raise BadData(f"'{file.name}' is no UTF-8 text. Save it as CSV in UTF-8.") from error
    return [_pair(row, line, file.name) for line, row in enumerate(rows, start=2)]


def write(file: Path, pairs: Iterable[Pair]) -> None:
    """Write the list of a shop, to be read and edited by people."""
    said: Mapping[bool | None, str] = {True: "true", False: "false", None: ""}
    unfinished = file.with_suffix(".part")
    with unfinished.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(COLUMNS)
        for pair in pairs:
            decision = said[pair.approved]
            rows.writerow([pair.word, pair.synonym, decision, pair.sureness, pair.evidence])
    unfinished.replace(file)


def _pair(row: Mapping[str, str | None], line: int, name: str) -> Pair:
    word, synonym = row.get("word"), row.get("synonym")
    approved = (row.get("approved") or "").strip().lower()
    if not word or not synonym or approved not in ("true", "false", ""):
        raise BadData(
            f"Line {line} of {name} must have a word, a synonym, and true, false or nothing "
            "under 'approved'. Correct the line or delete it."
        )
    try:
        sureness = float(row.get("sureness") or 0)
    except ValueError as error:
        raise BadData(f"Line {line} of {name}: 'sureness' must be a number from 0 to 1.") from error
    word, synonym = (" ".join(text.words(side, 100)) for side in (word, synonym))
    decision = None if not approved else approved == "true"
    return Pair(word, synonym, decision, sureness, row.get("evidence") or "")


def _difference(left: str, right: str) -> tuple[str, str] | None:
    """Return the one phrase in which two queries differ, or None."""
    a, b = left.split(), right.split()
    while a and b and a[0] == b[0]:
        a, b = a[1:], b[1:]
    while a and b and a[-1] == b[-1]:
        a, b = a[:-1], b[:-1]
    if not (0 < len(a) <= 3 and 0 < len(b) <= 3) or set(a + b) & FUNCTION_WORDS:
        return None
    one, other = sorted((" ".join(a), " ".join(b)))
    if _same(one, other) or any(word.isdigit() for word in a + b):
        return None
    return one, other


def _same(left: str, right: str) -> bool:
    """Say whether two words are forms of one, or begin alike."""
    return bool(set(forms(left)) & set(forms(right))) or left in right or right in left
