"""Teaches networks of clicks and sales, each with other requests held back to say when to stop.

Source: regularised embeddings as in BARS (Zhu et al., SIGIR 2022); with two labels the loss of
ESMM (Ma et al., SIGIR 2018), over all impressions, so that the chance of a sale is not learned from
those alone who clicked. Knows no shop: arrays in, networks out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from shopkeeper.training.loop import Plan, train
from shopkeeper.training.networks.clicks import Clicks, Fields, Shape

Floats = NDArray[np.float32]
BATCH_MEASURED = 8192
DEVIATION = 1.0
"""Of the logarithm of what sales are worth, which weighs its error beside log losses."""


@dataclass(frozen=True)
class Impressions:
    """What is learned from; N rows, F features, T labels."""

    features: Floats
    """[N, F]."""
    labels: Floats
    """[N, T]: click or sale alone; click and sale; or these and what the sale was worth."""
    weights: Floats
    """[N]."""
    fold: NDArray[np.int64]
    """Network k holds back the rows with `fold` = k, [N]."""


@dataclass(frozen=True)
class Learning:
    """How networks learn, beside `loop.Plan`."""

    models: int = 2
    batch: int = 512
    embedding_l2: float = 1e-4


def teach(
    known: Impressions, fields: Fields, shape: Shape, plan: Plan, how: Learning
) -> list[Clicks]:
    """Return networks that have learned, each seeded by its number and the plan's seed.

    Args:
        known: The lessons.
        fields: What the columns are.
        shape: How large the networks are.
        plan: How long and how fast.
        how: How many networks, batches, and how small looked up vectors are kept.

    Returns:
        `how.models` networks in `eval` mode.
    """
    networks = []
    for number in range(how.models):
        # A seed alone would leave the weights of other parts of the program to chance.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(plan.seed * 7919 + number)
            network = Clicks(fields, shape)
            _start(network, known)
            _teach(network, known, number, plan, how)
        networks.append(network)
    return networks


def _start(network: Clicks, known: Impressions) -> None:
    """Begin at the rates, so that a rare label is no harder to learn than a common one."""
    hits_T = (known.labels * known.weights[:, None]).sum(0)
    among_T = [float(known.weights.sum()), *hits_T[:1]]
    with torch.no_grad():
        for head, hits, among in zip(network.body.heads(), hits_T[:2], among_T, strict=False):
            rate = float(np.clip(hits / max(among, 1e-9), 1e-6, 1 - 1e-6))
            head.bias.fill_(np.log(rate / (1 - rate)))
    if network.place is not None:
        network.look(*_rates(known, known.features[:, network.place]))


def _rates(known: Impressions, place: Floats) -> tuple[Floats, Floats]:
    """Return each place that was seen, and its share of clicks, drawn a little to that of all."""
    seen = np.isfinite(place) & (place >= 0)
    places, at = np.unique(place[seen], return_inverse=True)
    count = np.bincount(at, known.weights[seen])
    hits = np.bincount(at, (known.labels[:, 0] * known.weights)[seen])
    rate = (hits + 10 * hits.sum() / max(count.sum(), 1e-9)) / (count + 10)
    return places, rate.astype(np.float32)


def _teach(network: Clicks, known: Impressions, number: int, plan: Plan, how: Learning) -> None:
    held = known.fold == number
    if not _both(known.labels[held, 0]) or not _both(known.labels[~held, 0]):
        held = np.zeros_like(held)
    rows = np.flatnonzero(~held)
    tensors = [torch.from_numpy(np.ascontiguousarray(one, np.float32)) for one in
               (known.features, known.labels, known.weights / known.weights.mean())]  # fmt: skip
    own = Plan(**{**plan.__dict__, "seed": plan.seed * 1009 + number})

    def batches(epoch: int) -> Sequence[Tensor]:
        order = np.random.default_rng((own.seed, epoch)).permutation(rows)
        parts: Sequence[Tensor] = torch.from_numpy(order).split(how.batch)
        return parts

    def loss(chosen: Tensor) -> Tensor:
        x, labels, weights = (one[chosen] for one in tensors)
        cost = (losses(network.learning(x), labels) * weights).mean()
        seen = network.reading.seen
        if how.embedding_l2 and seen:
            cost = cost + how.embedding_l2 * sum(one.square().sum(-1).mean() for one in seen)
        return cost

    def measure() -> float:
        parts = torch.from_numpy(np.flatnonzero(held)).split(BATCH_MEASURED)
        sums = [
            (losses(network.learning(tensors[0][part]), tensors[1][part]) * tensors[2][part]).sum()
            for part in parts
        ]
        return -float(sum(sums))

    train(network, batches, loss, own, measure if held.any() else None)


def losses(found_NT: Tensor, labels_NT: Tensor) -> Tensor:
    """Return the loss of each row, [N].

    Args:
        found_NT: What a network says: log odds of a click, of a sale after it, log of its worth.
        labels_NT: As many labels: click, sale, and what the sale was worth.

    Returns:
        Log losses of a click and of a click that ends in a sale, added up; where there was a sale,
        also half the squared error of the logarithm of one and its worth.
    """
    click_N, label_N = found_NT[:, 0], labels_NT[:, 0]
    loss_N = functional.binary_cross_entropy_with_logits(click_N, label_N, reduction="none")
    if found_NT.shape[1] > 1:
        log_N = functional.logsigmoid(click_N) + functional.logsigmoid(found_NT[:, 1])
        log_N = log_N.clamp(max=-1e-6)
        sale_N = labels_NT[:, 1]
        loss_N = loss_N - sale_N * log_N - (1 - sale_N) * torch.log(-torch.expm1(log_N))
    if found_NT.shape[1] > 2:
        error_N = (found_NT[:, 2] - torch.log1p(labels_NT[:, 2])) / DEVIATION
        loss_N = loss_N + labels_NT[:, 1] * error_N.square() / 2
    return loss_N


def _both(labels: Floats) -> bool:
    return bool(labels.size and labels.min() < labels.max())
