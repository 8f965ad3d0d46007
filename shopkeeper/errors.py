"""Errors a user can fix. Each says what was wrong, what was given, and what to do.

ShopkeeperError
  BadConfig      a setting has a wrong name or value
  BadData        a file or table breaks the schema
    TooLittle    too little happened in the shop so far to learn or judge a ranker
  BadRequest     one request asks for something impossible; names the field
  NotFound       there is no such product, placement, shop or bundle
  NotFitted      a model was asked before it learned, or a shop before it was trained
  Missing        an optional part is not installed
"""

import difflib
from collections.abc import Iterable


class ShopkeeperError(Exception):
    """Base of every error raised on purpose. The CLI prints it without a traceback."""


class BadConfig(ShopkeeperError):
    """A setting has a wrong name or value."""


class BadData(ShopkeeperError):
    """A file or a table breaks the schema."""


class TooLittle(BadData):
    """Too little happened in the shop so far to learn or judge a ranker."""


class BadRequest(ShopkeeperError):
    """One request asks for something impossible; `field` names what to change."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


class NotFound(ShopkeeperError):
    """There is no such product, placement, shop or bundle."""


class NotFitted(ShopkeeperError):
    """A model was asked before it learned, or a shop before it was trained."""


class Missing(ShopkeeperError):
    """An optional part is not installed."""


def unknown(kind: str, given: str, known: Iterable[str]) -> BadConfig:
    """Build the error for a name that does not exist, with the nearest name that does."""
    names = sorted(known)
    close = difflib.get_close_matches(given, names, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return BadConfig(f"There is no {kind} '{given}'.{hint} Known: {', '.join(names)}.")
