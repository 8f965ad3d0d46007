"""Speech becomes words; sounds that are none do not."""

import re
import sys

import numpy as np
import pytest

pytest.importorskip("faster_whisper")

from recordings import encoded, speech, tone

from shopkeeper import registry
from shopkeeper.encoders import _weights
from shopkeeper.encoders.speech import whisper
from shopkeeper.errors import BadConfig, BadData, BadRequest, Missing


@pytest.fixture(scope="module")
def listener():
    if _weights.installed(whisper.TINY_ENGLISH) is None:
        pytest.skip("the speech model is not installed")
    return registry.build("encoders.speech", "whisper")


def test_what_is_said_is_heard_with_its_language_and_length(listener):
    heard = listener.transcribe(speech("do you have running shoes in size ten"))
    words = set(re.findall(r"\w+", heard.text.lower()))
    assert {"running", "shoes"} <= words
    assert heard.language == "en"
    assert 1 < heard.seconds < 5


def test_no_words_are_invented_for_a_tone_or_noise(listener):
    noise = 0.05 * np.random.default_rng(0).standard_normal(48_000)
    for samples in (tone(1.0), noise):
        with pytest.raises(BadRequest, match="No words") as error:
            listener.transcribe(encoded(samples, "wav"))
        assert error.value.field == "audio"


def test_a_recording_beyond_the_limits_of_the_settings_is_refused():
    strict = registry.build("encoders.speech", "whisper", seconds_max=0.5, megabytes_max=0.1)
    with pytest.raises(BadRequest, match=r"longer than 0\.5"):
        strict.transcribe(encoded(tone(1), "ogg"))
    with pytest.raises(BadRequest, match=r"more than 0\.1 MB"):
        strict.transcribe(encoded(tone(2), "wav"))


@pytest.mark.parametrize(
    ("setting", "value"),
    [("seconds_max", 0), ("seconds_max", 301), ("megabytes_max", float("nan")), ("threads", 0)],
)
def test_a_setting_out_of_range_is_refused_by_name(setting, value):
    with pytest.raises(BadConfig, match=setting):
        registry.build("encoders.speech", "whisper", **{setting: value})


def test_a_broken_or_foreign_folder_and_an_unknown_name_are_one_line(tmp_path, monkeypatch):
    import faster_whisper.transcribe

    wav = encoded(tone(1), "wav")
    made = registry.build("encoders.speech", "whisper", model=str(tmp_path))
    with pytest.raises(BadData, match=r"no model\.bin"):
        made.transcribe(wav)
    for name in whisper.FILES:
        (tmp_path / name).write_text("{}")
    with pytest.raises(BadData, match="cannot be read"):
        made.transcribe(wav)

    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(faster_whisper.transcribe, "download_model", offline)
    with pytest.raises(Missing, match=r"'acme/none'.*local folder"):
        registry.build("encoders.speech", "whisper", model="acme/none").transcribe(wav)


def test_a_language_the_model_has_not_is_named():
    if _weights.installed(whisper.TINY_ENGLISH) is None:
        pytest.skip("the speech model is not installed")
    made = registry.build("encoders.speech", "whisper", language="zh")
    with pytest.raises(BadConfig, match=r"tiny\.en.*'zh'.*knows: en"):
        made.transcribe(encoded(tone(1), "wav"))


def test_without_the_extra_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(Missing, match=r"pip install shopkeeper\[voice\]"):
        registry.build("encoders.speech", "whisper").transcribe(encoded(tone(1), "wav"))


def test_a_shelf_within_a_shelf_is_no_part():
    assert "speech" not in registry.names("encoders")
    assert registry.names("encoders.speech") == ["whisper"]
