"""Answers what looks like a picture, or like what words name, from the products' own pictures."""

import time

import polars as pl

from shopkeeper.engine.answering import answered
from shopkeeper.engine.answers import Answer
from shopkeeper.engine.live import Live
from shopkeeper.engine.pictures import Pictures
from shopkeeper.errors import BadRequest, NotFound
from shopkeeper.schema import ITEM, SCORE


def by_picture(live: Live, content: bytes, k: int) -> Answer:
    """Find products that look like a picture.

    Args:
        live: The running shop.
        content: The bytes of a picture file.
        k: How many products, at least 1.

    Returns:
        Products with a picture, most alike first; the score is a cosine.

    Raises:
        BadRequest: The bytes are no picture that can be opened.
        NotFound: No product of this shop has a picture.
    """
    began = time.perf_counter()
    found = _pictures(live).like(content, k)
    return _answer(live, found, "Looks like your picture", began)


def by_words(live: Live, words: str, k: int) -> Answer:
    """Find products whose pictures show what words name, whatever their own texts say.

    Args:
        live: The running shop.
        words: What a shopper would type.
        k: How many products, at least 1.

    Returns:
        Products with a picture, best first; the score is a cosine.

    Raises:
        BadRequest: There are no words.
        NotFound: No product of this shop has a picture.
    """
    began = time.perf_counter()
    if not words.strip():
        raise BadRequest("q", "q must name what the picture should show, but is empty.")
    index = _pictures(live).index
    # The way from words to pictures was learned on texts of products.
    found = index.named(live.models.encoder.encode([words], "passage")[0], k)
    return _answer(live, found, "Its picture looks like your words", began)


def _pictures(live: Live) -> Pictures:
    pictures = live.models.pictures
    if pictures is None:
        raise NotFound(
            "No product of this shop has a picture yet. Give products an image_link that is a "
            "file, and run `shopkeeper train`."
        )
    return pictures


def _answer(live: Live, found: pl.DataFrame, why: str, began: float) -> Answer:
    # A product may have left the shop since its picture was learned.
    there = [pair for pair in found.select(ITEM, SCORE).iter_rows() if pair[0] in live.catalogue]
    rows = [(item, score, rank, "picture") for rank, (item, score) in enumerate(there, 1)]
    return answered(live, rows, [why] * len(rows), len(rows), began)
