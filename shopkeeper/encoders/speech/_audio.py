"""Turns the bytes of a recording into samples, in bounded memory.

The format is told by the first bytes and only that one is tried: some formats that FFmpeg guesses
are lists of other addresses to read. Decoding stops at the longest recording allowed. Needs the
`voice` extra. Knows nothing of speech.
"""

import io
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.errors import BadRequest, Missing

FIELD = "audio"
SAMPLE_RATE = 16_000
"""Samples a second of what is returned."""
SAMPLE_RATE_MIN, SAMPLE_RATE_MAX = 4_000, 384_000
"""Recordings outside are no speech, and one second of them could become any number of samples."""
SILENCE_PEAK = 0.003
"""A recording whose loudest sample is below is silent; a whisper reaches ten times that."""

FORMATS = (
    ("wav", re.compile(rb"RIFF....WAVE", re.DOTALL)),
    ("matroska", re.compile(rb"\x1a\x45\xdf\xa3")),
    ("ogg", re.compile(rb"OggS")),
    ("mp3", re.compile(rb"ID3|\xff[\xe2-\xff]")),
    ("flac", re.compile(rb"fLaC")),
    ("mp4", re.compile(rb"....ftyp", re.DOTALL)),
)
"""What FFmpeg calls a format, and how its files begin; webm is matroska, m4a is mp4."""
TAKEN = "wav, webm, ogg, mp3, flac or m4a"


def decode(audio: bytes, seconds_max: float, bytes_max: int) -> NDArray[np.float32]:
    """Read a recording.

    Args:
        audio: The bytes of a file.
        seconds_max: The longest recording taken.
        bytes_max: The largest file taken.

    Returns:
        Samples from -1 to 1, one channel, `SAMPLE_RATE` a second. Shape [N].

    Raises:
        BadRequest: It is empty, too large or too long, no recording, or silent.
        Missing: PyAV is not installed.
    """
    if not audio:
        raise BadRequest(FIELD, "The recording is empty. Record again.")
    if len(audio) > bytes_max:
        raise BadRequest(
            FIELD,
            f"The recording has more than {bytes_max / 1e6:g} MB. Record less, or as webm or ogg.",
        )
    named = next((name for name, begin in FORMATS if begin.match(audio)), None)
    if named is None:
        raise BadRequest(FIELD, f"This is no recording that can be read. Send {TAKEN}.")
    samples = _samples(audio, named, seconds_max)
    if not len(samples):
        raise BadRequest(FIELD, "The recording holds no sound. Record again.")
    if float(np.abs(samples).max()) < SILENCE_PEAK:
        raise BadRequest(FIELD, "The recording is silent. Check the microphone and record again.")
    return samples


def _samples(audio: bytes, named: str, seconds_max: float) -> NDArray[np.float32]:
    """Decode a file of the format `named`; what comes before a broken end counts."""
    try:
        import av
    except ImportError as error:
        raise Missing(
            "Reading recordings needs PyAV. Run `pip install shopkeeper[voice]`."
        ) from error
    found: list[NDArray[np.int16]] = []
    count = 0
    try:
        with av.open(io.BytesIO(audio), format=named, metadata_errors="ignore") as container:
            for part in _parts(container):
                found.append(part)
                count += part.size
                if count > seconds_max * SAMPLE_RATE:
                    raise BadRequest(
                        FIELD,
                        f"The recording is longer than {seconds_max:g} seconds. Say less at once.",
                    )
    except (av.FFmpegError, ValueError) as error:
        if not count:
            raise BadRequest(
                FIELD, f"This is no recording that can be read. Send {TAKEN}."
            ) from error
    whole = np.concatenate(found) if found else np.zeros(0, np.int16)
    return (whole / 32768).astype(np.float32)


def _parts(container: Any) -> Iterator[NDArray[np.int16]]:
    """Yield the samples of an open file, a frame at a time."""
    from av import AudioResampler

    if not container.streams.audio:
        raise BadRequest(FIELD, f"This file holds no sound. Send {TAKEN}.")
    stream = container.streams.audio[0]
    rate = stream.codec_context.sample_rate or 0
    if not SAMPLE_RATE_MIN <= rate <= SAMPLE_RATE_MAX:
        raise BadRequest(
            FIELD, f"The recording has {rate} samples a second. Record with 16,000 or more."
        )
    resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    for frame in container.decode(stream):
        for part in resampler.resample(frame):
            yield part.to_ndarray().reshape(-1).astype(np.int16, copy=False)
    for part in resampler.resample(None):
        yield part.to_ndarray().reshape(-1).astype(np.int16, copy=False)
