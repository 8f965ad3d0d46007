"""A small English text encoder: all-MiniLM-L6-v2, or any model of its kind by folder or name.

Source: Reimers and Gurevych, EMNLP 2019; Wang et al., MiniLM, 2020. Exported once to ONNX, in int8
where that changes little; encoding needs neither torch nor transformers. In int8 a vector moves a
little (cosine about .99) with its neighbours in a batch. Knows next to no Chinese.
"""

from dataclasses import dataclass

from shopkeeper.encoders import _transformer


class MiniLM(_transformer.Transformer):
    """Encodes texts by a small transformer."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings."""

        model: str = "sentence-transformers/all-MiniLM-L6-v2"
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
