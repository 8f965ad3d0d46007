"""Search and recommendation for a shop. Start at `shopkeeper.contracts`, then ARCHITECTURE.md."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shopkeeper.engine.shop import Shop

__all__ = ["Shop"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load `Shop` at first use, so that importing one room never loads the whole house."""
    if name == "Shop":
        return import_module("shopkeeper.engine.shop").Shop
    raise AttributeError(f"module 'shopkeeper' has no attribute '{name}'")
