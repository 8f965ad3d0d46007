"""Runs an export in a process of its own: torch needs half a gigabyte, and goes with it.

Knows nothing of what is exported.
"""

import json
import os
import subprocess
import sys

from shopkeeper import errors
from shopkeeper.errors import ShopkeeperError

_CODE = """
import importlib, json, sys
from shopkeeper.errors import ShopkeeperError
try:
    importlib.import_module(sys.argv[1]).main(*sys.argv[2:])
except ShopkeeperError as error:
    print(json.dumps({"error": type(error).__name__, "message": str(error)}))
"""


def run_apart(module: str, *given: str, what: str) -> None:
    """Call `main` of a module in another process.

    Args:
        module: Its name.
        *given: What `main` is called with.
        what: What an error calls the work, such as `The text encoder could not be exported`.

    Raises:
        ShopkeeperError: What `main` raised, or why the process ended.
    """
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", _CODE, module, *given],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if said:
        told = json.loads(said[-1])
        raise getattr(errors, told["error"])(told["message"])
    if done.returncode:
        why = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
        raise ShopkeeperError(f"{what}: {why[:300]}")
