"""Turns a text model into an ONNX file that answers with finished vectors.

int8 weights are kept only where they mean the same: `optimum` is not used, it would downgrade
transformers. The only file of the room that needs the `train` extra.
"""

import json
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.encoders import _weights
from shopkeeper.encoders._apart import run_apart
from shopkeeper.encoders._session import Session
from shopkeeper.errors import Missing

COSINE_MIN = 0.985
"""int8 is kept if no less than this cosine to the float model on the probes, on average."""

_DRAFT = ".export-"

PROBES = (
    "milk",
    "whole milk, Grocery > Dairy > Milk",
    "yellow bananas",
    "white hanging heart t-light holder",
    "samsung galaxy s9 64gb unlocked smartphone",
    "frozen pizza, 12 oz",
    "baby food junior all brands",
    "set of 6 red retrospot napkins, gift for her",
    "running shoes for men size 10",
    "stainless steel water bottle 500ml",
    "something warm to wear in winter",
    "bosch serie 4 washing machine 8kg 1400 spin white",
    "dark chocolate bar with sea salt",
    "cat litter",
    "paper towels & holders, household",
    "canon eos 80d digital slr camera with 18-55mm lens",
)
"""Titles, categories and wishes as they occur in shops."""


def export_apart(model: str, folder: Path, tokens_max: int) -> None:
    """Do `export` in a process of its own: torch needs half a gigabyte, and goes with it.

    Args:
        model: A folder, or a hub's name.
        folder: Where to write.
        tokens_max: Where texts are cut.

    Raises:
        ShopkeeperError: What `export` raised, or why the process ended.
    """
    what = f"The text encoder '{model}' could not be exported"
    run_apart(__name__, model, str(folder), str(tokens_max), what=what)


def main(model: str, folder: str, tokens_max: str) -> None:
    """Export; the words of a command line are all text."""
    export(model, Path(folder), int(tokens_max))


def export(model: str, folder: Path, tokens_max: int) -> dict[str, Any]:
    """Write `model.onnx`, `tokenizer.json` and `encoder.json` into `folder`.

    Args:
        model: A folder, or a hub's name.
        folder: Where to write; made if it lacks. `encoder.json` is written last.
        tokens_max: Where texts are cut.

    Returns:
        What `encoder.json` says: model, precision, cosine of int8 to float, width, tokens_max.

    Raises:
        Missing: The `train` extra or the model is not installed.
    """
    try:
        import onnx  # noqa: F401
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise Missing(
            f"Exporting a text encoder needs '{error.name}'. "
            "Run `pip install shopkeeper[train]`, or set the encoder to 'hashing'."
        ) from error
    source = _weights.fetch(model)
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f"{_DRAFT}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=folder))
    shutil.copyfile(source / "tokenizer.json", folder / "tokenizer.json")
    exact, small = draft / "exact.onnx", draft / "small.onnx"
    _trace(source, exact)
    _quantise(exact, small)
    expected = Session(exact, folder / "tokenizer.json", tokens_max).encode(PROBES)
    cosine = mean_cosine(
        Session(small, folder / "tokenizer.json", tokens_max).encode(PROBES), expected
    )
    kept = small if cosine >= COSINE_MIN else exact
    kept.replace(folder / "model.onnx")
    shutil.rmtree(draft)
    about = {
        "model": model,
        "precision": "int8" if kept == small else "float32",
        "cosine_int8": round(cosine, 5),
        "width": int(expected.shape[1]),
        "tokens_max": tokens_max,
        "sha256": _weights.digest(folder / "model.onnx"),
    }
    unfinished = folder / "encoder.json.part"
    unfinished.write_text(json.dumps(about, indent=2))
    unfinished.replace(folder / "encoder.json")
    return about


def mean_cosine(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    """Return the mean cosine of vectors of length 1, row by row. Shapes [N, D]."""
    return float(np.einsum("nd,nd->n", left, right).mean())


def _trace(source: Path, file: Path) -> None:
    import torch
    from transformers import AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]

    class Pooled(torch.nn.Module):  # type: ignore[misc]
        """A transformer whose answer is the mean of its tokens, of length 1."""

        def __init__(self) -> None:
            super().__init__()
            # The eager attention is the one that traces to plain ONNX operators.
            self.inner = AutoModel.from_pretrained(source, attn_implementation="eager")

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            states = self.inner(input_ids=ids, attention_mask=mask).last_hidden_state
            weights = mask.unsqueeze(-1).to(states.dtype)
            mean = (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
            return torch.nn.functional.normalize(mean, dim=-1)

    ids = torch.tensor([[1, 2, 3], [1, 4, 3]])
    dynamic = {"ids": {0: "b", 1: "t"}, "mask": {0: "b", 1: "t"}, "vector": {0: "b"}}
    with warnings.catch_warnings(), torch.no_grad():
        # The tracing exporter is called old but takes 4 s, the new one 24 s, for equal vectors.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Pooled().eval(),
            (ids, torch.ones_like(ids)),
            str(file),
            input_names=["ids", "mask"],
            output_names=["vector"],
            dynamic_axes=dynamic,
            dynamo=False,
        )


def _quantise(exact: Path, small: Path) -> None:
    import logging

    from onnxruntime.quantization import QuantType, quantize_dynamic

    # It advises a pre-processing that changes nothing for a transformer.
    logging.disable(logging.WARNING)
    try:
        quantize_dynamic(exact, small, per_channel=True, weight_type=QuantType.QInt8)
    finally:
        logging.disable(logging.NOTSET)
