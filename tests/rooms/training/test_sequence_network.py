"""The network sees the past and not the future, and serves as it learned."""

import numpy as np
import onnxruntime
import pytest
import torch

from shopkeeper.training.networks.sequence import Histories, SequenceNetwork, Shape, to_onnx


def histories(sizes, seed=0, items=9):
    """One product a moment."""
    draw = np.random.default_rng(seed)
    total, columns = sum(sizes), max(sizes)
    ids = draw.integers(0, items, total)
    buckets = draw.integers(0, 24, (2, total))
    place = np.concatenate([np.arange(size) for size in sizes])
    return Histories(
        item_E=torch.from_numpy(ids),
        action_E=torch.zeros(total, dtype=torch.int64),
        moment_E=torch.arange(total),
        weight_E=torch.ones(total),
        back_N=torch.from_numpy(np.repeat(sizes, sizes) - 1 - place),
        slot_N=torch.from_numpy(np.repeat(np.arange(len(sizes)) * columns, sizes) + place),
        gap_N=torch.from_numpy(buckets[0]),
        wait_N=torch.from_numpy(buckets[1]),
        rows=len(sizes),
        columns=columns,
    )


def network(**shape):
    torch.manual_seed(0)
    made = SequenceNetwork(Shape(num_items=9, width=16, history_max=8, **shape)).eval()
    for parameter in made.parameters():  # away from the small start, so that differences show
        parameter.data += 0.3 * torch.randn_like(parameter)
    return made


def test_a_moment_knows_those_before_it_and_none_after():
    learner, past = network(), histories([6])
    before = learner(past)
    past.item_E[4] = (past.item_E[4] + 1) % 9
    after = learner(past)
    assert torch.equal(before[:4], after[:4])
    assert not torch.allclose(before[4], after[4])
    assert not torch.allclose(before[5], after[5])


def test_neighbours_in_a_batch_change_nothing():
    learner = network()
    together = learner(histories([3, 8, 1]))
    for begin, size in ((0, 3), (3, 8), (11, 1)):
        whole = histories([3, 8, 1])
        part = slice(begin, begin + size)
        alone = Histories(
            **{
                name: getattr(whole, name)[part]
                for name in ("item_E", "action_E", "weight_E", "back_N", "gap_N", "wait_N")
            },
            moment_E=torch.arange(size),
            slot_N=torch.arange(size),
            rows=1,
            columns=size,
        )
        torch.testing.assert_close(learner(alone), together[part], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("switch", "field"), [({"times": True}, "gap_N"), ({"num_actions": 3}, "action_E")]
)
def test_switches_decide_whether_times_and_actions_are_read(switch, field):
    off = {name: (False if name == "times" else 1) for name in switch}
    changes = []
    for shape in (switch, off):
        learner, past = network(**shape), histories([5])
        before = learner(past)
        values = getattr(past, field)
        values[0] = (values[0] + 1) % 3
        changes.append(not torch.allclose(before, learner(past)))
    assert changes == [True, False]


@pytest.mark.parametrize("gated", [True, False])
def test_the_onnx_file_gives_the_newest_vectors_for_any_number_and_length(gated):
    learner = network(gated=gated, num_blocks=2)
    session = onnxruntime.InferenceSession(to_onnx(learner.body))
    for sizes in ([1], [8], [2, 5, 1, 8], [1, 1]):
        past = histories(sizes, seed=len(sizes))
        with torch.no_grad():
            newest = learner(past)[torch.from_numpy(np.cumsum(sizes) - 1)]
            tokens = learner.items(past.item_E)
            if learner.shape.num_actions > 1:
                tokens = tokens + learner.actions(past.action_E)
        shape = (len(sizes) * max(sizes),)
        padded = {"token_BTD": tokens.numpy(), "gap_BT": past.gap_N, "wait_BT": past.wait_N}
        fed = {"size_B": np.array(sizes)}
        for name, values in padded.items():
            values = np.asarray(values)
            table = np.full(shape + values.shape[1:], 3, values.dtype)
            table[past.slot_N.numpy()] = values
            fed[name] = table.reshape(len(sizes), max(sizes), *values.shape[1:])
        (found,) = session.run(None, fed)
        np.testing.assert_allclose(found, newest.numpy(), rtol=1e-3, atol=1e-4)
