"""Queries with judgements: read them, and say how good the lists of a search are.

Every list is judged over the whole catalogue: what nobody judged counts 0, and the gain of a
product is its grade. Knows no index and no shop.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from shopkeeper import schema
from shopkeeper.errors import BadData
from shopkeeper.evaluation import metrics

METRICS = ("ndcg@10", "recall@10", "recall@100", "mrr")
DEPTH = 100
"""How many products of each list are looked at."""
SHOWN_COLUMNS = 300
"""Letters of column names that an error quotes."""


@dataclass(frozen=True)
class Judged:
    """A catalogue, what was asked of it, and what would have been right."""

    products: pl.DataFrame
    """`schema.PRODUCTS` rows; texts of columns that we have no word for stand in the
    description."""
    queries: dict[str, str]
    """Text by the id of a query; only queries with a product of some grade."""
    grades: dict[str, dict[str, float]]
    """Grade by product, for each query; 0 is left out."""

    def part(self, ids: Sequence[str]) -> "Judged":
        """Return the same with some of the queries."""
        return Judged(
            self.products,
            {one: self.queries[one] for one in ids},
            {one: self.grades[one] for one in ids},
        )

    def joined(self, other: "Judged") -> "Judged":
        """Return the same with the queries of another too."""
        return Judged(self.products, self.queries | other.queries, self.grades | other.grades)

    def split(self, share: float, seed: int) -> "tuple[Judged, Judged]":
        """Split the queries at random; equal texts fall on one side.

        Args:
            share: How much of them comes first, from 0 to 1.
            seed: Same seed, same split.

        Returns:
            The first part, and the rest.
        """
        texts = sorted(set(self.queries.values()))
        np.random.default_rng(seed).shuffle(texts)
        first = set(texts[: round(share * len(texts))])
        mine = [one for one, text in self.queries.items() if text in first]
        rest = [one for one, text in self.queries.items() if text not in first]
        return self.part(mine), self.part(rest)


def read_judged(catalogue: Path, queries: Path, judgements: Path) -> Judged:
    """Read the three tables, each CSV, TSV or Parquet.

    Args:
        catalogue: `id`, `title` and whatever else is known, by the names of `schema.PRODUCTS`.
        queries: `query_id`, `query`.
        judgements: `query_id`, `id`, `grade` (a number, at least 0).

    Returns:
        What they say; judgements of products or queries that are in neither table are left out.

    Raises:
        BadData: A file or column is missing, a grade is no number, or nothing is left.
    """
    return judge(read_products(catalogue), queries, judgements)


def read_products(catalogue: Path) -> pl.DataFrame:
    """Read a table of products, CSV, TSV or Parquet; what we have no word for is described.

    Raises BadData: The file is missing or broken, or has no `id` or `title`.
    """
    return _products(_table(catalogue, ("id", "title")))


def judge(products: pl.DataFrame, queries: Path, judgements: Path) -> Judged:
    """Read what is right among products that are known already; see `read_judged`."""
    asked = _table(queries, ("query_id", "query")).drop_nulls(("query_id", "query"))
    said = _table(judgements, ("query_id", "id", "grade"))
    said = said.with_columns(pl.col("grade").cast(pl.Float64, strict=False))
    if said["grade"].null_count() or said.filter(pl.col("grade") < 0).height:
        raise BadData(f"A grade in {judgements} is empty, below 0 or no number. Correct the file.")
    said = said.filter(pl.col("grade") > 0).join(products, on="id", how="semi")
    said = said.join(asked, on="query_id", how="semi")
    if said.is_empty():
        raise BadData(
            f"No row of {judgements} has a grade above 0 for a query of {queries} and a product of "
            "the catalogue. Check that the ids are written alike."
        )
    grades: dict[str, dict[str, float]] = {}
    for query, product, grade in said.select("query_id", "id", "grade").iter_rows():
        grades.setdefault(query, {})[product] = grade
    texts = {query: text for query, text in asked.select("query_id", "query").iter_rows()}
    return Judged(products, {query: texts[query] for query in grades}, grades)


def quality(judged: Judged, shown: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Return how good the lists are.

    Args:
        judged: What was asked, and what is right.
        shown: Products by query, best first, as many as `DEPTH`.

    Returns:
        `query_id` and `METRICS`, a row for each query.
    """
    ids = list(judged.queries)
    lists = [list(shown.get(one, ()))[:DEPTH] for one in ids]
    gains = np.zeros((len(ids), DEPTH))
    most = max((len(judged.grades[one]) for one in ids), default=1)
    ideal = np.zeros((len(ids), most))
    for row, (one, found) in enumerate(zip(ids, lists, strict=True)):
        grades = judged.grades[one]
        gains[row, : len(found)] = [grades.get(product, 0.0) for product in found]
        ideal[row, : len(grades)] = list(grades.values())
    wanted = (ideal > 0).sum(axis=1)
    return pl.DataFrame(
        {
            "query_id": ids,
            "ndcg@10": metrics.ndcg(gains, 10, ideal),
            "recall@10": metrics.recall_at((gains > 0).astype(np.float64), wanted, 10),
            "recall@100": metrics.recall_at((gains > 0).astype(np.float64), wanted, DEPTH),
            "mrr": metrics.mrr(gains, DEPTH),
        }
    )


def _table(file: Path, needed: Sequence[str]) -> pl.DataFrame:
    """Read a file whose columns are text, with names in small letters."""
    if not file.is_file():
        raise BadData(f"There is no file {file}. Check the path.")
    kind = file.suffix.lower()
    try:
        if kind == ".parquet":
            rows = pl.read_parquet(file)
        elif kind in (".csv", ".tsv"):
            rows = pl.read_csv(file, separator="\t" if kind == ".tsv" else ",", infer_schema=False)
        else:
            raise BadData(f"The file {file} ends in '{kind}'. Give a .csv, .tsv or .parquet file.")
    except (pl.exceptions.PolarsError, OSError) as error:
        said = str(error).splitlines()[0][:200]
        raise BadData(f"The file {file} cannot be read: {said}. Export it again.") from error
    rows = rows.rename({name: name.strip().lower() for name in rows.columns})
    for name in needed:
        if name not in rows.columns:
            there = ", ".join(rows.columns)[:SHOWN_COLUMNS]
            raise BadData(f"The file {file} has no column '{name}'. It has: {there}.")
    plain = [name for name, dtype in rows.schema.items() if not dtype.is_nested()]
    keys = [name for name in ("id", "query_id") if name in plain]
    return rows.select(pl.col(plain).cast(pl.String, strict=False)).drop_nulls(keys)


def _products(rows: pl.DataFrame) -> pl.DataFrame:
    """Put what we have no word for into the description."""
    rest = [name for name in rows.columns if name not in schema.PRODUCTS]
    texts = ["description", *rest] if "description" in rows.columns else rest
    if rest:
        line = pl.concat_str([pl.col(name) for name in texts], separator=". ", ignore_nulls=True)
        rows = rows.with_columns(line.alias("description"))
    known = [name for name in rows.columns if schema.PRODUCTS.get(name) == pl.String]
    products = rows.select(known).unique("id", keep="first", maintain_order=True)
    return schema.conform(products, schema.PRODUCTS)
