"""Who may ask what of a running shop: named keys, of which the shop keeps only hashes.

A key is 256 random bits, so one round of SHA-256 hides it as well as a slow hash would. What is
added or removed holds in a running server within a second. Knows no HTTP.
"""

import hmac
import json
import os
import re
import secrets
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from shopkeeper.errors import BadConfig, BadRequest, NotFound

FILE = "keys.json"
SCOPES = ("read", "events", "admin")
"""Asking for products; posting events; changing products and reading counters. `admin` has all."""
PREFIX = "shk_"
LOOK_EVERY_S = 1.0
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Key:
    """One key, as far as the shop remembers it."""

    name: str
    scopes: tuple[str, ...]
    per_second: float
    """Requests a second that it is good for; 0 for no limit."""
    added: str
    """When, ISO 8601 in UTC."""
    sha256: str

    def may(self, scope: str) -> bool:
        """Say whether the key is good for a scope."""
        return scope in self.scopes or "admin" in self.scopes


class Keys:
    """The keys of one shop.

    Args:
        folder: The shop's folder.

    Raises:
        BadConfig: The file of keys cannot be read; nobody is let in by a guess.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._stamp, self._keys = self._read()
        self._looked_s = time.monotonic()

    def __len__(self) -> int:
        return len(self._keys)

    def listed(self) -> list[Key]:
        """Return all keys, by name."""
        return sorted(self._keys, key=lambda key: key.name)

    def add(self, name: str, scopes: tuple[str, ...] = ("read",), per_second: float = 0.0) -> str:
        """Make a key.

        Args:
            name: Who will have it: letters, digits, `_`, `.`, `-`.
            scopes: Some of `SCOPES`.
            per_second: Requests a second that it is good for; 0 for no limit.

        Returns:
            The key. It is told this once; the shop keeps its hash.

        Raises:
            BadRequest: The name is taken or no name, a scope is unknown, or the limit negative.
        """
        self._stamp, self._keys = self._read()
        if not NAME.fullmatch(name):
            raise BadRequest("name", "name must be up to 64 letters, digits, '_', '.' or '-'.")
        if any(key.name == name for key in self._keys):
            raise BadRequest(
                "name", f"There is a key '{name}' already. Remove it first, or choose another name."
            )
        if not scopes or set(scopes) - set(SCOPES):
            raise BadRequest("scope", f"scope must be among {', '.join(SCOPES)}.")
        if not 0 <= per_second < float("inf"):
            raise BadRequest("per_second", f"per_second must be at least 0, got {per_second}.")
        said = PREFIX + secrets.token_urlsafe(32)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        made = Key(name, tuple(s for s in SCOPES if s in scopes), per_second, now, _hash(said))
        self._write([*self._keys, made])
        return said

    def remove(self, name: str) -> None:
        """Take a key back, or raise NotFound."""
        self._stamp, self._keys = self._read()
        left = [key for key in self._keys if key.name != name]
        if len(left) == len(self._keys):
            known = ", ".join(key.name for key in self.listed()) or "none"
            raise NotFound(f"There is no key '{name[:64]}'. Known: {known}.")
        self._write(left)

    def find(self, said: str) -> Key | None:
        """Return the key that was said, in a time that does not tell how near a guess was."""
        self._follow()
        hashed, found = _hash(said), None
        for key in self._keys:
            if hmac.compare_digest(key.sha256, hashed):
                found = key
        return found

    def _follow(self) -> None:
        """Look once a second whether another process changed the file."""
        if time.monotonic() - self._looked_s < LOOK_EVERY_S:
            return
        self._looked_s = time.monotonic()
        if _stamp(self._file) != self._stamp:
            self._stamp, self._keys = self._read()

    def _read(self) -> tuple[tuple[int, int] | None, list[Key]]:
        stamp = _stamp(self._file)
        if stamp is None:
            return None, []
        try:
            rows = json.loads(self._file.read_text("utf-8"))["keys"]
            return stamp, [Key(**row | {"scopes": tuple(row["scopes"])}) for row in rows]
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise BadConfig(
                f"{self._file} cannot be read as keys ({type(error).__name__}). "
                "Delete it and make new keys by `shopkeeper keys add`."
            ) from error

    def _write(self, keys: list[Key]) -> None:
        draft = self._file.with_name(f".{FILE}.{os.getpid()}.part")
        text = json.dumps({"keys": [asdict(key) for key in keys]}, indent=1)
        # Nobody else on the machine reads even the hashes.
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._file)
        self._stamp, self._keys = _stamp(self._file), keys


def _hash(said: str) -> str:
    return sha256(said.encode("utf-8", "replace")).hexdigest()


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino
