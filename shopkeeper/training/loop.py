"""The one training loop: small steps, early stopping, and a checkpoint that survives `kill -9`.

Every step draws its randomness from the seed and its own number, so a run that was killed and
goes on from its checkpoint ends where an undisturbed one ends (unless minutes run out, which is
the one thing here that depends on the machine). Source: AdamW of Loshchilov and Hutter,
ICLR 2019, with linear warm-up and cosine decay. Knows nothing of what is learned: the caller
hands in batches, a loss and a measure.
"""

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from shopkeeper.tracing import progress

Batch = TypeVar("Batch")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long and how fast to learn."""

    epochs_max: int = 20
    steps_max: int = 1_000_000
    minutes_max: float = 60.0
    """The learning rate falls with whichever of steps and minutes is nearer its end."""
    patience_epochs: int = 5
    """Stop after so many epochs without a better measure."""
    lr: float = 1e-3
    lr_end: float = 0.1
    """Share of `lr` left at the end; 1 keeps it as it is."""
    warmup_steps: int = 50
    average: float = 0.0
    """Share of the mean weights that a step keeps, in [0, 1): they are measured and handed over
    instead of the newest ones; 0 takes no mean."""
    measure_every: int = 1
    """Epochs from one measure to the next; the last one is always measured."""
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    seed: int = 0
    precision: str = "float32"
    """`float32`, `bfloat16`, or `auto`: bfloat16 where the processor multiplies it fast."""
    save_every_s: float = 20.0

    def __post_init__(self) -> None:
        if min(self.epochs_max, self.steps_max, self.patience_epochs) < 1:
            raise ValueError("epochs_max, steps_max and patience_epochs must be at least 1.")
        if self.measure_every < 1 or not 0 <= self.average < 1:
            raise ValueError("measure_every must be at least 1, and average in [0, 1).")
        if not (self.minutes_max > 0 and self.lr > 0 and self.clip_norm > 0):
            raise ValueError("minutes_max, lr and clip_norm must be above 0.")
        if self.precision not in ("float32", "bfloat16", "auto"):
            raise ValueError(f"precision is '{self.precision}', not float32, bfloat16 or auto.")


@dataclass
class Outcome:
    """What a run came to; `curve` is the measure after each epoch that was measured."""

    epoch: int = 0
    step: int = 0
    """Steps taken in all."""
    step_of_epoch: int = 0
    seconds: float = 0.0
    curve: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    """Mean loss of each epoch."""
    loss_sum: float = 0.0
    best_epoch: int = -1
    done: bool = False


class Lazy(Sequence[Batch]):
    """Batches of an epoch that are made when their turn comes, by their number from 0."""

    def __init__(self, size: int, make: Callable[[int], Batch]) -> None:
        self._size, self._make = size, make

    def __len__(self) -> int:
        """Return how many there are."""
        return self._size

    def __getitem__(self, number: Any) -> Any:
        """Return one, or those of a slice, which are made when their turn comes too."""
        if isinstance(number, slice):
            chosen = range(*number.indices(self._size))
            return Lazy(len(chosen), lambda at: self._make(chosen[at]))
        if not 0 <= number < self._size:
            raise IndexError(number)
        return self._make(number)


def train(
    network: nn.Module,
    batches: Callable[[int], Sequence[Batch]],
    loss: Callable[[Batch], Tensor],
    plan: Plan,
    measure: Callable[[], float] | None = None,
    checkpoint: Path | None = None,
    about: str = "",
) -> Outcome:
    """Teach `network` in place and leave it with its best weights, in `eval` mode.

    Args:
        network: What learns; its parameters are changed.
        batches: The batches of an epoch, from 0; must depend on nothing but that number.
        loss: Scalar loss of a batch, through `network`.
        plan: How long and how fast.
        measure: Higher is better, asked after each epoch in `eval` mode without gradients; None
            learns to the end of the plan and keeps the last weights.
        checkpoint: Where to keep the state; a file there from the same `plan` and `about` is
            continued. The caller deletes it.
        about: What else must agree for a checkpoint to be continued, such as a hash of the data.

    Returns:
        How far it went.
    """
    run: _Run[Batch] = _Run(network, plan, checkpoint, json.dumps([asdict(plan), about]))
    run.resume()
    while not run.outcome.done:
        epoch = batches(run.outcome.epoch)
        run.learn(epoch, loss)
        run.close_epoch(measure)
    network.load_state_dict(run.best if measure is not None and run.best else run.handed_over())
    network.eval()
    run.outcome.seconds = run.seconds()
    return run.outcome


def fast_bfloat16() -> bool:
    """Say whether this processor has units that multiply bfloat16 matrices (AMX)."""
    supported = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    return bool(supported())


class _Run(Generic[Batch]):
    def __init__(self, network: nn.Module, plan: Plan, file: Path | None, identity: str) -> None:
        self.network, self.plan, self.file, self.identity = network, plan, file, identity
        self.outcome = Outcome()
        self.best: dict[str, Tensor] = {}
        self.mean: dict[str, Tensor] = {}
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.adam = torch.optim.AdamW(
            self.parameters,
            lr=plan.lr,
            betas=(0.9, 0.98),
            weight_decay=plan.weight_decay,
            fused=True,
        )
        self.low = plan.precision == "bfloat16" or (plan.precision == "auto" and fast_bfloat16())
        self.began_s = self.saved_s = time.monotonic()
        self.num_steps = 1

    def learn(self, epoch: Sequence[Batch], loss: Callable[[Batch], Tensor]) -> None:
        """Take the steps of an epoch that are still to do."""
        state, plan = self.outcome, self.plan
        self.num_steps = min(plan.steps_max, plan.epochs_max * len(epoch))
        self.network.train()
        first = state.step_of_epoch
        what = f"epoch {state.epoch + 1}"
        for batch in progress(epoch[first:], what, total=len(epoch) - first):
            if self._over():
                break
            torch.manual_seed(plan.seed * 1_000_003 + state.step)
            for group in self.adam.param_groups:
                group["lr"] = self._lr()
            with self._autocast():
                cost = loss(batch)
            self.adam.zero_grad(set_to_none=True)
            cost.backward()
            nn.utils.clip_grad_norm_(self.parameters, plan.clip_norm)
            self.adam.step()
            self._average()
            state.loss_sum += float(cost.detach())
            state.step += 1
            state.step_of_epoch += 1
            self.save(every_s=plan.save_every_s)

    def close_epoch(self, measure: Callable[[], float] | None) -> None:
        """Measure, remember the best, and decide whether to go on."""
        state, plan = self.outcome, self.plan
        state.losses.append(state.loss_sum / max(1, state.step_of_epoch))
        over = self._over() or state.epoch + 1 >= plan.epochs_max
        if measure is not None and (over or (state.epoch + 1) % plan.measure_every == 0):
            newest = {k: v.clone() for k, v in self.network.state_dict().items()}
            handed = {k: v.clone() for k, v in self.handed_over().items()}
            self.network.load_state_dict(handed)
            self.network.eval()
            with torch.no_grad():
                state.curve.append(measure())
            self.network.load_state_dict(newest)
            if state.curve[-1] > max(state.curve[:-1], default=-math.inf):
                state.best_epoch, self.best = state.epoch, handed
        waited = state.epoch - state.best_epoch if measure is not None else 0
        state.epoch += 1
        state.step_of_epoch, state.loss_sum = 0, 0.0
        state.done = over or waited >= plan.patience_epochs
        self.save()

    def handed_over(self) -> dict[str, Tensor]:
        """Return the weights as they would be used now: the mean ones where there are any."""
        state: dict[str, Tensor] = self.network.state_dict()
        return state | self.mean

    def _average(self) -> None:
        if not self.plan.average:
            return
        named = {k: v.detach() for k, v in self.network.named_parameters()}
        if not self.mean:
            self.mean = {k: v.clone() for k, v in named.items()}
        # At first the mean must be quick to forget the weights that nothing had taught yet.
        step = self.outcome.step
        share = 1 - min(self.plan.average, (1 + step) / (10 + step))
        torch._foreach_lerp_([self.mean[name] for name in named], list(named.values()), share)

    def save(self, every_s: float = 0.0) -> None:
        """Write the state in one atomic step, unless it was written less than `every_s` ago."""
        now_s = time.monotonic()
        if self.file is None or now_s - self.saved_s < every_s:
            return
        self.outcome.seconds += now_s - self.began_s
        self.began_s = self.saved_s = now_s
        tensors = {f"now.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        tensors |= {f"mean.{k}": v for k, v in self.mean.items()}
        for index, kept in self.adam.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{name}": value for name, value in kept.items()}
        words = {"identity": self.identity, "outcome": json.dumps(asdict(self.outcome))}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.file.with_name(f"{self.file.name}.{os.getpid()}.part")
        save_file({k: v.contiguous() for k, v in tensors.items()}, fresh, metadata=words)
        with fresh.open("rb") as written:
            os.fsync(written.fileno())
        fresh.replace(self.file)

    def resume(self) -> None:
        """Take up the state of `file`, if there is one of the same run."""
        if self.file is None or not self.file.exists():
            return
        with safe_open(self.file, framework="pt") as kept:
            words = kept.metadata()
            if words["identity"] != self.identity:
                return
            tensors = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118
        self.outcome = Outcome(**json.loads(words["outcome"]))
        self.network.load_state_dict(_under("now.", tensors))
        self.best = _under("best.", tensors)
        self.mean = _under("mean.", tensors)
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in _under("adam.", tensors).items():
            index, _, part = name.partition(".")
            moments.setdefault(int(index), {})[part] = value
        self.adam.load_state_dict(self.adam.state_dict() | {"state": moments})

    def _lr(self) -> float:
        plan, step = self.plan, self.outcome.step
        warm = min(1.0, (step + 1) / max(1, plan.warmup_steps))
        gone = min(1.0, max(step / self.num_steps, self._minutes() / plan.minutes_max))
        left = plan.lr_end + (1 - plan.lr_end) * (1 + math.cos(math.pi * gone)) / 2
        return plan.lr * warm * left

    def seconds(self) -> float:
        """Return the seconds spent so far, those before a kill included."""
        return self.outcome.seconds + time.monotonic() - self.began_s

    def _minutes(self) -> float:
        return self.seconds() / 60

    def _over(self) -> bool:
        return self.outcome.step >= self.plan.steps_max or self._minutes() >= self.plan.minutes_max

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast("cpu", torch.bfloat16) if self.low else nullcontext()


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
