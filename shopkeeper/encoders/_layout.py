"""Reads what a model's folder says of itself: pooling, prefixes, and whether its files are there.

The format is that of sentence-transformers (`modules.json` and a folder for each module); a plain
transformer without it is mean-pooled, as sentence-transformers does. Vectors always get length 1,
so a Normalize module changes nothing. Knows nothing of weights.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shopkeeper.errors import BadData

POOLINGS = {
    "mean": "mean",
    "cls": "cls",
    "max": "max",
    "lasttoken": "last",
    # A mean times the root of the length points the same way.
    "mean_sqrt_len_tokens": "mean",
}
"""Ways to make one vector of a text's tokens, by the names that folders use."""
FLAGS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "lasttoken",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
}
"""The same as older folders write it: one truth value for each."""
PROMPTS = {"query": ("query",), "passage": ("passage", "document")}
"""Names of the prompts of each kind of text, the first that is there counts."""
POOLING_FOLDER = "1_Pooling"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")


@dataclass(frozen=True)
class Layout:
    """What has to be known to make vectors with a model."""

    transformer: Path
    """The folder of config and weights."""
    tokenizer: Path
    """The file of the tokenizer."""
    pooling: str = "mean"
    """`mean`, `cls`, `max` or `last`."""
    prefixes: Mapping[str, str] = field(default_factory=dict)
    """What stands before a text, by kind; kinds that lack get nothing."""


def read(folder: Path) -> Layout:
    """Read the folder of a model.

    Args:
        folder: Holds `config.json`, `tokenizer.json` and `model.safetensors`, perhaps in the
            folder of its first module.

    Returns:
        Its layout.

    Raises:
        BadData: A file lacks or is broken, or the model has a part that is not known.
    """
    modules = _json(folder / "modules.json", []) or [{"type": "Transformer", "path": ""}]
    if not isinstance(modules, list) or not all(isinstance(each, dict) for each in modules):
        raise _broken(folder / "modules.json", "it is no list of modules")
    by_kind = {str(each.get("type", "")).rsplit(".", 1)[-1]: each for each in modules}
    strange = [kind for kind in by_kind if kind not in ("Transformer", "Pooling", "Normalize")]
    if strange or "Transformer" not in by_kind:
        raise BadData(
            f"The text model '{folder}' has a module '{', '.join(strange) or 'none'}'; known are "
            "Transformer, Pooling and Normalize. Choose a model made of those."
        )
    transformer = folder / str(by_kind["Transformer"].get("path", ""))
    tokenizer = next(
        (place / "tokenizer.json" for place in (transformer, folder)
         if (place / "tokenizer.json").is_file()), transformer / "tokenizer.json",
    )  # fmt: skip
    for file in (transformer / "config.json", tokenizer):
        if not file.is_file():
            raise _lacks(folder, file.name)
    if not any((transformer / name).is_file() for name in WEIGHTS):
        raise _lacks(folder, WEIGHTS[0])
    if not isinstance(_json(transformer / "config.json", None), dict):
        raise _broken(transformer / "config.json", "it is no JSON object")
    pooling = "mean"
    if "Pooling" in by_kind:
        pooling = _pooling(folder / str(by_kind["Pooling"].get("path", "")) / "config.json")
    return Layout(transformer, tokenizer, pooling, _prefixes(folder))


def write(folder: Path, pooling: str, prefixes: Mapping[str, str]) -> None:
    """Let a folder that holds a transformer say how vectors are made with it.

    Args:
        folder: Holds config, tokenizer and weights.
        pooling: `mean`, `cls`, `max` or `last`.
        prefixes: What stands before a text, by kind.
    """
    mode = next(name for name, known in POOLINGS.items() if known == pooling)
    width = json.loads((folder / "config.json").read_text("utf-8")).get("hidden_size")
    told: dict[str, Any] = {
        f"{POOLING_FOLDER}/config.json": {
            "word_embedding_dimension": width,
            **{flag: named == mode for flag, named in FLAGS.items()},
        },
        "modules.json": [
            {"idx": at, "name": str(at), "path": path,
             "type": f"sentence_transformers.models.{kind}"}
            for at, (path, kind) in enumerate(
                [("", "Transformer"), (POOLING_FOLDER, "Pooling"), ("2_Normalize", "Normalize")]
            )
        ],
    }  # fmt: skip
    if prefixes:
        named = {PROMPTS[kind][0]: text for kind, text in prefixes.items()}
        told["config_sentence_transformers.json"] = {"prompts": named}
    for name, content in told.items():
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(content, indent=2), "utf-8")


def _pooling(file: Path) -> str:
    told = _json(file, None)
    if not isinstance(told, dict):
        raise _lacks(file.parent.parent, f"{file.parent.name}/{file.name}")
    mode = told.get("pooling_mode")
    if mode is None:
        mode = [name for flag, name in FLAGS.items() if told.get(flag)]
    modes = [mode] if isinstance(mode, str) else list(mode)
    if len(modes) != 1 or modes[0] not in POOLINGS:
        raise _broken(
            file, f"pooling '{' + '.join(map(str, modes))}' is not one of {', '.join(POOLINGS)}"
        )
    return POOLINGS[modes[0]]


def _prefixes(folder: Path) -> dict[str, str]:
    told = _json(folder / "config_sentence_transformers.json", {})
    prompts = (told.get("prompts") if isinstance(told, dict) else None) or {}
    found = {}
    for kind, names in PROMPTS.items():
        given = [str(prompts[name]) for name in names if prompts.get(name)]
        if given:
            found[kind] = given[0]
    return found


def _json(file: Path, otherwise: Any) -> Any:
    if not file.is_file():
        return otherwise
    try:
        return json.loads(file.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise _broken(file, str(error)) from error


def _lacks(folder: Path, name: str) -> BadData:
    return BadData(
        f"The text model '{folder}' has no {name}. Copy the whole folder of a Hugging Face model "
        "with safetensors weights and a fast tokenizer."
    )


def _broken(file: Path, why: str) -> BadData:
    return BadData(f"'{file}' cannot be used: {why}. Copy the model's folder again.")
