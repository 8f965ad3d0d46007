"""What led to a product is told with its date, the strongest deed first."""

from datetime import timedelta

import polars as pl

from shopkeeper.arrays import Asked, Ids
from shopkeeper.data.samples.planted import OPENED, requests
from shopkeeper.explain.evidence import evidence

NOW = OPENED + timedelta(days=30)
IDS = Ids(["p000", "p001", "p002"])


def asked(action, seeds=None):
    more = {"seeds": seeds} if seeds else {}
    return Asked.of(requests({"a": ["p001", "p001"]}, NOW, action=action, **more), IDS)


def test_a_purchase_is_told_with_the_day_of_the_last():
    (told,) = evidence(asked("purchase"), "p001", {"p001": "Red Lamp"})
    day = pl.Series([told["time"]]).str.to_datetime(time_zone="UTC")[0]
    assert told["times"] == 2
    assert told["says"] == f"You bought Red Lamp on {day.day} {day:%B %Y}."


def test_what_is_at_hand_is_told_first_and_what_was_never_met_not_at_all():
    told = evidence(asked("view_item", ["p001"]), "p001", {})
    assert [one["event_name"] for one in told] == ["at hand", "view_item"]
    assert told[0]["says"] == "It goes with p001, which is at hand."
    assert evidence(asked("purchase"), "p002", {}) == []
    assert evidence(asked("purchase"), "unknown", {}) == []
