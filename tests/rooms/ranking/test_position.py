"""Clicks at the top flatter the old order; on planted logs that is seen through."""

import numpy as np
import pytest

from shopkeeper import registry
from shopkeeper.contracts import Columns
from shopkeeper.data.samples.placed import placed
from shopkeeper.errors import BadData
from shopkeeper.evaluation.metrics import ndcg
from shopkeeper.ranking import click_weights, looked_at_random, looked_harvested

LOG = placed(pages=8000)
LATER = placed(pages=10, seed=1)


def quality(features, clicks, weights=None, columns=None):
    """NDCG at 5, by the true chances, of a ranker that learned from clicks."""
    columns = columns or Columns()
    weights = np.ones(len(clicks), np.float32) if weights is None else weights
    ranker = registry.build("ranking", "logistic", penalties=(10.0,))
    ranker.fit(features, clicks, weights, LOG.page, columns)
    questions, candidates, width = LATER.each.shape
    asked = LATER.each.reshape(-1, width)
    if columns.place is not None:
        # Whatever place is claimed.
        place = np.random.default_rng(0).integers(0, candidates, len(asked))
        asked = np.column_stack([asked, place]).astype(np.float32)
    order = np.argsort(-ranker.score(asked).reshape(questions, candidates), axis=1)
    return ndcg(np.take_along_axis(LATER.good, order, 1), 5, LATER.good).mean()


def test_the_order_is_recovered_and_clicks_alone_do_not_find_it():
    best = quality(LOG.features, LOG.unbiased)
    assert quality(LOG.features, LOG.clicks) < 0.9 * best
    looked = looked_harvested(LOG.things, LOG.place, LOG.clicks)
    weights = click_weights(LOG.place, LOG.clicks, looked)
    assert quality(LOG.features, LOG.clicks, weights) > 0.98 * best
    placed_too = np.column_stack([LOG.features, LOG.place]).astype(np.float32)
    assert quality(placed_too, LOG.clicks, columns=Columns(place=5)) > 0.98 * best


@pytest.mark.parametrize("method", ["all_pairs", "adjacent"])
def test_how_far_places_are_looked_at_is_harvested_from_two_orders(method):
    log = placed(pages=40_000, steepness=1.0, seed=2)
    looked = looked_harvested(log.things, log.place, log.clicks, method)
    assert np.abs(looked - log.looked).max() < 0.1
    # The clicks of each place alone say something else: good products stood further down.
    alone = np.bincount(log.place, log.clicks) / np.bincount(log.place)
    assert np.abs(alone / alone.max() - log.looked).max() > 0.15


def test_places_filled_at_random_say_it_at_once():
    log = placed(pages=20_000, shuffled=True, seed=3)
    looked = looked_at_random(log.place, log.clicks)
    assert np.abs(looked - log.looked).max() < 0.06


def test_a_click_counts_the_inverse_up_to_a_bound():
    weights = click_weights(
        np.array([0, 1, 1, 2]), np.array([1, 1, 0, 1]), np.array([1, 0.5, 0.001])
    )
    np.testing.assert_array_equal(weights, [1, 2, 1, 50])


def test_logs_that_cannot_tell_are_refused():
    things, places, clicks = np.array([0, 1, 2]), np.array([0, 1, 2]), np.ones(3)
    with pytest.raises(BadData, match="Places cannot be compared"):
        looked_harvested(things, places, clicks)
    with pytest.raises(BadData, match="1 were never shown"):
        looked_at_random(np.array([0, 2, 2]), clicks)
    with pytest.raises(BadData, match="0 clicks"):
        looked_harvested(np.zeros(2, int), np.array([0, 1]), np.zeros(2))
    with pytest.raises(BadData, match="Place 7 is not among"):
        click_weights(np.array([7]), np.ones(1), np.ones(3))
    apart = np.array([0, 0, 1, 1, 1]), np.array([0, 2, 1, 2, 2]), np.ones(5)
    with pytest.raises(BadData, match="Use all_pairs"):
        looked_harvested(*apart, "adjacent")
