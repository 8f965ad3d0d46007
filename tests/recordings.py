"""Recordings that tests make: tones, silence and, where espeak-ng is installed, speech."""

import io
import shutil
import subprocess

import numpy as np
import pytest

RATE = 48_000
CODECS = {"wav": "pcm_s16le", "webm": "libopus", "ogg": "libopus", "mp3": "mp3", "mp4": "aac"}


def encoded(samples, container, rate=RATE):
    """Return the bytes of a file that holds `samples`, from -1 to 1, on one channel."""
    import av

    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream(CODECS[container], rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            (samples * 32767).astype(np.int16)[None], format="s16", layout="mono"
        )
        frame.sample_rate = rate
        file.mux(stream.encode(frame) if container == "wav" else _all(stream, frame))
        file.mux(stream.encode(None))
    return out.getvalue()


def _all(stream, frame):
    """Encode in the frames a codec wants."""
    import av

    resampler = av.AudioResampler(
        format=stream.codec_context.format, layout="mono", rate=stream.codec_context.sample_rate,
        frame_size=stream.codec_context.frame_size,
    )  # fmt: skip
    parts = [*resampler.resample(frame), *resampler.resample(None)]
    return [packet for part in parts for packet in stream.encode(part)]


def tone(seconds, hertz=440.0, loudness=0.3):
    return loudness * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)


def speech(text):
    """Return a wav of somebody saying `text`; skips the test where nobody can."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed, which speaks for this test")
    said = subprocess.run(
        ["espeak-ng", "-s", "140", "--stdout", text], capture_output=True, check=True, timeout=30
    )
    return said.stdout
