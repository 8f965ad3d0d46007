"""Versions of the models of one shop: written beside the one in use, switched in one step.

A bundle is a folder with a `manifest.json` that names every file with its sha256. `current` is a
small file that names the version in use; replacing it is the switch. A version that was being
written when its process died is swept away by the next writer. Knows nothing of what models are.
"""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shopkeeper.errors import BadData, NotFitted, NotFound

MANIFEST = "manifest.json"
CURRENT = "current"
WRITING = ".writing-"


class Bundles:
    """The `bundles` folder of a shop."""

    def __init__(self, folder: Path, keep: int = 3) -> None:
        """Look at `folder`, and keep the newest `keep` versions when one is published."""
        self.folder = folder
        self.keep = max(2, keep)

    def versions(self) -> list[str]:
        """List the published versions, oldest first."""
        if not self.folder.is_dir():
            return []
        found = (path.parent.name for path in self.folder.glob(f"*/{MANIFEST}"))
        return sorted(name for name in found if not name.startswith("."))

    def current(self) -> str:
        """Return the version in use; NotFitted if nothing was published yet."""
        pointer = self.folder / CURRENT
        if not pointer.is_file():
            raise NotFitted("This shop has no models yet. Run `shopkeeper train` first.")
        return pointer.read_text("utf-8").strip()

    def manifest(self, version: str) -> dict[str, Any]:
        """Return what is known of a version; NotFound if it is not there."""
        path = self.folder / version / MANIFEST
        if not version or not path.is_file():
            known = ", ".join(self.versions()) or "none"
            raise NotFound(f"There is no bundle '{version}'. There are: {known}.")
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return found

    def open(self, version: str | None = None) -> Path:
        """Return the folder of a version after checking each of its files.

        Args:
            version: Which; the one in use by default.

        Returns:
            A folder whose files are all as they were published.

        Raises:
            NotFitted: Nothing was published yet.
            NotFound: There is no such version.
            BadData: A file is missing or was changed.
        """
        version = version or self.current()
        folder = self.folder / version
        for name, expected in self.manifest(version)["files"].items():
            if not (folder / name).is_file() or _sha256(folder / name) != expected:
                raise BadData(
                    f"Bundle '{version}' is damaged: '{name}' is not what was published. "
                    f"Go back with `shopkeeper bundles use VERSION`, or train again."
                )
        return folder

    @contextmanager
    def writing(self, about: dict[str, Any]) -> Iterator[Path]:
        """Give a new folder to write models into; publish it when the block ends without error.

        Args:
            about: What the manifest shall say beside the files: metrics, data hash, settings. May
                be filled while the block runs.

        Yields:
            An empty folder that nobody else sees yet.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        made = datetime.now(UTC)
        version = f"{made:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        folder = self.folder / f"{WRITING}{os.getpid()}-{version}"
        folder.mkdir()
        try:
            yield folder
            self._publish(folder, version, {"version": version, "made": made.isoformat(), **about})
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def use(self, version: str) -> None:
        """Switch to a published version in one step."""
        self.open(version)
        self._point(version)

    def previous(self) -> str:
        """Return the version before the one in use; NotFound if there is none."""
        versions = self.versions()
        at = versions.index(self.current())
        if at == 0:
            raise NotFound("There is no bundle before the one in use. Train again instead.")
        return versions[at - 1]

    def _publish(self, folder: Path, version: str, about: dict[str, Any]) -> None:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        hashes = {path.relative_to(folder).as_posix(): _sha256(path) for path in files}
        text = json.dumps({**about, "files": hashes}, indent=2)
        (folder / MANIFEST).write_text(text, "utf-8")
        for path in [*files, folder / MANIFEST]:
            _sync(path)
        _sync(folder)
        folder.rename(self.folder / version)
        self._point(version)
        for old in self.versions()[: -self.keep]:
            if old != version:
                shutil.rmtree(self.folder / old, ignore_errors=True)

    def _point(self, version: str) -> None:
        partial = self.folder / f"{CURRENT}.{os.getpid()}"
        partial.write_text(version, "utf-8")
        _sync(partial)
        partial.replace(self.folder / CURRENT)
        _sync(self.folder)

    def _sweep(self) -> None:
        """Remove what writers that died left behind."""
        for path in self.folder.glob(f"{WRITING}*"):
            if not alive(int(path.name.removeprefix(WRITING).split("-")[0])):
                shutil.rmtree(path, ignore_errors=True)
        for path in self.folder.glob(f"{CURRENT}.*"):
            if not alive(int(path.suffix[1:])):
                path.unlink(missing_ok=True)


def alive(process_id: int) -> bool:
    """Say whether another process of this number runs."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process_id != os.getpid()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
