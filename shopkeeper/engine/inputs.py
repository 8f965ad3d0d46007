"""Who reads a file that nobody named, and how to write that into `shop.toml`."""

import dataclasses
import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shopkeeper import config
from shopkeeper.config import Config, Input
from shopkeeper.data.guess import Guess, guess
from shopkeeper.engine import settings
from shopkeeper.errors import BadConfig


@dataclasses.dataclass(frozen=True)
class Proposal:
    """What to write into `shop.toml` for a file, and what to type."""

    name: str
    guess: Guess
    block: str
    """The section of `shop.toml`."""
    command: str
    """What loads the file without that section."""
    then: str
    """What loads it with the section."""


def propose(
    known: Config | None, file: Path, name: str = "", folder: Path | None = None
) -> Proposal:
    """Look at a file and say who reads it.

    Args:
        known: The settings of the shop, if there is one.
        file: The file, folder or pattern.
        name: What to call the input; after the file by default.
        folder: The shop's folder, for the commands.

    Returns:
        The guess, with the section and the commands that follow from it.

    Raises:
        BadData: There is no such file, or its head cannot be read.
        BadConfig: The name cannot be used.
    """
    found = guess(file)
    chosen = name or _free(file, known.inputs if known else {})
    if not re.fullmatch(r"[A-Za-z0-9_-]+", chosen):
        raise BadConfig(f"An input is named by letters, digits, - and _, but not '{chosen}'.")
    given = Input(source=found.source, file=str(file.absolute()), settings=found.settings)
    shop = ["--shop", str(folder)] if folder not in (None, Path()) else []
    words = ["shopkeeper", "ingest", str(file), "--source", found.source, *_words(found.settings)]
    return Proposal(
        name=chosen,
        guess=found,
        block=_block(chosen, given),
        command=shlex.join([*words, *shop]),
        then=shlex.join(["shopkeeper", "ingest", "--input", chosen, *shop]),
    )


def save(folder: Path, proposal: Proposal) -> Path:
    """Write a proposal at the end of `shop.toml`; the rest of the file stays as it is.

    Args:
        folder: The shop's folder.
        proposal: What `propose` returned.

    Returns:
        The file.

    Raises:
        BadConfig: There is an input of that name, or the settings cannot be read with it.
    """
    path = folder / config.FILE
    if proposal.name in settings.read(folder).inputs:
        raise BadConfig(
            f"There is an input '{proposal.name}' in {path} already. Change it there, or give this "
            "one another name by --input NAME."
        )
    partial = path.with_suffix(".part")
    text = path.read_text("utf-8").rstrip("\n")
    partial.write_text(f"{text}\n\n{proposal.block}\n", "utf-8")
    try:
        config.read(partial, settings.parts())
    except BadConfig:
        partial.unlink()
        raise
    partial.replace(path)
    return path


def reader_of(known: Config, file: Path) -> tuple[str, str]:
    """Return the input and the source of a file of a known format.

    Args:
        known: The settings of the shop.
        file: The file.

    Returns:
        The name of the one input that the source has, or of the source; and the source.

    Raises:
        BadConfig: The format is not known for sure.
        BadData: There is no such file, or its head cannot be read.
    """
    found = guess(file)
    if not found.certain:
        raise BadConfig(
            f"Who reads {file} is not sure. Look at `shopkeeper ingest {shlex.quote(str(file))} "
            "--guess`, then add --save, or name who reads it by --source or --input."
        )
    names = [name for name, given in known.inputs.items() if given.source == found.source]
    return (names[0] if len(names) == 1 else found.source), found.source


def _free(file: Path, taken: Mapping[str, Any]) -> str:
    """Name an input after a file."""
    stem = file.name.split(".")[0] or file.absolute().parent.name
    base = re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_").lower() or "input"
    names = (base if again == 1 else f"{base}_{again}" for again in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def _words(given: Mapping[str, Any]) -> list[str]:
    """Write settings of a source as options of the command."""
    words: list[str] = []
    for key, value in given.items():
        if key == "table":
            words += ["--table", value]
        elif key == "map":
            words += [part for pair in value for part in ("--map", pair)]
        else:
            words += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
    return words


def _block(name: str, given: Input) -> str:
    lines = [f"[inputs.{name}]"]
    lines += [f"{key} = {_toml(getattr(given, key))}" for key in ("source", "file", "load")]
    if given.settings:
        lines += ["", f"[inputs.{name}.settings]"]
        lines += [f"{key} = {_toml(value)}" for key, value in given.settings.items()]
    return "\n".join(lines)


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple) and sum(len(str(each)) for each in value) > 70:
        return "[\n" + "".join(f"  {_toml(each)},\n" for each in value) + "]"
    # TOML wants the letter for delete escaped, JSON leaves it.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
