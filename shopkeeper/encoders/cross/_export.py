"""Turns a cross-encoder into an ONNX file that answers with one score a pair.

Needs the `train` extra.
"""

import json
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from shopkeeper.encoders import _layout, _weights
from shopkeeper.encoders._apart import run_apart
from shopkeeper.encoders._export import ENGLISH, quantise
from shopkeeper.encoders._session import Session
from shopkeeper.errors import BadConfig, Missing

CORRELATION_MIN = 0.99
"""int8 is kept if its scores of the probes go with those of the floats no less than this."""


def export_apart(model: str, folder: Path, tokens_max: int) -> None:
    """Do `export` in a process of its own.

    Args:
        model: A folder, or a hub's name.
        folder: Where to write.
        tokens_max: Where query and text together are cut.

    Raises:
        ShopkeeperError: What `export` raised, or why the process ended.
    """
    what = f"The cross-encoder '{model}' could not be exported"
    run_apart(__name__, model, str(folder), str(tokens_max), what=what)


def main(model: str, folder: str, tokens_max: str) -> None:
    """Export; the words of a command line are all text."""
    export(model, Path(folder), int(tokens_max))


def export(model: str, folder: Path, tokens_max: int) -> dict[str, Any]:
    """Write `model.onnx`, `tokenizer.json` and `encoder.json` into `folder`.

    Args:
        model: A folder, or a hub's name.
        folder: Where to write; made if it lacks. `encoder.json` is written last.
        tokens_max: Where query and text together are cut.

    Returns:
        What `encoder.json` says: model, tokens_max, precision, correlation of int8 with floats.

    Raises:
        Missing: The `train` extra or the model is not installed.
        BadConfig: No model is named.
        BadData: The model's folder lacks a file.
    """
    try:
        import onnx  # noqa: F401
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise Missing(
            f"Exporting a cross-encoder needs '{error.name}'. Run `pip install shopkeeper[train]`, "
            "or set [search] cross to ''."
        ) from error
    if not model:
        raise BadConfig(
            "[encoders.cross.cross_encoder] model names none. Teach one with `shopkeeper train "
            "encoder --teacher-minutes 10`, or name a folder."
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as scratch:
        draft = Path(scratch)
        layout = _layout.read(_weights.fetch(model, draft / "model"))
        shutil.copyfile(layout.tokenizer, folder / "tokenizer.json")
        exact, small = draft / "exact.onnx", draft / "small.onnx"
        _trace(layout.transformer, exact)
        quantise(exact, small, "")
        said = [
            Session(file, layout.tokenizer, tokens_max).scores(query, ENGLISH)
            for file in (exact, small) for query in ENGLISH[:8]
        ]  # fmt: skip
        half = len(said) // 2
        wanted, found = np.concatenate(said[:half]), np.concatenate(said[half:])
        correlation = float(np.corrcoef(wanted, found)[0, 1])
        kept = small if correlation >= CORRELATION_MIN else exact
        kept.replace(folder / "model.onnx")
    about = {
        "model": model, "tokens_max": tokens_max, "correlation": round(correlation, 5),
        "precision": "int8" if kept == small else "float32",
    }  # fmt: skip
    unfinished = folder / "encoder.json.part"
    unfinished.write_text(json.dumps(about, indent=2))
    unfinished.replace(folder / "encoder.json")
    return about


def _trace(transformer: Path, file: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    class Scored(torch.nn.Module):  # type: ignore[misc]
        """A classifier with one label, whose answer is its score."""

        def __init__(self) -> None:
            super().__init__()
            # The eager attention is the one that traces to plain ONNX operators.
            self.inner = AutoModelForSequenceClassification.from_pretrained(
                transformer, num_labels=1, attn_implementation="eager", local_files_only=True
            )

        def forward(
            self, ids: torch.Tensor, kinds: torch.Tensor, mask: torch.Tensor
        ) -> torch.Tensor:
            found = self.inner(input_ids=ids, token_type_ids=kinds, attention_mask=mask)
            return found.logits[:, 0]

    # One pair is shorter, so that nothing of the mask is traced as a constant.
    ids, mask = torch.tensor([[1, 2, 3], [1, 4, 3]]), torch.tensor([[1, 1, 1], [1, 1, 0]])
    kinds = torch.tensor([[0, 0, 1], [0, 1, 0]])
    axes = {0: "b", 1: "t"}
    with warnings.catch_warnings(), torch.no_grad():
        # The tracing exporter is called old but takes 4 s, the new one 24 s, for equal scores.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Scored().eval(),
            (ids, kinds, mask),
            str(file),
            input_names=["ids", "kinds", "mask"],
            output_names=["score"],
            dynamic_axes={"ids": axes, "kinds": axes, "mask": axes, "score": {0: "b"}},
            dynamo=False,
        )
