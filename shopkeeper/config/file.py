"""Reads and writes `shop.toml`, refusing what it does not know with the nearest name."""

import ast
import dataclasses
import inspect
import itertools
import json
import textwrap
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shopkeeper.config.placements import PLACEMENTS, Placement
from shopkeeper.config.sections import SECTIONS, Config, Input
from shopkeeper.errors import BadConfig, NotFound, unknown

FILE = "shop.toml"


def read(path: Path, parts: Mapping[str, type[Any]]) -> Config:
    """Read a `shop.toml`.

    Args:
        path: The file.
        parts: The `Config` class of every part, by address such as `recommenders.ease`.

    Returns:
        The settings, with defaults where the file is silent.

    Raises:
        NotFound: There is no such file.
        BadConfig: It is not TOML, or a name or value is wrong; says the nearest right name.
    """
    if not path.is_file():
        raise NotFound(
            f"There is no {FILE} in '{path.parent}'. Make a shop with `shopkeeper init`."
        )
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfig(f"'{path}' is not TOML: {error}. Mend that line.") from error
    known = {**SECTIONS, **parts}
    given = dict(_sections(table, frozenset(parts)))
    placements = dict(PLACEMENTS)
    for address in [name for name in given if name.startswith("placements.")]:
        name = address.removeprefix("placements.")
        base = dataclasses.asdict(placements[name]) if name in placements else {}
        placements[name] = _fill(Placement, given.pop(address), address, base)
    inputs = {
        address.removeprefix("inputs."): _fill(Input, given.pop(address), address, {})
        for address in [name for name in given if name.startswith("inputs.")]
    }
    for address in given:
        if address not in known:
            named = ["inputs.NAME", *(f"placements.{name}" for name in placements)]
            raise unknown("section", address, [*known, *named])
    filled = {address: _fill(known[address], rows, address, {}) for address, rows in given.items()}
    return Config(
        **{name: filled.get(name, section()) for name, section in SECTIONS.items()},
        inputs=inputs,
        placements=placements,
        parts={
            address: {key: getattr(filled[address], key) for key in given[address]}
            for address in given
            if address in parts
        },
    )


def write(config: Config, parts: Mapping[str, type[Any]]) -> str:
    """Return the text of a `shop.toml` with every setting, its value and a comment.

    Args:
        config: The values of sections and placements.
        parts: The `Config` class of every part, by address.

    Returns:
        TOML that `read` turns into the same settings.
    """
    blocks = ["# Settings of one shop. Every default is written out; delete what you keep as is."]
    for name, section in SECTIONS.items():
        blocks.append(_block(name, section, dataclasses.asdict(getattr(config, name))))
    for name, given in config.inputs.items():
        blocks.append(_block(f"inputs.{name}", Input, dataclasses.asdict(given)))
    for name, placement in config.placements.items():
        blocks.append(_block(f"placements.{name}", Placement, dataclasses.asdict(placement)))
    for address, part in sorted(parts.items()):
        values = {
            **{field.name: _default(field) for field in dataclasses.fields(part)},
            **config.parts.get(address, {}),
        }
        if values:
            blocks.append(_block(address, part, values))
    return "\n\n".join(blocks) + "\n"


def comments(section: type[Any]) -> dict[str, str]:
    """Return the string below each field of a settings class, by field; also those taken over."""
    found: dict[str, str] = {}
    for base in section.__bases__:
        if dataclasses.is_dataclass(base):
            found |= comments(base)
    tree = ast.parse(textwrap.dedent(inspect.getsource(section)))
    body = typing.cast(ast.ClassDef, tree.body[0]).body
    for field, below in itertools.pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            found[field.target.id] = " ".join(str(below.value.value).split())
    return found


def _block(name: str, section: type[Any], values: Mapping[str, Any]) -> str:
    notes = comments(section)
    lines = [f"[{name}]"]
    for key, value in values.items():
        lines += [f"# {notes[key]}"] if key in notes else []
        lines.append(f"{key} = {_toml(value)}")
    return "\n".join(lines)


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _sections(
    table: Mapping[str, Any], parts: frozenset[str], prefix: str = ""
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every section of a TOML table that holds values, by dotted address."""
    values = {key: value for key, value in table.items() if not isinstance(value, dict)}
    if prefix in parts or prefix.startswith(("inputs.", "placements.")):
        yield prefix, dict(table)
        return
    if values or (prefix and not table):
        yield prefix or "(top of the file)", values
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _sections(value, parts, f"{prefix}.{key}" if prefix else key)


def _fill(section: type[Any], given: Mapping[str, Any], name: str, base: Mapping[str, Any]) -> Any:
    hints = typing.get_type_hints(section)
    values = dict(base)
    for key, value in given.items():
        if key not in hints:
            raise unknown(f"setting of [{name}]", key, hints)
        values[key] = _cast(value, hints[key], f"[{name}] {key}")
    try:
        return section(**values)
    except ValueError as error:
        raise BadConfig(f"[{name}] {error}") from error


def _cast(value: Any, wanted: Any, where: str) -> Any:
    """Check a TOML value against a type hint; lists become tuples, whole numbers floats."""
    origin = typing.get_origin(wanted)
    if origin in (typing.Union, types.UnionType):
        wanted = next(kind for kind in typing.get_args(wanted) if kind is not type(None))
        return _cast(value, wanted, where)
    if origin in (tuple, list) and isinstance(value, list):
        inner = typing.get_args(wanted)[0]
        return tuple(_cast(item, inner, where) for item in value)
    if origin in (dict, Mapping) and isinstance(value, dict):
        return value
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    kind = origin or wanted
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        name = getattr(kind, "__name__", str(kind))
        raise BadConfig(f"{where} must be {name}, but is {value!r}. Change it in {FILE}.")
    return value
