"""Locks a folder and makes files durable."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shopkeeper.errors import ShopkeeperError


@contextmanager
def locked(path: Path, doing: str) -> Iterator[None]:
    """Hold a lock file, or raise ShopkeeperError where another process holds it."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ShopkeeperError(
                f"Another process is {doing}. Wait until it is done, then run the command again."
            ) from error
        yield


def sync(path: Path) -> None:
    """Make a file or folder outlive a loss of power."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
