"""Keeps a second process from writing to the same folder. Knows nothing of what is written."""

import os
import sys
from pathlib import Path

from shopkeeper.errors import ShopkeeperError


class FolderLock:
    """A lock that the operating system takes back when the process ends, however it ends.

    Args:
        file: Made if it lacks.

    Raises:
        ShopkeeperError: Another process has it.
    """

    def __init__(self, file: Path) -> None:
        self._handle = file.open("a+b")
        try:
            _take(self._handle.fileno())
        except OSError as error:
            self._handle.seek(0)
            holder = self._handle.read(20).decode(errors="replace") or "unknown"
            self._handle.close()
            raise ShopkeeperError(
                f"Process {holder} already writes to {file.parent}. "
                "Stop it first: one shop folder is served by one process."
            ) from error
        self._handle.truncate(0)
        self._handle.write(str(os.getpid()).encode())
        self._handle.flush()

    def release(self) -> None:
        """Give the lock back."""
        self._handle.close()


def sync_folder(folder: Path) -> None:
    """Make new and deleted names in `folder` survive a power cut, where the system can."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _take(handle: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
