"""Finds products by their words: BM25 over title, brand, category and details.

Source: BM25 of Robertson and Zaragoza, 2009, by tantivy (k1 1.2, b .75), summed over fields with
boosts. Beside stemmed words, four-letter pieces of title and brand written without spaces count
with a small boost: they match parts of words, `iphone8` and `iphone 8` alike. The query is built
from terms, never parsed, so no character in it means anything. Knows nothing of meaning.
"""

import math
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
import tantivy
from numpy.typing import NDArray

from shopkeeper.contracts import Hits
from shopkeeper.errors import NotFitted
from shopkeeper.schema import PRODUCT_ID
from shopkeeper.search import text
from shopkeeper.search.indexes._groups import Groups

FIELDS = {
    "title": ("title",),
    "brand": ("brand",),
    "product_type": ("product_type",),
    "details": ("description", "color", "size"),
}
"""Each field of the index and the product columns it holds."""

GRAM = 4
WORDS_MAX, GRAMS_MAX = 32, 96
FUZZY_LETTERS_MIN, FUZZY_TWO_LETTERS_MIN = 4, 8
STARTS_MAX = 16
STARTS_RARE = 5
QUOTED_LETTERS_MAX = 30


class Lexical:
    """Finds products by words."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings."""

        title_boost: float = 3.0
        """What a word of the title counts."""
        brand_boost: float = 2.0
        """What the brand counts."""
        product_type_boost: float = 1.0
        """What a word of the category path counts."""
        details_boost: float = 0.5
        """What a word of description, colour or size counts."""
        piece_boost: float = 0.9
        """What four letters in a row of title or brand count; 0 for whole words only."""
        typos: bool = True
        """Whether words that no product has are taken for the nearest words that one has."""
        keep_share: float = 0.2
        """Products below this share of the best score are no results, from 0 to 1."""

        def __post_init__(self) -> None:
            boosts = ("title_boost", "brand_boost", "product_type_boost", "details_boost")
            for name in (*boosts, "piece_boost"):
                if not 0 <= getattr(self, name) < math.inf:
                    raise ValueError(f"{name} must be at least 0, but is {getattr(self, name)}.")
            if not 0 <= self.keep_share <= 1:
                raise ValueError(f"keep_share must be from 0 to 1, but is {self.keep_share}.")

    def __init__(self, config: Config) -> None:
        self.config = config
        self._groups: Groups | None = None
        self._index: Any = None
        self._folder = Path()
        self._own: _Folder | None = None
        """Where what was not saved yet lies; gone with the last index that reads it."""
        self._row_of_id: dict[str, int] = {}
        self._stemmer = _stemmer()
        self._told: tuple[str, tuple[list[str], list[str]]] = "", ([], [])
        """The words of the last query, for a search asks twice."""

    def build(self, products: pl.DataFrame, vectors: NDArray[np.float32]) -> Self:  # noqa: ARG002
        """Learn the words of `products`; earlier products win ties. `vectors` are not used."""
        groups, lines = _grouped(products)
        self._own = _Folder()
        _write(self._own.path, lines)
        self._open(self._own.path, groups)
        return self

    def revised(self, products: pl.DataFrame, vectors: NDArray[np.float32]) -> Self:  # noqa: ARG002
        """Return an index with these products in place of those of their ids, or beside them.

        Their words stand in one more segment of the same files, so that all are weighed alike.
        """
        groups, lines = _grouped(products)
        made = type(self)(self.config)
        made._own = self._own or _Folder(self._folder)
        _write(made._own.path, lines, first=self.groups.num_texts)
        known = self._row_of_id
        fresh = {name.casefold(): len(self.ids) + at for at, name in enumerate(groups.ids.tolist())}
        made._open(made._own.path, self.groups.then(groups), known | fresh)
        return made

    def search(self, query: str, vector: NDArray[np.float32] | None, k: int) -> pl.DataFrame:
        """Return up to k rows of `item_id`, `score`, best first. `vector` is not used."""
        found = self.hits(query, vector, k)
        return self.groups.frame(found.rows, found.scores)

    def hits(self, query: str, vector: NDArray[np.float32] | None, k: int) -> Hits:  # noqa: ARG002
        """Return up to k products and their BM25 scores, best first. `vector` is not used."""
        rows, scores = self.ranked(query, k)
        return Hits(rows, scores, np.zeros(len(rows), np.int64), ("lexical",))

    @property
    def groups(self) -> Groups:
        """Which products share all their words.

        Raises NotFitted: Nothing was built or restored.
        """
        if self._groups is None:
            raise NotFitted("The lexical index is empty. Call `build` or `restore` first.")
        return self._groups

    @property
    def ids(self) -> NDArray[np.object_]:
        """Product ids by row, [N]."""
        return self.groups.ids

    def ranked(self, query: str, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return up to k product rows and BM25 scores, best first; a product's id comes first."""
        groups = self.groups
        texts, scores = self._texts(text.words(query, text.QUERY_CHARS_MAX), k)
        rows, spread = groups.spread(texts, scores, k)
        named = self._row_of_id.get(text.clean(query, text.QUERY_CHARS_MAX))
        if named is None:
            return rows, spread
        others = rows != named
        best = np.float32(1.5) * spread.max(initial=1.0)
        rows = np.concatenate([[named], rows[others]])[:k]
        return rows, np.concatenate([[best], spread[others]])[:k].astype(np.float32)

    def notes(self, query: str) -> list[str]:
        """Say which words of `query` no product has, and what was done about it."""
        # Pairs of characters are no words that a person would look for.
        told = set(text.spoken(query, text.QUERY_CHARS_MAX))
        unknown = [word for word in self.vocabulary(query)[1] if word in told]
        if not unknown:
            return []
        listed = ", ".join(f"'{word[:QUOTED_LETTERS_MAX]}'" for word in unknown[:5])
        fuzzy = self.config.typos and any(map(_can_be_a_typo, unknown))
        done = "similar words were searched too" if fuzzy else "searched without"
        return [f"No product has {listed}; {done}."]

    def vocabulary(self, query: str) -> tuple[list[str], list[str]]:
        """Split the words of `query` into those that some product has, and those that none has."""
        asked, found = self._told
        if asked != query:
            words = _distinct(text.words(query, text.QUERY_CHARS_MAX), WORDS_MAX)
            known = [word for word in words if self._known(self._stem(word))]
            found = known, [word for word in words if word not in known]
            self._told = query, found
        return found

    def save(self, folder: Path) -> None:
        """Write the index into an empty `folder`."""
        self.groups.save(folder)
        shutil.copytree(self._folder, folder / "tantivy", ignore=shutil.ignore_patterns("*.lock"))

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote; the words stay on disk and are mapped into memory."""
        self._open(folder / "tantivy", Groups.restore(folder))
        return self

    def _open(self, folder: Path, groups: Groups, row_of_id: dict[str, int] | None = None) -> None:
        self._folder, self._groups = folder, groups
        self._index = tantivy.Index.open(str(folder))
        self._index.register_tokenizer("stem", self._stemmer)
        self._index.register_tokenizer("whitespace", _whitespace())
        self._index.config_reader(reload_policy="manual")
        self._searcher = self._index.searcher()
        self._told = "", ([], [])
        self._row_of_id = row_of_id or {
            name.casefold(): row for row, name in enumerate(groups.ids.tolist())
        }

    def _texts(self, words: list[str], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the distinct texts that match, best first, and their scores."""
        question = self._question(words)
        limit = min(k + self.groups.num_empty, self.groups.num_texts)
        if question is None or limit < 1:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        hits = self._searcher.search(question, limit, count=False).hits
        scores = np.array([score for score, _ in hits], dtype=np.float32)
        found = self._searcher.fast_field_values("row", [address for _, address in hits])
        texts = np.array(found, dtype=np.int64)
        there = self.groups.sizes[texts] > 0
        kept = there & (scores >= self.config.keep_share * scores[there].max(initial=0.0))
        return texts[kept], scores[kept]

    def _question(self, words: list[str]) -> Any:
        """Build the query: each word in each field, pieces of words, and guesses for typos."""
        parts: list[Any] = []
        stems = _distinct(map(self._stem, words), WORDS_MAX)
        for stem in stems:
            parts += [self._term(field, stem) for field in FIELDS]
            if self.config.typos and _can_be_a_typo(stem) and not self._known(stem):
                parts.append(self._fuzzy(stem))
        if stems:
            parts += self._starts(words[-1])
        if self.config.piece_boost:
            pieces = _distinct(_pieces(words), GRAMS_MAX)
            parts += [self._term("piece", piece) for piece in pieces]
        if not parts:
            return None
        return tantivy.Query.boolean_query([(tantivy.Occur.Should, part) for part in parts])

    def _term(self, field: str, term: str, share: float = 1.0) -> Any:
        boost = getattr(self.config, f"{field}_boost") * share
        query = tantivy.Query.term_query(self._index.schema, field, term, "freq")
        return tantivy.Query.boost_query(query, boost)

    def _fuzzy(self, stem: str) -> Any:
        distance = 2 if len(stem) >= FUZZY_TWO_LETTERS_MIN else 1
        query = tantivy.Query.fuzzy_term_query(self._index.schema, "title", stem, distance=distance)
        # A fuzzy match scores 1 whatever the word; half of what a rare word would score.
        boost = self.config.title_boost * 0.5 * math.log(1 + self.groups.num_texts)
        return tantivy.Query.boost_query(query, boost)

    def _starts(self, word: str) -> list[Any]:
        """Complete a short last word, too short for pieces, to words that begin with it."""
        if not 2 <= len(word) < GRAM:
            return []
        if self._searcher.doc_freq("title", self._stem(word)) >= STARTS_RARE:
            return []
        found = self._searcher.terms_with_prefix("title", word, limit=256)
        common = sorted(found, key=lambda term: (-term[1], term[0]))[:STARTS_MAX]
        return [self._term("title", term, share=0.5) for term, _ in common]

    def _stem(self, word: str) -> str:
        stemmed: list[str] = self._stemmer.analyze(word)
        return stemmed[0] if stemmed else word

    def _known(self, stem: str) -> bool:
        return any(self._searcher.doc_freq(field, stem) for field in FIELDS)


def _can_be_a_typo(word: str) -> bool:
    """Say whether similar words may be meant; one character more or less is other Chinese."""
    return len(word) >= FUZZY_LETTERS_MIN and text.has_spaces(word)


def _stemmer() -> Any:
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace())
    return builder.filter(tantivy.Filter.stemmer("english")).build()


def _whitespace() -> Any:
    return tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()


class _Folder:
    """A folder that goes when nobody holds it any more."""

    def __init__(self, like: Path | None = None) -> None:
        """Make it, empty or with the files of another; they are shared, for none ever changes."""
        self.path = Path(tempfile.mkdtemp(prefix="shopkeeper-lexical-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
        for file in like.iterdir() if like else ():
            if file.suffix != ".lock":
                _share(file, self.path / file.name)


def _share(file: Path, other: Path) -> None:
    """Give a file a second name, or copy it where that cannot be; lists of files are copied."""
    try:
        if file.suffix == ".json":
            raise OSError
        os.link(file, other)
    except OSError:
        shutil.copyfile(file, other)


def _grouped(products: pl.DataFrame) -> tuple[Groups, Iterator[list[str]]]:
    """Return which products share all their words, and the lines of `FIELDS` of each text."""
    columns = (
        [column for column in names if column in products.columns] for names in FIELDS.values()
    )
    lines = [
        [" ".join(filter(None, row)) for row in products.select(found).iter_rows()]
        if found
        else [""] * products.height
        for found in columns
    ]
    groups = Groups.of(products[PRODUCT_ID].to_list(), list(zip(*lines, strict=True)))
    return groups, ([line[row] for line in lines] for row in groups.firsts())


def _write(folder: Path, texts: Iterable[list[str]], first: int = 0) -> None:
    """Index `texts`, one list of the lines of `FIELDS` each, into `folder`, numbered from `first`.

    What the folder holds already stays.
    """
    schema = tantivy.SchemaBuilder().add_integer_field("row", fast=True)
    for field in FIELDS:
        schema = schema.add_text_field(field, tokenizer_name="stem", index_option="freq")
    schema = schema.add_text_field("piece", tokenizer_name="whitespace", index_option="freq")
    index = tantivy.Index(schema.build(), path=str(folder))
    index.register_tokenizer("stem", _stemmer())
    index.register_tokenizer("whitespace", _whitespace())
    # One thread keeps the order of documents, and with it the order of ties.
    writer = index.writer(heap_size=64_000_000 if first == 0 else 15_000_000, num_threads=1)
    for row, lines in enumerate(texts, first):
        words = [text.words(line) for line in lines]
        line_of = {field: " ".join(found) for field, found in zip(FIELDS, words, strict=True)}
        pieces = " ".join(_pieces(words[0] + words[1]))
        writer.add_document(tantivy.Document(row=row, piece=pieces, **line_of))
    writer.commit()
    writer.wait_merging_threads()


def _pieces(words: list[str]) -> list[str]:
    """Return every four letters in a row of `words` written without spaces."""
    joined = "".join(word for word in words if text.has_spaces(word))
    return [joined[at : at + GRAM] for at in range(len(joined) - GRAM + 1)]


def _distinct(found: Iterable[str], at_most: int) -> list[str]:
    return list(dict.fromkeys(found))[:at_most]
