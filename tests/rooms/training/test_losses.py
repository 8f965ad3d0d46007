"""The chunked softmax is the softmax, in value, in gradients, and in less memory."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shopkeeper.training.losses import Bonus, sampled_softmax_loss, softmax_loss


def planted(seed, positions=13, items=29, width=5, targets=20):
    torch.manual_seed(seed)
    hidden = torch.randn(positions, width, dtype=torch.float64, requires_grad=True)
    rows = torch.randn(items, width, dtype=torch.float64, requires_grad=True)
    owner = torch.sort(torch.randint(0, positions, (targets,))).values
    return hidden, rows, torch.randint(0, items, (targets,)), owner, torch.rand(targets).double()


def dense(hidden, rows, target, owner, weight, bonus=None):
    scores = hidden @ rows.T
    if bonus is not None:
        scores = scores.index_put((bonus.owner_Q, bonus.item_Q), bonus.value_Q, accumulate=True)
    logs = scores.log_softmax(1)
    return -(weight * logs[owner, target]).sum() / weight.sum()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([0, 1, 64]))
def test_chunked_loss_and_gradients_are_those_of_the_dense_softmax(seed, chunk_mb):
    chunked, whole = planted(seed), planted(seed)
    softmax_loss(*chunked, chunk_mb=chunk_mb).mul(3).backward()
    dense(*whole).mul(3).backward()
    torch.testing.assert_close(softmax_loss(*chunked, chunk_mb=chunk_mb), dense(*whole))
    torch.testing.assert_close(chunked[0].grad, whole[0].grad)
    torch.testing.assert_close(chunked[1].grad, whole[1].grad)


@pytest.mark.parametrize("chunk_mb", [0, 64])
def test_a_bonus_moves_scores_and_learns_like_a_dense_one(chunk_mb):
    found = []
    for loss in (lambda *a, **k: softmax_loss(*a, chunk_mb=chunk_mb, **k), dense):
        hidden, rows, target, owner, weight = planted(3)
        value = torch.linspace(-2, 2, 6, dtype=torch.float64).requires_grad_()
        pairs = (torch.tensor([0, 0, 2, 2, 7, 12]), torch.tensor([1, 5, 0, 28, 3, 4]))
        owner[:2], target[:2] = 0, torch.tensor([5, 2])
        where = [
            next((q for q in range(6) if (int(pairs[0][q]), int(pairs[1][q])) == pair), -1)
            for pair in zip(owner.tolist(), target.tolist(), strict=True)
        ]
        assert max(where) >= 0
        cost = loss(
            hidden, rows, target, owner, weight, bonus=Bonus(*pairs, value, torch.tensor(where))
        )
        cost.backward()
        found.append((cost, hidden.grad, rows.grad, value.grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_scores_in_memory_stay_below_the_bound(monkeypatch):
    largest = []
    matmul = torch.Tensor.__matmul__

    def watched(left, right):
        result = matmul(left, right)
        largest.append(result.numel() * result.element_size())
        return result

    monkeypatch.setattr(torch.Tensor, "__matmul__", watched)
    hidden, rows = torch.randn(2000, 8), torch.randn(3000, 8)
    owner = torch.arange(2000)
    softmax_loss(hidden, rows, owner, owner, torch.ones(2000), chunk_mb=1)
    assert max(largest) <= 1 << 20
    assert 20 * max(largest) < 2000 * 3000 * 4


def test_with_every_product_drawn_the_sampled_softmax_is_the_whole_one():
    found = []
    pairs = (torch.tensor([0, 0, 2, 7, 12]), torch.tensor([1, 5, 28, 3, 4]))
    for sampled in (True, False):
        hidden, rows, target, owner, weight = planted(3)
        # A basket: several targets of one position, one of them with a bonus.
        owner[:2], target[:2] = 0, torch.tensor([5, 2])
        value = torch.linspace(-2, 2, 5, dtype=torch.float64).requires_grad_()
        keys = (pairs[0] * 29 + pairs[1]).tolist()
        where = [keys.index(k) if k in keys else -1 for k in (owner * 29 + target).tolist()]
        bonus = Bonus(*pairs, value, torch.tensor(where))
        given = (hidden, rows, target, owner, weight)
        if sampled:
            cost = sampled_softmax_loss(*given, torch.randperm(29), bonus)
        else:
            cost = dense(*given, bonus)
        cost.backward()
        found.append((cost, hidden.grad, rows.grad, value.grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_part_of_the_products_gives_the_right_sum_on_average():
    hidden, rows, target, owner, _ = (part.detach() for part in planted(5))
    inside = torch.zeros(len(target), dtype=torch.float64)
    inside[4] = 1.0
    whole = dense(hidden, rows, target, owner, inside)
    torch.manual_seed(1)
    draws = [
        sampled_softmax_loss(hidden, rows, target, owner, inside, torch.randperm(29)[:9])
        for _ in range(4000)
    ]
    # exp(loss) is the sum of all over the target's own: that is what is right on average.
    mean = torch.stack(draws).exp().mean()
    others = (owner == owner[4]).sum()
    assert others >= 1
    torch.testing.assert_close(mean, whole.exp(), rtol=0.03, atol=0)
