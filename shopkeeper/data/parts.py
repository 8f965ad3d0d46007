"""Which files make one load, and which loads did they make before?"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shopkeeper import schema
from shopkeeper.errors import BadData

FILES_MAX = 50
"""Files that are loaded in one step, where a source can read them apart."""


def code_version() -> str:
    """Return a hash of the code that reads and cleans, so that a changed rule loads anew."""
    digest = hashlib.sha256()
    room = Path(__file__).parent
    apart = {"samples", "detectors"}
    files = [file for file in room.rglob("*.py") if not apart & set(file.parts)]
    for file in [*sorted(files), Path(schema.__file__)]:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


class Part:
    """Some files of an input, and by which rules they are loaded."""

    def __init__(
        self, files: Sequence[Path], how: Mapping[str, Any], hashes: Mapping[Path, tuple[str, str]]
    ) -> None:
        self.files = list(files)
        self.name = str(how["source"])
        self.inputs = dict(hashes[file] for file in files)
        self.about = {**how, "inputs": self.inputs}
        text = json.dumps(self.about, sort_keys=True)
        self.load_id = hashlib.sha256(text.encode()).hexdigest()[:16]

    def stands(self, loads: Mapping[str, Mapping[str, Any]]) -> bool:
        """Return whether these files were loaded, and no other of their names since."""
        order = list(loads)
        if self.load_id not in loads:
            return False
        return not any(
            loads[later].get("source") == self.name
            and set(loads[later].get("inputs", {})) & set(self.inputs)
            for later in order[order.index(self.load_id) + 1 :]
        )

    def replaced(self, loads: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Return the loads that brought the same files, or some of them, by other rules."""
        return [
            load_id
            for load_id, about in loads.items()
            if about.get("source") == self.name
            and about.get("inputs")
            and set(about["inputs"].items()) <= set(self.inputs.items())
        ]


def split(
    hashes: Mapping[Path, tuple[str, str]],
    loads: Mapping[str, Mapping[str, Any]],
    how: Mapping[str, Any],
    apart: bool,
) -> list[list[Path]]:
    """Split files into loads: as they were loaded before, and the others together.

    Args:
        hashes: Name and sha256 of each file.
        loads: What is known of each load by its id.
        how: By which rules the files are loaded now.
        apart: Whether some of the files can be loaded without the others.

    Returns:
        The files of each load.
    """
    files = list(hashes)
    if not apart:
        return [files]
    parts: list[list[Path]] = []
    left = dict.fromkeys(files)
    by_hash = {pair: file for file, pair in hashes.items()}
    for about in loads.values():
        held = [by_hash.get(pair) for pair in about.get("inputs", {}).items()]
        mine = about.get("source") == how["source"]
        if mine and held and all(file in left for file in held):
            parts.append([file for file in held if file is not None])
            for file in parts[-1]:
                del left[file]
    rest = list(left)
    return parts + [rest[at : at + FILES_MAX] for at in range(0, len(rest), FILES_MAX)]


def named(files: Sequence[Path], location: Path | None) -> dict[Path, tuple[str, str]]:
    """Name each file, in a folder by its path within, and hash it.

    Args:
        files: The files of a load.
        location: What a person gave: one of them, or the folder of all.

    Returns:
        Name and sha256 by file.

    Raises:
        BadData: A file is not there.
    """
    found = {}
    for file in files:
        if not file.is_file():
            raise BadData(f"There is no file {file}. Check the path.")
        within = location is not None and file.is_relative_to(location) and file != location
        name = file.relative_to(location).as_posix() if within and location else file.name
        with file.open("rb") as opened:
            found[file] = (name, hashlib.file_digest(opened, "sha256").hexdigest())
    return found
