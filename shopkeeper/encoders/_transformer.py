"""What text encoders made of a transformer share: exported once to ONNX, run without torch.

A part that derives from this brings its settings and, where its folders do not say them, the
prefixes of queries and passages. Knows no model by name.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from shopkeeper.contracts import TextKind
from shopkeeper.encoders._session import Session
from shopkeeper.errors import BadConfig, BadData, NotFitted

FILES = ("model.onnx", "tokenizer.json", "encoder.json")
PRECISIONS = ("auto", "float32", "int8", "mixed")
"""How weights may be written; `auto` is int8 as far as that means the same."""
WIDTH_MIN = 8


class Settings(Protocol):
    """What every part made of a transformer can be set to."""

    @property
    def model(self) -> str:
        """A local folder, or a name that an installed package or a model hub has."""

    @property
    def tokens_max(self) -> int:
        """Texts are cut to this many tokens."""

    @property
    def threads(self) -> int:
        """How many batches are encoded at once."""

    @property
    def batch(self) -> int:
        """How many texts make a batch."""

    @property
    def width(self) -> int:
        """How many numbers of a vector are kept; 0 for all."""

    @property
    def precision(self) -> str:
        """A name of `PRECISIONS`."""


def check(config: Settings) -> None:
    """Raise ValueError for the first setting that is out of range."""
    if not 8 <= config.tokens_max <= 512:
        raise ValueError(f"tokens_max must be from 8 to 512, but is {config.tokens_max}.")
    if config.threads < 1:
        raise ValueError(f"threads must be at least 1, but is {config.threads}.")
    if config.batch < 1:
        raise ValueError(f"batch must be at least 1, but is {config.batch}.")
    if config.width and config.width < WIDTH_MIN:
        raise ValueError(f"width must be 0 or at least {WIDTH_MIN}, but is {config.width}.")
    if config.precision not in PRECISIONS:
        known = ", ".join(PRECISIONS)
        raise ValueError(f"precision must be one of {known}, but is '{config.precision}'.")


class Transformer:
    """Encodes texts by an exported transformer."""

    PREFIXES: ClassVar[Mapping[str, str]] = {}
    """What stands before a text, by kind, where the model's folder does not say it."""
    near: ClassVar[float | None] = None
    """From which cosine on a query and a product are alike; None leaves it to the index."""

    def __init__(self, config: Settings) -> None:
        self.config = config
        self._folder: Path | None = None
        self._session: Session | None = None
        self._about: dict[str, Any] = {}

    def encode(self, texts: Sequence[str], kind: TextKind = "passage") -> NDArray[np.float32]:
        """Return one vector of length 1 per text, [N, D].

        Raises NotFitted: The model was not exported or restored.
        """
        session = self._ready()
        prefix = self._about.get("prefixes", {}).get(kind, "")
        vectors = session.encode([prefix + text for text in texts] if prefix else texts)
        shared = self._about.get("shared", {}).get(kind)
        if shared is not None:
            vectors = neutral(vectors, np.asarray(shared, np.float32))
        return cut(vectors, self.config.width)

    @property
    def prefixes(self) -> dict[str, str]:
        """What stands before a text, by kind."""
        self._ready()
        return dict(self._about.get("prefixes", {}))

    @property
    def width(self) -> int:
        """Numbers in a vector, D."""
        return self.config.width or self._ready().width

    @property
    def fingerprint(self) -> str:
        """A short text that changes whenever vectors would."""
        self._ready()
        read = {name: self._about.get(name) for name in ("sha256", "prefixes", "shared")}
        digest = hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()
        narrow = f"-{self.config.width}" if self.config.width else ""
        return f"{digest[:16]}-{self.config.tokens_max}{narrow}"

    def ensure(self, folder: Path) -> Self:
        """Restore from `folder`, and first export into it if it has no finished export of this.

        Raises Missing: An export is needed, but the `train` extra or the model is not installed.
        """
        if not self._is_exported(folder):
            from shopkeeper.encoders import _export

            _export.export_apart(
                *(self.config.model, folder, self.config.tokens_max),
                *(dict(self.PREFIXES), self.config.precision),
            )
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
        Raises BadConfig: Vectors have fewer numbers than are to be kept.
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
        if self.config.width > self._session.width:
            raise BadConfig(
                f"width is {self.config.width}, but vectors of '{about['model']}' have "
                f"{self._session.width} numbers. Set a smaller one, or 0 for all."
            )
        self._folder, self._about = folder, about
        return self

    def _ready(self) -> Session:
        if self._session is None:
            raise NotFitted("The text encoder has no model yet. Call `ensure` or `restore` first.")
        return self._session

    def _is_exported(self, folder: Path) -> bool:
        if not all((folder / name).is_file() for name in FILES):
            return False
        about = json.loads((folder / "encoder.json").read_text())
        wanted = (self.config.model, self.config.tokens_max, self.config.precision)
        # Exports of earlier versions did not say how they pool, nor what precision was asked for.
        found = (about["model"], about["tokens_max"], about.get("asked", "auto"))
        return "pooling" in about and found == wanted


def cut(vectors: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Return the first `width` numbers of vectors [N, D], of length 1 again; 0 for all of them.

    Source: nested representations of Kusupati et al., Matryoshka, NeurIPS 2022; a model that did
    not learn so loses more.
    """
    if not width or width == vectors.shape[1]:
        return vectors
    narrow = vectors[:, :width]
    norms = np.linalg.norm(narrow, axis=1, keepdims=True)
    units: NDArray[np.float32] = narrow / np.maximum(norms, 1e-12)
    return units


def neutral(vectors: NDArray[np.float32], shared: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `vectors` less what says nothing of their meaning, of length 1 again.

    Source: Mu and Viswanath, All-but-the-Top, ICLR 2018, for the mean; Libovický, Rosa and Fraser,
    On the Language Neutrality of Pre-trained Multilingual Representations, 2020, for languages,
    here the one direction from English to Chinese.

    Args:
        vectors: Vectors of length 1, [N, D].
        shared: The mean vector, and the direction of length 1 in which languages differ, [2, D].

    Returns:
        Vectors of length 1, [N, D].
    """
    centre, direction = shared
    moved = vectors - centre
    moved -= np.outer(moved @ direction, direction)
    norms = np.linalg.norm(moved, axis=1, keepdims=True)
    units: NDArray[np.float32] = moved / np.maximum(norms, 1e-12)
    return units
