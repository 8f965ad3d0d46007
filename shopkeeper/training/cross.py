"""Teaches a cross-encoder: a text model that reads a question and a text together.

Source: Nogueira and Cho, Passage Re-ranking with BERT, 2019; the right text is picked among hard
ones by softmax (listwise, as in RankT5 of Zhuang et al., SIGIR 2023). It is slower than comparing
vectors and sees more; it may order the best few, or teach an encoder. Knows nothing of shops.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shopkeeper.errors import BadData
from shopkeeper.training.loop import Lazy, Outcome, Plan, fast_bfloat16, train
from shopkeeper.training.text_methods import save
from shopkeeper.training.text_model import TextModel, Tokens

# B questions of a batch, H hard texts beside the right one


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """How to teach it."""

    hard: int = 3
    """Texts beside the right one that each question chooses among."""
    batch: int = 16
    """Questions of a step."""
    tokens_max: int = 64
    """Question and text together are cut to this many tokens."""
    minutes: float = 10.0
    epochs: int = 2
    lr: float = 5e-5
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.hard, self.batch, self.epochs) < 1 or self.tokens_max < 8:
            raise ValueError("hard, batch and epochs must be at least 1, tokens_max at least 8")
        if min(self.minutes, self.lr) <= 0:
            raise ValueError("minutes and lr must be above 0")


@dataclass(frozen=True)
class Choice:
    """A question, its right text, and texts that are easily taken for it."""

    question: str
    right: str
    wrong: Sequence[str]


def teach_cross(
    source: TextModel,
    target: Path,
    choices: Sequence[Choice],
    crossing: Crossing,
    measure: Callable[["CrossReader"], float] | None = None,
    checkpoint: Path | None = None,
) -> Outcome:
    """Teach a cross-encoder and write it into `target`.

    Args:
        source: A BERT-like model, as it came or one that was taught so before.
        target: The folder where it goes, with its tokenizer; other programs read it as a model
            for sequence classification with one label.
        choices: What to learn from; those without wrong texts are passed over.
        crossing: How.
        measure: How good it is, higher is better; the best epoch is kept.
        checkpoint: A file from which a run that was killed goes on; the caller deletes it.

    Returns:
        How it went.

    Raises:
        BadData: There are fewer choices than make a batch.
    """
    useful = [choice for choice in choices if choice.wrong]
    if len(useful) < crossing.batch:
        raise BadData(
            f"There are {len(useful)} questions with hard texts, and a batch needs "
            f"{crossing.batch}. Load more searches or products, or make the batch smaller."
        )
    torch.manual_seed(crossing.seed)
    network = CrossReader(source, crossing.tokens_max)

    def batches(epoch: int) -> Sequence[list[Choice]]:
        order = np.random.default_rng([crossing.seed, epoch]).permutation(len(useful))
        size = crossing.batch

        def make(number: int) -> list[Choice]:
            draw = np.random.default_rng([crossing.seed, epoch, number])
            rows = order[number * size : (number + 1) * size]
            return [_fewer(useful[row], crossing.hard, draw) for row in rows]

        return Lazy(len(order) // size, make)

    plan = Plan(
        epochs_max=crossing.epochs, minutes_max=crossing.minutes, patience_epochs=1,
        lr=crossing.lr, lr_end=0.0, weight_decay=0.01, warmup_steps=20, seed=crossing.seed,
        precision="auto",
    )  # fmt: skip
    outcome = train(
        network, batches, network.loss, plan,
        (lambda: measure(network)) if measure is not None else None, checkpoint,
        json.dumps([str(source.transformer), len(useful)]),
    )  # fmt: skip
    save(network.inner, source, target)
    return outcome


class CrossReader(nn.Module):  # type: ignore[misc]
    """A text model that says how well a text answers a question.

    Args:
        source: The model.
        tokens_max: Question and text together are cut to this many tokens.
    """

    def __init__(self, source: TextModel, tokens_max: int) -> None:
        from transformers import AutoModelForSequenceClassification
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        before = logging.get_verbosity()
        # It says that the head is new, which is what is wanted.
        logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        super().__init__()
        self.tokens = Tokens(source.tokenizer, tokens_max)
        try:
            self.inner: Any = AutoModelForSequenceClassification.from_pretrained(
                source.transformer, num_labels=1, local_files_only=True
            )
        finally:
            logging.set_verbosity(before)  # type: ignore[no-untyped-call]

    def forward(self, questions: Sequence[str], texts: Sequence[str]) -> Tensor:
        """Return a score for each pair, [N]."""
        ids, kinds, mask = self.tokens.together(questions, texts)
        found = self.inner(input_ids=ids, token_type_ids=kinds, attention_mask=mask)
        return found.logits[:, 0].float()

    def loss(self, batch: Sequence[Choice]) -> Tensor:
        """Return how seldom the right text is chosen."""
        texts = [[one.right, *one.wrong] for one in batch]
        questions = [
            one.question for one, several in zip(batch, texts, strict=True) for _ in several
        ]
        scores = self(questions, [text for several in texts for text in several])
        losses = [
            -own.log_softmax(0)[0] for own in scores.split([len(several) for several in texts])
        ]
        return torch.stack(losses).mean()

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def score(self, questions: Sequence[str], texts: Sequence[str]) -> NDArray[np.float32]:
        """Return how well texts answer questions, pair by pair, [N]; only their order counts."""
        training = self.training
        self.eval()
        order = sorted(range(len(texts)), key=lambda row: len(questions[row]) + len(texts[row]))
        found = np.zeros(len(texts), dtype=np.float32)
        for at in range(0, len(order), 64):
            rows = order[at : at + 64]
            with torch.autocast("cpu", torch.bfloat16, enabled=fast_bfloat16()):
                scores = self([questions[row] for row in rows], [texts[row] for row in rows])
            found[rows] = scores.numpy()
        self.train(training)
        return found


def _fewer(choice: Choice, hard: int, draw: np.random.Generator) -> Choice:
    if len(choice.wrong) <= hard:
        return choice
    picked = draw.choice(len(choice.wrong), hard, replace=False)
    return Choice(choice.question, choice.right, [choice.wrong[at] for at in picked])
