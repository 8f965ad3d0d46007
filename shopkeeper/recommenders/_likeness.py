"""How alike are two products? By their vectors, or where no product has one, by their kind.

Knows nothing of requests beyond what speaks for them.
"""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.arrays import Floats, Ids, Rows
from shopkeeper.recommenders._evidence import Flat, best
from shopkeeper.schema import CATEGORY, ITEM, PRODUCT_ID, VECTOR

GROUP = "item_group_id"


class Likeness:
    """What is known of N products: vectors up to length 1, groups of variants, kinds, wants."""

    def __init__(self, vector_ND: Floats, about: pl.DataFrame) -> None:
        self._vector_ND, self._about = vector_ND, about
        self._has = about["has"].to_numpy()
        self._kind: Rows = about["kind"].to_numpy()
        wanted = np.log1p(about["wanted"].to_numpy()).astype(np.float32)
        self._wanted: Floats = wanted / max(float(wanted.max(initial=0.0)), 1.0)
        self.group: Rows = about["group"].to_numpy()

    @classmethod
    def of(cls, ids: Ids, products: pl.DataFrame | None, wanted: Rows) -> "Likeness":
        """Learn a catalogue.

        Args:
            ids: The known products, N.
            products: `schema.PRODUCTS`, perhaps with a `vector` column of [D] floats.
            wanted: How many shoppers wanted each product, [N].

        Returns:
            What is known of them.
        """
        about = ids.names.to_frame().with_columns(pl.Series("wanted", wanted, pl.Int64))
        known = pl.DataFrame(schema={PRODUCT_ID: pl.String}) if products is None else products
        known = known.unique(PRODUCT_ID, keep="first", maintain_order=True)
        missing = [name for name in (CATEGORY, GROUP, VECTOR) if name not in known.columns]
        known = known.with_columns(pl.lit(None, pl.String).alias(name) for name in missing)
        about = about.join(
            known.select(PRODUCT_ID, CATEGORY, GROUP, VECTOR),
            left_on=ITEM,
            right_on=PRODUCT_ID,
            how="left",
            maintain_order="left",
        )
        has = about[VECTOR].is_not_null().to_numpy()
        kept = about[VECTOR].drop_nulls()
        width = len(kept[0]) if len(kept) else 0
        vector_ND = np.zeros((len(ids), width), np.float32)
        if width:
            vector_ND[has] = kept.cast(pl.Array(pl.Float32, width)).to_numpy()
        # A vector shorter than 1 says how sure it is, and is left so.
        vector_ND /= np.maximum(np.linalg.norm(vector_ND, axis=1, keepdims=True), 1.0)
        # A product without a kind, or a group, is alone in its own.
        alone = "\0" + pl.col(ITEM)
        about = about.select(
            "wanted",
            pl.coalesce(CATEGORY, alone).rank("dense").cast(pl.Int64).sub(1).alias("kind"),
            pl.coalesce(GROUP, alone).rank("dense").cast(pl.Int64).sub(1).alias("group"),
            pl.Series("has", has),
        )
        return cls(vector_ND, about)

    def scores(self, rows: Flat, num_requests: int) -> Floats:
        """Return how like each product is to what speaks for each request, [B, N].

        Args:
            rows: What speaks for each request, with places from 0.
            num_requests: B.

        Returns:
            Cosines, or where no product has a vector, the share of the evidence that is of the
            product's kind, plus up to a half for being wanted. -inf where nothing speaks.
        """
        found: Floats
        if self._vector_ND.shape[1]:
            query_BD = np.zeros((num_requests, self._vector_ND.shape[1]), np.float32)
            np.add.at(query_BD, rows.request, rows.weight[:, None] * self._vector_ND[rows.item])
            length = np.linalg.norm(query_BD, axis=1)
            found = (query_BD / np.maximum(length, 1e-12)[:, None]) @ self._vector_ND.T
            found[:, ~self._has] = -np.inf
            found[length == 0] = -np.inf
            return found
        weight_BC = np.zeros((num_requests, int(self._kind.max(initial=0)) + 1), np.float32)
        np.add.at(weight_BC, (rows.request, self._kind[rows.item]), rows.weight)
        total = weight_BC.sum(axis=1, keepdims=True)
        found = (weight_BC / np.maximum(total, 1e-12))[:, self._kind] + self._wanted / 2
        found[total[:, 0] == 0] = -np.inf
        return found

    def because(self, rows: Flat, shown: tuple[Rows, Rows]) -> Rows:
        """Return the product of the evidence that is most like each shown one, weight included.

        Args:
            rows: What speaks for each request, sorted by request, with places from 0.
            shown: Request and product of each shown row, sorted by request, [E].

        Returns:
            Rows of products, [E].
        """
        request, item = shown
        found = np.full(len(item), -1, np.int64)
        for at in np.unique(request):
            here = slice(*np.searchsorted(request, (at, at + 1)))
            past = slice(*np.searchsorted(rows.request, (at, at + 1)))
            own = rows.item[past]
            if self._vector_ND.shape[1]:
                alike = self._vector_ND[item[here]] @ self._vector_ND[own].T
            else:
                alike = (self._kind[item[here], None] == self._kind[own]) + np.float32(1e-6)
            found[here] = own[np.argmax(alike * rows.weight[past], axis=1)]
        return found

    def save(self, folder: Path) -> None:
        """Write what is known into `folder`."""
        np.save(folder / "vectors.npy", self._vector_ND, allow_pickle=False)
        self._about.write_parquet(folder / "about.parquet")

    @classmethod
    def load(cls, folder: Path) -> "Likeness":
        """Read what `save` wrote."""
        # Mapped, not read: a shop that starts waits for no vector that nobody asks for.
        vectors = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
        return cls(np.asarray(vectors), pl.read_parquet(folder / "about.parquet"))


def one_per_group(scores: Floats, group: Rows, k: int) -> tuple[Rows, Rows, NDArray[np.floating]]:
    """Return the best product of each of the k best groups of each row, as `best` does.

    Args:
        scores: Score of each product, [B, N]; -inf is nothing.
        group: Group of each product, [N].
        k: How many, from 1.

    Returns:
        Row, product and score, each [E], sorted by row.
    """
    reach = k
    while True:
        row, item, score = best(scores, reach)
        order = np.lexsort((item, -score, row))
        row, item, score = row[order], item[order], score[order]
        pair = row * (int(group.max(initial=0)) + 1) + group[item]
        first = np.sort(np.unique(pair, return_index=True)[1])
        enough = np.bincount(row[first], minlength=len(scores)) >= k
        ended = np.bincount(row, minlength=len(scores)) < reach
        if (enough | ended).all():
            return row[first], item[first], score[first]
        reach *= 2
