"""Search by voice: what a recording says is searched for like words that were typed.

Knows nothing of sound; the part of `encoders/speech` that [search] speech names hears it.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

from shopkeeper import registry
from shopkeeper.config import Config
from shopkeeper.contracts import SpeechEncoder
from shopkeeper.engine.answers import Answer


class ByVoice:
    """What `Shop` has of voice; whoever derives from it has settings and a search by words."""

    config: Config
    search: Callable[..., Answer]

    @cached_property
    def listener(self) -> SpeechEncoder:
        """Who hears; its model is loaded at the first recording."""
        name = self.config.search.speech
        part: SpeechEncoder = registry.build(
            "encoders.speech", name, **self.config.part("encoders.speech", name)
        )
        return part

    def hears(self) -> bool:
        """Say whether `search_by_voice` has what it needs."""
        return self.listener.installed()

    def search_by_voice(self, audio: bytes, **page: Any) -> Answer:
        """Find products by what is said in a recording.

        Args:
            audio: The bytes of a wav, webm, ogg, mp3, flac or m4a file.
            **page: What else `search` takes, such as `k` and `filters`.

        Returns:
            The page, with what was heard.

        Raises:
            BadRequest: The recording is empty, too large or too long, none, or without words; or
                an argument is out of range.
            Missing: The `voice` extra or the speech model is not installed.
            NotFitted: The shop was never trained.
        """
        heard = self.listener.transcribe(audio)
        return replace(self.search(heard.text, **page), heard=heard)
