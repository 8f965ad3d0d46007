"""Settings that are given on the command line as name=value."""

from collections.abc import Sequence
from typing import Any

from shopkeeper.errors import BadConfig


def settings_of(given: Sequence[str]) -> dict[str, Any]:
    """Return what `--set` was given.

    Args:
        given: Texts of the form name=value; a value with commas is several.

    Returns:
        Values by name: truth values, numbers where they are, else text.

    Raises:
        BadConfig: One has no equals sign.
    """
    settings: dict[str, Any] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals:
            raise BadConfig(f"--set takes name=value, got '{pair}'. Write it as {pair}=VALUE.")
        several = tuple(_value(part.strip()) for part in value.split(",") if part.strip())
        settings[name] = several if "," in value else _value(value)
    return settings


def _value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
