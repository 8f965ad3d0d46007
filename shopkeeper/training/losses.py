"""What a wrong answer costs, without ever holding all answers at once.

Source: the arithmetic is plain softmax cross-entropy; computing the gradient chunk by chunk while
the scores are at hand follows the idea of Cut Cross-Entropy (Wijmans et al., ICLR 2025), here
without skipping small terms. Knows nothing of networks, shoppers or products.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

# P positions that predict, V products, D width, K targets (a position may have several),
# Q pairs of a position and a product


MASKED = -1e9
"""A score that never counts; finite, so that its gradient is 0 and no NaN."""


@dataclass(frozen=True)
class Bonus:
    """What is added to the scores of a few products: Q pairs, each at most once."""

    owner_Q: Tensor
    """The position, in [0, P), ascending."""
    item_Q: Tensor
    """The product row."""
    value_Q: Tensor
    """What is added; gradients flow here."""
    pair_K: Tensor
    """The pair of each target, -1 for a target that is in none. Shape [K]."""


def softmax_loss(
    hidden_PD: Tensor,
    items_VD: Tensor,
    target_K: Tensor,
    owner_K: Tensor,
    weight_K: Tensor,
    chunk_mb: int = 64,
    bonus: Bonus | None = None,
) -> Tensor:
    """Weighted mean over targets of `-log softmax(hidden . items)`, over the whole catalogue.

    Memory for scores stays below `chunk_mb`, whatever P is: each chunk of positions adds to the
    gradients of `hidden_PD` and `items_VD` at once and its scores are forgotten.

    Args:
        hidden_PD: One vector per predicting position. Shape [P, D].
        items_VD: One vector per product. Shape [V, D].
        target_K: Product row that followed, in [0, V). Shape [K].
        owner_K: The position it followed, in [0, P), ascending. Shape [K].
        weight_K: How much the target counts, at least 0, not all 0. Shape [K].
        chunk_mb: Bound on the scores kept at a time, in MiB, at least 1 row.
        bonus: What to add to some scores before the softmax.

    Returns:
        The loss, a scalar; gradients flow to `hidden_PD`, `items_VD` and the bonus.
    """
    if bonus is None:
        none = target_K[:0]
        bonus = Bonus(none, none, hidden_PD.new_zeros(0), torch.full_like(target_K, -1))
    loss: Tensor = _ChunkedSoftmax.apply(
        hidden_PD,
        items_VD,
        bonus.value_Q,
        bonus,
        target_K,
        owner_K,
        weight_K / weight_K.sum(),
        chunk_mb,
    )
    return loss


def sampled_softmax_loss(
    hidden_PD: Tensor,
    items_VD: Tensor,
    target_K: Tensor,
    owner_K: Tensor,
    weight_K: Tensor,
    drawn_S: Tensor,
    bonus: Bonus | None = None,
) -> Tensor:
    """Estimate `softmax_loss` from a part of the catalogue; the time no longer grows with it.

    Targets, and products with a bonus, count as they are; each other product that was drawn
    stands for `V / S` products, so the sum under the fraction is right on average.
    Source: importance sampling of Bengio and Senécal, 2008.

    Args:
        hidden_PD: One vector per predicting position. Shape [P, D].
        items_VD: One vector per product. Shape [V, D].
        target_K: Product row that followed, in [0, V). Shape [K].
        owner_K: The position it followed, in [0, P), ascending. Shape [K].
        weight_K: How much the target counts, at least 0, not all 0. Shape [K].
        drawn_S: Product rows drawn evenly, each once, for all positions alike. Shape [S].
        bonus: What to add to some scores before the softmax.

    Returns:
        The loss, a scalar; gradients flow to `hidden_PD`, `items_VD` and the bonus.
    """
    num_items, num_drawn = len(items_VD), len(drawn_S)
    key_K = owner_K * num_items + target_K
    key_Q = key_K if bonus is None else torch.cat([key_K, bonus.owner_Q * num_items + bonus.item_Q])
    key_Q, place_Q = key_Q.unique(return_inverse=True)
    owner_Q, item_Q = key_Q // num_items, key_Q % num_items
    # Read at once, so that the gradient of the whole table is made once.
    read_RD = items_VD[torch.cat([drawn_S, item_Q])]
    exact_Q = (hidden_PD[owner_Q] * read_RD[num_drawn:]).sum(1)
    if bonus is not None:
        exact_Q = exact_Q.index_add(0, place_Q[len(key_K) :], bonus.value_Q)
    column_V = drawn_S.new_full((num_items,), -1)
    column_V[drawn_S] = torch.arange(num_drawn)
    twice = column_V[item_Q] >= 0
    drawn_P = _DrawnSum.apply(
        hidden_PD, read_RD[:num_drawn], (owner_Q[twice], column_V[item_Q[twice]])
    ) + math.log(num_items / num_drawn)
    top_P = drawn_P.detach().scatter_reduce(0, owner_Q, exact_Q.detach(), "amax")
    sum_P = (drawn_P - top_P).exp().index_add(0, owner_Q, (exact_Q - top_P[owner_Q]).exp())
    loss_K = (sum_P.log() + top_P)[owner_K] - exact_Q[place_Q[: len(key_K)]]
    loss: Tensor = (loss_K * weight_K).sum() / weight_K.sum()
    return loss


class _DrawnSum(torch.autograd.Function):  # type: ignore[misc]
    """The logarithm of the sum of all exponentials, in one table that is used in place."""

    @staticmethod
    def forward(
        ctx: Any, hidden_PD: Tensor, items_SD: Tensor, left_out: tuple[Tensor, Tensor]
    ) -> Tensor:
        scores_PS = hidden_PD @ items_SD.T
        scores_PS[left_out] = MASKED
        top_P1 = scores_PS.amax(1, keepdim=True)
        total_P1 = scores_PS.sub_(top_P1).exp_().sum(1, keepdim=True)
        ctx.save_for_backward(hidden_PD, items_SD, scores_PS, total_P1)
        return (total_P1.log() + top_P1)[:, 0]

    @staticmethod
    def backward(ctx: Any, grad_P: Tensor) -> tuple[Tensor, Tensor, None]:
        hidden_PD, items_SD, part_PS, total_P1 = ctx.saved_tensors
        share_P1 = grad_P[:, None] / total_P1
        return (part_PS @ items_SD) * share_P1, part_PS.T @ (hidden_PD * share_P1), None


class _ChunkedSoftmax(torch.autograd.Function):  # type: ignore[misc]
    """Computes value and gradients in one pass over chunks of positions."""

    @staticmethod
    def forward(  # noqa: PLR0913 (autograd hands over every tensor as an argument)
        ctx: Any,
        hidden_PD: Tensor,
        items_VD: Tensor,
        value_Q: Tensor,
        bonus: Bonus,
        target_K: Tensor,
        owner_K: Tensor,
        weight_K: Tensor,
        chunk_mb: int,
    ) -> Tensor:
        num_positions, num_items = len(hidden_PD), len(items_VD)
        weight_P = hidden_PD.new_zeros(num_positions).index_add_(0, owner_K, weight_K)
        grad_hidden_PD, grad_items_VD = torch.empty_like(hidden_PD), torch.zeros_like(items_VD)
        grad_value_Q = torch.empty_like(value_Q)
        rows = max(1, (chunk_mb << 20) // (hidden_PD.element_size() * num_items))
        cuts = [*range(0, num_positions, rows), num_positions]
        pairs = torch.searchsorted(bonus.owner_Q, torch.tensor(cuts)).tolist()
        loss = hidden_PD.new_zeros(())
        for chunk, (start, end) in enumerate(pairwise(cuts)):
            part, some = slice(start, end), slice(pairs[chunk], pairs[chunk + 1])
            hidden_CD, weight_C1 = hidden_PD[part], weight_P[part, None]
            at = (bonus.owner_Q[some] - start, bonus.item_Q[some])
            scores_CV = hidden_CD @ items_VD.T
            scores_CV[at] += value_Q[some]
            top_C1 = scores_CV.amax(1, keepdim=True)
            total_C1 = scores_CV.sub_(top_C1).exp_().sum(1, keepdim=True)
            loss += (weight_C1 * (total_C1.log() + top_C1)).sum()
            share_C1 = weight_C1 / total_C1
            torch.mul(scores_CV @ items_VD, share_C1, out=grad_hidden_PD[part])
            grad_items_VD.addmm_(scores_CV.T, hidden_CD * share_C1)
            grad_value_Q[some] = scores_CV[at] * share_C1[at[0], 0]
        wanted_KD, asked_KD = items_VD[target_K], hidden_PD[owner_K]
        loss -= (weight_K * (wanted_KD * asked_KD).sum(1)).sum()
        grad_hidden_PD.index_add_(0, owner_K, wanted_KD * -weight_K[:, None])
        grad_items_VD.index_add_(0, target_K, asked_KD * -weight_K[:, None])
        paired = bonus.pair_K >= 0
        loss -= (weight_K[paired] * value_Q[bonus.pair_K[paired]]).sum()
        grad_value_Q.index_add_(0, bonus.pair_K[paired], -weight_K[paired])
        ctx.save_for_backward(grad_hidden_PD, grad_items_VD, grad_value_Q)
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        found = tuple(kept * grads[0] for kept in ctx.saved_tensors)
        return (*found, None, None, None, None, None)
