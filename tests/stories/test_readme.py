"""What the README tells a newcomer to type works, on a small file of the same shape."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import gift_file
import pytest

README = (Path(__file__).parents[2] / "README.md").read_text()
BIN = Path(sys.executable).parent


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("newcomer")
    gift_file.write(where / "invoices.csv")
    return where


def environment():
    return {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "SHOPKEEPER_QUIET": "1"}


def test_commands_and_python_of_the_readme_run(folder):
    commands = [
        line
        for block in blocks("")
        for line in block.splitlines()
        if line.startswith("shopkeeper ") and not line.startswith("shopkeeper serve")
    ]
    assert any(line.startswith("shopkeeper train") for line in commands)
    for line in commands:
        done = subprocess.run(
            shlex.split(line.replace("17850", "12000")),
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        if line.startswith("shopkeeper init"):
            smaller(folder / "myshop" / "shop.toml")
    script, alone = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", script.replace("17850", "12000")],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 ")
    done = subprocess.run([sys.executable, "-c", alone], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "cup" in done.stdout


def smaller(settings):
    """Make the transformer small and take the encoder that needs no export; all else stays."""
    text = settings.read_text()
    for name, value in (
        ("steps_max", "20"),
        ("update_steps", "5"),
        ("trees", "10"),
        ("leaf_rows_min", "5"),
        ("encoder", '"hashing"'),
    ):
        text, times = re.subn(rf"^{name} = .*$", f"{name} = {value}", text, flags=re.MULTILINE)
        assert times >= 1, name
    settings.write_text(text)


def test_every_file_the_readme_names_is_there():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (Path(__file__).parents[2] / target).exists(), target


def test_commands_of_the_tutorial_run(tmp_path):
    root = Path(__file__).parents[2]
    text = (root / "docs" / "tutorial" / "load-your-data.md").read_text()
    lines = [
        line
        for block in re.findall(r"```\n((?:shopkeeper .*\n)+)```", text)
        for line in block.splitlines()
    ]
    assert len(lines) >= 9
    shop = tmp_path / "myshop"
    said = {}
    for line in lines:
        words = shlex.split(line.replace("myshop", str(shop)))
        done = subprocess.run(
            words, cwd=root, env=environment(), capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        if words[1] == "init":
            settings = shop / "shop.toml"
            settings.write_text(settings.read_text().replace('encoder = ""', 'encoder = "hashing"'))
        said[" ".join(words[1:3])] = done.stdout
    assert "the event has an unknown name" in said["quarantine list"]
    assert "events.jsonl" in said["lineage events"]
    assert (shop / "reports" / "quality.html").stat().st_size > 10_000
