"""Training stops when it should, keeps the best, and survives being killed."""

import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace

import pytest
import torch
from torch import nn

from shopkeeper.training.loop import Plan, train

TRUTH = torch.tensor([[1.0, -2.0, 0.5]])


class Killed(Exception):
    pass


def lesson(number):
    draw = torch.Generator().manual_seed(number)
    return torch.randn(16, 3, generator=draw)


def batches(epoch):
    return [lesson(100 * epoch + step) for step in range(7)]


def network():
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.3), nn.Linear(4, 1))


def run(plan, checkpoint=None, die_at=None, measured=True):
    learner, steps = network(), []

    def loss(batch):
        steps.append(batch)
        if die_at is not None and len(steps) > die_at:
            raise Killed
        return (learner(batch) - batch @ TRUTH.T).square().mean()

    def measure():
        x = lesson(-1 & 0xFFFF)
        return -float((learner(x) - x @ TRUTH.T).square().mean())

    outcome = train(learner, batches, loss, plan, measure if measured else None, checkpoint)
    return learner, outcome, len(steps)


def same(left, right):
    return all(
        torch.equal(a, b)
        for a, b in zip(left.state_dict().values(), right.state_dict().values(), strict=True)
    )


PLAN = Plan(epochs_max=6, lr=0.02, warmup_steps=3, save_every_s=0, seed=1)


def test_learning_lowers_the_loss_and_the_same_seed_gives_the_same_weights():
    learner, outcome, steps = run(PLAN)
    assert outcome.losses[-1] < outcome.losses[0] / 2
    assert steps == outcome.step == 42
    assert same(learner, run(PLAN)[0])
    assert not same(learner, run(Plan(epochs_max=6, lr=0.02, warmup_steps=3, seed=2))[0])


@pytest.mark.parametrize("die_at", [1, 7, 17])
@pytest.mark.parametrize("plan", [PLAN, replace(PLAN, average=0.9, measure_every=4)])
def test_a_run_that_was_killed_ends_where_an_undisturbed_one_ends(tmp_path, die_at, plan):
    whole, undisturbed, _ = run(plan)
    file = tmp_path / "state.safetensors"
    with pytest.raises(Killed):
        run(plan, file, die_at)
    mended, outcome, steps = run(plan, file)
    assert same(whole, mended)
    assert outcome.curve == undisturbed.curve
    assert outcome.losses == undisturbed.losses
    assert steps == 42 - die_at


def test_a_finished_run_is_not_run_again(tmp_path):
    first, _, _ = run(PLAN, tmp_path / "state")
    again, _, steps = run(PLAN, tmp_path / "state")
    assert steps == 0
    assert same(first, again)


def test_a_checkpoint_of_another_plan_is_not_continued(tmp_path):
    run(PLAN, tmp_path / "state")
    _, _, steps = run(Plan(epochs_max=2, seed=9), tmp_path / "state")
    assert steps == 14


def test_steps_bound_the_run_and_patience_ends_it():
    assert run(Plan(epochs_max=50, steps_max=10))[2] == 10
    _, outcome, _ = run(Plan(epochs_max=400, lr=0.05, patience_epochs=2))
    assert outcome.epoch < 400
    assert outcome.epoch - outcome.best_epoch == 3


def test_the_best_weights_are_kept_not_the_last():
    learner, outcome, _ = run(Plan(epochs_max=40, lr=0.5, patience_epochs=40))
    x = lesson(-1 & 0xFFFF)
    with torch.no_grad():
        ends = -float((learner(x) - x @ TRUTH.T).square().mean())
    assert ends == pytest.approx(max(outcome.curve))
    assert max(outcome.curve) > outcome.curve[-1]


def test_mean_weights_are_handed_over_and_are_calmer_than_the_newest():
    noisy = Plan(epochs_max=30, lr=0.1, lr_end=1.0)
    ends = {}
    for average in (0.0, 0.97):
        learner, _, _ = run(replace(noisy, average=average), measured=False)
        x = lesson(-1 & 0xFFFF)
        with torch.no_grad():
            ends[average] = float((learner(x) - x @ TRUTH.T).square().mean())
    assert ends[0.97] < ends[0.0] / 2


def test_it_is_measured_as_often_as_asked_and_at_the_end():
    _, outcome, _ = run(Plan(epochs_max=8, measure_every=3))
    assert len(outcome.curve) == 3
    assert outcome.epoch == 8


def test_minutes_bound_the_run():
    assert run(Plan(epochs_max=10_000, minutes_max=0.005), measured=False)[1].seconds < 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs_max": 0},
        {"lr": 0},
        {"minutes_max": 0},
        {"precision": "int8"},
        {"average": 1.0},
        {"measure_every": 0},
    ],
)
def test_a_plan_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Plan(**wrong)


@pytest.mark.faults
def test_a_process_killed_by_the_system_is_continued(tmp_path):
    script = textwrap.dedent("""
        import os, signal, sys
        import torch
        from torch import nn
        from pathlib import Path
        from shopkeeper.training.loop import Plan, train
        die_at = int(sys.argv[1])
        torch.manual_seed(0)
        learner, steps = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.2)), []
        def loss(batch):
            steps.append(batch)
            if len(steps) == die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return learner(batch).square().mean()
        def batches(epoch):
            return [torch.full((4, 3), 1.0 + epoch + step) for step in range(5)]
        train(learner, batches, loss, Plan(epochs_max=3, save_every_s=0), None, Path(sys.argv[2]))
        print([value.tolist() for value in learner.state_dict().values()])
    """)

    def go(die_at, name):
        command = [sys.executable, "-c", script, str(die_at), str(tmp_path / name)]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ)

    assert go(8, "killed").returncode == -signal.SIGKILL
    mended, whole = go(0, "killed"), go(0, "whole")
    assert mended.stdout == whole.stdout != ""
