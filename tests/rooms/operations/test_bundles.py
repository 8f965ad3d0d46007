"""Bundles switch in one step and survive a writer that dies."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from shopkeeper.errors import BadData, NotFitted, NotFound
from shopkeeper.operations.bundles import Bundles


def publish(bundles, text, **about):
    with bundles.writing(about) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "model.txt").write_text(text)
    return bundles.current()


def test_a_published_bundle_is_in_use_with_its_manifest(tmp_path):
    bundles = Bundles(tmp_path)
    version = publish(bundles, "one", metrics={"recall": 0.3})
    assert (bundles.open() / "deep" / "model.txt").read_text() == "one"
    assert bundles.manifest(version)["metrics"] == {"recall": 0.3}
    assert list(bundles.manifest(version)["files"]) == ["deep/model.txt"]


def test_nothing_published_says_to_train(tmp_path):
    with pytest.raises(NotFitted, match="shopkeeper train"):
        Bundles(tmp_path / "new").current()


def test_an_error_while_writing_leaves_the_old_bundle_in_use(tmp_path):
    bundles = Bundles(tmp_path)
    version = publish(bundles, "one")
    with pytest.raises(ZeroDivisionError), bundles.writing({}) as folder:
        (folder / "half.txt").write_text(str(1 / 0))
    assert bundles.current() == version
    assert bundles.versions() == [version]
    assert not list(tmp_path.glob(".writing-*"))


def test_a_changed_file_is_named(tmp_path):
    bundles = Bundles(tmp_path)
    version = publish(bundles, "one")
    (tmp_path / version / "deep" / "model.txt").write_text("two")
    with pytest.raises(BadData, match=r"deep/model\.txt"):
        bundles.open()


def test_rollback_goes_to_the_version_before(tmp_path):
    bundles = Bundles(tmp_path)
    first = publish(bundles, "one")
    bundles.folder.joinpath(first).rename(tmp_path / "20000101-000000-aaaa")
    publish(bundles, "two")
    bundles.use(bundles.previous())
    assert (bundles.open() / "deep" / "model.txt").read_text() == "one"
    with pytest.raises(NotFound, match="no bundle before"):
        bundles.previous()


def test_old_versions_go_and_the_newest_stay(tmp_path):
    bundles = Bundles(tmp_path, keep=2)
    for day in range(1, 5):
        version = publish(bundles, str(day))
        (tmp_path / version).rename(tmp_path / f"2000010{day}-000000-aaaa")
    publish(bundles, "new")
    assert len(bundles.versions()) == 2
    assert (bundles.open() / "deep" / "model.txt").read_text() == "new"


def test_a_killed_writer_leaves_the_old_bundle_and_the_next_sweeps(tmp_path):
    bundles = Bundles(tmp_path)
    version = publish(bundles, "one")
    script = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from shopkeeper.operations.bundles import Bundles
        with Bundles(Path({str(tmp_path)!r})).writing({{}}) as folder:
            (folder / "half.txt").write_text("half")
            print("ready", flush=True)
            sys.stdin.read()
    """)
    writer = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with writer:
        assert writer.stdout.readline() == b"ready\n"
        os.kill(writer.pid, signal.SIGKILL)
    assert list(tmp_path.glob(".writing-*"))
    assert bundles.current() == version
    publish(bundles, "two")
    assert not list(tmp_path.glob(".writing-*"))
    assert (bundles.open() / "deep" / "model.txt").read_text() == "two"
