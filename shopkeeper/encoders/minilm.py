"""A small English text encoder: all-MiniLM-L6-v2, or any model of its kind by folder or name.

Source: Reimers and Gurevych, EMNLP 2019; Wang et al., MiniLM, 2020. Exported once to ONNX, in int8
where that changes little; encoding needs neither torch nor transformers. In int8 a vector moves a
little (cosine about .99) with its neighbours in a batch. Knows next to no Chinese.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from shopkeeper.encoders._session import Session
from shopkeeper.errors import BadData, NotFitted

FILES = ("model.onnx", "tokenizer.json", "encoder.json")


class MiniLM:
    """Encodes texts by a small transformer."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings."""

        model: str = "sentence-transformers/all-MiniLM-L6-v2"
        """A local folder, or a name that an installed package or a model hub has."""
        tokens_max: int = 64
        """Texts are cut to this many tokens, from 8 to 512."""
        threads: int = 1
        """How many batches are encoded at once, one core each; serving wants 1."""
        batch: int = 32
        """How many texts make a batch."""

        def __post_init__(self) -> None:
            if not 8 <= self.tokens_max <= 512:
                raise ValueError(f"tokens_max must be from 8 to 512, but is {self.tokens_max}.")
            if self.threads < 1:
                raise ValueError(f"threads must be at least 1, but is {self.threads}.")
            if self.batch < 1:
                raise ValueError(f"batch must be at least 1, but is {self.batch}.")

    def __init__(self, config: Config) -> None:
        self.config = config
        self._folder: Path | None = None
        self._session: Session | None = None
        self._sha256 = ""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector of length 1 per text, [N, D].

        Raises NotFitted: The model was not exported or restored.
        """
        return self._ready().encode(texts)

    @property
    def width(self) -> int:
        """Numbers in a vector, D."""
        return self._ready().width

    @property
    def fingerprint(self) -> str:
        """A short text that changes whenever vectors would."""
        self._ready()
        return f"{self._sha256[:16]}-{self.config.tokens_max}"

    def ensure(self, folder: Path) -> Self:
        """Restore from `folder`, and first export into it if it has no finished export of this.

        Raises Missing: An export is needed, but the `train` extra or the model is not installed.
        """
        if not self._is_exported(folder):
            from shopkeeper.encoders import _export

            _export.export_apart(self.config.model, folder, self.config.tokens_max)
        return self.restore(folder)

    def save(self, folder: Path) -> None:
        """Copy the exported model into `folder`."""
        self._ready()
        assert self._folder is not None
        for name in FILES:
            shutil.copyfile(self._folder / name, folder / name)

    def restore(self, folder: Path) -> Self:
        """Open the exported model in `folder`.

        Raises BadData: The folder lacks a file, or the model is not the one that was exported.
        """
        lacking = [name for name in FILES if not (folder / name).is_file()]
        if lacking:
            raise BadData(
                f"The encoder's folder has no {', '.join(lacking)}. Train the shop again."
            )
        about = json.loads((folder / "encoder.json").read_text())
        model, tokenizer = folder / "model.onnx", folder / "tokenizer.json"
        try:
            self._session = Session(
                model, tokenizer, self.config.tokens_max, self.config.threads, self.config.batch
            )
        except Exception as error:  # ONNX Runtime has no error class of its own to name
            raise BadData(f"The encoder's files are broken ({error}). Train again.") from error
        self._folder, self._sha256 = folder, about["sha256"]
        return self

    def _ready(self) -> Session:
        if self._session is None:
            raise NotFitted("The text encoder has no model yet. Call `ensure` or `restore` first.")
        return self._session

    def _is_exported(self, folder: Path) -> bool:
        if not all((folder / name).is_file() for name in FILES):
            return False
        about = json.loads((folder / "encoder.json").read_text())
        wanted = (self.config.model, self.config.tokens_max)
        return (about["model"], about["tokens_max"]) == wanted
