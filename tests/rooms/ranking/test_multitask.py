"""`multitask` learns sales from all impressions, on planted chances of click and sale."""

import numpy as np
import pytest

from shopkeeper import registry
from shopkeeper.contracts import Foretelling
from shopkeeper.errors import BadConfig, BadData

QUICK = {"models": 1, "epochs_max": 8, "batch": 256, "learning_rate": 4e-3, "hidden": (32, 16)}


def impressions(num=6000, seed=0):
    """Clicks fall with one amount, sales after a click rise with it, and what they bring too."""
    chance = np.random.default_rng(seed)
    x = chance.random((num, 3)).astype(np.float32)
    click, sale = 0.6 - 0.5 * x[:, 0], 0.1 + 0.8 * x[:, 1]
    clicked = chance.random(num) < click
    sold = clicked & (chance.random(num) < sale)
    worth = np.where(sold, np.exp(1 + 2 * x[:, 2]), 0)
    labels = np.stack([clicked, sold, worth], 1).astype(np.float32)
    return x, labels, click, click * sale


@pytest.fixture(scope="module")
def taught():
    x, labels, *_ = impressions()
    ranker = registry.build("ranking", "multitask", **QUICK)
    return ranker.fit(x, labels, np.ones(len(x), np.float32), np.arange(len(x)))


def test_the_chances_of_click_and_sale_are_found(taught):
    x, labels, click, sale = impressions(seed=1)
    assert isinstance(taught, Foretelling)
    found = taught.outcomes(x)
    assert np.abs(found[:, 0] - click).mean() < 0.05
    assert np.abs(found[:, 1] - sale).mean() < 0.05
    assert (found[:, 1] <= found[:, 0]).all()
    # What an impression is worth, beside what it brought: close on the whole, and in both halves.
    for half in (x[:, 2] < 0.5, x[:, 2] >= 0.5):
        assert found[half, 2].mean() == pytest.approx(labels[half, 2].mean(), rel=0.25)


def test_it_orders_by_what_it_was_told_to(taught, tmp_path):
    x, _, click, sale = impressions(500, seed=2)
    by_sale = taught.score(x)
    registry.save(taught, tmp_path)
    again = registry.load(tmp_path)
    np.testing.assert_array_equal(again.score(x), by_sale)
    again.config = type(again.config)(**{**QUICK, "order": "click"})
    assert np.corrcoef(by_sale, np.log(sale))[0, 1] > 0.9
    assert np.corrcoef(again.score(x), np.log(click / (1 - click)))[0, 1] > 0.9
    with_sale, with_click = (np.corrcoef(one, x[:, 1])[0, 1] for one in (by_sale, again.score(x)))
    assert with_sale > with_click + 0.1


def test_sales_without_clicks_and_odd_worths_are_refused():
    x, labels, *_ = impressions(200)
    rows = np.ones(200, np.float32), np.arange(200)
    ranker = registry.build("ranking", "multitask", **QUICK)
    odd = labels.copy()
    odd[:, 1] = 1
    with pytest.raises(BadData, match="one without a click"):
        ranker.fit(x, odd, *rows)
    odd = labels.copy()
    odd[0, 2] = -1
    with pytest.raises(BadData, match="below 0"):
        ranker.fit(x, odd, *rows)
    with pytest.raises(BadData, match="Give clicks alone"):
        ranker.fit(x, labels[:, :2] * [1, 0], *rows)
    with pytest.raises(BadData, match="4 labels"):
        ranker.fit(x, np.hstack([labels, labels[:, :1]]), *rows)
    with pytest.raises(BadConfig, match="order must be click"):
        registry.build("ranking", "multitask", order="price")
