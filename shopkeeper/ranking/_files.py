"""How a ranker's files are written and read; one that is broken is named.

Knows no method.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from shopkeeper.contracts import Columns
from shopkeeper.errors import BadData


def session(network: bytes, file: Path | str) -> Any:
    """Open an ONNX graph on one thread; `file` is its name in a BadData."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    # ONNX Runtime has an error of its own for each thing that may be wrong with a graph.
    except Exception as error:
        raise broken(file, error) from error


def read_bytes(file: Path) -> bytes:
    """Return a file's content, or raise BadData with its name."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise broken(file, error) from error


def write_arrays(file: Path, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> None:
    """Write arrays, and what JSON can say of them, into one file."""
    np.savez(file, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]


def read_arrays(file: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read what `write_arrays` wrote, or raise BadData with the name of the file."""
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in kept.files}
        return arrays, json.loads(str(arrays.pop("about")))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise broken(file, error) from error


def said(columns: Columns) -> dict[str, Any]:
    """Say columns in words of JSON."""
    past = {str(key): list(places) for key, places in columns.histories.items()}
    return {"codes": list(columns.codes), "histories": past, "place": columns.place}


def heard(about: Mapping[str, Any]) -> Columns:
    """Understand what `said` said."""
    past = {int(key): tuple(places) for key, places in about["histories"].items()}
    return Columns(tuple(about["codes"]), past, about["place"])


def broken(file: Path | str, error: Exception) -> BadData:
    """Return the error for a file that cannot be read."""
    why = (str(error).splitlines() or [type(error).__name__])[0][:160]
    return BadData(
        f"The ranker's file '{file}' cannot be read: {why}. Train again, or go back with "
        "`shopkeeper bundles use VERSION`."
    )
