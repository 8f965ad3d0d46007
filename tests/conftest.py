"""What several tests share: one small shop, loaded and trained once a run of tests."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import gift_file

# The same examples in every run; SHOPKEEPER_EXAMPLES=random looks for others.
hypothesis.settings.register_profile("same", derandomize=True, database=None)
hypothesis.settings.register_profile("random", database=None)
hypothesis.settings.load_profile(os.environ.get("SHOPKEEPER_EXAMPLES", "same"))


if "SHOPKEEPER_CACHE" not in os.environ:
    # One for all processes of this run, so that each encoder is exported once.
    os.environ["SHOPKEEPER_CACHE"] = tempfile.mkdtemp(prefix="shopkeeper-tests-")
    os.environ["SHOPKEEPER_CACHE_OWNER"] = str(os.getpid())


def pytest_unconfigure():
    if os.environ.get("SHOPKEEPER_CACHE_OWNER") == str(os.getpid()):
        shutil.rmtree(os.environ["SHOPKEEPER_CACHE"], ignore_errors=True)


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory):
    """A trained shop nobody writes to."""
    from shopkeeper import Shop

    folder = gift_file.shop(tmp_path_factory.mktemp("gifts") / "shop")
    opened = Shop.open(folder)
    opened.ingest()
    opened.train()
    return folder


@pytest.fixture
def trained(trained_once, tmp_path):
    """A copy of a trained shop to do anything with."""
    return shutil.copytree(trained_once, tmp_path / "shop")
