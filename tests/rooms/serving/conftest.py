"""A fake shop behind a real application."""

import importlib.util
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from shopkeeper.serving.app import create_app

_spec = importlib.util.spec_from_file_location(
    "fake_shop", Path(__file__).with_name("fake_shop.py")
)
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)


@pytest.fixture
def shop(tmp_path):
    made = _module.FakeShop(tmp_path)
    yield made
    made.close()


@pytest.fixture
def client(shop):
    with TestClient(create_app(shop), base_url="http://shop.test") as made:
        made.headers["origin"] = "http://shop.test"
        yield made


@pytest.fixture
def untrained(tmp_path):
    made = _module.FakeShop(tmp_path, trained=False)
    with TestClient(create_app(made), base_url="http://shop.test") as client:
        yield client
