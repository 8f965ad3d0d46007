"""The words of every error we promise: what was wrong, what was given, what to do."""

import inspect
from datetime import timedelta

import polars as pl
import pytest

from shopkeeper import errors, registry
from shopkeeper.data.samples.planted import OPENED, loop_shop, requests
from shopkeeper.errors import BadConfig, BadData, BadRequest, NotFitted, ShopkeeperError
from shopkeeper.schema import EVENT_NAME, LEARN, TIME, check

ASKED = requests({"u": ["p001"]}, OPENED + timedelta(days=9))


def test_an_unknown_part_gets_the_nearest_name():
    with pytest.raises(BadConfig, match=r"no recommender 'populr'\. Did you mean 'popular'\?"):
        registry.build("recommenders", "populr")


def test_a_name_like_no_other_gets_the_whole_list():
    with pytest.raises(BadConfig, match=r"no recommender 'qqq'\. Known: .*ease.*popular"):
        registry.build("recommenders", "qqq")


def test_an_unknown_setting_gets_the_nearest_name():
    with pytest.raises(BadConfig, match="Did you mean 'half_life_days'"):
        registry.build("recommenders", "popular", half_life_day=3)


def test_a_bad_value_names_the_table_of_the_settings_file():
    with pytest.raises(BadConfig, match=r"\[recommenders.popular\] half_life_days must be above 0"):
        registry.build("recommenders", "popular", half_life_days=0)


def test_a_missing_column_says_what_there_is_and_what_to_do():
    with pytest.raises(BadData, match=r"no column 'time'\. It has: .*item_id.*Rename a column"):
        check(loop_shop().drop(TIME), LEARN, "event")


def test_a_column_of_another_type_says_both_types():
    wrong = loop_shop().with_columns(pl.col(TIME).cast(pl.String))
    with pytest.raises(BadData, match=r"'time' of the event table must be Datetime.*but is String"):
        check(wrong, LEARN, "event")


def test_an_unknown_event_is_counted_and_named():
    wrong = loop_shop().with_columns(pl.lit("bought").alias(EVENT_NAME))
    with pytest.raises(BadData, match=r"320 of 320 events have an unknown name, first 'bought'"):
        check(wrong, LEARN, "event")


def test_a_k_that_cannot_be_names_the_field():
    with pytest.raises(BadRequest, match="k must be at least 1, got 0") as caught:
        registry.build("recommenders", "repeat").fit(loop_shop()).recommend(ASKED, 0)
    assert caught.value.field == "k"


def test_a_model_that_has_not_learned_says_so():
    with pytest.raises(NotFitted, match=r"The recommender 'ease' has learned nothing yet\. Call"):
        registry.build("recommenders", "ease").recommend(ASKED, 3)


def test_every_error_is_one_family_and_says_when_it_is_raised():
    members = inspect.getmembers(errors, inspect.isclass)
    family = [kind for _, kind in members if kind.__module__ == errors.__name__]
    for kind in family:
        assert issubclass(kind, ShopkeeperError)
        assert kind.__doc__
    assert len(family) >= 7


def test_messages_are_one_line():
    for act in (
        lambda: registry.build("recommenders", "nothing"),
        lambda: check(loop_shop().drop(TIME), LEARN, "event"),
        lambda: registry.build("recommenders", "ease").recommend(ASKED, 3),
    ):
        with pytest.raises(ShopkeeperError) as caught:
            act()
        assert "\n" not in str(caught.value)
