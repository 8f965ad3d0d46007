"""What all networks over histories share: they learn order, start near, and bear odd shops."""

import subprocess
import sys
import textwrap
from datetime import timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest

from shopkeeper import registry
from shopkeeper.arrays import Ids
from shopkeeper.data.samples.planted import OPENED, histories_of, loop_shop, name_of, requests
from shopkeeper.errors import BadConfig
from shopkeeper.recommenders._sequences import moments
from shopkeeper.recommenders._sequences.neighbourhood import nearby_vectors
from shopkeeper.schema import EVENT_NAME, HISTORY, ITEM, LEARN, TIME, USER

torch = pytest.importorskip("torch")

KINDS = ("sequential", "hstu", "gru")
SMALL = {"width": 16, "blocks": 1, "lr": 0.01, "epochs_max": 40, "dropout": 0.1}
SMALL |= {"weight_decay": 0.0, "repeats": False}
LOOP = loop_shop(shoppers=60, products=12, steps=6)
LATER = LOOP[TIME].max() + timedelta(hours=1)

each = pytest.mark.parametrize("name", KINDS)


def rows(*wants):
    """Rows of shopper, product, hours after the shop opened."""
    return pl.DataFrame(
        [(user, item, "purchase", OPENED + timedelta(hours=hour)) for user, item, hour in wants],
        schema=LEARN,
        orient="row",
    )


def share_right(part):
    asked = requests(histories_of(LOOP), LATER)
    newest = asked[HISTORY].list.last().struct.field(ITEM).to_list()
    names = sorted(LOOP[ITEM].unique())
    truth = [names[(names.index(item) + 1) % len(names)] for item in newest]
    first = part.recommend(asked, 1)[ITEM].to_list()
    return np.mean([a == b for a, b in zip(first, truth, strict=True)])


@cache
def learned(name):
    """Learned from a few products drawn for each batch; tests only ask it."""
    return registry.build("recommenders", name, **SMALL, negatives=4, average=0.9).fit(LOOP)


@each
def test_the_next_of_the_loop_is_learned_from_a_few_products_drawn(name):
    assert share_right(learned(name)) > 0.9
    assert share_right(registry.build("recommenders", "popular").fit(LOOP)) < 0.5


@pytest.mark.parametrize("name", ["hstu", "gru"])
def test_answering_needs_no_torch(name, tmp_path):
    registry.save(learned(name), tmp_path / "part")
    script = textwrap.dedent("""
        import sys
        for name in ("torch", "onnx", "safetensors", "transformers"):
            sys.modules[name] = None
        from datetime import datetime, UTC
        from pathlib import Path
        import polars as pl
        from shopkeeper import registry, schema
        part = registry.load(Path(sys.argv[1]))
        then = datetime(2024, 1, 1, tzinfo=UTC)
        past = {"item_id": "p001", "event_name": "purchase", "time": then}
        asked = pl.DataFrame(
            [[0, "u", [past], [], [], datetime(2024, 1, 2, tzinfo=UTC), "home"]],
            schema=schema.REQUESTS, orient="row",
        )
        print(part.recommend(asked, 3).height)
    """)
    command = [sys.executable, "-c", script, str(tmp_path / "part")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.split() == ["3"], done.stderr


def test_hstu_tells_by_the_clock_what_the_order_does_not_tell():
    # After `a`, `b` is wanted within the hour and `c` after a month: the order is the same.
    wants = []
    for user in range(60):
        soon = user % 2 == 0
        wants += [(f"u{user}", "a", 0), (f"u{user}", "b" if soon else "c", 1 if soon else 720)]
    settings = SMALL | {"epochs_max": 40, "half_life_days": 1e6}
    part = registry.build("recommenders", "hstu", **settings).fit(rows(*wants))
    found = []
    for hours in (1, 720):
        asked = requests({"x": ["a"]}, OPENED).with_columns(
            pl.lit(OPENED + timedelta(hours=hours)).cast(LEARN[TIME]).alias("now"),
            pl.col(HISTORY).list.eval(
                pl.struct(
                    pl.element().struct.field(ITEM),
                    pl.element().struct.field(EVENT_NAME),
                    pl.lit(OPENED).cast(LEARN[TIME]).alias(TIME),
                )
            ),
        )
        found.append(part.recommend(asked, 1)[ITEM].item())
    assert found == ["b", "c"]


def test_products_start_near_those_wanted_about_the_same_time_and_the_rest_is_not_read():
    wants = [
        (f"u{n}", f"{'xy'[n % 2]}{(n + step) % 5}", step) for n in range(40) for step in (0, 1)
    ]
    wants += [(f"u{n}", "late", 9) for n in range(40)]
    events = rows(*wants)
    ids = Ids(events[ITEM])
    laid = moments.of_events(events, ids)
    vectors = nearby_vectors(laid, laid.start[1:] - 1, len(ids), 8, 0)
    place = {name: row for row, name in enumerate(ids.names)}
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    same, other = unit[place["x0"]] @ unit[place["x1"]], unit[place["x0"]] @ unit[place["y1"]]
    assert same > other + 0.3
    assert not vectors[place["late"]].any()
    # Without its last moment nothing is left of a history of one.
    assert not nearby_vectors(laid, laid.start[:-1], len(ids), 8, 0).any()


def test_a_start_near_others_is_most_of_the_way():
    quick = {"width": 16, "blocks": 1, "epochs_max": 1, "dropout": 0.0, "repeats": False}
    draw = np.random.default_rng(3)
    wants = []
    for user in range(150):
        kind = user % 10
        wants += [(f"u{user}", f"p{kind * 10 + i:03d}", h) for h, i in
                  enumerate(draw.permutation(10)[:5])]  # fmt: skip
    events = rows(*wants)
    asked = requests({str(kind): [f"p{kind * 10:03d}"] for kind in range(10)}, LATER)
    right = {}
    for start in (0.0, 1.0):
        part = registry.build("recommenders", "sequential", **quick, start_nearby=start).fit(events)
        found = part.recommend(asked, 5)
        kinds = found[ITEM].str.slice(1).cast(pl.Int64) // 10
        right[start] = (kinds == found["request"]).mean()
    assert right[1.0] > 0.8 > right[0.0] + 0.3


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    "wants",
    [
        [("a", "x", 0)],
        [("a", "x", hour) for hour in range(9)],
        [(f"u{n}", item, hour) for n in range(5) for hour, item in enumerate("xyz")],
        [("a", item, 0) for item in "xyzxyz"] + [("b", "x", 0), ("b", "y", 1)],
    ],
    ids=["one event", "one product", "all alike", "one time"],
)
def test_odd_shops_are_learned_and_answered(name, wants):
    settings = SMALL | {"epochs_max": 2, "negatives": 2, "start_nearby": 1.0, "average": 0.5}
    part = registry.build("recommenders", name, **settings).fit(rows(*wants))
    found = part.recommend(requests({"u": ["x", "x", "never sold", "x"]}, LATER), 5)
    assert found.height >= 1
    assert found["score"].is_finite().all()


def test_a_history_of_a_hundred_thousand_events_is_learned_and_read_by_its_newest():
    draw = np.random.default_rng(0).integers(0, 50, 100_000)
    bot = pl.DataFrame(
        {
            USER: ["bot"] * len(draw),
            ITEM: [f"p{item:03d}" for item in draw],
            EVENT_NAME: ["view_item"] * len(draw),
            TIME: [OPENED + timedelta(minutes=int(at)) for at in range(len(draw))],
        }
    ).cast(LEARN)
    settings = SMALL | {"epochs_max": 1, "steps_max": 5, "start_nearby": 1.0}
    part = registry.build("recommenders", "sequential", **settings).fit(pl.concat([LOOP, bot]))
    now = OPENED + timedelta(days=90)
    long = requests({"bot": bot[ITEM].to_list()}, now)
    assert part.recommend(long, 3).height == 3


def test_settings_that_cannot_be_are_refused_by_name():
    for name, settings, said in (
        ("hstu", {"heads": 3}, "not a multiple of heads 3"),
        ("hstu", {"temperature": -1.0}, "temperature must be at least 0"),
        ("sequential", {"attention_dropout": 1.0}, "attention_dropout"),
        ("gru", {"negatives": -1}, "negatives must be at least 0"),
        ("gru", {"average": 1.0}, "average"),
    ):
        with pytest.raises(BadConfig, match=said):
            registry.build("recommenders", name, **settings)
    assert name_of(0) == "p000"


def test_what_no_memory_can_hold_is_refused_with_an_estimate(monkeypatch):
    from shopkeeper.recommenders import _memory

    part = registry.build("recommenders", "gru", **SMALL | {"width": 1_000_000_000})
    with pytest.raises(BadConfig, match=r"12 products would take about [\d,.]+ GB; this machine"):
        part.fit(LOOP)
    monkeypatch.setattr(_memory, "machine_bytes", lambda: 1000)
    with pytest.raises(BadConfig, match=r"a matrix of 12 by 12 .* Lower products_max"):
        registry.build("recommenders", "ease").fit(LOOP)


@pytest.mark.parametrize("name", ["sequential", "hstu", "gru", "two_tower", "generative"])
def test_requests_are_read_as_lessons_were(name, monkeypatch):
    """The vector of a history that serves is the one that the network learned to make."""
    from shopkeeper.recommenders._sequences import teacher

    taught = []
    encoder = teacher.Teacher.encoder
    monkeypatch.setattr(
        teacher.Teacher, "encoder", lambda self: taught.append(self) or encoder(self)
    )
    settings = SMALL | {"epochs_max": 3, "start_nearby": 1.0}
    part = registry.build("recommenders", name, **settings).fit(LOOP)
    lessons, network = taught[0].lessons, taught[0].network
    end = lessons.laid.start[1:] - 1
    begin = lessons.laid.start[:-1]
    keep = end > begin
    begin, end = begin[keep], end[keep]
    from shopkeeper.recommenders._sequences.lessons import _histories, _laid_out

    past = _histories(lessons.laid, _laid_out(lessons.laid, begin, end, end))
    with torch.no_grad():
        made = network(past)[torch.from_numpy(np.cumsum(end - begin) - 1)].numpy()
    sizes = end - begin
    shorter = moments.take(
        lessons.laid, moments.spans(begin, sizes), np.concatenate([[0], np.cumsum(sizes)])
    )
    served = part._encoder.encode(shorter, lessons.laid.minute[end])
    np.testing.assert_allclose(served, made, rtol=1e-3, atol=1e-3)
