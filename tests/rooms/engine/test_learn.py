"""The ranker learns from the past alone, the same from the same seed, and finds what is planted."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from shopkeeper.arrays import Asked
from shopkeeper.config import Config, TrainSection
from shopkeeper.data.samples.planted import OPENED, products_of
from shopkeeper.engine.evaluate import evaluate, measure, split_of
from shopkeeper.engine.learn import Known, joined, learn
from shopkeeper.engine.report import ALL, FUSION, NEW, by_history
from shopkeeper.engine.settings import read
from shopkeeper.errors import BadConfig, BadData
from shopkeeper.evaluation.splits import requests_at
from shopkeeper.schema import ITEM, LEARN, TIME, USER

FUSED = ("popular", "repeat", "item_knn")
CONFIG = Config(
    train=TrainSection(recommenders=FUSED, fused=FUSED, periods=2, label_baskets=1),
    parts={
        "features.sources": {"recommenders": ("repeat", "item_knn")},
        "ranking.gbdt": {"trees": 10, "leaf_rows_min": 5, "threads": 1},
        "ranking.deep": {"models": 1, "epochs_max": 10, "batch": 128},
    },
)


def rhythm_shop(shoppers=40, products=12, days=150, seed=0):
    """Everybody buys one of two own products each week, in turn; which, tells only the rhythm."""
    chance = np.random.default_rng(seed)
    rows = []
    for shopper in range(shoppers):
        own = chance.choice(products, 2, replace=False)
        rows += [
            (f"u{shopper:02}", f"p{own[week % 2]:03}", "purchase", OPENED + timedelta(weeks=week))
            for week in range(days // 7)
        ]
    return pl.DataFrame(rows, schema=LEARN, orient="row")


EVENTS = rhythm_shop()
KNOWN = Known(EVENTS, products_of(EVENTS))
END = OPENED + timedelta(days=140)


def asked(events=EVENTS):
    return requests_at(events, END, sorted(set(events[USER])), 1000)


def ranked(fusion, requests, k):
    return fusion.rank(Asked.of(requests, fusion.ids), k).table()


@pytest.mark.parametrize("ranker", ["gbdt", "logistic", "deep"])
def test_the_ranker_learns_the_rhythm_and_repeat_alone_cannot(ranker):
    due = {
        row[USER]: row[ITEM]
        for row in EVENTS.filter(pl.col(TIME) >= END).unique(USER, keep="first").to_dicts()
    }
    config = replace(CONFIG, train=replace(CONFIG.train, ranker=ranker))
    learner, fusion = learn(config, KNOWN, END)
    requests = asked()
    users = requests[USER].to_list()

    def share_right(answer):
        first = answer.filter(pl.col("rank") == 1).select("request", ITEM)
        return np.mean([due.get(users[row]) == item for row, item in first.iter_rows()])

    assert share_right(ranked(fusion, requests, 3)) > 0.8
    assert share_right(learner.recommenders["repeat"].recommend(requests, 3)) < 0.5


def test_what_happens_after_the_end_changes_nothing():
    later = EVENTS.filter(pl.col(TIME) >= END).with_columns(pl.lit("p000").alias(ITEM))
    other = pl.concat([EVENTS.filter(pl.col(TIME) < END), later])
    pages = [
        ranked(learn(CONFIG, Known(events, KNOWN.products), END)[1], asked(), 5)
        for events in (EVENTS, other)
    ]
    assert_frame_equal(*pages)


def test_same_seed_same_page_and_one_request_as_in_a_batch():
    fusion = learn(CONFIG, KNOWN, END)[1]
    page = ranked(fusion, asked(), 5)
    assert_frame_equal(ranked(learn(CONFIG, KNOWN, END)[1], asked(), 5), page)
    alone = ranked(fusion, asked().slice(7, 1).with_columns(request=pl.lit(0, pl.UInt32)), 5)
    assert_frame_equal(alone.drop("request"), page.filter(pl.col("request") == 7).drop("request"))


def test_another_seed_makes_another_ranker_whatever_the_settings_name():
    named = replace(CONFIG, parts={**CONFIG.parts, "ranking.gbdt": {"seed": 3, "trees": 10}})
    rankers = [learn(named, KNOWN, END, seed)[1].ranker for seed in (0, 1)]
    assert [ranker.config.seed for ranker in rankers] == [3, 4]
    scores = [ranked(learn(CONFIG, KNOWN, END, n)[1], asked(), 5)["score"] for n in (0, 1)]
    assert not scores[0].equals(scores[1])


def test_excluded_products_never_come_and_scores_of_the_rest_stay():
    fusion = learn(CONFIG, KNOWN, END)[1]
    page = ranked(fusion, asked(), 5)
    first = page.filter(pl.col("rank") == 1)[ITEM].to_list()
    without = asked().with_columns(pl.Series("exclude", [[item] for item in first]))
    again = ranked(fusion, without, 4)
    assert again.join(page.filter(pl.col("rank") == 1), ["request", ITEM], "semi").is_empty()
    best = again.filter(pl.col("rank") == 1).select(ITEM, "score")
    assert_frame_equal(best, page.filter(pl.col("rank") == 2).select(ITEM, "score"))


def test_a_shop_without_a_past_says_what_it_lacks():
    with pytest.raises(BadData, match="no event before"):
        learn(CONFIG, KNOWN, OPENED - timedelta(days=1))
    with pytest.raises(BadData, match="nothing to learn from"):
        learn(CONFIG, KNOWN, OPENED + timedelta(days=3))


def test_a_split_that_is_no_date_is_refused():
    wrong = replace(CONFIG, evaluation=replace(CONFIG.evaluation, split="soon"))
    with pytest.raises(BadConfig, match="must be a day such as"):
        split_of(wrong, EVENTS)
    assert split_of(CONFIG, EVENTS) < EVENTS[TIME].max()


def test_the_report_holds_every_list_and_the_floors_with_intervals(trained):
    report = evaluate(trained, read(trained), seeds=(0, 1))
    names = [row["list"] for row in report["tables"][0]["rows"]]
    assert {FUSION, "repeat", "ease", "floor_popular", "floor_own", "floor_ease_own"} <= set(names)
    own = report["scores"][ALL]["floor_own"]["recall"]["mean"]
    assert report["scores"][ALL][FUSION]["recall"]["mean"] >= own - 0.05
    assert (
        report["scores"][ALL]["floor_own"]["recall"]["mean"]
        > 2 * (report["scores"][ALL]["floor_popular"]["recall"]["mean"])
    )
    assert "repeat" not in report["scores"][NEW]
    assert len(report["scores"][ALL][FUSION]["ndcg"]["seeds"]) == 2
    page = (trained / "reports" / "evaluation.html").read_text()
    assert "<svg" in page
    for name in (FUSION, "floor_ease_own"):
        assert f">{name}</text>" in page
    assert {"label", "value", "low", "high", "floor"} == set(report["plots"][0]["rows"][0])
    titles = [table["title"] for table in report["tables"]]
    assert "R@10 by how many events are known of a shopper" in titles
    (group,) = report["by_history"]
    assert group["lists"][FUSION]["ndcg"]["mean"] == pytest.approx(
        report["scores"][ALL][FUSION]["ndcg"]["mean"]
    )


def test_quality_is_told_by_how_much_is_known_of_a_shopper():
    soon = END + timedelta(days=1)
    new = [(f"n{n}", f"p{n:03}", "purchase", soon) for n in range(6)]
    looked = [("v0", "p001", "view_item", END - timedelta(days=day)) for day in (3, 2)] + [
        ("v0", "p001", "purchase", soon)
    ]
    few = [("w0", "p002", "purchase", END - timedelta(days=2)), ("w0", "p002", "purchase", soon)]
    rows = pl.DataFrame([*new, *looked, *few], schema=LEARN, orient="row")
    known = Known(pl.concat([EVENTS, rows]).sort(TIME), KNOWN.products)
    learner, fusion = learn(CONFIG, known, END)
    measured = measure(CONFIG, known, END, learner.recommenders, fusion)
    assert measured.shoppers.filter(pl.col(USER) == "w0")["events"].to_list() == [1]
    strangers = dict(measured.strangers.shoppers.iter_rows())
    assert strangers == {**dict.fromkeys([f"n{n}" for n in range(6)], 0), "v0": 2}
    groups = by_history(CONFIG, [measured])
    counts = {group["events"]: group["shoppers"] for group in groups}
    assert counts == {"0": 6, "1-4": 2, "20-99": 40}
    nothing, little = groups[0]["lists"], groups[1]["lists"]
    # Of whom nothing is known gets what is popular; a look leads to what is near it.
    assert nothing[FUSION] == nothing["popular"]
    assert nothing[FUSION]["recall"]["mean"] > 0.5
    assert nothing["repeat"]["recall"]["mean"] == 0
    assert little["repeat"]["recall"]["mean"] == 0.5
    found = little[FUSION]["recall"]
    assert found["low"] <= found["mean"] <= found["high"]


def test_events_and_shoppers_of_the_judged_period_are_counted_by_hand():
    at = datetime(2026, 1, 10, tzinfo=UTC)
    rows = [
        ("a", "x", at - timedelta(days=2)),
        ("a", "x", at + timedelta(days=1)),
        ("a", "y", at + timedelta(days=1)),
        ("b", "y", at - timedelta(days=3)),
        ("b", "z", at + timedelta(days=2)),
    ]
    events = pl.DataFrame(
        [(user, item, "purchase", when) for user, item, when in rows], schema=LEARN, orient="row"
    )
    from shopkeeper.evaluation.splits import next_basket

    found = next_basket(events, at)
    assert found.select(USER, "targets").rows() == [("a", ["x", "y"])]


def test_lessons_are_joined_and_no_two_requests_share_a_number():
    one = (np.ones((3, 2), np.float32), np.array([1, 0, 0], np.float32))
    two = (np.zeros((2, 2), np.float32), np.array([0, 1], np.float32))
    weight = np.float32(0.5)
    lessons = [
        (*one, np.full(3, weight), np.array([0, 0, 2])),
        (*two, np.full(2, weight), np.array([0, 1])),
    ]
    features, labels, weights, owners = joined(lessons)
    np.testing.assert_array_equal(features, np.concatenate([one[0], two[0]]))
    np.testing.assert_array_equal(labels, [1, 0, 0, 0, 1])
    np.testing.assert_array_equal(owners, [0, 0, 2, 3, 4])
    assert weights.tolist() == [0.5] * 5
    assert lessons == []
