"""Makes a text encoder smaller: fewer layers, taught to give the vectors of the whole.

Source: some layers of the teacher as in DistilBERT (Sanh et al., 2019); vectors compared one by one
and by their cosines to each other (similarity-preserving distillation, Tung and Mori, ICCV 2019),
also by their first numbers alone (Matryoshka, Kusupati et al., NeurIPS 2022). Word embeddings stay
as they are. Knows no shop, and needs no labels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shopkeeper.errors import BadConfig, BadData
from shopkeeper.training.loop import Outcome, Plan, train
from shopkeeper.training.text_methods import layers_of, load, save
from shopkeeper.training.text_model import TextModel
from shopkeeper.training.texts import Encode, Reader, Tuning

# B texts of a batch, D width of a vector

LIKENESS_WEIGHT = 10.0
"""What squared differences of cosines count beside 1 less the cosine to the teacher: both are then
of one size at the start."""


@dataclass(frozen=True, kw_only=True)
class Distilling:
    """How the small model learns."""

    widths: tuple[int, ...] = ()
    """The first so many numbers of a vector are to be as near to each other as whole vectors."""
    batch: int = 64
    tokens_max: int = 48
    """Texts are cut to this many tokens."""
    minutes: float = 4.0
    epochs: int = 8
    lr: float = 3e-4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch < 2 or self.tokens_max < 8 or self.epochs < 1:
            raise ValueError("batch must be at least 2, tokens_max 8 and epochs 1")
        if min(self.minutes, self.lr) <= 0:
            raise ValueError("minutes and lr must be above 0")


def count_layers(source: TextModel) -> int:
    """Return how many layers a model has; BadData if it has none that can be left out."""
    return len(layers_of(load(source.transformer)))


def spread(layers: int, keep: int) -> list[int]:
    """Return which layers stay if `keep` of them do: the first, the last, and some between.

    >>> spread(6, 3), spread(12, 4), spread(6, 1)
    ([0, 2, 5], [0, 4, 7, 11], [0])
    """
    if not 1 <= keep <= layers:
        raise BadConfig(f"{keep} layers cannot stay of {layers}. Name a number from 1 to {layers}.")
    return [round(at) for at in np.linspace(0, layers - 1, keep)]


def prune(source: TextModel, target: Path, keep: Sequence[int]) -> None:
    """Write a model with some of its layers.

    Args:
        source: The whole model.
        target: The folder where the smaller one goes.
        keep: Which layers stay, from 0, in this order.
    """
    model = load(source.transformer)
    known = layers_of(model)
    model.encoder.layer = nn.ModuleList([known[at] for at in keep])
    model.config.num_hidden_layers = len(keep)
    save(model, source, target)


def distil(
    source: TextModel,
    target: Path,
    texts: Sequence[str],
    vectors: NDArray[np.float32],
    how: Distilling,
    *,
    measure: Callable[[Encode], float] | None = None,
    checkpoint: Path | None = None,
    about: str = "",
) -> Outcome:
    """Teach a small model the vectors of a bigger one.

    Args:
        source: The small model, such as `prune` wrote.
        target: Where it goes when it has learned.
        texts: What to learn on, as the model reads them.
        vectors: What the bigger model makes of them, of length 1, [N, D].
        how: How.
        measure: How good the small model is, higher is better; the best epoch is kept.
        checkpoint: A file from which a run that was killed goes on; the caller deletes it.
        about: What else must agree for it to go on, such as a hash of texts and vectors.

    Returns:
        How it went.

    Raises:
        BadData: There are fewer texts than make a batch.
    """
    if len(texts) < how.batch:
        raise BadData(
            f"There are {len(texts)} texts to learn from, and a batch needs {how.batch}. "
            "Load more products."
        )
    torch.manual_seed(how.seed)
    amount = Tuning(method="top_layers", layers=count_layers(source), tokens_max=how.tokens_max)
    student = Reader(source, amount)

    def batches(epoch: int) -> list[NDArray[np.int64]]:
        order = np.random.default_rng([how.seed, epoch]).permutation(len(texts))
        return [
            order[at : at + how.batch] for at in range(0, len(order) - how.batch + 1, how.batch)
        ]

    def loss(rows: NDArray[np.int64]) -> Tensor:
        found_BD = student(*student.look_up([texts[row] for row in rows]))
        return difference(found_BD, torch.from_numpy(vectors[rows]), how.widths)

    plan = Plan(
        epochs_max=how.epochs, minutes_max=how.minutes, patience_epochs=how.epochs, lr=how.lr,
        lr_end=0.02, warmup_steps=30, weight_decay=0.01, seed=how.seed, precision="auto",
    )  # fmt: skip
    outcome = train(
        student, batches, loss, plan,
        (lambda: measure(student.encode)) if measure is not None else None, checkpoint, about,
    )  # fmt: skip
    student.save(target)
    return outcome


def difference(found_BD: Tensor, wanted_BD: Tensor, widths: Sequence[int] = ()) -> Tensor:
    """Return how far vectors are from those of the teacher, one by one and by their cosines.

    Args:
        found_BD: Vectors of the student, of length 1.
        wanted_BD: Vectors of the teacher, of length 1.
        widths: The cosines of the first so many numbers are compared too.

    Returns:
        A number that is 0 for equal vectors, if there are no `widths`.
    """
    alike_BB = wanted_BD @ wanted_BD.T
    total = (1 - (found_BD * wanted_BD).sum(1)).mean()
    for width in (found_BD.shape[1], *widths):
        narrow_BD = nn.functional.normalize(found_BD[:, :width], dim=-1)
        total = total + LIKENESS_WEIGHT * ((narrow_BD @ narrow_BD.T - alike_BB) ** 2).mean()
    return total
