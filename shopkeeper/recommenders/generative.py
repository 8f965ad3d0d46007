"""Foretells the id of what is wanted next, number by number, among the products that there are.

An id is a few numbers that say what a product is like, by its content and by what it was wanted
with; a history foretells all of them at once, and a product's score is the sum over its numbers,
looked up for every product that may be shown. So an id that no product has cannot come out, and a
product nobody has wanted yet can. The best are put in order by the vectors of products
themselves. Source: TIGER (Rajput et al., NeurIPS 2023), in the parallel form of RPG (Hou et al.,
KDD 2025) with the dense ranking of LIGER (Yang et al., 2024).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from shopkeeper.arrays import Asked, Floats, Ids, Rows
from shopkeeper.recommenders import _sequences
from shopkeeper.recommenders._evidence import best
from shopkeeper.recommenders._sequences import contents


class Generative(contents.WithContent):
    """Foretells ids of products that exist, then orders the best of them."""

    kind: ClassVar[str] = "attention"

    @dataclass(frozen=True, kw_only=True)
    class Config(_sequences.Settings):
        """Settings of the ids, of the network, and of how it learns."""

        heads: int = 2
        """How many ways each block looks at the past; `width` is a multiple of it."""
        places: int = 8
        """How many numbers an id has."""
        numbers: int = 256
        """How many there are to choose from at each place."""
        candidates: int = 200
        """So many products with the best ids are put in order by their own vectors; 0 for none."""
        content_numbers: int = 64
        """How many numbers of the content's vectors are read, the most telling; 0 for none."""
        behaviour_weight: float = 2.0
        """How much what a product was wanted with counts in its id, against its content."""
        id_dropout: float = 0.1
        """Share of products that are known by their ids alone in a step of learning, in [0, 1)."""

        def __post_init__(self) -> None:
            super().__post_init__()
            _sequences.check_heads(self.width, self.heads)
            if min(self.places, self.numbers - 1) < 1 or min(self.candidates, 0) < 0:
                raise ValueError("places must be at least 1, numbers 2, candidates 0.")
            if self.content_numbers < 0 or not 0 <= self.id_dropout < 1:
                raise ValueError("content_numbers must be at least 0, and id_dropout in [0, 1).")
            if not self.behaviour_weight >= 0:
                raise ValueError("behaviour_weight must be at least 0.")

    config: Config
    _codes_VP: Rows | None = None
    _numbers_PND: Floats | None = None

    def save(self, folder: Path) -> None:
        """Write what a sequence writes, and the ids with their vectors."""
        super().save(folder)
        np.save(folder / "codes.npy", self._known(self._codes_VP), allow_pickle=False)
        np.save(folder / "numbers.npy", self._known(self._numbers_PND), allow_pickle=False)

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote. Needs no torch."""
        super().restore(folder)
        self._codes_VP = np.load(folder / "codes.npy", allow_pickle=False)
        self._numbers_PND = np.load(folder / "numbers.npy", allow_pickle=False)
        return self

    @property
    def semantic_ids(self) -> Rows:
        """The numbers of each product, [V, places], in the order of `ids`."""
        return self._known(self._codes_VP)

    def _shape(self) -> dict[str, Any]:
        config = self.config
        return {"kind": self.kind, "num_heads": config.heads, "id_dropout": config.id_dropout}

    def _take_over(self, taught: Any, ids: Ids) -> None:
        super()._take_over(taught, ids)
        network = taught.network
        self._codes_VP = taught.codes_VP
        numbers = network.numbers.weight.detach().numpy().copy()
        self._numbers_PND = numbers.reshape(network.num_places, -1, numbers.shape[1])

    def _scores(self, asked: Asked) -> NDArray[np.float32]:
        assert self._encoder is not None
        vector_BD, past, usable = self._read(asked)
        numbers_PND, codes_VP = self._known(self._numbers_PND), self._known(self._codes_VP)
        scores_BV = np.zeros((len(vector_BD), len(codes_VP)), np.float32)
        for place, numbers_ND in enumerate(numbers_PND):
            scores_BV += (vector_BD @ numbers_ND.T)[:, codes_VP[:, place]]
        bonus = self._encoder.bonus(past)
        scores_BV[past.asking, past.item] += bonus
        scores_BV[~usable] = -np.inf
        scores_BV[asked.owner_X, asked.item_X] = -np.inf
        if not self.config.candidates:
            return scores_BV
        owner, item, _ = best(scores_BV, self.config.candidates)
        found_BV = np.full_like(scores_BV, -np.inf)
        dense = np.einsum("nd,nd->n", vector_BD[owner], self._encoder.compared_VD[item])
        found_BV[owner, item] = dense + self._encoder.bias_V[item]
        found_BV[past.asking, past.item] += bonus
        return found_BV

    def judge(self, asked: Asked, owner_N: Rows, item_N: Rows) -> Floats:
        """Return one logit per product, comparable inside a request, [N]; see the contract."""
        if self.config.candidates:
            return super().judge(asked, owner_N, item_N)
        item_N = asked.ids.within(self.ids, item_N)
        # Products left out of a request may be judged all the same.
        mine = asked.within(self.ids).excluding(asked.owner_X[:0], asked.item_X[:0])
        scores = self._scores(mine)[owner_N, item_N]
        return np.where((item_N >= 0) & np.isfinite(scores), scores, np.nan).astype(np.float32)
