"""A cross-encoder sees what two vectors cannot: whether question and text agree word by word."""

import numpy as np
import pytest
import torch

from shopkeeper import registry
from shopkeeper.encoders._session import Session
from shopkeeper.encoders.cross._export import export
from shopkeeper.errors import BadConfig, BadData, NotFitted
from shopkeeper.training.cross import Choice, Crossing, CrossReader, teach_cross
from shopkeeper.training.text_model import TextModel
from shopkeeper.training.texts import Batch, Reader, Tuning, _Lessons, _unlike, tune
from tests.rooms.training.tiny import NUM, PAIRS, tiny_model

QUICK = Crossing(batch=8, hard=3, epochs=40, lr=3e-3, tokens_max=12, minutes=3)
WRONG = [[PAIRS[(n + m) % NUM][1] for m in (1, 5, 11)] for n in range(NUM)]
CHOICES = [Choice(q, a, wrong) for (q, a), wrong in zip(PAIRS, WRONG, strict=True)]


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cross")
    source = tiny_model(folder / "tiny", 0.1)
    outcome = teach_cross(source, folder / "taught", CHOICES, QUICK)
    assert outcome.losses[-1] < outcome.losses[0] / 2
    return folder / "taught"


def _right(score):
    """Return the share of questions whose right text scores above the wrong ones."""
    found = [score([c.question] * 4, [c.right, *c.wrong]) for c in CHOICES]
    return float(np.mean([scores.argmax() == 0 for scores in found]))


def test_it_chooses_the_right_text(taught, tmp_path):
    assert _right(CrossReader(TextModel.of(taught), 12).score) > 0.9
    fresh = CrossReader(tiny_model(tmp_path / "tiny", 0.1), 12)
    assert _right(fresh.score) < 0.7


def test_the_export_scores_as_torch_does_and_comes_back_from_disk(taught, tmp_path):
    about = export(str(taught), tmp_path / "export", 12)
    session = Session(tmp_path / "export/model.onnx", tmp_path / "export/tokenizer.json", 12)
    texts = [answer for _, answer in PAIRS]
    wanted = CrossReader(TextModel.of(taught), 12).score(["q3"] * NUM, texts)
    found = session.scores("q3", texts)
    floor = 0.98 if about["precision"] == "int8" else 0.9999
    assert np.corrcoef(found, wanted)[0, 1] > floor
    part = registry.build("encoders.cross", "cross_encoder", model=str(taught), tokens_max=12)
    with pytest.raises(NotFitted):
        part.score("q3", texts)
    part.restore(tmp_path / "export")
    registry.save(part, tmp_path / "saved")
    again = registry.load(tmp_path / "saved")
    assert np.array_equal(again.score("q3", texts), part.score("q3", texts))
    assert again.score("q3", []).shape == (0,)
    assert np.isfinite(again.score("\ud800" + "x" * 9999, ["", "a1"])).all()


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(BadConfig, match=r"teacher-minutes"):
        export("", tmp_path / "export", 12)
    part = registry.build("encoders.cross", "cross_encoder")
    with pytest.raises(BadData, match=r"no model\.onnx"):
        part.restore(tmp_path)
    with pytest.raises(BadData, match="1 questions with hard texts, and a batch needs 8"):
        teach_cross(tiny_model(tmp_path / "t", 0.1), tmp_path / "x", CHOICES[:1], QUICK)


def test_a_student_takes_over_the_order_of_its_teacher(tmp_path):
    source = tiny_model(tmp_path / "tiny", 0.1)
    near = dict(zip([q for q, _ in PAIRS], WRONG, strict=True))
    # The teacher likes the second wrong text nearly as well as the right one, and no other.
    liked = {(q, near[q][1]) for q, _ in PAIRS} | set(PAIRS)

    def teacher(questions, texts):
        pairs = zip(questions, texts, strict=True)
        return np.array([8.0 if pair in liked else -8.0 for pair in pairs], np.float32)

    tuning = Tuning(batch=8, epochs=15, rounds=2, lr=1e-2, tokens_max=8, hard=3, distil=3.0)

    def gap(folder):
        encode = Reader(TextModel.of(folder), tuning).encode
        asked = encode([q for q, _ in PAIRS])
        second, other = (encode([near[q][at] for q, _ in PAIRS]) for at in (1, 2))
        return float((asked * (second - other)).sum(1).mean())

    hard = lambda questions, _: [near[q] for q in questions]  # noqa: E731
    tune(source, tmp_path / "alone", PAIRS, tuning, hard=hard)
    tune(source, tmp_path / "taught", PAIRS, tuning, hard=hard, teacher=teacher)
    assert gap(tmp_path / "taught") > gap(tmp_path / "alone") + 0.3


def test_a_teacher_is_asked_about_own_texts_alone():
    asked = []

    def teacher(questions, texts):
        asked.extend(zip(questions, texts, strict=True))
        return np.zeros(len(texts), np.float32)

    lessons = _Lessons(PAIRS, WRONG, Tuning(batch=8, hard=2), teacher)
    batch: Batch = lessons.batches(0)[0]
    assert batch.taught_BP.shape == (8, 8 + 16)
    assert torch.isfinite(batch.taught_BP).sum() == len(asked) == 8 * 3
    known = {**dict(PAIRS)}
    assert all(text == known[q] or text in WRONG[int(q[1:])] for q, text in asked)
    # Nobody disagrees with himself.
    assert float(_unlike(batch.taught_BP, batch.taught_BP)) < 1e-6
