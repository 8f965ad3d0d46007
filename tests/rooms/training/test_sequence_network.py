"""The network sees the past and not the future, and serves as it learned."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch

from shopkeeper.training.networks.histories import Group, Histories, Shape
from shopkeeper.training.networks.hstu import NUM_SPANS, spans_apart
from shopkeeper.training.networks.sequence import BLOCKS, SequenceNetwork, to_onnx

TIMES = ("gap", "wait", "minute", "next")
each = pytest.mark.parametrize("kind", BLOCKS)


def histories(sizes, seed=0, items=9):
    """One product a moment, all padded together."""
    draw = np.random.default_rng(seed)
    total, columns = sum(sizes), max(sizes)
    ids = draw.integers(0, items, total)
    buckets = draw.integers(0, 24, (2, total))
    place = np.concatenate([np.arange(size) for size in sizes])
    slot = torch.from_numpy(np.repeat(np.arange(len(sizes)) * columns, sizes) + place)
    minute = np.concatenate([np.cumsum(draw.integers(0, 9000, size + 1)) for size in sizes])
    newest = np.cumsum(np.array(sizes) + 1) - 1
    return Histories(
        item_E=torch.from_numpy(ids),
        action_E=torch.zeros(total, dtype=torch.int64),
        moment_E=torch.arange(total),
        weight_E=torch.ones(total),
        back_N=torch.from_numpy(np.repeat(sizes, sizes) - 1 - place),
        gap_N=torch.from_numpy(buckets[0]),
        wait_N=torch.from_numpy(buckets[1]),
        minute_N=torch.from_numpy(np.delete(minute, newest)),
        next_N=torch.from_numpy(np.delete(minute, newest - np.array(sizes))),
        groups=(Group(0, total, len(sizes), columns, slot),),
    )


def network(**shape):
    torch.manual_seed(0)
    made = SequenceNetwork(Shape(num_items=9, width=16, history_max=8, **shape)).eval()
    for parameter in made.parameters():  # away from the small start, so that differences show
        parameter.data += 0.3 * torch.randn_like(parameter)
    return made


@each
def test_a_moment_knows_those_before_it_and_none_after(kind):
    learner, past = network(kind=kind), histories([6])
    before = learner(past)
    past.item_E[4] = (past.item_E[4] + 1) % 9
    after = learner(past)
    assert torch.equal(before[:4], after[:4])
    assert not torch.allclose(before[4], after[4])
    assert not torch.allclose(before[5], after[5])


@each
def test_neighbours_in_a_batch_change_nothing(kind):
    learner = network(kind=kind)
    together = learner(histories([3, 8, 1]))
    for begin, size in ((0, 3), (3, 8), (11, 1)):
        whole = histories([3, 8, 1])
        part = slice(begin, begin + size)
        alone = Histories(
            **{
                name: getattr(whole, name)[part]
                for name in vars(whole)
                if name not in ("moment_E", "groups")
            },
            moment_E=torch.arange(size),
            groups=(Group(0, size, 1, size, torch.arange(size)),),
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


@each
def test_how_histories_are_grouped_changes_nothing(kind):
    learner, past = network(kind=kind), histories([2, 3, 8, 7])
    place = torch.cat([torch.arange(size) for size in (8, 7)])
    row = torch.tensor([0] * 8 + [1] * 7)
    first = torch.tensor([0, 1, 3, 4, 5])
    groups = (Group(0, 5, 2, 3, first), Group(5, 20, 2, 8, row * 8 + place))
    apart = replace(past, groups=groups)
    torch.testing.assert_close(learner(apart), learner(past), rtol=1e-4, atol=1e-4)


def test_hstu_reads_how_long_ago_things_were_and_the_clock_of_the_request():
    for times in (True, False):
        learner, past = network(kind="hstu", times=times), histories([5])
        past = replace(past, gap_N=past.gap_N * 0, wait_N=past.wait_N * 0)
        later = replace(past, next_N=past.next_N + 1_000_000)
        assert torch.allclose(learner(past), learner(later)) is not times
    assert spans_apart(torch.tensor([-5, 0, 1, 3, 1 << 40])).tolist() == [0, 0, 2, 4, NUM_SPANS - 1]


def test_cosines_over_a_temperature_are_bounded_scores():
    learner, past = network(kind="hstu", temperature=0.1), histories([5, 3])
    hidden, items = learner.compared(learner(past))
    scores = hidden @ items.T
    assert scores.abs().max() <= 10.001
    torch.testing.assert_close(hidden.norm(dim=1), torch.full((8,), 10.0))


@pytest.mark.parametrize(
    "shape", [{"gated": True}, {"gated": False}, {"kind": "hstu"}, {"kind": "gru"}]
)
def test_the_onnx_file_gives_the_newest_vectors_for_any_number_and_length(shape):
    learner = network(num_blocks=2, **shape)
    session = onnxruntime.InferenceSession(to_onnx(learner.body))
    asked = {given.name for given in session.get_inputs()}
    for sizes in ([1], [8], [2, 5, 1, 8], [1, 1]):
        past = histories(sizes, seed=len(sizes))
        with torch.no_grad():
            newest = learner(past)[torch.from_numpy(np.cumsum(sizes) - 1)]
            tokens = learner.items(past.item_E)
            if learner.shape.num_actions > 1:
                tokens = tokens + learner.actions(past.action_E)
        padded = {f"{name}_BT": getattr(past, f"{name}_N") for name in TIMES}
        padded["token_BTD"] = tokens.numpy()
        fed = {"size_B": np.array(sizes)}
        for name, values in padded.items():
            values = np.asarray(values)
            table = np.full((len(sizes) * max(sizes), *values.shape[1:]), 3, values.dtype)
            table[past.groups[0].slot_G.numpy()] = values
            fed[name] = table.reshape(len(sizes), max(sizes), *values.shape[1:])
        (found,) = session.run(None, {k: v for k, v in fed.items() if k in asked})
        np.testing.assert_allclose(found, newest.numpy(), rtol=1e-3, atol=1e-4)
