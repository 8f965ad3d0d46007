"""A small text encoder for a hundred languages: multilingual-e5-small, or another E5.

Source: Wang et al., Multilingual E5 Text Embeddings, 2024. Queries and products carry the prefixes
that E5 learned with, unless the model's folder says others. Its vectors all point nearly one way,
and those of one language nearer still, so both are taken off (see `_transformer.neutral`): what is
unlike is then near 0, as with other encoders, whatever the languages. Slower than MiniLM.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from shopkeeper.encoders import _transformer


class E5(_transformer.Transformer):
    """Encodes texts of many languages by a small transformer."""

    PREFIXES: ClassVar[Mapping[str, str]] = {"query": "query: ", "passage": "passage: "}
    near: ClassVar[float | None] = 0.25

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings."""

        model: str = "intfloat/multilingual-e5-small"
        """A folder, also one in the shop's folder, or a name that an installed package or a model
        hub has."""
        tokens_max: int = 64
        """Texts are cut to this many tokens, from 8 to 512."""
        threads: int = 1
        """How many batches are encoded at once, one core each; serving wants 1."""
        batch: int = 32
        """How many texts make a batch."""
        width: int = 0
        """How many numbers of a vector are kept, at least 8; 0 for all. `shopkeeper compress` says
        what fewer cost."""
        precision: str = "auto"
        """How weights are written: `auto` is int8 as far as that means the same, else `float32`,
        `int8`, or `mixed`, which keeps the widest matrices in floats."""

        def __post_init__(self) -> None:
            _transformer.check(self)
