"""Categories for products that came without one, by the products most like them.

The labelled products nearest in meaning vote (see `voters.py`). A shop without a taxonomy gets
departments of `departments.py`, whose words vote as if they were products. What is filled is
marked in the product's `attributes` and can be taken back at any time.
Knows no category that the shop, or that list, does not name; pictures are not looked at.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from shopkeeper import registry
from shopkeeper.config import Config
from shopkeeper.encoders import VectorCache
from shopkeeper.engine import encoding
from shopkeeper.engine.voters import SEPARATOR, Encode, Filling, Voters
from shopkeeper.errors import Missing
from shopkeeper.schema import CATEGORY, PRODUCT_ID
from shopkeeper.search.text import product_text
from shopkeeper.tracing import progress, stage

FILLED = "category_filled"
"""The key in `attributes` that marks a filled category; its value is the chance of being right."""
DESCRIPTION_CHARS = 200
"""So much of a description is read: what comes later seldom says what a thing is."""
TEXTS_AT_ONCE = 65_536


def fill_categories(
    products: pl.DataFrame,
    encode: Encode,
    filling: Filling | None = None,
    known: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Give products without a category the deepest one that is sure enough.

    Args:
        products: `schema.PRODUCTS` rows; categories filled earlier are filled anew.
        encode: Texts to vectors of length 1, [N, D].
        filling: How.
        known: More products that may vote, such as those the shop has while changes are loaded.

    Returns:
        The same rows in the same order; a filled one has its chance in `attributes`.
    """
    filling = filling or Filling()
    products = clear_filled(products)
    told = _told(products)
    asked = told.filter(pl.col("path") == "")
    if asked.is_empty():
        return products
    if known is not None:
        others = known.join(products, on=PRODUCT_ID, how="anti")
        told = pl.concat([told, _told(clear_filled(others))])
    labelled = told.filter(pl.col("path") != "").select("text", "path")
    if labelled.height >= filling.labelled_min:
        voters = Voters.of(labelled, encode, filling)
    elif filling.departments:
        voters = Voters.of_departments(encode, filling)
    else:
        return products
    texts = asked["text"].unique(maintain_order=True)
    paths: list[str | None] = []
    chances: list[float] = []
    for part in progress(range(0, len(texts), TEXTS_AT_ONCE), "categories"):
        found = voters.answer(encode(texts[part : part + TEXTS_AT_ONCE].to_list()))
        paths += found[0]
        chances += found[1]
    answers = pl.DataFrame(
        {"text": texts, "filled": paths, "chance": chances},
        schema={"text": pl.String, "filled": pl.String, "chance": pl.Float64},
    )
    filled = asked.join(answers.drop_nulls("filled"), on="text").select("row", "filled", "chance")
    return _written(products, filled)


def clear_filled(products: pl.DataFrame) -> pl.DataFrame:
    """Take back every category that `fill_categories` gave, mark included."""
    if "attributes" not in products.columns or CATEGORY not in products.columns:
        return products
    marked = pl.col("attributes").str.contains(f'"{FILLED}"', literal=True).fill_null(False)
    if not products.select(marked.any()).item():
        return products
    rows = products.with_row_index("row").filter(marked).select("row", "attributes")
    plain = [json.loads(text) for text in rows["attributes"]]
    # A text value may hold the words of the mark; only a key is one.
    rows = rows.filter(pl.Series([FILLED in about for about in plain], dtype=pl.Boolean))
    left = [{k: v for k, v in about.items() if k != FILLED} for about in plain if FILLED in about]
    texts = [json.dumps(about, ensure_ascii=False) if about else None for about in left]
    return _put(products, rows["row"], {CATEGORY: [None] * len(texts), "attributes": texts})


def filled_report(products: pl.DataFrame) -> dict[str, Any]:
    """Count, for the report of a load, what was filled and what still has no category.

    Args:
        products: What `fill_categories` returned.

    Returns:
        `filled`, `still_missing`, `mean_chance` (None if nothing was filled), and `by_level`, the
        number of filled products by how many levels their path has.
    """
    marks = [
        json.loads(text).get(FILLED)
        for text in products["attributes"].drop_nulls()
        if f'"{FILLED}"' in text
    ]
    chances = [chance for chance in marks if chance is not None]
    marked = products["attributes"].str.contains(f'"{FILLED}"', literal=True).fill_null(False)
    levels = products.filter(marked)[CATEGORY].drop_nulls().str.count_matches(SEPARATOR) + 1
    counts = levels.value_counts().sort(levels.name).rows()
    return {
        "filled": len(chances),
        "still_missing": int(products[CATEGORY].is_null().sum()),
        "mean_chance": round(float(np.mean(chances)), 3) if chances else None,
        "by_level": {str(level): count for level, count in counts},
    }


def fill(
    folder: Path, config: Config, products: pl.DataFrame, known: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Fill by the settings of a shop, with its own text encoder behind the cache of vectors.

    Where the encoder would have to be exported but the training extra is not installed, `hashing`
    takes its place; it knows letters, not meaning, so that departments are not guessed.

    Args:
        folder: The shop's folder, whose `cache` keeps the exported encoder and known vectors.
        config: Whether to fill, and which encoder.
        products: `schema.PRODUCTS` rows.
        known: More products that may vote.

    Returns:
        The products, those without a category filled; without any fill where that is off.
    """
    lacks = [name for name in (CATEGORY, "attributes") if name not in products.columns]
    products = products.with_columns(pl.lit(None, pl.String).alias(name) for name in lacks)
    products = clear_filled(products)
    if config.data.categories == "off" or _told(products).filter(pl.col("path") == "").is_empty():
        return products
    with stage("categories"):
        guessing = True
        try:
            tables = [products] if known is None else [products, known]
            encoder = encoding.ready(folder, config, tables)
        except Missing:
            encoder, guessing = registry.build("encoders", "hashing"), False
        guessing = guessing and config.search.encoder != "hashing"
        cache = VectorCache(folder / "cache" / "vectors")
        filling = Filling(seed=config.train.seed, departments=guessing)
        return fill_categories(products, lambda texts: cache.encode(encoder, texts), filling, known)


def _told(products: pl.DataFrame) -> pl.DataFrame:
    """Return `row`, `path` (empty where there is none) and `text` of products that have a text."""
    path = pl.col(CATEGORY).str.strip_chars().fill_null("").alias("path")
    told = products.select(path, _texts(products).alias("text")).with_row_index("row")
    return told.filter(pl.col("text") != "")


def _texts(products: pl.DataFrame) -> pl.Series:
    """Write each product as one line without its category; empty where nothing is known."""
    line = product_text(products.drop(CATEGORY))
    if "description" not in products.columns:
        return line
    more = products["description"].fill_null("").str.slice(0, DESCRIPTION_CHARS)
    both = pl.DataFrame({"line": line, "more": more.str.strip_chars()})
    return both.select(
        pl.concat_str("line", pl.lit(". "), "more").str.strip_chars(" .").alias("text")
    )["text"]


def _written(products: pl.DataFrame, filled: pl.DataFrame) -> pl.DataFrame:
    """Write paths and their marks into rows."""
    old = products["attributes"].gather(filled["row"])
    marked = [
        json.dumps(json.loads(text or "{}") | {FILLED: round(chance, 3)}, ensure_ascii=False)
        for text, chance in zip(old, filled["chance"], strict=True)
    ]
    return _put(products, filled["row"], {CATEGORY: filled["filled"], "attributes": marked})


def _put(
    products: pl.DataFrame, rows: pl.Series, columns: dict[str, Sequence[str | None] | pl.Series]
) -> pl.DataFrame:
    """Replace the values of some rows, null included."""
    new = pl.DataFrame({"row": rows, **columns}, schema_overrides=dict.fromkeys(columns, pl.String))
    new = new.with_columns(put=pl.lit(True))
    joined = products.with_row_index("row").join(
        new, on="row", how="left", suffix="_new", maintain_order="left"
    )
    changed = [pl.when("put").then(f"{name}_new").otherwise(name).alias(name) for name in columns]
    return joined.with_columns(changed).select(products.columns)
