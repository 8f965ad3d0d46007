"""Cuts histories into lessons and teaches the network with them. Imported only while learning.

A lesson is a window of a shopper's moments; at each moment the products of the next one are to be
foretold, each target of a basket with the same weight. The newest moment of some shoppers is held
back to decide when to stop.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shopkeeper.arrays import Rows
from shopkeeper.recommenders._sequences.moments import (
    DAY_MINUTES,
    NUM_BUCKETS,
    Moments,
    bucket,
    seen,
    spans,
)
from shopkeeper.training.augment_sequences import Augment, Sequences
from shopkeeper.training.losses import Bonus, sampled_softmax_loss, softmax_loss
from shopkeeper.training.networks.histories import Group, Histories
from shopkeeper.training.networks.sequence import SequenceNetwork

RARE = 0.1
"""What a product nobody wanted counts beside others."""
SHORT = 6
"""Histories up to so many moments are padded alike."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which lessons there are, and how they are batched."""

    history_max: int
    batch_positions: int
    holdout_share: float
    basket_power: float
    half_life_days: float
    forget: float
    negatives: int
    seed: int
    perturb: float = 0.0
    after_minute: int | None = None
    """Only moments after it are foretold; None for all."""
    replay: float = 0.0
    """Where only later moments are foretold: how many older ones are too, for each of them."""
    plain_epochs: int = 0
    """So many first epochs do without what was wanted before.

    The vectors then learn of repeats too, and know the products sooner; measured, products new
    to a shopper are foretold better for it.
    """


class Lessons:
    """The lessons of a shop's histories."""

    def __init__(self, laid: Moments, choice: Choice, augment: Augment | None = None) -> None:
        self.laid, self.choice, self._augment = laid, choice, augment
        self._plain = False
        sizes = np.diff(laid.start)
        drawn = np.random.default_rng((choice.seed, 7)).random(len(sizes))
        self.held = np.flatnonzero((sizes >= 3) & (drawn < choice.holdout_share))
        self.target_end = laid.start[1:].copy()
        self.target_end[self.held] -= 1
        newest = int(laid.minute.max()) if len(laid.minute) else 0
        age_days = (newest - laid.minute) / DAY_MINUTES
        self.weight = np.exp2(-age_days / choice.half_life_days)

    def wanted(self, num_items: int, until: int | None = None) -> NDArray[np.float32]:
        """Return the logarithm of how often each product was wanted, newer times counting more.

        As it was at the minute `until`; None for the newest there is.
        """
        minute, weight = self.laid.minute, self.weight
        if until is not None:
            age_days = (until - minute) / DAY_MINUTES
            weight = np.where(minute <= until, np.exp2(-age_days / self.choice.half_life_days), 0)
        weight_E = np.repeat(weight, np.diff(self.laid.first))
        counts = np.bincount(self.laid.item, weight_E, num_items)
        found: NDArray[np.float32] = np.log(counts + RARE).astype(np.float32)
        return found

    def never_wanted(self, num_items: int) -> Rows:
        """Return the products that no history holds."""
        return np.flatnonzero(np.bincount(self.laid.item, minlength=num_items) == 0)

    def batches(self, epoch: int) -> Sequence[Rows]:
        """Return the lessons of an epoch: rows of begin, first asked and end moment, [W, 3].

        The moments asked are those before end; the target of the last is the moment at end.
        """
        self._plain = epoch < self.choice.plain_epochs
        random = np.random.default_rng((self.choice.seed, 11, epoch))
        windows = self._windows(random)
        windows = windows[random.permutation(len(windows))]
        asked = np.cumsum(windows[:, 2] - windows[:, 1])
        group = asked // self.choice.batch_positions
        # Inside a batch the short ones come first, so that little is padded.
        windows = windows[np.lexsort((windows[:, 2] - windows[:, 0], group))]
        cuts = np.flatnonzero(np.diff(group)) + 1
        return np.split(windows, cuts) if len(windows) else []

    def loss(self, network: SequenceNetwork, windows: Rows, chunk_mb: int) -> Tensor:
        """Return the loss of `network` on a batch of lessons."""
        begin, asked, end = windows.T
        laid = _laid_out(self.laid, begin, asked, end)
        if self._augment is not None:
            # Torch was seeded by the number of the step, so a run that was killed goes on alike.
            laid = self._augment(laid, np.random.default_rng(int(torch.randint(1 << 62, ()))))
        past = _histories(self.laid, laid)
        rows = np.flatnonzero(laid.asked_N)
        target = laid.moment_N[rows] + 1
        if self.choice.forget > 0:
            past = _forgetful(past, self.choice.forget)
        sizes = self.laid.first[target + 1] - self.laid.first[target]
        weight = self.weight[target] * sizes ** (self.choice.basket_power - 1.0)
        item = self.laid.item[spans(self.laid.first[target], sizes)]
        owner = np.repeat(np.arange(len(rows)), sizes)
        shopper = (np.searchsorted(self.laid.start, begin, "right") - 1)[laid.owner_N[rows]]
        wanted = (
            torch.from_numpy(item),
            torch.from_numpy(owner),
            torch.from_numpy(np.repeat(weight, sizes).astype(np.float32)),
        )
        bonus = self._bonus(network, self.laid.start[shopper], target, (owner, item))
        num_items = len(network.items.weight)

        def cost(event_ED: Tensor) -> Tensor:
            heads = network.heads(network(past, event_ED)[torch.from_numpy(rows)])
            if 0 < self.choice.negatives < num_items:
                drawn = torch.randperm(num_items)[: self.choice.negatives]
                losses = [sampled_softmax_loss(*head, *wanted, drawn, bonus) for head in heads]
            else:
                losses = [softmax_loss(*head, *wanted, chunk_mb, bonus) for head in heads]
            return torch.stack(losses).mean()

        event_ED = network.read(past.item_E)
        clean = cost(event_ED)
        if not (self.choice.perturb and network.training):
            return clean
        return (clean + cost(_worst(event_ED, clean, self.choice.perturb))) / 2

    def _bonus(
        self, network: SequenceNetwork, begin: Rows, target: Rows, wanted: tuple[Rows, Rows]
    ) -> Bonus | None:
        if network.again is None or self._plain:
            return None
        num_items = len(network.items.weight)
        past = seen(self.laid, begin, target, self.laid.minute[target], num_items)
        key, sought = past.asking * num_items + past.item, wanted[0] * num_items + wanted[1]
        at = np.minimum(np.searchsorted(key, sought), len(key) - 1)
        return Bonus(
            owner_Q=torch.from_numpy(past.asking),
            item_Q=torch.from_numpy(past.item),
            value_Q=network.again(torch.from_numpy(past.features), torch.from_numpy(past.age)),
            pair_K=torch.from_numpy(np.where(key[at] == sought, at, -1)),
        )

    def measure(self, network: SequenceNetwork, k: int = 10) -> float:
        """Return the mean NDCG@k of the moments held back, among all products.

        Where no product held back was seen before by its shopper, products seen are passed over.
        """
        total = 0.0
        for begin in range(0, len(self.held), 256):
            total += self._measure(network, self.held[begin : begin + 256], k)
        return total / max(1, len(self.held))

    def _measure(self, network: SequenceNetwork, shoppers: Rows, k: int) -> float:
        end = self.laid.start[shoppers + 1] - 1
        begin = np.maximum(self.laid.start[shoppers], end - self.choice.history_max)
        past = _histories(self.laid, _laid_out(self.laid, begin, end, end))
        newest = torch.from_numpy(np.cumsum(end - begin) - 1)
        hidden_BD, items_VD = network.compared(network(past)[newest])
        scores_BV = hidden_BD @ items_VD.T
        if network.again is not None:
            past_seen = seen(
                self.laid, self.laid.start[shoppers], end, self.laid.minute[end], scores_BV.shape[1]
            )
            scores_BV[torch.from_numpy(past_seen.asking), torch.from_numpy(past_seen.item)] += (
                network.again(torch.from_numpy(past_seen.features), torch.from_numpy(past_seen.age))
            )
        if not self.repeats:
            shopper, item = self._products(self.laid.start[shoppers], end)
            scores_BV[torch.from_numpy(shopper), torch.from_numpy(item)] = -np.inf
        best_BK = scores_BV.topk(min(k, scores_BV.shape[1])).indices.numpy()
        shopper, item = self._products(end, end + 1)
        num_items = scores_BV.shape[1]
        row_B1 = np.arange(len(shoppers))[:, None]
        hit_BK = np.isin(row_B1 * num_items + best_BK, shopper * num_items + item)
        gains = 1 / np.log2(np.arange(best_BK.shape[1]) + 2)
        ideal = np.cumsum(gains)[np.minimum(np.bincount(shopper), len(gains)) - 1]
        return float(((hit_BK @ gains) / ideal).sum())

    @cached_property
    def repeats(self) -> bool:
        """Whether some shopper wanted a product again in the moment held back."""
        begin, end = self.laid.start[self.held], self.laid.start[self.held + 1] - 1
        before, after = self._products(begin, end), self._products(end, end + 1)
        keys = [shopper * (self.laid.item.max() + 1) + item for shopper, item in (before, after)]
        return bool(np.isin(keys[1], keys[0]).any())

    def _products(self, begin: Rows, end: Rows) -> tuple[Rows, Rows]:
        first, last = self.laid.first[begin], self.laid.first[end]
        events = spans(first, last - first)
        return np.repeat(np.arange(len(begin)), last - first), self.laid.item[events]

    def _windows(self, random: np.random.Generator) -> Rows:
        begin, end = self.laid.start[:-1], self.target_end - 1
        sizes = np.maximum(end - begin, 0)
        longest, stride = self.choice.history_max, max(1, self.choice.history_max // 2)
        shift = np.where(sizes > longest, random.integers(0, stride, len(sizes)), 0)
        stride_S = np.where(sizes > longest, stride, longest)
        shopper = np.repeat(np.arange(len(sizes)), sizes)
        asked = spans(begin, sizes)
        if self.choice.after_minute is not None:
            late = self.laid.minute[asked + 1] > self.choice.after_minute
            late |= self._replayed(shopper[~late], int(late.sum()), random)[shopper]
            shopper, asked = shopper[late], asked[late]
        part = (end[shopper] - 1 - asked + shift[shopper]) // stride_S[shopper]
        fresh = np.ones(len(asked) + 1, np.bool_)
        fresh[1:-1] = (np.diff(shopper) != 0) | (np.diff(part) != 0)
        edges = np.flatnonzero(fresh)
        first, last = asked[edges[:-1]], asked[edges[1:] - 1] + 1
        return np.stack([np.maximum(begin[shopper[edges[:-1]]], last - longest), first, last], 1)

    def _replayed(
        self, shopper: Rows, num_late: int, random: np.random.Generator
    ) -> NDArray[np.bool_]:
        """Draw whose older moments are learned again, so that nothing is forgotten, [S]."""
        older_S = np.bincount(shopper, minlength=len(self.laid.start) - 1)
        order = random.permutation(len(older_S))
        enough = np.cumsum(older_S[order]) <= self.choice.replay * num_late
        chosen = np.zeros(len(older_S), np.bool_)
        chosen[order[enough]] = True
        return chosen


def _laid_out(laid: Moments, begin: Rows, asked: Rows, end: Rows) -> Sequences:
    """Return the moments `begin` to before `end`, asked from `asked` on."""
    sizes = end - begin
    moments = spans(begin, sizes)
    num_events = laid.first[moments + 1] - laid.first[moments]
    events = spans(laid.first[moments], num_events)
    return Sequences(
        item_E=laid.item[events],
        event_E=events,
        moment_E=np.repeat(np.arange(len(moments)), num_events),
        moment_N=moments,
        asked_N=moments >= np.repeat(asked, sizes),
        start_B1=np.concatenate([[0], np.cumsum(sizes)]),
    )


def _histories(laid: Moments, past: Sequences) -> Histories:
    """Return histories as the network reads them."""
    sizes, moments = np.diff(past.start_B1), past.moment_N
    place = spans(np.zeros_like(sizes), sizes)
    firsts = np.cumsum(sizes) - sizes
    gap = bucket(laid.minute[moments] - laid.minute[moments - 1])
    gap[place == 0] = NUM_BUCKETS - 1
    wait = bucket(laid.minute[moments + 1] - laid.minute[moments])
    num_events = np.bincount(past.moment_E, minlength=len(moments))
    numbers = {
        "item_E": past.item_E,
        "action_E": laid.action[past.event_E],
        "moment_E": past.moment_E,
        "weight_E": (1 / num_events[past.moment_E]).astype(np.float32),
        "back_N": np.repeat(sizes, sizes) - 1 - place,
        "gap_N": gap,
        "wait_N": wait,
        "minute_N": laid.minute[moments] - np.repeat(laid.minute[moments[firsts]], sizes),
    }
    numbers["next_N"] = numbers["minute_N"] + (laid.minute[moments + 1] - laid.minute[moments])
    tensors = {name: torch.from_numpy(numbers[name]) for name in numbers}
    return Histories(**tensors, groups=_groups(sizes, place))


def _groups(sizes: Rows, place: Rows) -> tuple[Group, ...]:
    """Cut histories, where the length of neighbours doubles, into groups to be padded."""
    level = np.ceil(np.log2(np.maximum(sizes, SHORT) / SHORT))
    edges = [0, *(np.flatnonzero(np.diff(level)) + 1), len(sizes)]
    first = np.concatenate([[0], np.cumsum(sizes)])
    groups = []
    for begin, end in pairwise(edges):
        part, moments = sizes[begin:end], slice(first[begin], first[end])
        columns = int(part.max())
        slot = np.repeat(np.arange(len(part)) * columns, part) + place[moments]
        some = (int(first[begin]), int(first[end]), len(part), columns)
        groups.append(Group(*some, torch.from_numpy(slot)))
    return tuple(groups)


def _worst(event_ED: Tensor, loss: Tensor, size: float) -> Tensor:
    """Move each event's vector where the loss grows fastest, by a share of its length.

    Source: adversarial training of Miyato et al. (ICLR 2017), for products in the place of words.
    """
    (slope_ED,) = torch.autograd.grad(loss, event_ED, retain_graph=True)
    slope_ED = slope_ED / slope_ED.norm(dim=1, keepdim=True).clamp(min=1e-12)
    length_E1 = event_ED.detach().norm(dim=1, keepdim=True)
    return event_ED + size * length_E1 * slope_ED


def _forgetful(past: Histories, share: float) -> Histories:
    kept_E = torch.rand(len(past.weight_E)) >= share
    return replace(past, weight_E=past.weight_E * kept_E)
