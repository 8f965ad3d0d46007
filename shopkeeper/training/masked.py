"""Lets a text model read a shop's own texts: words are hidden, and it learns to guess them.

Source: masked-language modelling of BERT (Devlin et al., NAACL 2019), carried on over the texts of
one domain (Gururangan et al., ACL 2020). The head that guesses starts from nothing, so it learns
alone first and cannot spoil the model; it chooses among the words that the texts have, which
bounds memory whatever the vocabulary. Knows nothing of shops.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shopkeeper.errors import BadData
from shopkeeper.training.loop import Outcome, Plan, train
from shopkeeper.training.text_methods import load, save
from shopkeeper.training.text_model import TextModel, Tokens

# B texts of a batch, T tokens, D width, V words that the texts have, M hidden words

KEEP, REPLACE = 0.1, 0.1
"""Shares of the hidden words that are shown as they are, and as another word."""
HEAD = 0.2
"""Share of the time in which the head learns alone."""
HELD = 0.05
"""Share of the texts that tell how good it is; no more than `HELD_MAX`."""
HELD_MAX = 512


@dataclass(frozen=True, kw_only=True)
class Adapting:
    """How to adapt."""

    share: float = 0.15
    """Share of the words of a text that are hidden."""
    batch: int = 32
    """Texts of a step."""
    tokens_max: int = 48
    """Texts are cut to this many tokens."""
    minutes: float = 5.0
    """Time for it."""
    epochs: int = 3
    """Times that it goes through all texts at most."""
    lr: float = 5e-5
    """Learning rate of the model; that of the head is ten times higher while it learns alone."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"share must be between 0 and 1, but is {self.share}")
        if min(self.batch, self.epochs) < 1 or self.tokens_max < 8:
            raise ValueError("batch and epochs must be at least 1, tokens_max at least 8")
        if self.minutes <= 0 or self.lr <= 0:
            raise ValueError("minutes and lr must be above 0")


def adapt(
    source: TextModel,
    target: Path,
    texts: Sequence[str],
    adapting: Adapting,
    checkpoints: Path | None = None,
) -> list[Outcome]:
    """Adapt the model in `source` to texts and write it into `target`.

    Args:
        source: A BERT-like model whose tokenizer has a token that hides words.
        target: The folder where the adapted model goes, with its tokenizer.
        texts: Of the domain; each counts once.
        adapting: How.
        checkpoints: A folder where a run that was killed goes on; the caller deletes it.

    Returns:
        How the head alone and then all of it went; the curve is minus the loss on texts held back.

    Raises:
        BadData: There are too few texts, or the tokenizer has no token that hides words.
    """
    distinct = sorted(set(texts))
    if len(distinct) < 2 * adapting.batch:
        raise BadData(
            f"There are {len(distinct)} texts to adapt to, and {2 * adapting.batch} are needed. "
            "Load more products, or leave adapting out."
        )
    torch.manual_seed(adapting.seed)
    network = _Guesser(source, adapting, distinct)
    np.random.default_rng(adapting.seed).shuffle(distinct)
    held = distinct[: min(HELD_MAX, max(1, round(HELD * len(distinct))))]
    lessons = distinct[len(held) :]
    outcomes = []
    for phase, share in (("head", HEAD), ("all", 1 - HEAD)):
        network.inner.requires_grad_(phase == "all")
        plan = Plan(
            epochs_max=adapting.epochs if phase == "all" else 1, patience_epochs=2,
            minutes_max=adapting.minutes * share, lr=adapting.lr * (1 if phase == "all" else 10),
            lr_end=0.0, weight_decay=0.01, warmup_steps=20, seed=adapting.seed, precision="auto",
        )  # fmt: skip
        outcomes.append(
            train(
                network,
                lambda epoch: network.batches(lessons, epoch),
                network,
                plan,
                lambda: -network.mean_loss(held),
                checkpoints / f"masked-{phase}.safetensors" if checkpoints else None,
                about=json.dumps([str(source.transformer), len(distinct)]),
            )
        )
    save(network.inner, source, target)
    return outcomes


@dataclass(frozen=True)
class _Batch:
    """Texts with hidden words."""

    ids_BT: Tensor
    mask_BT: Tensor
    hidden_BT: Tensor
    """Where words are hidden."""
    words_M: Tensor
    """Which they are, as places among the words that the texts have."""


class _Guesser(nn.Module):  # type: ignore[misc]
    def __init__(self, source: TextModel, adapting: Adapting, texts: Sequence[str]) -> None:
        super().__init__()
        self.adapting = adapting
        self.inner: Any = load(source.transformer, local_files_only=True)
        self.tokens = Tokens(source.tokenizer, adapting.tokens_max)
        if self.tokens.mask is None:
            raise BadData(
                f"The tokenizer '{source.tokenizer}' has no token that hides words, such as "
                "[MASK]. Leave adapting out for this model."
            )
        width = self.inner.config.hidden_size
        self.head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
        found = np.zeros(self.tokens.size, dtype=bool)
        for at in range(0, len(texts), 1024):
            found[self.tokens(texts[at : at + 1024])[0].numpy().ravel()] = True
        known = torch.from_numpy(np.flatnonzero(found))
        self.known_V = known[~self.tokens.special(known)]
        self.place = torch.full((self.tokens.size,), -1)
        self.place[self.known_V] = torch.arange(len(self.known_V))
        self.bias_V = nn.Parameter(torch.zeros(len(self.known_V)))

    def forward(self, batch: _Batch) -> Tensor:
        """Return how badly the hidden words of a batch are guessed."""
        states_BTD = self.inner(
            input_ids=batch.ids_BT, attention_mask=batch.mask_BT
        ).last_hidden_state
        guessed_MD = self.head(states_BTD[batch.hidden_BT])
        words_VD = self.inner.get_input_embeddings().weight[self.known_V]
        scores_MV = guessed_MD @ words_VD.T + self.bias_V
        return nn.functional.cross_entropy(scores_MV.float(), batch.words_M)

    def batches(self, texts: Sequence[str], epoch: int) -> list[_Batch]:
        """Return all texts in an order of this epoch, other words hidden than in the last."""
        draw = np.random.default_rng([self.adapting.seed, epoch + 1])
        order, size = draw.permutation(len(texts)), self.adapting.batch
        starts = range(0, len(order), size)
        made = [self._hidden([texts[row] for row in order[at : at + size]], draw) for at in starts]
        return [batch for batch in made if len(batch.words_M)]

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def mean_loss(self, texts: Sequence[str]) -> float:
        """Return the loss on texts whose hidden words are always the same."""
        losses = [float(self(batch)) for batch in self.batches(texts, -1)]
        return float(np.mean(losses))

    def _hidden(self, texts: Sequence[str], draw: np.random.Generator) -> _Batch:
        ids_BT, mask_BT = self.tokens(texts)
        place_BT = self.place[ids_BT]
        may_BT = (place_BT >= 0) & (mask_BT > 0)
        hidden_BT = may_BT & torch.from_numpy(draw.random(ids_BT.shape) < self.adapting.share)
        kind_BT = torch.from_numpy(draw.random(ids_BT.shape))
        others = self.known_V[torch.from_numpy(draw.integers(len(self.known_V), size=ids_BT.shape))]
        shown_BT = torch.where(kind_BT < REPLACE, others, torch.tensor(self.tokens.mask))
        shown_BT = torch.where(kind_BT > 1 - KEEP, ids_BT, shown_BT)
        return _Batch(
            torch.where(hidden_BT, shown_BT, ids_BT), mask_BT, hidden_BT, place_BT[hidden_BT]
        )
