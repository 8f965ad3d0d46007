"""The transformer learns order, serves without torch, and goes on learning."""

import subprocess
import sys
import textwrap
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from shopkeeper import registry
from shopkeeper.arrays import Ids
from shopkeeper.data.samples.planted import OPENED, histories_of, loop_shop, name_of, requests
from shopkeeper.errors import BadConfig, BadData, NotFitted
from shopkeeper.recommenders._sequences import moments, newcomers
from shopkeeper.schema import EVENT_NAME, HISTORY, ITEM, LEARN, RANK, SCORE, TIME, USER

pytest.importorskip("torch")

NOW_THEN = OPENED + timedelta(days=400)
SMALL = {"width": 16, "blocks": 1, "heads": 2, "lr": 0.01, "epochs_max": 40}
SMALL |= {"dropout": 0.1, "weight_decay": 0.0}
"""Enough for a loop of twelve products."""


def rows(*wants):
    """Rows of shopper, product, hours after the shop opened."""
    return pl.DataFrame(
        [(user, item, "purchase", OPENED + timedelta(hours=hour)) for user, item, hour in wants],
        schema=LEARN,
        orient="row",
    )


def ask(*past, now=NOW_THEN, **more):
    return requests({"somebody": list(past)}, now, **more)


@pytest.fixture(scope="module")
def loop():
    return loop_shop(shoppers=60, products=12, steps=6)


@pytest.fixture(scope="module")
def learned(loop):
    return registry.build("recommenders", "sequential", **SMALL, repeats=False).fit(loop)


@pytest.fixture(scope="module")
def restored(learned, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sequential")
    registry.save(learned, folder)
    return registry.load(folder)


def test_next_item_learns_the_loop_and_popular_cannot(loop, learned):
    popular = registry.build("recommenders", "popular").fit(loop)
    found = {}
    people = histories_of(loop)
    asked = requests(people, loop[TIME].max() + timedelta(hours=1))
    # Each product of the loop is followed by the next by name.
    newest = asked[HISTORY].list.last().struct.field(ITEM).to_list()
    names = sorted(loop[ITEM].unique())
    truth = [names[(names.index(item) + 1) % len(names)] for item in newest]
    for name, model in (("sequential", learned), ("popular", popular)):
        first = model.recommend(asked, 1)[ITEM].to_list()
        found[name] = np.mean([a == b for a, b in zip(first, truth, strict=True)])
    assert found["sequential"] > 0.9
    assert found["popular"] < 0.5
    assert name_of(0) == names[0]


def test_a_restored_part_answers_alike_and_scores_what_it_recommends(learned, restored, loop):
    asked = requests(dict(list(histories_of(loop).items())[:9]), NOW_THEN, exclude=[name_of(3)])
    results = learned.recommend(asked, 5)
    assert results.equals(restored.recommend(asked, 5))
    assert name_of(3) not in results[ITEM].to_list()
    scores = restored.score(asked, results.select("request", ITEM))
    np.testing.assert_allclose(scores, results[SCORE].to_numpy(), atol=1e-4)


def test_answering_needs_no_torch(learned, tmp_path):
    registry.save(learned, tmp_path / "part")
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
        print(part.recommend(asked, 3).height, part.score(asked, part.recommend(asked, 2)).shape)
    """)
    command = [sys.executable, "-c", script, str(tmp_path / "part")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.split() == ["3", "(2,)"], done.stderr


def test_histories_that_say_nothing_get_no_rows_and_short_ones_do(restored):
    asked = requests(
        {
            "nobody": [],
            "stranger": ["never sold"],
            "one": [name_of(4)],
            "mixed": ["never sold", name_of(4)],
        },
        NOW_THEN,
    )
    found = restored.recommend(asked, 3)
    assert found["request"].unique(maintain_order=True).to_list() == [2, 3]
    first = found.filter(pl.col("request") == 2).drop("request")
    assert first.equals(found.filter(pl.col("request") == 3).drop("request"))
    unknown = pl.DataFrame(
        {"request": pl.Series([0, 2, 2], dtype=pl.UInt32), ITEM: [name_of(1), "never", name_of(5)]}
    )
    assert np.isnan(restored.score(asked, unknown)).tolist() == [True, True, False]


def test_a_seed_counts_as_wanted_now(restored):
    asked = ask(name_of(9), seeds=[name_of(2)])
    assert restored.recommend(asked, 1)[ITEM].to_list() == [name_of(3)]


def test_what_was_bought_often_is_foretold_again_only_with_repeats():
    draw = np.random.default_rng(0)
    wants = []
    for user in range(30):
        own = draw.integers(0, 30)
        wants += [(f"u{user}", f"p{own:03d}", 24 * day) for day in range(0, 12, 2)]
        wants += [(f"u{user}", f"p{draw.integers(0, 30):03d}", 24 * day) for day in range(1, 12, 2)]
    events = rows(*wants)
    asked = ask("p007", "p001", "p007", "p011", "p007", "p020", now=OPENED + timedelta(days=21))
    places = {}
    for repeats in (True, False):
        part = registry.build(
            "recommenders", "sequential", **SMALL | {"epochs_max": 15}, repeats=repeats
        ).fit(events)
        found = part.recommend(asked, 30)
        places[repeats] = found.filter(pl.col(ITEM) == "p007")[RANK].item()
    assert places[True] == 1
    assert places[False] > 1


def test_only_the_most_wanted_products_are_known_and_null_rows_are_no_lessons():
    events = rows(*((f"u{n}", f"p{m:03d}", m) for n in range(9) for m in range(9 - n, 12)))
    events = pl.concat([events, events.head(3).with_columns(pl.lit(None, pl.String).alias(USER))])
    part = registry.build("recommenders", "sequential", **SMALL | {"epochs_max": 1}, items_max=4)
    found = part.fit(events).recommend(ask("p011"), 99)
    assert sorted(found[ITEM]) == ["p008", "p009", "p010", "p011"]


def test_the_same_seed_gives_the_same_scores_in_any_order_of_events(loop):
    quick = SMALL | {"epochs_max": 2}
    asked = ask(name_of(1))
    builds = [registry.build("recommenders", "sequential", **quick, seed=s) for s in (1, 1, 2)]
    shuffled = loop.sample(fraction=1.0, shuffle=True, seed=4)
    tables = (loop, shuffled, loop)
    one, two, other = (b.fit(t).recommend(asked, 9) for b, t in zip(builds, tables, strict=True))
    assert one.equals(two)
    assert not one.equals(other)


def test_update_goes_on_from_what_was_learned_and_takes_up_new_products(loop):
    part = registry.build("recommenders", "sequential", **SMALL, repeats=False, batch_positions=32)
    part.fit(loop)
    asked = ask(name_of(1))
    before = part.recommend(asked, 20)
    later = loop[TIME].max() + timedelta(days=1)
    fresh = pl.concat(
        [
            rows((f"v{n}", name_of(1), 0), (f"v{n}", "new thing", 24)).with_columns(
                pl.col(TIME) - OPENED + later
            )
            for n in range(40)
        ]
    )
    part.update(pl.concat([loop, fresh]))
    assert part.learned["steps"] > 0
    found = part.recommend(asked, 20)
    assert "new thing" not in before[ITEM].to_list()
    assert "new thing" in found.head(2)[ITEM].to_list()
    # What had no news is remembered.
    old = ask(name_of(7))
    assert part.recommend(old, 1)[ITEM].to_list() == [name_of(8)]
    part.update(pl.concat([loop, fresh]))
    assert part.learned["steps"] == 0


def test_replay_keeps_what_an_update_without_it_forgets(loop):
    # From now on everybody else goes round the loop the other way.
    names = sorted(loop[ITEM].unique())
    later = loop[TIME].max() + timedelta(days=1)
    back = [
        (f"v{n}", names[(n - step) % 12], later + timedelta(hours=step))
        for n in range(60)
        for step in range(6)
    ]
    both = pl.concat(
        [
            loop,
            pl.DataFrame(
                [(user, item, "purchase", at) for user, item, at in back], LEARN, orient="row"
            ),
        ]
    )
    kept = {}
    for replay in (0.0, 2.0):
        part = registry.build("recommenders", "sequential", **SMALL, repeats=False, replay=replay)
        part.fit(loop).update(both)
        first = [part.recommend(ask(name), 2)[ITEM].to_list() for name in names]
        kept[replay] = np.mean([names[(n + 1) % 12] in found for n, found in enumerate(first)])
        # The new way round is learned all the same.
        assert part.learned["losses"][-1] < 0.5
    assert kept[2.0] > 0.8
    assert kept[0.0] < 0.3


def test_new_products_start_beside_those_they_are_like_or_in_the_middle(learned):
    encoder, ids = learned._encoder, learned.ids
    more = Ids(["a new one", "another", *ids.names])
    pair = 0.5 * (np.eye(12)[2] + np.eye(12)[5])
    told = pl.DataFrame(
        {
            "id": ["a new one", *ids.names],
            "vector": [pair.tolist(), *np.eye(12).tolist()],
        }
    )
    many = newcomers.ALIKE
    try:
        newcomers.ALIKE = 2
        grown = newcomers.grown(encoder, ids, more, told)
    finally:
        newcomers.ALIKE = many
    np.testing.assert_array_equal(grown.items_VD[2:], encoder.items_VD)
    middle = encoder.items_VD.mean(axis=0)
    near = encoder.items_VD[[2, 5]].mean(axis=0)
    np.testing.assert_allclose(grown.items_VD[:2], [near, middle], rtol=1e-5)
    assert np.isnan(grown.bias_V).tolist() == [True, True] + 12 * [False]


def test_a_checkpoint_left_by_a_kill_is_continued(loop, tmp_path, monkeypatch):
    quick = SMALL | {"epochs_max": 3, "holdout_share": 0.5}
    whole = registry.build("recommenders", "sequential", **quick).fit(loop)
    from shopkeeper.training import loop as training_loop

    seen = []

    class Killed(Exception):
        pass

    close = training_loop._Run.close_epoch

    def dying(self, measure):
        close(self, measure)
        seen.append(1)
        if len(seen) == 2:
            raise Killed

    monkeypatch.setattr(training_loop._Run, "close_epoch", dying)
    file = tmp_path / "state.safetensors"
    part = registry.build("recommenders", "sequential", **quick)
    with pytest.raises(Killed):
        part.fit(loop, checkpoint=file)
    part.fit(loop, checkpoint=file)
    assert len(seen) == 3
    assert len(part.learned["curve"]) == 3
    asked = ask(name_of(1))
    assert part.recommend(asked, 9).equals(whole.recommend(asked, 9))


def test_bad_settings_and_nothing_to_learn_are_said(loop):
    with pytest.raises(BadConfig, match="multiple"):
        registry.build("recommenders", "sequential", width=10, heads=3)
    with pytest.raises(BadConfig, match="holdout_share"):
        registry.build("recommenders", "sequential", holdout_share=1.5)
    part = registry.build("recommenders", "sequential")
    with pytest.raises(BadData, match="nothing to learn"):
        part.fit(loop.with_columns(pl.lit("search").alias(EVENT_NAME)))
    with pytest.raises(NotFitted):
        part.update(loop)
    with pytest.raises(NotFitted):
        part.score(ask(), pl.DataFrame({"request": [], ITEM: []}))


def test_shoppers_with_one_moment_alone_teach_nothing_but_break_nothing():
    part = registry.build("recommenders", "sequential", **SMALL)
    part.fit(rows(("a", "x", 0), ("a", "y", 0), ("b", "x", 5)))
    assert part.learned["steps"] == 0
    assert part.recommend(ask("x"), 5).height == 2


def test_events_of_one_time_are_one_moment_and_decay_by_their_age():
    events = rows(("a", "x", 0), ("a", "y", 0), ("a", "x", 48), ("b", "z", 0), ("a", "x", 0))
    laid = moments.of_events(events, Ids(events[ITEM]))
    assert laid.start.tolist() == [0, 2, 3]
    assert np.diff(laid.first).tolist() == [2, 1, 1]
    now = laid.minute[:1] + 4 * 1440
    past = moments.seen(laid, laid.start[:1], laid.start[1:2], now, 3)
    assert past.item.tolist() == [0, 1]
    expected = [[2 ** (-4 / h) + 2 ** (-2 / h) for h in moments.HALF_LIVES_DAYS]]
    expected += [[2 ** (-4 / h) for h in moments.HALF_LIVES_DAYS]]
    np.testing.assert_allclose(np.exp(past.features) - 1e-3, expected, rtol=1e-4)
    assert past.age.tolist() == [int(np.log2(2 * 1440 + 1)), int(np.log2(4 * 1440 + 1))]


def test_learning_that_bears_the_worst_change_is_less_moved_by_it():
    torch = pytest.importorskip("torch")
    from shopkeeper.recommenders._sequences.lessons import _worst

    events = torch.randn(5, 4, requires_grad=True)
    aim = torch.randn(4)
    moved = _worst(events, (events @ aim).sum(), 0.1)
    away = (moved - events).norm(dim=1)
    torch.testing.assert_close(away, 0.1 * events.norm(dim=1))
    assert ((moved @ aim) > (events @ aim)).all()


def test_a_network_that_learns_against_changes_still_learns_the_loop(loop):
    model = registry.build("recommenders", "sequential", **SMALL, repeats=False, perturb=0.2)
    model.fit(loop)
    plain = registry.build("recommenders", "sequential", **SMALL, repeats=False).fit(loop)
    asked = ask(name_of(3), name_of(4))
    assert model.recommend(asked, 1)[ITEM].to_list() == [name_of(5)]
    assert not np.array_equal(model.recommend(asked, 5)[SCORE], plain.recommend(asked, 5)[SCORE])
    with pytest.raises(BadConfig, match="perturb must be at least 0"):
        registry.build("recommenders", "sequential", perturb=-1.0)
