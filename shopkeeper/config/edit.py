"""Changes settings in a `shop.toml` that people wrote, and leaves the rest of it as it is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from shopkeeper.config.file import read
from shopkeeper.errors import BadConfig


def set_values(
    path: Path,
    address: str,
    values: Mapping[str, Any],
    why: str,
    parts: Mapping[str, type[Any]],
) -> None:
    """Set values of one section, in one step; comments, order and other settings stay.

    Args:
        path: The `shop.toml`.
        address: The section, such as `encoders.minilm`; it is added if it lacks.
        values: What to set.
        why: A few words that are written behind each value.
        parts: The `Config` class of every part, by address.

    Raises:
        BadConfig: The file is not TOML, or could not be read with these values; it is left alone.
    """
    try:
        document = tomlkit.parse(path.read_text("utf-8"))
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise BadConfig(f"'{path}' is not TOML: {error}. Mend that line.") from error
    table: Any = document
    *above, last = address.split(".")
    for name in above:
        table = table.setdefault(name, tomlkit.table(is_super_table=True))
    if last not in table:
        table[last] = tomlkit.table()
    section: Any = table[last]
    for key, value in values.items():
        written = tomlkit.item(list(value) if isinstance(value, tuple) else value)
        written.comment(why)
        section[key] = written
    partial = path.with_suffix(".part")
    partial.write_text(tomlkit.dumps(document), "utf-8")
    try:
        read(partial, parts)
    except BadConfig:
        partial.unlink()
        raise
    partial.replace(path)
