"""A cross-encoder: a transformer that reads query and text together, for the best few alone.

`shopkeeper train encoder --teacher-minutes` teaches one; any folder or hub's name of a model for
sequence classification with one label serves as well. Exported once to ONNX, in int8 where the
order stays the same; scoring needs no torch.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from shopkeeper.encoders._session import Session
from shopkeeper.errors import BadData, NotFitted

FILES = ("model.onnx", "tokenizer.json", "encoder.json")


class CrossEncoder:
    """Scores texts for a query."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings."""

        model: str = ""
        """A local folder, or a name that a model hub has."""
        tokens_max: int = 64
        """Query and text together are cut to this many tokens, from 8 to 512."""
        batch: int = 16
        """How many texts make a batch."""
        weight: float = 0.35
        """What it counts beside words, meaning and learned order, from 0 to 1."""

        def __post_init__(self) -> None:
            if not 8 <= self.tokens_max <= 512:
                raise ValueError(f"tokens_max must be from 8 to 512, but is {self.tokens_max}.")
            if self.batch < 1:
                raise ValueError(f"batch must be at least 1, but is {self.batch}.")
            if not 0 <= self.weight <= 1:
                raise ValueError(f"weight must be from 0 to 1, but is {self.weight}.")

    def __init__(self, config: Config) -> None:
        self.config = config
        self._folder: Path | None = None
        self._session: Session | None = None
        self._about: dict[str, Any] = {}

    def score(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return how well texts answer a query, [N]; only their order counts.

        Raises NotFitted: The model was not exported or restored.
        """
        if self._session is None:
            raise NotFitted("The cross-encoder has no model yet. Call `ensure` or `restore` first.")
        return self._session.scores(query, texts)

    def ensure(self, folder: Path) -> Self:
        """Restore from `folder`, and first export into it if it has no finished export of this.

        Raises Missing: An export is needed, but the `train` extra or the model is not installed.
        """
        if not self._is_exported(folder):
            from shopkeeper.encoders.cross import _export

            _export.export_apart(self.config.model, folder, self.config.tokens_max)
        return self.restore(folder)

    def save(self, folder: Path) -> None:
        """Copy the exported model into `folder`."""
        if self._folder is None:
            raise NotFitted("The cross-encoder has nothing to save yet. Call `ensure` first.")
        for name in FILES:
            shutil.copyfile(self._folder / name, folder / name)

    def restore(self, folder: Path) -> Self:
        """Open the exported model in `folder`.

        Raises BadData: The folder lacks a file, or the model cannot be opened.
        """
        lacking = [name for name in FILES if not (folder / name).is_file()]
        if lacking:
            raise BadData(f"The cross-encoder's folder has no {', '.join(lacking)}. Train again.")
        try:
            self._session = Session(
                folder / "model.onnx", folder / "tokenizer.json", self.config.tokens_max,
                batch=self.config.batch,
            )  # fmt: skip
        except Exception as error:  # ONNX Runtime has no error class of its own to name
            raise BadData(f"The cross-encoder's files are broken ({error}).") from error
        self._folder = folder
        self._about = json.loads((folder / "encoder.json").read_text())
        return self

    def _is_exported(self, folder: Path) -> bool:
        if not all((folder / name).is_file() for name in FILES):
            return False
        about = json.loads((folder / "encoder.json").read_text())
        wanted = [self.config.model, self.config.tokens_max]
        return bool([about["model"], about["tokens_max"]] == wanted)
