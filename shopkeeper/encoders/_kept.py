"""Exports of published models, kept once for a machine: the next shop need not wait for them.

They lie in `$SHOPKEEPER_CACHE`, else in the user's folder for caches; whoever deletes it loses
time alone. Knows nothing of what is exported.
"""

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shopkeeper.encoders._weights import digest

ABOUT = "encoder.json"
"""The file that is written last; it names the digest of `MODEL`."""
MODEL = "model.onnx"

_log = logging.getLogger(__name__)


def fill(folder: Path, identity: Any, make: Callable[[], None]) -> None:
    """Fill a folder with an export, from the cache if it is there and sound.

    Args:
        folder: Where the export goes; made if it lacks.
        identity: Whatever the export depends on, as JSON can write it.
        make: Exports into `folder`; called if the cache has nothing.
    """
    name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:24]
    place = home() / "exports" / name
    if _is_sound(place):
        folder.mkdir(parents=True, exist_ok=True)
        _copy(place, folder)
        return
    make()
    try:
        _keep(folder, place)
    except OSError as error:
        _log.info("the export is not kept for other shops: %s", error)


def home() -> Path:
    """Return the folder of caches of this user."""
    given = os.environ.get("SHOPKEEPER_CACHE")
    if given:
        return Path(given)
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "shopkeeper"


def _keep(folder: Path, place: Path) -> None:
    """Put a copy beside and rename it, so that nobody finds half of one."""
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".part-", dir=place.parent))
    try:
        _copy(folder, draft)
        shutil.rmtree(place, ignore_errors=True)
        draft.replace(place)
    except OSError:
        # Another process was quicker, or the disk is full.
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _copy(source: Path, target: Path) -> None:
    files = sorted(file for file in source.iterdir() if file.is_file())
    for file in sorted(files, key=lambda each: each.name == ABOUT):
        draft = target / f"{file.name}.part"
        shutil.copyfile(file, draft)
        draft.replace(target / file.name)


def _is_sound(place: Path) -> bool:
    try:
        about = json.loads((place / ABOUT).read_text("utf-8"))
        return bool(digest(place / MODEL) == about["sha256"])
    except (OSError, ValueError, KeyError):
        return False
