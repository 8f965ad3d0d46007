"""Teaches a text encoder what belongs together in a shop, from pairs of texts.

Source: softmax over the cosines of a batch (Henderson et al., 2017) both ways, with negatives that
are hard for the model as it stands (ANCE, Xiong et al., ICLR 2021), and where wanted nested widths
(Matryoshka, Kusupati et al., NeurIPS 2022) and perturbed embeddings (FGM, Miyato et al., ICLR
2017). How much of the model learns is for `text_methods`. What comes out is a folder like the one
that went in. Knows nothing of shops: who knows hands in pairs and a way to find hard texts.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shopkeeper.errors import BadData
from shopkeeper.training.loop import Lazy, Outcome, Plan, fast_bfloat16, train
from shopkeeper.training.text_methods import METHODS, learning, load, save
from shopkeeper.training.text_model import TextModel, Tokens, pooled

# B pairs of a batch, P texts of a batch that may be the answer, T tokens, D width

Encode = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts to vectors of length 1, [N, D], by the model as it stands."""
Teacher = Callable[[Sequence[str], Sequence[str]], NDArray[np.float32]]
"""How well texts answer questions, pair by pair, by a model that reads both together, [N]."""
Hard = Callable[[Sequence[str], Encode], Sequence[Sequence[str]]]
"""Texts that are easily taken for the right one, best first, for each question."""


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How to tune."""

    method: str = "full"
    """`full` teaches all weights, `top_layers` the last ones, `lora` and `adalora` small matrices
    beside the others, `adapter` a few more hidden units, `prefix` tokens that every layer reads."""
    layers: int = 2
    """How many layers learn under `top_layers`."""
    rank: int = 16
    """Width of the small matrices of `lora` and `adalora`; tokens of a prefix; an adapter has four
    times as many hidden units."""
    temperature: float = 0.05
    """What cosines are divided by."""
    batch: int = 64
    """Pairs of a step; each is a negative of all others."""
    tokens_max: int = 48
    """Texts are cut to this many tokens."""
    rounds: int = 2
    """How often hard negatives are looked for; the first round learns without any."""
    hard: int = 1
    """Hard negatives of each pair from the second round on."""
    widths: tuple[int, ...] = ()
    """The first so many numbers of a vector are to mean the same, such as (192, 96)."""
    distil: float = 1.0
    """What a teacher counts beside the pairs, if there is one."""
    noise: float = 0.0
    """Size of the worst small change of the embeddings that learning has to bear; 0 for none."""
    minutes: float = 20.0
    """Time for all rounds."""
    epochs: int = 3
    """Times that each round goes through all pairs at most."""
    lr: float = 0.0
    """Learning rate of the first round; 0 for the usual one of the method."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, not '{self.method}'")
        least = {"layers": 1, "rank": 1, "batch": 2, "tokens_max": 8, "rounds": 1, "hard": 0,
                 "epochs": 1}  # fmt: skip
        for name, lowest in least.items():
            if getattr(self, name) < lowest:
                raise ValueError(f"{name} must be at least {lowest}, but is {getattr(self, name)}")
        if not 0.001 <= self.temperature <= 1:
            raise ValueError(f"temperature must be from .001 to 1, but is {self.temperature}")
        if self.minutes <= 0 or min(self.noise, self.lr, self.distil) < 0:
            raise ValueError("minutes must be above 0; noise, lr and distil at least 0")


def tune(
    source: TextModel,
    target: Path,
    pairs: Sequence[tuple[str, str]],
    tuning: Tuning,
    *,
    hard: Hard | None = None,
    teacher: Teacher | None = None,
    measure: Callable[[Encode], float] | None = None,
    checkpoints: Path | None = None,
) -> list[Outcome]:
    """Tune the model in `source` on pairs and write it into `target`.

    Args:
        source: A BERT-like model.
        target: The folder where the tuned model goes, with its tokenizer.
        pairs: Question and answer each; a question may have several answers.
        tuning: How.
        hard: Finds texts that are easily taken for the answer; without it there is one round.
        teacher: Says how well texts answer a question; where there are hard texts, the model
            learns to see answer and hard texts as the teacher does. None learns from pairs alone.
        measure: How good the encoder is, higher is better; the best epoch of each round is kept.
        checkpoints: A folder where a run that was killed goes on; the caller deletes it.

    Returns:
        How each round went.

    Raises:
        BadData: There are fewer pairs than make a batch.
    """
    if len(pairs) < tuning.batch:
        raise BadData(
            f"There are {len(pairs)} pairs of texts to learn from, and a batch needs "
            f"{tuning.batch}. Load more searches or products, or make the batch smaller."
        )
    torch.manual_seed(tuning.seed)
    rounds = tuning.rounds if hard is not None else 1
    network = Reader(source, tuning, rounds * tuning.epochs * (len(pairs) // tuning.batch))
    outcomes = []
    for number in range(rounds):
        found = _mined(network, pairs, tuning, hard, number, checkpoints)
        lessons = _Lessons(pairs, found, replace(tuning, seed=tuning.seed + number), teacher)
        plan = Plan(
            epochs_max=tuning.epochs, minutes_max=tuning.minutes / rounds, patience_epochs=1,
            lr=(tuning.lr or METHODS[tuning.method].lr) / (1 + number), lr_end=0.0,
            weight_decay=0.01, warmup_steps=20, seed=tuning.seed + number, precision="auto",
        )  # fmt: skip
        outcomes.append(
            train(
                network,
                lessons.batches,
                lambda batch: network.loss(batch, tuning),
                plan,
                (lambda: measure(network.encode)) if measure is not None else None,
                checkpoints / f"round-{number}.safetensors" if checkpoints else None,
                about=json.dumps([str(source.transformer), tuning.method, len(pairs)]),
            )
        )
    network.save(target)
    return outcomes


class Reader(nn.Module):  # type: ignore[misc]
    """A text model whose answer is one vector of length 1; only part of it may learn.

    Args:
        source: The model.
        tuning: How much of it learns.
        steps: How many steps it will learn, at most.
    """

    def __init__(self, source: TextModel, tuning: Tuning, steps: int = 1) -> None:
        super().__init__()
        self.source = source
        self.tokens = Tokens(source.tokenizer, tuning.tokens_max)
        inner = load(source.transformer, local_files_only=True)
        self.inner: Any = learning(inner, tuning, steps)
        self.step = 0

    def forward(self, embedded_PTD: Tensor, mask_PT: Tensor) -> Tensor:
        """Return the vectors of texts whose words are looked up already, [P, D]."""
        states_PTD = self.inner(inputs_embeds=embedded_PTD, attention_mask=mask_PT)
        return pooled(states_PTD.last_hidden_state, mask_PT, self.source.pooling)

    def look_up(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return the word embeddings [P, T, D] and the mask [P, T] of texts."""
        ids_PT, mask_PT = self.tokens(texts)
        return self.inner.get_input_embeddings()(ids_PT), mask_PT

    def loss(self, batch: "Batch", tuning: Tuning) -> Tensor:
        """Return how far questions are from their answers, beside all other texts of the batch."""
        if tuning.method == "adalora" and self.training and self.step:
            # By the slopes of the step before, which are still there.
            self.inner.base_model.update_and_allocate(self.step)
        self.step += 1
        questions, answers = self.look_up(batch.questions), self.look_up(batch.answers)
        if tuning.noise and not answers[0].requires_grad:
            answers[0].requires_grad_(True)
        clean = self._loss(questions, answers, batch, tuning)
        if not (tuning.noise and self.training):
            return clean
        (slope_PTD,) = torch.autograd.grad(clean, answers[0], retain_graph=True)
        worst_PTD = slope_PTD / slope_PTD.norm(dim=(1, 2), keepdim=True).clamp(min=1e-12)
        shaken = (answers[0] + tuning.noise * worst_PTD.detach(), answers[1])
        return (clean + self._loss(questions, shaken, batch, tuning)) / 2

    def _loss(
        self,
        questions: tuple[Tensor, Tensor],
        answers: tuple[Tensor, Tensor],
        batch: "Batch",
        tuning: Tuning,
    ) -> Tensor:
        question_BD, answer_PD = self(*questions), self(*answers)
        size = len(batch.questions)
        right_B = torch.arange(size)
        losses = []
        for width in (question_BD.shape[1], *tuning.widths):
            left_BD = nn.functional.normalize(question_BD[:, :width], dim=-1)
            right_PD = nn.functional.normalize(answer_PD[:, :width], dim=-1)
            all_BP = left_BD @ right_PD.T / tuning.temperature
            scores_BP = all_BP.masked_fill(batch.also_right_BP, float("-inf"))
            losses.append(nn.functional.cross_entropy(scores_BP, right_B))
            losses.append(nn.functional.cross_entropy(scores_BP[:, :size].T, right_B))
            if batch.taught_BP is not None:
                losses.append(tuning.distil * _unlike(all_BP, batch.taught_BP))
        return torch.stack(losses).mean()

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector of length 1 per text, [N, D]."""
        training = self.training
        self.eval()
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        found = np.zeros((len(texts), self.inner.config.hidden_size), dtype=np.float32)
        low = torch.autocast("cpu", torch.bfloat16, enabled=fast_bfloat16())
        for at in range(0, len(order), 64):
            rows = order[at : at + 64]
            with low:
                found[rows] = self(*self.look_up([texts[row] for row in rows])).float().numpy()
        self.train(training)
        return found

    def save(self, target: Path) -> None:
        """Write the model, what was learned merged into its weights, in one step."""
        save(self.inner, self.source, target)


@dataclass(frozen=True)
class Batch:
    """Questions, their answers in the same order, and hard texts behind them."""

    questions: list[str]
    answers: list[str]
    also_right_BP: Tensor
    """Texts that answer a question too and are no negatives of it."""
    taught_BP: Tensor | None = None
    """What a teacher says of each question's own answer and hard texts; else minus infinity."""


class _Lessons:
    """Batches of pairs, in another order in each epoch."""

    def __init__(
        self,
        pairs: Sequence[tuple[str, str]],
        hard: Sequence[Sequence[str]],
        tuning: Tuning,
        teacher: Teacher | None = None,
    ) -> None:
        self.pairs, self.hard, self.tuning, self.teacher = pairs, hard, tuning, teacher
        self.right: dict[str, set[str]] = {}
        for question, answer in pairs:
            self.right.setdefault(question, set()).add(answer)

    def batches(self, epoch: int) -> Sequence[Batch]:
        order = np.random.default_rng([self.tuning.seed, epoch]).permutation(len(self.pairs))
        size = self.tuning.batch

        def make(number: int) -> Batch:
            draw = np.random.default_rng([self.tuning.seed, epoch, number])
            return self._batch(order[number * size : (number + 1) * size], draw)

        # The last, smaller batch would have easier negatives.
        return Lazy(len(order) // size, make)

    def _batch(self, rows: NDArray[np.int64], draw: np.random.Generator) -> Batch:
        questions = [self.pairs[row][0] for row in rows]
        answers = [self.pairs[row][1] for row in rows]
        own = [[at] for at in range(len(rows))]
        for at, row in enumerate(rows):
            near = self.hard[row] if self.hard else ()
            picked = min(self.tuning.hard, len(near))
            own[at] += range(len(answers), len(answers) + picked)
            answers += [near[other] for other in draw.choice(len(near), picked, replace=False)]
        right_BP = np.array(
            [[answer in self.right[question] for answer in answers] for question in questions]
        )
        # A question that came twice has its right answers at two places.
        same = np.array([[left == right for right in answers] for left in answers[: len(rows)]])
        right_BP |= same
        taught = self._taught(questions, answers, own) if self.teacher and self.hard else None
        if taught is not None:
            # Of a question's own hard texts the teacher alone says how wrong they are.
            right_BP[:, len(rows) :] |= np.isfinite(taught[:, len(rows) :].numpy())
        right_BP[np.arange(len(rows)), np.arange(len(rows))] = False
        return Batch(questions, answers, torch.from_numpy(right_BP), taught)

    def _taught(self, questions: list[str], answers: list[str], own: list[list[int]]) -> Tensor:
        assert self.teacher is not None
        places = [(row, at) for row, columns in enumerate(own) for at in columns]
        asked, told = zip(*((questions[row], answers[at]) for row, at in places), strict=True)
        said = self.teacher(asked, told)
        taught_BP = torch.full((len(questions), len(answers)), float("-inf"))
        for (row, at), score in zip(places, said, strict=True):
            taught_BP[row, at] = float(score)
        return taught_BP


def _unlike(scores_BP: Tensor, taught_BP: Tensor) -> Tensor:
    """Return how unlike the order of each question's own texts is to that of the teacher."""
    own_BP = torch.isfinite(taught_BP)
    wanted_BP = taught_BP.softmax(dim=1)
    mine_BP = scores_BP.masked_fill(~own_BP, float("-inf")).log_softmax(dim=1)
    apart_BP = wanted_BP * (wanted_BP.clamp(min=1e-9).log() - mine_BP)
    return apart_BP.masked_fill(~own_BP, 0.0).sum(1).mean()


def _mined(
    network: Reader,
    pairs: Sequence[tuple[str, str]],
    tuning: Tuning,
    hard: Hard | None,
    number: int,
    checkpoints: Path | None,
) -> list[list[str]]:
    """Return hard texts for each pair; a round that goes on has those that it began with."""
    if hard is None or number == 0 or not tuning.hard:
        return []
    file = checkpoints / f"hard-{number}.json" if checkpoints else None
    if file is not None and file.is_file():
        kept: list[list[str]] = json.loads(file.read_text())
        return kept
    questions = list(dict.fromkeys(question for question, _ in pairs))
    near = dict(zip(questions, hard(questions, network.encode), strict=True))
    right: dict[str, set[str]] = {}
    for question, answer in pairs:
        right.setdefault(question, set()).add(answer)
    found = [[text for text in near[q] if text not in right[q]] for q, _ in pairs]
    if file is not None:
        draft = file.with_suffix(".part")
        draft.write_text(json.dumps(found))
        draft.replace(file)
    return found
