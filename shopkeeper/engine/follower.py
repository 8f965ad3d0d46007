"""Lets a running shop follow its bundles and products, beside its answers, so that none waits.

What changes shows within `REFRESH_S` and the time to read it: two seconds for a few products.
"""

import logging
import threading

from shopkeeper.engine.live import Live
from shopkeeper.errors import ShopkeeperError
from shopkeeper.operations.bundles import Bundles

REFRESH_S = 1.0
"""How often a running shop looks whether a bundle was published or products changed."""

_log = logging.getLogger(__name__)


class Follower(threading.Thread):
    """Follows until the shop is closed."""

    def __init__(self, live: Live, bundles: Bundles) -> None:
        super().__init__(name="shopkeeper-follower", daemon=True)
        self._live, self._bundles = live, bundles

    def run(self) -> None:
        """Look, wait, look again."""
        while not self._live.closed.wait(REFRESH_S):
            follow(self._live, self._bundles)


def follow(live: Live, bundles: Bundles) -> None:
    """Take what is new, if anything; what cannot be read is logged, and the shop stays as it was.

    Args:
        live: The running shop.
        bundles: Its bundles.
    """
    try:
        live.follow(bundles)
    except ShopkeeperError as error:
        _log.error("what is new cannot be used, the shop stays as it was: %s", error)
