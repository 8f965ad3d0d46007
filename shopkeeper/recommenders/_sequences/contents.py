"""Sequences whose products are also known by what they are: the catalogue's vectors.

What is learned of contents holds in another shop too, whose vectors come from the same encoder: a
network that starts from another shop's takes over how that one reads contents and histories, and
learns its own products beside. Knows nothing of where the vectors come from; those that are not
finite count as none.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from shopkeeper import registry
from shopkeeper.arrays import Floats, Ids, Rows
from shopkeeper.errors import BadConfig, BadData
from shopkeeper.recommenders._sequences import Sequence
from shopkeeper.schema import ITEM, PRODUCT_ID, VECTOR

if TYPE_CHECKING:
    from shopkeeper.recommenders._sequences.teacher import Teacher

FILE = "content.npz"


class WithContent(Sequence):
    """Learns products that nobody has wanted yet, too; `content_numbers` is among its settings."""

    config: Any
    reading: dict[str, Floats]
    """How vectors are read: `mean` [E], `axes` [E, C], and where the network reads their numbers by
    itself `weight` [D, C] and `bias` [D]. Empty without content."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.reading = {}
        self._source: WithContent | None = None

    def fit(
        self,
        events: pl.DataFrame,
        products: pl.DataFrame | None = None,
        *,
        checkpoint: Path | None = None,
    ) -> Self:
        """Learn as `Sequence.fit`, from the network that `start_from` names if that is set."""
        self._source = self._started_from()
        self.reading = {}
        if self._source is not None and self._told(products).is_empty():
            raise BadData(
                f"`{self.name}` starts from another shop, but no product here has a vector that "
                "says what it is. Give products vectors, or leave start_from empty."
            )
        return super().fit(events, products, checkpoint=checkpoint)

    def update(
        self,
        events: pl.DataFrame,
        products: pl.DataFrame | None = None,
        *,
        checkpoint: Path | None = None,
    ) -> Self:
        """Learn on as `Sequence.update`, but with content all events afresh.

        What content tells is worked out anew each time.
        """
        self._known(self._encoder)
        if not self.config.content_numbers:
            return super().update(events, products, checkpoint=checkpoint)
        return self.fit(events, products, checkpoint=checkpoint)

    def save(self, folder: Path) -> None:
        """Write what a sequence writes, and how contents are read."""
        super().save(folder)
        if self.reading:
            np.savez(folder / FILE, **self.reading)  # type: ignore[arg-type]

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote. Needs no torch."""
        super().restore(folder)
        if (folder / FILE).is_file():
            with np.load(folder / FILE, allow_pickle=False) as kept:
                self.reading = {name: kept[name] for name in kept.files}
        return self

    def _learned_ids(self, events: pl.DataFrame, products: pl.DataFrame | None) -> Ids:
        known = events[ITEM].unique()
        told = self._told(products)[PRODUCT_ID]
        spare = max(0, self.config.items_max - len(known))
        fresh = told.filter(~told.is_in(known.implode())).sort().head(spare)
        return Ids(pl.concat([known, fresh.cast(pl.String)]))

    def _content(self, ids: Ids, products: pl.DataFrame | None) -> Floats | None:
        told = self._told(products)
        row = ids.rows(told[PRODUCT_ID])
        told, row = told.filter(pl.Series(row >= 0)), row[row >= 0]
        if told.is_empty():
            return None
        vector_HE = np.array(told[VECTOR].to_list(), np.float32)
        if self._source is None:
            self.reading = _telling(vector_HE, self.config.content_numbers)
        else:
            self.reading = dict(self._source.reading)
            _check_width(self.config.start_from, vector_HE.shape[1], len(self.reading["mean"]))
        return _read(vector_HE, row, len(ids), self.reading)

    def _begin(self, taught: "Teacher") -> None:
        if self._source is not None:
            source = self._source.reading
            assert self._source._encoder is not None
            taught.start_from(self._source._encoder, source["weight"], source["bias"])

    def _take_over(self, taught: "Teacher", ids: Ids) -> None:
        super()._take_over(taught, ids)
        linear = taught.network.content
        if linear is not None:
            self.reading["weight"] = linear.weight.detach().numpy().copy()
            self.reading["bias"] = linear.bias.detach().numpy().copy()

    def _started_from(self) -> "WithContent | None":
        """Return the recommender of another shop, or None where none is named."""
        name = getattr(self.config, "start_from", "")
        if not name:
            return None
        folder = Path(name)
        if not (folder / "part.json").is_file():
            raise BadConfig(
                f"start_from names '{name}', where no recommender was saved. Name the folder "
                f"recommenders/{self.name} of a bundle, or train with `shopkeeper train --from`."
            )
        found = registry.load(folder)
        if not isinstance(found, type(self)) or "weight" not in found.reading:
            raise BadConfig(
                f"The recommender in '{name}' has not learned to read what products are. Train it "
                f"with [recommenders.{self.name}] content_numbers = 64 first."
            )
        for setting in ("width", "blocks", "heads", "history_max", "content_numbers"):
            here, there = getattr(self.config, setting), getattr(found.config, setting)
            if here != there:
                raise BadConfig(
                    f"[recommenders.{self.name}] {setting} is {here}, but the one to start from, "
                    f"in '{name}', has {there}. Make them alike."
                )
        return found

    def _told(self, products: pl.DataFrame | None) -> pl.DataFrame:
        """Return the products that have a vector of finite numbers."""
        none = pl.DataFrame(schema={PRODUCT_ID: pl.String, VECTOR: pl.List(pl.Float32)})
        if products is None or VECTOR not in products.columns or not self.config.content_numbers:
            return none
        rows = products.unique(PRODUCT_ID, keep="first", maintain_order=True)
        rows = rows.select(PRODUCT_ID, pl.col(VECTOR).cast(pl.List(pl.Float32))).drop_nulls()
        return rows.filter(pl.col(VECTOR).list.eval(pl.element().is_finite()).list.all())


def check_start(config: Any) -> None:
    """Raise ValueError where settings name a network to start from, but read no content."""
    if config.start_from and not config.content_numbers:
        raise ValueError("start_from needs content_numbers above 0, such as 64.")


def _check_width(name: str, here: int, there: int) -> None:
    if here != there:
        raise BadData(
            f"The vectors of products have {here} numbers, those that '{name}' has learned to read "
            f"have {there}. Both shops need the same text encoder."
        )


def _telling(vector_HE: Floats, most: int) -> dict[str, Floats]:
    """Return how the `most` principal numbers of vectors are read, each of spread 1."""
    mean_E = vector_HE.mean(axis=0)
    vector_HE = vector_HE - mean_E
    spread, axes_EE = np.linalg.eigh(vector_HE.T @ vector_HE / len(vector_HE))
    order = np.argsort(-spread)[:most]
    order = order[spread[order] > max(float(spread.max()), 1e-12) * 1e-6]
    axes_EC = np.zeros((len(mean_E), max(1, len(order))), np.float32)
    if len(order):
        axes_EC = (axes_EE[:, order] / np.sqrt(spread[order])).astype(np.float32)
    return {"mean": mean_E, "axes": axes_EC}


def _read(vector_HE: Floats, has: Rows, num_items: int, reading: dict[str, Floats]) -> Floats:
    """Return the numbers of vectors, 0 where a product has none, [V, C]."""
    found = np.zeros((num_items, reading["axes"].shape[1]), np.float32)
    found[has] = (vector_HE - reading["mean"]) @ reading["axes"]
    return found
