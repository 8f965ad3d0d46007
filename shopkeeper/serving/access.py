"""Asks every request of the API for a key with the right scope, once the shop has keys.

A shop without keys answers everybody, and therefore listens on this machine alone.
"""

import math
import time
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import HTTPException, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from shopkeeper.operations.keys import Key, Keys

Check = Callable[..., Awaitable[None]]
HELP = "A key made by `shopkeeper keys add`; needed once the shop has keys."
BEARER = Annotated[
    HTTPAuthorizationCredentials | None, Security(HTTPBearer(auto_error=False, description=HELP))
]
HEADER = Annotated[
    str | None, Security(APIKeyHeader(name="X-API-Key", auto_error=False, description=HELP))
]


class Access:
    """Lets requests in.

    Args:
        keys: The shop's keys.
    """

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        # Who takes the last key back does not mean to let everybody in.
        self.guarded = len(keys) > 0
        self._buckets: dict[str, tuple[float, float]] = {}

    def needs(self, scope: str) -> Check:
        """Return what a router depends on, for requests that need `scope`."""

        async def check(bearer: BEARER = None, header: HEADER = None) -> None:
            self.check(bearer.credentials if bearer else header, scope)

        return check

    def check(self, said: str | None, scope: str) -> None:
        """Let one request in.

        Args:
            said: The key that came with it.
            scope: What it asks for, one of `operations.keys.SCOPES`.

        Raises:
            HTTPException: 401 without a valid key, 403 without the scope, 429 above the limit.
        """
        found = self.keys.find(said or "")
        self.guarded = self.guarded or len(self.keys) > 0
        if not self.guarded:
            return
        if found is None:
            raise HTTPException(
                401,
                "The key is not valid." if said else "Send a key: `Authorization: Bearer KEY`.",
                {"www-authenticate": "Bearer"},
            )
        if not found.may(scope):
            raise HTTPException(403, f"The key '{found.name}' is not good for '{scope}'.")
        wait_s = self._wait_s(found)
        if wait_s > 0:
            raise HTTPException(
                429,
                f"The key '{found.name}' is good for {found.per_second:g} requests a second.",
                {"retry-after": str(math.ceil(wait_s))},
            )

    def _wait_s(self, key: Key) -> float:
        """Take a request out of the key's bucket; return 0 if it held one, of a second's worth."""
        if key.per_second <= 0:
            return 0.0
        now, most = time.monotonic(), max(1.0, key.per_second)
        held, at = self._buckets.get(key.sha256, (most, now))
        held = min(most, held + (now - at) * key.per_second)
        taken = held >= 1
        self._buckets[key.sha256] = (held - taken, now)
        return 0.0 if taken else (1 - held) / key.per_second
