"""The chunked softmax is the softmax, in value, in gradients, and in less memory."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shopkeeper.training.losses import Bonus, softmax_loss


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
