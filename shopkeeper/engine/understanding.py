"""What a shop needs to understand queries: its words, its synonyms, the examples of intents.

Joins the lake, the shop's list of synonyms and the encoder with `search.understanding`.
"""

import json
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl

from shopkeeper.config import Config
from shopkeeper.encoders import VectorCache
from shopkeeper.engine import encoding, past_searches
from shopkeeper.engine.known import records_of
from shopkeeper.engine.past_searches import TERM
from shopkeeper.errors import BadData
from shopkeeper.search import text
from shopkeeper.search.understanding import Understanding, examples, synonyms
from shopkeeper.search.understanding.intent import Examples, Intents
from shopkeeper.search.understanding.synonyms import FILE, Pair

VISITS_MIN = 3
"""A search of fewer visits is suggested to nobody."""
QUERY_CHARS_MAX = 60
EXAMPLES_FOLDER = "intents"
"""A folder of the shop with examples of its own, in place of ours."""
WORD_LETTERS_MIN = 3
MINED_WORDS_MAX = 2_000
"""How many of the most frequent words are compared by their vectors."""


def learn(folder: Path, config: Config, products: pl.DataFrame, encoder: Any) -> Understanding:
    """Learn to understand queries of a shop.

    Args:
        folder: The shop's folder; may hold `synonyms.csv` and a folder `intents`.
        config: Its settings.
        products: The catalogue.
        encoder: The shop's encoder, ready.

    Returns:
        What belongs into the bundle.

    Raises:
        BadData: The list of synonyms or the examples cannot be read.
    """
    own = folder / EXAMPLES_FOLDER
    texts, labels = examples.read(own) if own.is_dir() else examples.read()
    vectors = VectorCache(folder / "cache" / "vectors").encode(encoder, texts, "query")
    intents = Intents().fit(Examples(texts, vectors, labels))
    queries = Counter(past_searches.searches(folder, config)[TERM].to_list())
    return Understanding(intents).build(
        products,
        queries,
        pairs=synonyms.read(folder / FILE),
        sound=vocabulary(folder / "cache" / f"encoder-{encoder.address[1]}"),
    )


def asked_often(folder: Path, config: Config, reading: Understanding) -> dict[str, int]:
    """Return the past searches that may be suggested to others.

    Args:
        folder: The shop's folder.
        config: Its settings.
        reading: Knows which words are sound; an error is nothing to suggest.

    Returns:
        Clean queries, and in how many visits each was searched: at least `VISITS_MIN`, for what
        one person typed is nobody else's business.
    """
    searches = past_searches.searches(folder, config).select("visit", TERM).unique()
    asked = {(visit, text.clean(term, QUERY_CHARS_MAX)) for visit, term in searches.iter_rows()}
    counts = Counter(query for _, query in asked)
    sound = reading.spelling.is_sound
    return {
        query: visits
        for query, visits in sorted(counts.items())
        if visits >= VISITS_MIN and all(map(sound, text.words(query)))
    }


def mine(folder: Path, config: Config, vectors: bool = True) -> list[Pair]:
    """Look for synonyms in the log and in the vectors of words, and write the shop's list.

    Args:
        folder: The shop's folder.
        config: Its settings.
        vectors: Whether words of the catalogue are compared by their vectors too.

    Returns:
        The whole list of the shop; what a person decided stays.

    Raises:
        BadData: Nothing was loaded yet, or the list cannot be read.
    """
    known = synonyms.read(folder / FILE)
    found = synonyms.mine_visits(list(past_searches.ended(folder, config).iter_rows()))
    if vectors:
        products = _products(folder, config)
        encoder = encoding.ready(folder, config, [products], threads=config.store.threads)
        words = _frequent(products)
        cache = VectorCache(folder / "cache" / "vectors")
        by_vector = synonyms.mine_vectors(words, cache.encode(encoder, words))
        found = synonyms.merged(by_vector, found)
    pairs = synonyms.merged(known, found)
    synonyms.write(folder / FILE, pairs)
    return pairs


def listed(folder: Path) -> list[Pair]:
    """Return the shop's list of synonyms."""
    return synonyms.read(folder / FILE)


def decide(folder: Path, word: str, synonym: str, approved: bool) -> None:
    """Approve or reject one pair of the shop's list; NotFound if it is not there to reject."""
    pairs = synonyms.decided(listed(folder), word, synonym, approved)
    synonyms.write(folder / FILE, pairs)


def _products(folder: Path, config: Config) -> pl.DataFrame:
    with closing(records_of(folder, config)) as records:
        products: pl.DataFrame = records.all()
    if products.is_empty():
        raise BadData("This shop has no products yet. Run `shopkeeper ingest` first.")
    return products


def _frequent(products: pl.DataFrame) -> list[str]:
    """Return the most frequent words of the catalogue that can mean something, no product ids."""
    spelling = Understanding().build(products).spelling
    words = [word for word in spelling.frequent() if len(word) >= WORD_LETTERS_MIN]
    return words[:MINED_WORDS_MAX]


def vocabulary(folder: Path) -> list[str]:
    """Return the whole words that the encoder's tokenizer knows: words of the language."""
    file = folder / "tokenizer.json"
    if not file.is_file():
        return []
    known = json.loads(file.read_text("utf-8"))["model"].get("vocab", {})
    return [word for word in known if len(word) >= WORD_LETTERS_MIN and word.isalpha()]
