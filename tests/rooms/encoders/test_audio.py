"""Recordings become samples, and what is none is refused in one line."""

import sys

import numpy as np
import pytest

pytest.importorskip("av")

from recordings import RATE, encoded, tone

from shopkeeper.encoders.speech import _audio
from shopkeeper.errors import BadRequest, Missing


def decode(audio, seconds_max=5.0, bytes_max=2_000_000):
    return _audio.decode(audio, seconds_max, bytes_max)


def refused(audio, said, **limits):
    with pytest.raises(BadRequest, match=said) as error:
        decode(audio, **limits)
    assert error.value.field == "audio"
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("container", ["wav", "webm", "ogg", "mp3", "mp4"])
def test_every_format_gives_the_tone_that_was_recorded(container):
    samples = decode(encoded(tone(1.0), container))
    assert samples.dtype == np.float32
    assert abs(len(samples) / _audio.SAMPLE_RATE - 1.0) < 0.1
    spectrum = np.abs(np.fft.rfft(samples))
    loudest = spectrum.argmax() * _audio.SAMPLE_RATE / len(samples)
    assert abs(loudest - 440) < 5
    assert 0.2 < np.abs(samples).max() < 0.4


def test_what_is_empty_silent_long_or_large_is_refused_in_words():
    refused(b"", "is empty")
    refused(encoded(np.zeros(RATE), "wav"), "is silent")
    refused(encoded(tone(3), "ogg"), "longer than 2 seconds", seconds_max=2.0)
    refused(encoded(tone(1), "wav"), "more than 0.05 MB", bytes_max=50_000)
    refused(encoded(tone(1), "wav")[:44], "no sound|no recording")


@pytest.mark.parametrize(
    "audio",
    [
        b"hello",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"RIFF\x00\x00\x00\x00WAVE" + bytes(200),
        b"OggS" + bytes(500),
        b"\x1a\x45\xdf\xa3" + bytes(500),
        b"\xff\xfb" + bytes(500),
        b"\x00\x00\x00\x18ftyp" + bytes(500),
    ],
)
def test_what_is_no_recording_is_refused(audio):
    refused(audio, "no recording|no sound")


def test_a_recording_that_breaks_off_counts_as_far_as_it_goes():
    whole = encoded(tone(2), "ogg")
    part = decode(whole[: len(whole) // 2])
    assert 0.2 < len(part) / _audio.SAMPLE_RATE < 1.9


def test_a_rate_that_would_grow_a_few_bytes_into_hours_is_refused():
    wav = bytearray(encoded(tone(1), "wav"))
    at = wav.index(b"fmt ") + 12
    wav[at : at + 4] = (1).to_bytes(4, "little")
    refused(bytes(wav), "1 samples a second")


def test_without_the_library_it_is_said_what_to_install(monkeypatch):
    wav = encoded(tone(1), "wav")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(Missing, match=r"pip install shopkeeper\[voice\]"):
        decode(wav)
